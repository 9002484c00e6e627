# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated the leaked objects, on real kernels: against the kernel's own words.

kmem_cache_destroy() itself prints each remaining object with its track. What we read of the
dump must be those stacks, frame by frame, and complete by the module's account.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest

from tests import lab
from tests.lab.crashes import crashes_for
from tests.lab.dumps import Dump
from tests.lab.often import quick_host
from tests.lab.session import Record, records, run_lines

PROGRAM = Path(__file__).with_name("ownerlines.py")
# drgn gives freed init code the name of what lies before it: the commands name it themselves.
RUNS = [
    (kernel, crashes_for(kernel)[-1] if kernel == "7.3" else quick_host(kernel))
    for kernel in lab.KERNELS
]
_OBJECT = re.compile(r"Object 0x(\S+) @offset=")
_ALLOCATED = re.compile(r"Allocated in (\S+)/0x\w+ \[(\w+)\] age=\d+ cpu=(\d+) pid=(\d+)$")
_FRAME = re.compile(r"\] \s*(?:\t| )([\w.]+\+0x[0-9a-f]+)/0x[0-9a-f]+(?: \[slabtest\])?$")
_MODULE_AREA = 0xFFFFFFFFC0000000


Answered = Tuple[Dump, Dict[Tuple[str, str], List[Record]]]
"""A dump of scenario debug, and (name, role) of each of its caches -> the records of it."""


class Told(NamedTuple):
    """An object that remains, as the kernel's log tells of it."""

    address: str
    """Hex; "(____ptrval____)" where the kernel hides it."""
    caller: str
    cpu: int
    pid: int
    frames: Tuple[str, ...]


@pytest.fixture(scope="module", name="answered", params=RUNS, ids="-".join)
def fixture_answered(request: pytest.FixtureRequest) -> Answered:
    kernel, version = request.param
    dump = lab.dump(kernel, "debug")
    caches = {
        (name, role): cache["kmem_cache"]
        for name, roles in dump.truth["caches"].items()
        for role, cache in roles.items()
    }
    lines = [f"ownerlines {address}" for address in caches.values()]
    # The first line's own output is what `extend` says.
    _, *texts = run_lines(dump, version, [f"extend {PROGRAM}", *lines])
    return dump, dict(zip(caches, map(records, texts)))


def _told(log: str) -> Iterator[Told]:
    lines = log.splitlines()
    for number, line in enumerate(lines):
        found = _OBJECT.search(line)
        noted = _ALLOCATED.search(lines[number + 1]) if found else None
        if found is None or noted is None:
            continue
        frames: List[str] = []
        for following in lines[number + 2 :]:
            frame = _FRAME.search(following)
            if frame is None:
                break
            frames.append(frame.group(1))
        caller, module, cpu, pid = noted.groups()
        assert module == "slabtest"
        yield Told(found.group(1), caller, int(cpu), int(pid), tuple(frames))


def _without_init(told: Told) -> Tuple[object, ...]:
    """All but the address; the module's init code is gone, and crash has no name for it."""
    names = [None if name.startswith("slabtest_init+") else name for name in told.frames]
    return told.caller, told.cpu, told.pid, tuple(names)


def _rows(found: List[Record], kind: str) -> List[Record]:
    return [row for row in found if row["type"] == kind]


def _account(dump: Dump, cache: Tuple[str, str], *states: str) -> Dict[str, Any]:
    name, role = cache
    known = dump.truth["objects"][name][role]
    return {row["addr"]: row for state in states for row in known.get(state, [])}


class Names:
    """Completes names that crash doesn't know by what the log calls the same places.

    A function has one address: the log's offset from any of its frames must lead there.
    """

    def __init__(self) -> None:
        self.starts: Dict[str, int] = {}

    def same(self, ours: List[Optional[str]], theirs: str) -> bool:
        address, name = int(ours[0] or "", 16), ours[1]
        function, _, offset = theirs.partition("+")
        start = address - int(offset, 16)
        if self.starts.setdefault(function, start) != start:
            return False
        return name == theirs if name is not None else address >= _MODULE_AREA


