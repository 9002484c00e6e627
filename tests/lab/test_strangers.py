# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy on leaks planted by somebody who did not know how it works: right, weak, false."""

from __future__ import annotations

from collections import Counter
from typing import Dict, List

import pytest

from tests import lab
from tests.lab.judged import FALSE, RIGHT, SILENT, Verdict, judge
from tests.lab.often import kernels
from tests.lab.session import Record, records, run_lines
from tests.lab.strangers import estranged, for_each_plot


def verdicts(kernel: str) -> List[Verdict]:
    """On each plot of the kernel's dump, by the newest crash."""
    dump = estranged(kernel)
    (text,) = run_lines(dump, lab.crashes_for(kernel)[-1], ["slabwhy -j"], timeout=900)
    of_cache: Dict[str, List[Record]] = {}
    for record in records(text):
        of_cache.setdefault(str(record.get("cache", record.get("address"))), []).append(record)
    return [judge(plot, of_cache.get(plot.cache, [])) for plot in for_each_plot(dump)]


@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_leaks_of_a_stranger_are_explained_and_none_falsely(kernel: str) -> None:
    found = verdicts(kernel)
    assert [verdict for verdict in found if verdict.grade == FALSE] == []
    grades = Counter(verdict.grade for verdict in found)
    assert grades[RIGHT] >= 0.82 * len(found) and not grades[SILENT], [
        (verdict.plot.name, verdict.grade, verdict.why)
        for verdict in found
        if verdict.grade != RIGHT
    ]
