# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks that only what they lead to has are no holders; all others stay what they are."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.islands import Islands
from crash_ext.reach.model import REACHED, UNREACHED
from crash_ext.reach.reach import Reach
from mocks.landscape import Landscape
from tests.unit.asked import of_type, records, session
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


class Scene:
    """Four objects of slab_test; pages 0 to 3 of a block each, all in use."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.image = self.pages.image
        self.land = Landscape(self.pages.heap)
        slab = self.pages.zeroed({1, 2, 3, 4})
        self.objects = [slab.object(index) for index in (1, 2, 3, 4)]
        self.size = self.image.page_size
        for number in range(4):
            self.pages.set(number, _refcount=1)

    def block(self, number: int) -> int:
        return self.pages.start + number * self.size

    def reached(self) -> Tuple[Reach, Islands]:
        kernel = session(self.pages.heap)
        caches = all_caches(kernel, [])
        places = Places(kernel, lambda: caches)
        found = Reach(kernel, caches, places)
        return found, Islands(places, Blocks(places, found), found)

    def levels(self, number: int) -> List[int]:
        """Of the first ones, all of which memory in use seems to lead to."""
        found, islands = self.reached()
        asked = self.objects[:number]
        assert [found.level(each) for each in asked] == [REACHED] * number
        for _ in range(2):
            islands.sink(self.objects)
        return [found.level(each) or UNREACHED for each in asked]


def test_a_page_that_only_its_object_has_is_lost_with_it() -> None:
    """So are two, and a page that two have; not one that page 3, whose owner is unknown, has."""
    scene = Scene()
    image, objects = scene.image, scene.objects
    for number in (0, 1):
        image.pointer(scene.block(number) + 0x20, objects[0])
        image.pointer(objects[0] + 8 + 8 * number, scene.block(number))
    image.pointer(scene.block(2) + 0x20, objects[1])
    image.pointer(scene.block(2) + 0x28, objects[2])
    image.pointer(objects[1] + 8, scene.pages.page(2))
    image.pointer(objects[2] + 8, scene.block(2) + 0x40)
    image.pointer(scene.block(3) + 0x20, objects[3])
    assert scene.levels(4) == [UNREACHED, UNREACHED, UNREACHED, REACHED]
    found, islands = scene.reached()
    islands.sink(objects)
    told = "in memory that nothing has but what it leads to"
    assert found.holds(scene.block(0) + 0x20) == (UNREACHED, told)


@pytest.mark.parametrize(
    "known", ["page", "middle", "struct page", "object", "register", "physical"]
)
def test_a_page_that_something_else_has_holds_what_it_leads_to(known: str) -> None:
    scene = Scene()
    image, objects = scene.image, scene.objects
    image.pointer(scene.block(0) + 0x20, objects[0])
    image.pointer(objects[0] + 8, scene.block(0))
    holder, value = scene.block(1), scene.block(0)
    if known == "middle":
        value += 0x100
    elif known == "struct page":
        value = scene.pages.page(0) + 8
    elif known == "object":
        image.pointer(scene.block(1), objects[1])
        holder = objects[1] + 16
    elif known == "physical":
        value -= image.page_offset
    if known == "register":
        image.commands["help -r"] = f"CPU 0:\n  RIP: 0000000000000000  RAX: {value:016x}\n"
    else:
        image.pointer(holder, value)
    assert scene.levels(1) == [REACHED]


@pytest.mark.parametrize("link", ["bucket", "head", "inside"])
def test_who_is_on_a_list_in_a_page_does_not_have_the_page(link: str) -> None:
    """A pointer back to the list's head is no sign that nobody else has it."""
    scene = Scene()
    image, node = scene.image, scene.objects[0] + 0x10
    head = scene.block(0) + (0x40 if link == "inside" else 0)
    image.pointer(head, node)
    image.pointer(node + 8, head)
    if link == "head":
        image.pointer(head + 8, node)
        image.pointer(node, head)
    assert scene.levels(1) == [REACHED]


def test_a_page_s_private_is_lost_with_the_object_that_has_the_page() -> None:
    """Page 3 shows the page structures; one of them is on a list, by which that is seen."""
    scene = Scene()
    image, pages, objects = scene.image, scene.pages, scene.objects
    own = pages.page(0) // scene.size * scene.size
    pages.set(0, private=objects[0])
    pages.set(1, private=objects[1])
    image.pointer(objects[0] + 8, pages.page(0))
    pages.free_on_cpu(0, 0, [9, 10])
    session(pages.heap)
    image.write(scene.block(3), image.read(own, scene.size))
    assert scene.levels(2) == [UNREACHED, REACHED]