def test_each_leaked_objects_track_is_what_the_kernel_itself_said(
    answered: Answered,
) -> None:
    dump, found = answered
    ours = {
        row["address"]: row["alloc"]
        for cache, rows in found.items()
        if cache[1] == "leftover"
        for row in _rows(rows, "track")
        if row["state"] == "allocated"
    }
    leaked = {address for cache in found for address in _account(dump, cache, "leaked")}
    told = list(_told(dump.log))
    assert len(told) == len(leaked) == len(ours) > 10
    assert set(ours) == leaked
    names = Names()
    if all(one.address.startswith("(") for one in told):
        # v5.10 hides the addresses: as many objects with each track, then.
        assert Counter(map(_without_init, told)) == Counter(
            (
                track["caller"][1],
                track["cpu"],
                track["pid"],
                tuple(name for _, name in track["frames"]),
            )
            for track in ours.values()
        )
        return
    assert {one.address for one in told} == leaked
    for one in told:
        track = ours[one.address]
        assert (track["cpu"], track["pid"]) == (one.cpu, one.pid)
        assert names.same(track["caller"], one.caller), (track, one)
        assert len(track["frames"]) == len(one.frames)
        for frame, theirs in zip(track["frames"], one.frames):
            assert names.same(frame, theirs), (frame, theirs)
    ctor = int(dump.truth["caches"]["slab_dbg_ctor"]["leftover"]["ctor"], 16)
    for function in ("alloc", "build_debug"):
        assert abs(names.starts[function] - ctor) < 1 << 16, "not of the module's code"


def test_every_allocated_object_of_the_account_has_a_track_and_a_group(
    answered: Answered,
) -> None:
    dump, found = answered
    (insmod,) = {one.pid for one in _told(dump.log)}
    for cache, rows in found.items():
        account = set(_account(dump, cache, "leaked", "live"))
        tracked = {row["address"] for row in _rows(rows, "track") if row["state"] == "allocated"}
        grouped = [address for row in _rows(rows, "group") for address in row["objects"]]
        assert tracked == set(grouped) == account
        assert len(grouped) == len(account)
        for row in _rows(rows, "track"):
            assert row["problems"] == []
            if row["state"] == "allocated":
                assert (row["alloc"]["pid"], row["free"]) == (insmod, None)
                assert row["alloc"]["cpu"] in (0, 1)
                assert 0 < row["alloc"]["seconds"] < 240
        for row in _rows(rows, "group"):
            assert row["pids"] == [insmod]
            assert row["problems"] == []


def test_the_caller_is_the_modules_function_and_not_the_allocator(
    answered: Answered,
) -> None:
    dump, found = answered
    callers = {tuple(row["caller"]) for rows in found.values() for row in _rows(rows, "group")}
    names = Names()
    for address, name in callers:
        assert names.same([address, name], next(_told(dump.log)).caller)


def test_groups_are_as_many_as_there_are_places_in_the_module(
    answered: Answered,
) -> None:
    """Each cache of this scenario is filled from one line: leave_behind() or keep()."""
    _, found = answered
    groups = {cache: len(_rows(rows, "group")) for cache, rows in found.items()}
    assert groups == dict.fromkeys(found, 1)


def test_ages_are_in_the_order_in_which_the_module_filled_its_caches(
    answered: Answered,
) -> None:
    _, found = answered
    order = [
        ("slab_dbg", "leftover"),
        ("slab_dbg", "live"),
        ("slab_dbg_ctor", "leftover"),
        ("slab_dbg_rcu", "leftover"),
    ]
    oldest = [_rows(found[cache], "group")[0]["oldest"] for cache in order]
    assert oldest == sorted(oldest, reverse=True)
    assert oldest[0] > oldest[-1]


def test_a_free_objects_last_free_comes_after_its_allocation(
    answered: Answered,
) -> None:
    dump, found = answered
    checked = 0
    for cache, rows in found.items():
        freed = _account(dump, cache, "freed")
        for row in _rows(rows, "track"):
            if row["address"] not in freed or row["state"] != "free":
                continue
            checked += 1
            assert row["alloc"]["age"] >= row["free"]["age"]
            assert row["free"]["pid"] == row["alloc"]["pid"]
    assert checked > 10
