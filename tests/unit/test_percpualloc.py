# SPDX-License-Identifier: GPL-3.0-or-later
"""An address of dynamic per-CPU memory is told the per-CPU pointer of its allocation."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.kernel.percpu import PercpuAreas
from crash_ext.kernel.percpualloc import PercpuAllocations
from mocks.heap import Heap
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records, session, text
from tests.unit.test_blocks import users
from tests.unit.test_containers import Scene
from tests.unit.test_lostpage import whole


def allocations(heap: Heap) -> PercpuAllocations:
    reader = session(heap).reader
    return PercpuAllocations(reader, PercpuAreas(reader))


@pytest.mark.parametrize("layout", ["6.1", "6.1-s390x"])
def test_the_last_boundary_before_an_address_begins_its_allocation(layout: str) -> None:
    heap = Heap(LAYOUTS[layout], cpus=2)
    land = Landscape(heap)
    second = land.chunk()
    land.bound(0, 0x40, 0x104, 0x200, 0x1000)
    first, other = heap.image.percpu_offsets[:2]
    known = allocations(heap)
    for offset, begins in ((0, 0), (0x3C, 0), (0x40, 0x40), (0x1F8, 0x104), (0x1FF8, 0x1000)):
        for distance in (0, other - first):
            assert known.pointer(second + distance + offset) == second - first + begins
    assert known.pointer(second + 0x2000) is None
    assert known.pointer(first + 0x10) is None


def test_a_per_cpu_pointer_wraps_around_where_variables_are_linked_high() -> None:
    """x86 links them at the kernel's own addresses in 7.3; a chunk may lie above the first one."""
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    land = Landscape(heap)
    second = land.chunk()
    land.bound(0, 0x40)
    image, linked = heap.image, (1 << 64) - 0x1000000
    first = image.percpu_offsets[0]
    assert second - first + linked + 0x40 >= 1 << 64
    image.symbols["__per_cpu_start"] = linked
    for cpu in heap.cpus:
        offset = image.percpu_offsets[cpu] - linked
        image.pointer(image.symbols["__per_cpu_offset"] + cpu * 8, offset & ((1 << 64) - 1))
    assert allocations(heap).pointer(second + 0x48) == second - first + linked + 0x40 - (1 << 64)


def test_without_the_allocator_s_map_nothing_is_told() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    land = Landscape(heap)
    second = land.chunk()
    assert allocations(heap).pointer(second + 8) is None
    land.bound(0)
    assert allocations(heap).pointer(second + 8) == second - heap.image.percpu_offsets[0]
    heap.image.pointer(land.member("pcpu_chunk", land.pcpu_chunk, "bound_map"), 8)
    assert allocations(heap).pointer(second + 8) is None


def test_behind_what_the_first_chunk_has_the_units_were_given_back_at_boot() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    land = Landscape(heap)
    second = land.chunk()
    first, other = heap.image.percpu_offsets[:2]
    land.first_chunk(0x6000, 0x2000)
    areas = PercpuAreas(session(heap).reader)
    for start in (first, other):
        assert [areas.units.at(start + at) is not None for at in (0, 0x5FFF, 0x7FFF, 0x8000)] == [
            True,
            True,
            True,
            False,
        ]
    ends = [areas.units.at(second + at) is not None for at in (0x1FFF, 0x2000)]
    assert ends == [True, False], "a later chunk has as many pages as it says"


class OnPage(Scene):
    """A page of the second chunk, which has the only pointer to an object."""

    def __init__(self, kept: str = "index") -> None:
        super().__init__()
        image = self.image
        self.second = self.land.chunk()
        self.land.bound(0, 0x100, 0x180)
        size, members = image.structs["page"]
        image.structs["page"] = (size, {**members, kept: (members["lru"][0], 8)})
        self.pages.set(0, **{kept: self.land.pcpu_chunk})
        self.put(self.root, self.objects[0])
        self.show(0)
        self.pointer = self.second - image.percpu_offsets[0] + 0x100
        self.page = f"page {self.pages.start:x}, of no slab"

    def show(self, number: int, again: bool = False) -> None:
        """The other CPU's page of this number is the one in the direct map."""
        offsets, size = self.image.percpu_offsets, self.image.page_size
        at = self.second + offsets[1] - offsets[0] + number * size
        put = self.image.write if again else self.image.map
        put(at, self.image.read(self.pages.start, size))

    def told(self) -> Optional[int]:
        return allocations(self.pages.heap).pointer(self.root)