def test_a_vmalloc_area_that_only_its_object_has_is_lost_with_it() -> None:
    """The allocator's own records of it don't count."""
    scene = Scene()
    image, objects = scene.image, scene.objects
    own, _ = scene.land.area([scene.pages.page(0), scene.pages.page(1)])
    other, _ = scene.land.area([scene.pages.page(2)])
    image.pointer(scene.block(1) + 0x20, objects[0])
    image.pointer(objects[0] + 8, own)
    image.pointer(scene.block(2) + 0x20, objects[1])
    image.pointer(objects[1] + 8, other)
    image.pointer(scene.block(3), other)
    assert scene.levels(2) == [UNREACHED, REACHED]


def test_percpu_memory_that_only_its_object_has_is_lost_with_it() -> None:
    """Of the first chunk, by the allocator's map of what begins where."""
    scene = Scene()
    image, pages, objects = scene.image, scene.pages, scene.objects
    scene.land.chunk()
    start, word = 0x4000, image.word
    chunk = scene.land.first_chunk(start, 0x2000)
    bounds = pages.annex.take(0x2000 // 32)
    image.set("pcpu_chunk", chunk, bound_map=bounds)
    image.pointer(bounds, 1 | 1 << 16 | 1 << 32 | 1 << 48)
    session(pages.heap)  # writes the CPUs' own memory
    for cpu in pages.heap.cpus:
        own = image.percpu_offsets[cpu] + start
        offset, size = image.structs["page"][1]["_refcount"]
        image.put(image.virt_to_page(own) + offset, size, 1)
        image.pointer(own + 0x48, objects[0])
        image.pointer(own + 0x88, objects[1])
    image.pointer(objects[0] + word, start + 0x40)
    image.pointer(objects[1] + word, start + 0x80)
    image.pointer(scene.block(0), start + 0x80)
    assert scene.levels(2) == [UNREACHED, REACHED]


def test_a_lock_does_not_hold_the_task_that_read_locked_it_last() -> None:
    """It does keep its address, with a flag; a task that has ended and is on no list is lost."""
    scene = Scene()
    image, heap = scene.image, scene.pages.heap
    size = image.sizeof("task_struct") + 8
    image.structs["task_struct"][1]["exit_state"] = (size - 8, 4)
    tasks = heap.slab(heap.cache("task_struct", size), {1, 2, 3})
    scene.objects = [tasks.object(index) for index in (1, 2, 3)]
    for number, task in enumerate(scene.objects):
        image.write(task, bytes(size))
        image.put(task + size - 8, 4, 0 if number == 1 else 16)
    image.pointer(scene.block(0) + 0x20, scene.objects[0] + 1)
    image.pointer(scene.block(0) + 0x28, scene.objects[1] + 1)
    image.pointer(scene.block(0) + 0x30, scene.objects[2])
    assert scene.levels(3) == [UNREACHED, REACHED, REACHED]


@pytest.mark.parametrize("known", ["middle", "physical"])
def test_a_variable_that_has_the_middle_of_a_page_is_named(known: str) -> None:
    scene = Scene()
    image, objects, size = scene.image, scene.objects, scene.size
    image.pointer(scene.block(0) + 0x20, objects[0])
    image.pointer(objects[0] + 8, scene.block(0))
    variable = scene.pages.heap._arena.variable("cursor")
    value = scene.block(0) + 0x100
    image.pointer(variable, scene.block(0) - image.page_offset if known == "physical" else value)
    shown = variable + scene.land.show_image_again()
    offset, length = image.structs["page"][1]["_refcount"]
    image.put(image.virt_to_page(shown - shown % size) + offset, length, 1)
    cache = next(each for each in scene.pages.heap.caches if each.name == b"slab_test")
    scene.pages.heap.leave_behind(cache)
    whole(scene.pages)
    rows = of_type(records(scene.pages.heap, "slabwhy", f"{cache.address:x}"), "finding")
    texts = [row["text"] for row in rows if row["cause"] == "held"]
    assert any("of no slab: cursor has that memory." in text for text in texts), rows
