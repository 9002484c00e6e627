# SPDX-License-Identifier: GPL-3.0-or-later
"""What -w chooses, in real crash on real kernels: against the module's account, and the log's.

Each set is complete: every object of the account that fits is there, and no other.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

from tests import lab
from tests.lab.dumps import Dump
from tests.lab.often import kernels
from tests.lab.session import records, run_lines

_KEPT = 300
"""Objects that the module allocates for the living slab_dbg, in turns on both CPUs."""
_PLACE = re.compile(
    r"Allocated in .* pid=\d+\n(?:.*\n){0,8}?.*\]\s+(build_debug\+0x[0-9a-f]+)/0x\w+ \[slabtest\]"
)
_TASK = re.compile(r"Allocated in .* cpu=\d+ pid=(\d+)$", re.MULTILINE)

_CONTENTS = ("+0x4:1=9", "4:2=0x9", "+0:4=0x4a41434b", "+0x8=0x6762645f62616c73", "0x5c:4=1")
_LOST = ("older=0s", "older=1h", "cpu=1", "+0x4:1=9", "func=build_debug")


class Run(NamedTuple):
    """A dump, and what was said to each command line: one start of crash for all tests."""

    dump: Dump
    place: str
    """Where build_debug() allocates what the leftover slab_dbg has lost."""
    insmod: str
    """The pid of the task that allocated."""
    said: Dict[str, str]


@pytest.fixture(scope="module", name="run", params=kernels({"5.10", "7.3"}))
def fixture_run(request: pytest.FixtureRequest) -> Run:
    dump = lab.dump(request.param, "debug")
    (place,) = set(_PLACE.findall(dump.log.split("BUG slab_dbg_ctor")[0]))
    (insmod,) = set(_TASK.findall(dump.log))
    filters = [
        *("func=build_debug", "func=build_d*", f"func={place}", "func=vfs_read*"),
        *("cpu=0", "cpu=1", "cpu=0,cpu=1"),
        *(f"pid={insmod}", f"pid={insmod}1", "older=0s,newer=1h", "older=1h"),
        *_CONTENTS,
    ]
    cache = dump.truth["caches"]["slab_dbg"]["leftover"]["kmem_cache"]
    lines = [
        *(f"slabobjs -q -w {each} slab_dbg" for each in filters),
        *(f"slablost -j -w {each} slab_dbg" for each in _LOST),
        *("slablost -j slab_dbg", "slablost -j slab_dbg_ctor"),
        *(f"slabwhy -j {options} {cache}" for options in ("", "-w func=alloc", "-w +0x4:1=9")),
    ]
    said = run_lines(dump, lab.crashes_for(dump.kernel)[-1], lines)
    return Run(dump, place, insmod, dict(zip(lines, said)))


def _rows(dump: Dump, name: str, *roles: str) -> Iterator[Dict[str, Any]]:
    """The account's allocated objects of the caches of a name."""
    for role, states in dump.truth["objects"][name].items():
        if role in (roles or ("live", "leftover")):
            yield from (row for state in ("live", "leaked") for row in states.get(state, []))


def _of(rows: Iterator[Dict[str, Any]]) -> Set[str]:
    return {row["addr"] for row in rows}


def _lost(text: str) -> Set[str]:
    """The lost objects, and those possibly lost: they may be younger than a second."""
    rows = [row for row in records(text) if row["type"] == "lost"]
    kinds = ("definitely", "indirectly", "possibly")
    return {address for row in rows for kind in kinds for address in row[kind]}


def _chosen(run: Run, *filters: str) -> List[Set[str]]:
    """The addresses that each filter chooses of slab_dbg; twice is an error.

    The module's init code is gone: its place in the stacks has no name, which -q says.
    """
    texts = [run.said[f"slabobjs -q -w {each} slab_dbg"] for each in filters]
    chosen: List[Set[str]] = []
    for text in texts:
        errors = [line for line in text.splitlines() if line.startswith("slabobjs: ")]
        assert all(" a function of the stack has no name for " in line for line in errors)
        addresses = [line for line in text.splitlines() if line not in errors]
        assert len(set(addresses)) == len(addresses)
        chosen.append(set(addresses))
    return chosen


def test_a_function_is_in_every_stack_that_the_kernel_has_noted(run: Run) -> None:
    """The log has the stacks of leaked objects: one place of build_debug() for each cache."""
    every = _of(_rows(run.dump, "slab_dbg"))
    by_name, by_pattern, by_place, other = _chosen(
        run, "func=build_debug", "func=build_d*", f"func={run.place}", "func=vfs_read*"
    )
    assert by_name == by_pattern == every
    assert by_place == _of(_rows(run.dump, "slab_dbg", "leftover"))
    assert len(by_place) > 5
    assert not other


