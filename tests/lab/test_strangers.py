# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy on leaks planted by somebody who did not know how it works: right, weak, false."""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict, List

import pytest

from tests import lab
from tests.lab.judged import FALSE, RIGHT, SILENT, Verdict, judge
from tests.lab.often import kernels
from tests.lab.session import Record, records, run_lines
from tests.lab.strangers import estranged, for_each_plot
from tests.lab.thirds import judge_third

UNREACHED = {"never": 40, "deleted": 3}
"""Of the caches in use: objects that nothing leads to."""
HOLDERS = {"by-object": "thing_domains [slabtest]", "none": "residents [slabtest]"}


def verdicts(kernel: str, scenario: str = "stranger") -> List[Verdict]:
    """On each plot of the kernel's dump, by the newest crash."""
    dump = estranged(kernel, scenario)
    (text,) = run_lines(dump, lab.crashes_for(kernel)[-1], ["slabwhy -j"], timeout=900)
    of_cache: Dict[str, List[Record]] = {}
    for record in records(text):
        of_cache.setdefault(str(record.get("cache", record.get("address"))), []).append(record)
    judged = judge_third if scenario == "third" else judge
    return [judged(plot, of_cache.get(plot.cache, [])) for plot in for_each_plot(dump)]


@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_leaks_of_a_stranger_are_explained_and_none_falsely(kernel: str) -> None:
    found = verdicts(kernel)
    assert [verdict for verdict in found if verdict.grade == FALSE] == []
    grades = Counter(verdict.grade for verdict in found)
    weak = [(each.plot.name, each.grade, each.why) for each in found if each.grade != RIGHT]
    assert grades[SILENT] == 0, weak
    assert grades[RIGHT] >= 0.82 * len(found), weak


@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_leaks_as_drivers_make_them_are_explained_and_none_falsely(kernel: str) -> None:
    found = verdicts(kernel, "third")
    assert [verdict for verdict in found if verdict.grade == FALSE] == []
    grades = Counter(verdict.grade for verdict in found)
    weak = [(each.plot.name, each.grade, each.why) for each in found if each.grade != RIGHT]
    # A dozen are words that are left over, where the answer can only name both ways.
    assert grades[RIGHT] >= 0.75 * len(found), weak


@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_a_cache_in_use_is_judged_by_the_same_rules(kernel: str) -> None:
    dump = estranged(kernel, "alive")
    plots = list(for_each_plot(dump))
    names = " ".join(plot.cache for plot in plots)
    (text,) = run_lines(dump, lab.crashes_for(kernel)[-1], [f"slabwhy -j {names}"])
    rows = records(text)
    for plot in plots:
        own = [row for row in rows if plot.cache in (row.get("cache"), row.get("address"))]
        found = [row for row in own if row["type"] == "finding"]
        (conclusion,) = [row["text"] for row in own if row["type"] == "conclusion"]
        lost = UNREACHED.get(plot.kind, 0)
        assert {address for row in found for address in row["objects"]} == (
            set(plot.leaked) if lost else set()
        )
        assert {row["strength"] for row in found} <= {"likely"}
        whole = "memory in use leads to all of them"
        assert (f"nothing in use leads to {lost} of them" if lost else whole) in conclusion
        assert not lost or (whole not in conclusion and "nothing was left" not in conclusion)
        held = [row["text"] for row in own if row["type"] == "evidence" and row["topic"] == "held"]
        (allocated,) = [row["allocated"] for row in own if row["type"] == "cache"]
        assert sum(int(text.split()[0]) for text in held) == allocated - lost
        assert any(HOLDERS.get(plot.kind, "") in text for text in held), held


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param("6.1"),
        # Up to 5.10 a destroy that finds objects does not warn; from 6.12 on it does at the first.
        pytest.param("6.12", marks=pytest.mark.long),
        pytest.param("7.3", marks=pytest.mark.long),
    ],
)
def test_a_destroy_in_which_the_kernel_panicked_is_still_running(kernel: str) -> None:
    dump = estranged(kernel, "panic")
    (plot,) = for_each_plot(dump)
    lines = ["slabwhy", "slabwhy -j"]
    text, told = run_lines(dump, lab.crashes_for(kernel)[-1], lines)
    assert re.search(r"leftover: being destroyed by pid \d+ insmod: ", text)
    assert "Its destroy is still running" in " ".join(text.split())
    assert "lines of the report are lost" not in text
    assert judge(plot, [row for row in records(told) if row.get("cache") == plot.cache]).grade == (
        RIGHT
    )
