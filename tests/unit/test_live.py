# SPDX-License-Identifier: GPL-3.0-or-later
"""A running kernel: memory changes between two reads, and between two commands."""

from __future__ import annotations

import json
from random import Random
from typing import Callable, Dict, List, Tuple

import pytest

from crash_ext.host.settings import is_live
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.replay import run_command
from tests.unit.asked import Record, by_state, problems

CHANGED = "changed while it was read"
LIVE = "      KERNEL: /usr/lib/debug/vmlinux\n    DUMPFILE: /proc/kcore\n        CPUS: 2\n"
LISTED = ["-j", "-f", "-b", "0", "slab_test"]


def _live(heap: Heap) -> FakeCrash:
    fake = FakeCrash(heap.image)
    fake.commands["sys"] = LIVE
    return fake


def _records(fake: FakeCrash, *arguments: str) -> List[Record]:
    said = run_command(fake, "slabobjs", arguments or LISTED)
    return [json.loads(line) for line in said.splitlines()]


def _heap(name: str = "6.1") -> Tuple[Heap, Cache, Slab]:
    heap = Heap(LAYOUTS[name], seed=9)
    cache = heap.cache("slab_test", 500)
    slab = heap.slab(cache, {0, 1})
    heap.slab(cache, {3})
    return heap, cache, slab


def _free(heap: Heap, slab: Slab, index: int) -> None:
    """What kfree() of an object does to its slab."""
    slab.allocated.remove(index)
    slab.chain.insert(0, index)
    heap.writer.slab(slab)


def _allocate(heap: Heap, slab: Slab) -> None:
    """What an allocation from the slab does: the first of its freelist."""
    slab.allocated.add(slab.chain.pop(0))
    heap.writer.slab(slab)


@pytest.mark.parametrize(
    ("line", "live"),
    [
        ("    DUMPFILE: /proc/kcore", True),
        ("    DUMPFILE: /dev/mem", True),
        ("    DUMPFILE: /dev/mem@host  (remote live system)", True),
        ("    DUMPFILE: /dev/shm/vmcore  [PARTIAL DUMP]", False),
        ("    DUMPFILE: /var/crash/vmcore  [LIVE DUMP]", False),
        ("    NODENAME: /proc/kcore", False),
    ],
)
def test_crash_tells_whether_the_system_is_live(line: str, live: bool) -> None:
    fake = _live(_heap()[0])
    fake.commands["sys"] = LIVE.replace("    DUMPFILE: /proc/kcore", line)
    assert is_live(fake) is live


def test_a_crash_that_does_not_tell_reads_a_dump() -> None:
    fake = FakeCrash(_heap()[0].image)
    assert not is_live(fake)


def test_each_command_on_a_live_system_scans_anew() -> None:
    heap, cache, _ = _heap()
    for fake, seen in ((_live(heap), True), (FakeCrash(heap.image), False)):
        _records(fake)
        slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
        assert heap.image.is_mapped(slab.va, 1)
        states = by_state(_records(fake))
        assert ({slab.object(0)} <= states["allocated"]) is seen


def _when_decoded(fake: FakeCrash, slab: Slab, act: Callable[[], None]) -> None:
    """Do it between the reads of the slab's descriptor and of its memory.

    The first time that its memory is read is to learn how free pointers are hidden.
    """
    reads = [0]

    def watch(address: int, _size: int) -> None:
        reads[0] += address == slab.va
        if reads[0] == 2:
            fake.on_read = None
            act()

    fake.on_read = watch


def test_a_slab_that_changes_once_is_read_again() -> None:
    heap, cache, slab = _heap()
    fake = _live(heap)
    _when_decoded(fake, slab, lambda: _free(heap, slab, 1))
    rows = _records(fake)
    assert fake.on_read is None
    truth = heap.truth()[cache.address]
    assert by_state(rows) == {"allocated": truth.allocated, "free": truth.free}
    assert problems(rows) == []


def test_a_slab_that_never_stands_still_is_unknown_after_some_reads() -> None:
    heap, cache, slab = _heap()
    fake = _live(heap)
    reads = [0]

    def churn(address: int, size: int) -> None:
        if address == slab.va:
            reads[0] += 1
            _free(heap, slab, min(slab.allocated)) if reads[0] % 2 else _allocate(heap, slab)

    fake.on_read = churn
    rows = _records(fake)
    assert reads[0] < 10
    states = by_state(rows)
    assert states["unknown"] == set(map(slab.object, range(slab.objects)))
    assert states["allocated"] == {cache.slabs[1].object(3)}
    (said,) = problems(rows)
    assert said == f"slab {slab.page:x}: {CHANGED}: its objects are unknown"


def test_a_slab_that_goes_away_is_no_longer_claimed() -> None:
    heap, _, slab = _heap()
    fake = _live(heap)
    _when_decoded(fake, slab, lambda: heap.writer.release(slab))
    rows = _records(fake)
    states = by_state(rows)
    assert states["unknown"] == set(map(slab.object, range(slab.objects)))
    assert rows[-1]["complete"] is False


@pytest.mark.parametrize("name", ["4.18", "6.1", "6.12", "7.3"])
@pytest.mark.parametrize("seed", range(6))
def test_objects_that_rest_are_never_told_wrong_amid_churn(name: str, seed: int) -> None:
    """Every few reads one slab's freelist changes; two objects of it never do."""
    heap, cache, slab = _heap(name)
    resting: Dict[int, str] = {slab.object(0): "allocated", slab.object(slab.chain[-1]): "free"}
    resting[cache.slabs[1].object(3)] = "allocated"
    fake, rng = _live(heap), Random(seed)

    def churn(address: int, size: int) -> None:
        if rng.randrange(4):
            return
        busy = sorted(slab.allocated - {0})
        if busy and rng.randrange(2):
            _free(heap, slab, rng.choice(busy))
        elif len(slab.chain) > 2:
            _allocate(heap, slab)

    fake.on_read = churn
    for arguments in (LISTED, ["-j", "-f", "-b", "0", f"{slab.page:x}"]):
        rows = _records(fake, *arguments)
        told = {int(row["address"], 16): row["state"] for row in rows if row["type"] == "object"}
        for address, state in resting.items():
            assert told.get(address, state) in (state, "unknown")
    for line in (["-a"], ["-j", "-a"], ["slab_test"]):
        assert "Traceback" not in run_command(fake, "slabdup", line)
