# SPDX-License-Identifier: GPL-3.0-or-later
"""What KASAN's quarantine holds is freed: no object of it is told as allocated."""

from __future__ import annotations

from typing import List, Set

import pytest

from crash_ext.hexa import hexa
from mocks.annex import Annex
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from mocks.structs import parse
from tests.unit.asked import by_state, problems, records

BATCHES = 1024


class Quarantine:
    """A full slab of a kernel with KASAN, and the queues. meta: where an object's link lies."""

    def __init__(self, name: str = "6.12", meta: int = 0, batches: int = BATCHES) -> None:
        self.meta, self.heap = meta, Heap(LAYOUTS[name], seed=6)
        self.cache: Cache = self.heap.cache("slab_test", 84)
        every = range(self.cache.objects)
        self.slab: Slab = self.heap.slab(self.cache, every, where="full-unlisted")
        image, word = self.heap.image, self.heap.image.word
        self.image, annex = image, Annex(image, pages=16)
        # QLIST_INIT's members and, behind a lock, what a cache that goes has on a CPU.
        image.structs["qlist_head"] = parse("head:p tail:p bytes:p offline:1", word)
        image.structs["cpu_shrink_qlist"] = parse(f"lock:4 qlist:{4 * word}", word)
        image.structs["kasan_cache"] = parse("alloc_meta_offset:4 free_meta_offset:4", word)
        size, members = image.structs["kmem_cache"]
        image.structs["kmem_cache"] = size, {**members, "kasan_info": (self._spare(), 8)}
        image.symbols["cpu_quarantine"] = self.heap._arena.percpu(4 * word)
        image.symbols["shrink_qlist"] = self.heap._arena.percpu(5 * word)
        self.batches = annex.variable("global_quarantine", batches * 4 * word)
        annex.variable("quarantine_head", 4)
        image.put(self.cache.address + self._spare() + 4, 4, meta)

    def _spare(self) -> int:
        """A kmem_cache member that no test here needs: kasan_info lies there."""
        return self.heap.layout.structs["kmem_cache"][1]["ctor"][0]

    def cpu(self, number: int) -> int:
        return self.image.symbols["cpu_quarantine"] + self.image.percpu_offsets[number]

    def shrunk(self, number: int) -> int:
        inside = self.image.structs["cpu_shrink_qlist"][1]["qlist"][0]
        return self.image.symbols["shrink_qlist"] + self.image.percpu_offsets[number] + inside

    def batch(self, number: int) -> int:
        return self.batches + number * self.image.sizeof("qlist_head")

    def put(self, head: int, *indices: int) -> Set[int]:
        """Frees objects into the queue: their addresses."""
        objects = [self.slab.object(index) for index in indices]
        here = head
        for address in objects:
            self.image.pointer(here, address + self.meta)
            here = address + self.meta
        self.image.pointer(here, 0)
        return set(objects)

    def told(self) -> List[Set[int]]:
        """The objects that are told free, and allocated."""
        rows = records(self.heap, "slabobjs", "-b", "0", "-f", "slab_test")
        states = by_state(rows)
        return [states.get(state, set()) for state in ("free", "allocated")]


@pytest.mark.parametrize("name", ["4.18", "6.1", "6.1-s390x", "6.12"])
def test_objects_in_every_queue_are_free(name: str) -> None:
    scene = Quarantine(name)
    freed = scene.put(scene.cpu(0), 1, 3) | scene.put(scene.cpu(1), 2)
    freed |= scene.put(scene.shrunk(1), 5) | scene.put(scene.batch(0), 6, 7)
    freed |= scene.put(scene.batch(BATCHES - 1), 8)
    every = {scene.slab.object(index) for index in range(scene.slab.objects)}
    assert scene.told() == [freed, every - freed]


def test_an_object_is_found_where_its_cache_keeps_the_link_behind_it() -> None:
    scene = Quarantine(meta=88)
    freed = scene.put(scene.cpu(0), 0, 2)
    assert scene.told()[0] == freed
    assert problems(records(scene.heap, "slabobjs", "slab_test")) == []


def test_what_held_an_object_is_told() -> None:
    scene = Quarantine()
    scene.put(scene.cpu(1), 1)
    scene.put(scene.batch(4), 2)
    rows = records(scene.heap, "slabobjs", "-f", "slab_test")
    held = {int(row["address"], 16): row["held_by"] for row in rows if row.get("state") == "free"}
    assert held == {scene.slab.object(1): "cpu 1 quarantine", scene.slab.object(2): "quarantine"}


def test_slabdup_does_not_count_quarantined_objects_as_leaked() -> None:
    scene = Quarantine()
    scene.put(scene.batch(0), *range(scene.slab.objects - 3))
    scene.heap.leave_behind(scene.cache)
    (row,) = [r for r in records(scene.heap, "slabdup") if r["type"] == "cache"]
    assert row["allocated"] == 3


def test_a_link_in_the_middle_of_an_object_frees_none() -> None:
    scene = Quarantine()
    scene.image.pointer(scene.cpu(0), scene.slab.object(4) + 8)
    rows = records(scene.heap, "slabobjs", "-f", "slab_test")
    assert set(by_state(rows)) == {"allocated"}
    text = f"cpu 0 quarantine: {scene.slab.object(4) + 8:x} is no object of the cache"
    assert text in problems(rows)


@pytest.mark.parametrize("value", [0xDEAD0000, (1 << 64) - 4096])
def test_a_queue_that_ends_in_rubbish_is_said(value: int) -> None:
    scene = Quarantine()
    scene.put(scene.cpu(0), 1)
    scene.image.pointer(scene.slab.object(1), value)
    rows = records(scene.heap, "slabobjs", "-f", "slab_test")
    assert by_state(rows)["free"] == {scene.slab.object(1)}
    queue = hexa(scene.cpu(0))
    rest = "the objects in the rest of it are counted as allocated"
    assert f"cpu 0 quarantine: list {queue}: {rest}" in problems(rows)


def test_a_queue_in_a_circle_ends() -> None:
    scene = Quarantine()
    freed = scene.put(scene.batch(3), 1, 2)
    scene.image.pointer(scene.slab.object(2), scene.slab.object(1))
    rows = records(scene.heap, "slabobjs", "-f", "slab_test")
    assert by_state(rows)["free"] == freed
    assert f"quarantine: cycle at {hexa(scene.slab.object(1))}" in problems(rows)


def test_the_one_queue_of_an_old_kernel_is_read() -> None:
    scene = Quarantine("4.9", batches=1)
    freed = scene.put(scene.batch(0), 3)
    assert scene.told()[0] == freed
