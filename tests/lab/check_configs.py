# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of our own configuration (configs.py), judged by the module's own account.

`make test-configs` runs it: the kernels are built at first, five minutes of one CPU each.
`make test` doesn't.
"""

from __future__ import annotations

import re
from typing import List

import pytest

from tests import lab
from tests.lab import matrix
from tests.lab.configs import CONFIGS
from tests.lab.session import DRGN, records, run_lines

SCENARIOS = ["all", "merge", "reload", "causes", "debug"]
"""all: leaks of all sizes, constructors, RCU, full slabs, twins."""
SLUB = [name for name, config in CONFIGS.items() if "SLAB" not in config.has]
SLAB = "the kernel uses the old SLAB allocator: only SLUB is supported"
LINES = ["slabdup", "slabobjs slab_test", "slabwhy", "slablost"]


def _newest(name: str) -> str:
    return lab.crashes_for(name)[-1]


@pytest.mark.parametrize("on_drgn", [False, True], ids=["crash", "drgn"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", SLUB)
def test_every_object_is_told_as_the_module_tells(name: str, scenario: str, on_drgn: bool) -> None:
    host = DRGN if on_drgn else _newest(name)
    result = matrix.try_run(matrix.Run(name, scenario, host))
    assert result.failures == []
    assert result.objects[0] > 0


@pytest.mark.parametrize("name", SLUB)
def test_the_cause_of_a_leak_is_found(name: str) -> None:
    dump = lab.dump(name, "leak")
    (said,) = run_lines(dump, _newest(name), ["slabwhy"])
    assert "never linked" in said
    assert "Traceback" not in said


def test_a_profiled_kernel_names_the_line_that_allocated() -> None:
    dump = lab.dump("6.12-profiled", "leak")
    (said,) = run_lines(dump, _newest("6.12-profiled"), ["slabwhy -F"])
    assert re.search(r"allocated (?:by|at|in) .*slabtest\.c:\d+", said), said


def test_another_allocator_is_one_clear_line() -> None:
    dump = lab.dump("6.1-slab", "leak")
    for line, said in zip(LINES, run_lines(dump, _newest("6.1-slab"), LINES)):
        assert said == f"{line.split()[0]}: {SLAB}\n"


def test_what_kasan_keeps_from_use_is_free() -> None:
    """The module frees objects of caches in use: with KASAN all of these are quarantined."""
    dump = lab.dump("6.12-kasan", "leak")
    (text,) = run_lines(dump, _newest("6.12-kasan"), ["slabobjs -j -f -b 0 slab_test"])
    rows = [row for row in records(text) if row["type"] == "object"]
    held: List[str] = [row["address"] for row in rows if "quarantine" in (row["held_by"] or "")]
    freed = {
        row["addr"]
        for states in dump.truth["objects"]["slab_test"].values()
        for row in states.get("freed", [])
    }
    assert held
    assert freed & set(held)