def test_the_cpu_is_the_one_that_the_module_ran_on(run: Run) -> None:
    dump = run.dump
    live = list(_rows(dump, "slab_dbg", "live"))
    first = min(row["id"] for row in live) // 1000 * 1000
    on_second = {row["addr"] for row in live if (row["id"] - first) * 4 // _KEPT % 2 == 1}
    zero, one, both = _chosen(run, "cpu=0", "cpu=1", "cpu=0,cpu=1")
    assert one - _of(_rows(dump, "slab_dbg", "leftover")) == on_second
    assert zero | one == _of(_rows(dump, "slab_dbg"))
    assert not zero & one
    assert not both
    assert len(on_second) > 50


def test_the_task_is_the_insmod_of_the_log(run: Run) -> None:
    every = _of(_rows(run.dump, "slab_dbg"))
    ours, other, old, new = _chosen(
        run, f"pid={run.insmod}", f"pid={run.insmod}1", "older=0s,newer=1h", "older=1h"
    )
    assert ours == old == every
    assert not other
    assert not new


def test_a_value_is_in_the_contents_that_the_module_has_written(run: Run) -> None:
    rows = [row for row in _rows(run.dump, "slab_dbg") if row["hex"]]
    assert len(rows) == len(_of(_rows(run.dump, "slab_dbg")))
    contents = {row["addr"]: bytes.fromhex(row["hex"]) for row in rows}
    filters = {
        "+0x4:1=9": {one for one, data in contents.items() if data[4] == 9},
        "4:2=0x9": {one for one, data in contents.items() if data[4:6] == b"\x09\0"},
        "+0:4=0x4a41434b": set(contents),
        "+0x8=0x6762645f62616c73": {
            one for one, data in contents.items() if data[8:16] == b"slab_dbg"
        },
        "0x5c:4=1": {one for one, data in contents.items() if data[0x5C:0x60] == b"\1\0\0\0"},
    }
    assert tuple(filters) == _CONTENTS
    assert 0 < len(filters["+0x4:1=9"]) < len(contents)
    assert dict(zip(filters, _chosen(run, *filters))) == filters


def test_slablost_leaves_of_the_lost_objects_those_that_fit(run: Run) -> None:
    dump = run.dump
    every, nobody, second, nine, place = (
        _lost(run.said[f"slablost -j -w {each} slab_dbg"]) for each in _LOST
    )
    lost, of_ctor = (
        _lost(run.said[f"slablost -j {name}"]) for name in ("slab_dbg", "slab_dbg_ctor")
    )
    assert of_ctor <= _of(_rows(dump, "slab_dbg_ctor"))
    assert every == place == lost
    assert len(every) > 5
    assert not nobody
    (of_second,) = _chosen(run, "cpu=1")
    assert second == every & of_second
    rows = {row["addr"]: bytes.fromhex(row["hex"]) for row in _rows(dump, "slab_dbg")}
    assert every <= set(rows)
    assert nine == {one for one in every if rows[one][4] == 9}


def test_slabwhy_examines_the_objects_that_fit_and_no_others(run: Run) -> None:
    dump = run.dump
    cache = dump.truth["caches"]["slab_dbg"]["leftover"]["kmem_cache"]
    every = {row["addr"]: bytes.fromhex(row["hex"]) for row in _rows(dump, "slab_dbg", "leftover")}
    fits = {one for one, data in every.items() if data[4] == 9}
    assert 0 < len(fits) < len(every)
    whole, same, some = (
        records(run.said[f"slabwhy -j {options} {cache}"])
        for options in ("", "-w func=alloc", "-w +0x4:1=9")
    )
    assert _findings(same) == _findings(whole)
    assert whole[-1]["findings"] == same[-1]["findings"] > 0
    assert (same[-1]["fit"], same[-1]["of"]) == (len(every), len(every))
    assert (some[-1]["fit"], some[-1]["of"]) == (len(fits), len(every))
    assert {one for _, objects in _findings(some) for one in objects} == fits
    (conclusion,) = [row["text"] for row in some if row["type"] == "conclusion"]
    many = f"{len(fits)} of {len(every)} objects"
    assert conclusion.startswith(f"Only the objects that fit +0x4:1=9 were examined: {many}.")


def _findings(rows: List[Dict[str, Any]]) -> List[Tuple[str, List[str]]]:
    return [(row["cause"], row["objects"]) for row in rows if row["type"] == "finding"]
