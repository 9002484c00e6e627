# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of our own configuration (configs.py), judged by the module's own account.

`make test-configs` runs it: the kernels are built at first, five minutes of one CPU each.
`make test` doesn't.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import List, Tuple

import pytest

from tests import lab
from tests.lab import matrix
from tests.lab.configs import CONFIGS
from tests.lab.session import DRGN, records, run_lines
from tests.lab.truth import allocated_rows

SCENARIOS = ["leak", "all", "numa", "merge", "reload", "causes", "debug"]
"""all: leaks of all sizes, constructors, RCU, full slabs, twins."""
FORGETS = "6.12-tiny"
"""Without CONFIG_SLUB_DEBUG nobody counts full slabs: a cache that has no others is freed, with
its objects, and the next cache gets its address. Empty slabs go back at once."""
WITHOUT_DRGN = [name for name, row in CONFIGS.items() if "SPARSEMEM_VMEMMAP" in row.lacks]
"""drgn 0.0.33 finds no page structures there: the commands say of each slab that it isn't one."""
SLUB = [name for name, config in CONFIGS.items() if "SLAB" not in config.has]
SLAB = "the kernel uses the old SLAB allocator: only SLUB is supported"
LINES = ["slabdup", "slabobjs slab_test", "slabwhy", "slablost"]


def _newest(name: str) -> str:
    return lab.crashes_for(name)[-1]


def _runs() -> List[Tuple[str, str, str]]:
    """(kernel, scenario, host)"""
    return [
        (name, scenario, host)
        for name in SLUB
        for scenario in SCENARIOS
        if name != FORGETS or scenario not in ("all", "causes")
        for host in [_newest(name)] + [DRGN] * (name not in WITHOUT_DRGN)
    ]


@pytest.mark.parametrize(("name", "scenario", "host"), _runs())
def test_every_object_is_told_as_the_module_tells(name: str, scenario: str, host: str) -> None:
    result = matrix.try_run(matrix.Run(name, scenario, host))
    assert result.failures == []
    assert result.objects[0] > 0


def test_a_leftover_that_has_given_its_slabs_back_is_unknown() -> None:
    result = matrix.try_run(matrix.Run(FORGETS, "causes", _newest(FORGETS)))
    assert (result.missing, result.extra) == (0, 0)
    (wrong,) = result.failures
    assert re.search("slab_late leftover: told as slab_late, unknown: unlinked, no slab", wrong)


def test_of_caches_that_were_freed_with_full_slabs_nothing_is_made_up() -> None:
    result = matrix.try_run(matrix.Run(FORGETS, "all", _newest(FORGETS)))
    assert result.extra == 0
    caches = lab.dump(FORGETS, "all").truth["caches"]
    owners = Counter(one["kmem_cache"] for roles in caches.values() for one in roles.values())
    wrong = [text for text in result.failures if text.startswith("cache ")]
    assert wrong
    assert [text for text in wrong if owners[text.split()[1]] < 2] == []
    unknown = [text for text in result.failures if text.startswith("problem: ")]
    assert all(re.search("objects? of .* fills? no power of two", text) for text in unknown)
    assert result.missing


def test_on_drgn_nothing_is_claimed_where_no_page_structure_is_found() -> None:
    dump = lab.dump("6.12-kasan", "leak")
    (text,) = run_lines(dump, DRGN, ["slabobjs -j -b 0 slab_test"])
    rows = records(text)
    assert [row for row in rows if row["type"] == "object"] == []
    assert rows[-1]["complete"] is False


def test_a_node_is_told_right_or_not_at_all() -> None:
    """The list that a slab is on tells its node; page.flags don't, with a section on top."""
    dump = lab.dump("6.12-kasan", "numa")
    (text,) = run_lines(dump, _newest("6.12-kasan"), ["slabobjs -j -b 0 slab_numa"])
    told = {row["address"]: row["node"] for row in records(text) if row["type"] == "slab"}
    nodes = {row["address"]: told[row["slab"]] for row in records(text) if row["type"] == "object"}
    truth = {row["addr"]: row["node"] for row in allocated_rows(dump.truth, "slab_numa")}
    assert {
        address for address, node in nodes.items() if node not in (None, truth[address])
    } == set()
    assert None in nodes.values()


@pytest.mark.parametrize("name", SLUB)
def test_the_cause_of_a_leak_is_found(name: str) -> None:
    dump = lab.dump(name, "leak")
    (said,) = run_lines(dump, _newest(name), ["slabwhy"])
    assert "nothing in use leads to 5 of 5 objects" in said
    assert "\n  Likely: 5 objects are on no list" in said


def test_a_profiled_kernel_names_the_line_that_allocated() -> None:
    dump = lab.dump("6.12-profiled", "leak")
    (said,) = run_lines(dump, _newest("6.12-profiled"), ["slabwhy -F"])
    assert re.search(r"5 of 5 allocated at\s+\S+/slabtest\.c:\d+", said), said


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