@pytest.mark.parametrize("kept", ["index", "__folio_index", "private"])
def test_a_chunk_s_page_in_the_direct_map_is_found_by_what_it_has(kept: str) -> None:
    scene = OnPage(kept)
    assert scene.told() == scene.pointer
    scene.show(1)
    assert scene.told() is None, "two pages have the same: which one it is can't be told"


@pytest.mark.parametrize("taken", [True, False])
def test_what_free_percpu_got_back_of_a_later_chunk_keeps_its_words(taken: bool) -> None:
    scene = OnPage()
    image = scene.image
    size, members = image.structs["pcpu_chunk"]
    at = members["free_bytes"][0]
    image.structs["pcpu_chunk"] = (size, {**members, "alloc_map": (at, 8)})
    bits = scene.pages.annex.take(image.page_size // 32)
    image.pointer(scene.land.pcpu_chunk + at, bits)
    # Of four bytes each: 0x100 to 0x107 are somebody's, or 0x108 to 0x10f.
    image.put(bits + 8, 8, 0xC if taken else 0x3)
    assert allocations(scene.pages.heap).is_free(scene.root) != taken
    whole(scene.pages)
    cache = next(each for each in scene.pages.heap.caches if each.name == b"slab_test")
    scene.pages.heap.leave_behind(cache)
    said = text(scene.pages.heap, "slabwhy", f"{cache.address:x}")
    assert ("in per-CPU memory that was given back" in " ".join(said.split())) != taken


def test_memory_of_alloc_percpu_is_told_by_the_variable_that_has_its_pointer() -> None:
    scene = OnPage()
    assert scene.name() == f"by dynamic per-CPU memory, {scene.page}"
    assert users(scene) == "dynamic per-CPU memory"
    scene.put(scene.pages.heap._arena.variable("stats"), scene.pointer)
    assert scene.name() == f"by dynamic per-CPU memory, {scene.page}: stats has that memory"
    assert scene.subject.keeper == "stats (per-CPU)"
    assert users(scene) == "per-CPU memory of stats"


def test_memory_of_alloc_percpu_is_told_by_the_object_that_has_its_pointer() -> None:
    scene = OnPage()
    scene.pages.set(4, _refcount=1)
    other = scene.pages.start + 4 * 4096
    scene.put(other + 8, scene.holders[0])
    scene.put(scene.holders[0] + 0x18, scene.pointer)
    has = f"kmalloc-128 {scene.holders[0]:x}+0x18, allocated, to which page {other:x}, of no slab"
    told = scene.name()
    assert told == f"by dynamic per-CPU memory, {scene.page}: {has}, leads, has that memory"


def test_what_leads_to_a_cpu_s_own_memory_by_way_of_another_object_is_told() -> None:
    scene = OnPage()
    scene.put(scene.root, scene.holders[0])
    scene.put(scene.holders[0] + 0x20, scene.objects[0])
    way = f"kmalloc-128 {scene.holders[0]:x}+0x20, allocated"
    scene.show(0, again=True)
    assert scene.name() == f"by dynamic per-CPU memory, {scene.page} and {way}"


def test_memory_of_a_later_chunk_that_only_its_object_has_is_lost_with_it() -> None:
    """The page of one CPU is known by what it has; who has the pointer is not asked of itself."""
    scene = OnPage()
    for has in (True, False):
        scene.put(scene.objects[0] + 8, scene.pointer if has else 0)
        whole(scene.pages)
        cache = next(each for each in scene.pages.heap.caches if each.name == b"slab_test")
        if has:
            scene.pages.heap.leave_behind(cache)
        rows = of_type(records(scene.pages.heap, "slabwhy", f"{cache.address:x}"), "finding")
        first = f"{scene.objects[0]:016x}"
        (found,) = [row for row in rows if first in row["objects"]]
        assert (found["cause"] == "held") != has
