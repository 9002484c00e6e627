# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that was alone on a list looks like any two equal pointers: what tells that it is one."""

from __future__ import annotations

from typing import Collection, Dict, List, Sequence, Set

import pytest

from mocks.landscape import Landscape
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


class Scene:
    """A leftover with some objects; heads of lists are words of a page in use."""

    def __init__(self, objects: Collection[int] = (1, 2, 3)) -> None:
        self.pages = Pages()
        self.land = Landscape(self.pages.heap)
        self.slab = self.pages.zeroed(set(objects))
        self.pages.set(0, _refcount=1)
        self.cache = self.slab.cache
        self.pages.heap.leave_behind(self.cache)

    def node(self, index: int) -> int:
        return self.slab.object(index) + 16

    def lone(self, index: int, head: int) -> None:
        """Alone on a list whose head leads elsewhere."""
        for at in (0, 8):
            self.pages.image.pointer(self.node(index) + at, head)

    def evidence(self, topic: str) -> str:
        """What is told of it after causes()."""
        rows = of_type(records(self.pages.heap, "slabwhy", f"{self.cache.address:x}"), "evidence")
        return "\n".join(str(row["text"]) for row in rows if row["topic"] == topic)

    def causes(self) -> Dict[str, Set[int]]:
        whole(self.pages)
        rows = of_type(records(self.pages.heap, "slabwhy", f"{self.cache.address:x}"), "finding")
        return {row["cause"]: {int(each, 16) for each in row["objects"]} for row in rows}


def test_others_of_its_kind_that_are_on_a_list_there_tell() -> None:
    scene = Scene()
    heads = [scene.pages.start + 0x100, scene.pages.start + 0x200]
    scene.lone(3, heads[1])
    assert scene.causes()["lost"] == {scene.slab.object(3)}
    scene.pages.heap.writer.ring(heads[0], [scene.node(1), scene.node(2)])
    scene.pages.heap.writer.ring(heads[0], [])
    assert scene.causes() == {"no head": {scene.slab.object(index) for index in (1, 2, 3)}}


def test_two_pointers_to_one_buffer_are_no_node_of_a_list() -> None:
    """An object of another form of the same type has them where others have a node."""
    scene = Scene()
    head, buffer = scene.pages.start + 0x100, scene.pages.start + 2 * scene.pages.image.page_size
    scene.pages.set(2, _refcount=1)
    scene.pages.image.write(buffer, b"what was said to it")
    scene.lone(3, buffer)
    scene.pages.heap.writer.ring(head, [scene.node(1), scene.node(2)])
    scene.pages.heap.writer.ring(head, [])
    assert scene.causes() == {
        "no head": {scene.slab.object(index) for index in (1, 2)},
        "lost": {scene.slab.object(3)},
    }


@pytest.mark.parametrize("number", [1, 3])
def test_a_head_in_memory_that_vfree_gave_back_tells(number: int) -> None:
    scene = Scene()
    first, _ = scene.land.area([scene.pages.page(1)])
    scene.land.area([scene.pages.page(2)])
    gone = first + 8 * scene.pages.image.page_size + 0x40
    if number == 1:
        scene.lone(1, gone)
    else:
        nodes = [scene.node(index) for index in (1, 2, 3)]
        for before, node, behind in zip([gone, *nodes], nodes, [*nodes[1:], gone]):
            scene.pages.image.pointer(node, behind)
            scene.pages.image.pointer(node + 8, before)
    found = scene.causes()
    assert found["no head"] == {scene.slab.object(index) for index in range(1, number + 1)}
    assert f"head was at {gone:x}, which doesn't lead back: vmalloc memory that was freed" in (
        scene.evidence("list")
    )


def test_a_head_in_the_stack_of_a_task_that_has_ended_is_told() -> None:
    scene = Scene()
    caller = scene.pages.heap.function("dup_task_struct")
    alive, vm = scene.land.area([scene.pages.page(n) for n in range(4, 8)], caller, guard=False)
    scene.land.image.set("task_struct", scene.land.task(7, b"alive", alive), stack_vm_area=vm)
    ended, _ = scene.land.area([scene.pages.page(n) for n in range(8, 12)], caller, guard=False)
    scene.lone(1, ended + 0x840)
    assert scene.slab.object(1) in scene.causes()["no head"]
    assert "doesn't lead back: stack of a task that has ended+0x840" in scene.evidence("list")


def test_two_pointers_to_a_buffer_that_vfree_gave_back_are_no_node_of_a_list() -> None:
    scene = Scene()
    first, _ = scene.land.area([scene.pages.page(1)])
    scene.land.area([scene.pages.page(2)])
    scene.lone(3, first + 8 * scene.pages.image.page_size)
    assert scene.causes()["lost"] == {scene.slab.object(3)}


@pytest.mark.parametrize(("inside", "near"), [(0x1FF, 1 << 30), (0, 1)])
def test_bits_and_what_is_far_from_any_area_are_no_head(
    inside: int, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cred's capabilities, ffffffff000001ff, lie between the areas of modules and the others."""
    monkeypatch.setattr("crash_ext.places.places._NEAR", near)
    scene = Scene()
    first, _ = scene.land.area([scene.pages.page(1)])
    scene.land.area([scene.pages.page(2)])
    scene.lone(1, first + 8 * scene.pages.image.page_size + inside)
    assert "no head" not in scene.causes()


@pytest.mark.parametrize(("offset", "cause"), [(0, "lost"), (0x10, "no head")])
def test_two_pointers_to_the_start_of_a_freed_object_are_a_buffer_s(
    offset: int, cause: str
) -> None:
    """rd and wr of a receive buffer that was freed; of a freed parent the head is a member."""
    scene = Scene()
    freed = scene.pages.heap.slab(scene.pages.heap.cache("buffers", 64), {1}).object(2)
    scene.lone(3, freed + offset)
    assert scene.slab.object(3) in scene.causes()[cause]


@pytest.mark.parametrize(
    ("size", "offset", "cause"), [(16, 0, "no head"), (32, 0, "lost"), (32, 16, "no head")]
)
def test_the_head_of_a_list_that_is_empty_now_tells_what_was_alone_on_it(
    size: int, offset: int, cause: str
) -> None:
    """A structure's start isn't told from its first member: many pointers lead there."""
    scene = Scene()
    arena = scene.pages.heap._arena
    head = arena.variable("conn_lists", size) + offset
    arena.variable("conn_next", 8)
    scene.lone(3, head)
    assert scene.causes()["lost"] == {scene.slab.object(3)}
    scene = Scene()
    arena = scene.pages.heap._arena
    head = arena.variable("conn_lists", size) + offset
    arena.variable("conn_next", 8)
    scene.lone(3, head)
    scene.pages.heap.writer.ring(head, [])
    assert scene.slab.object(3) in scene.causes()[cause]


def _bucketed(scene: Scene, steps: Sequence[int]) -> Set[int]:
    """Objects that were alone in buckets of a table which vfree() gave back; their addresses."""
    first, _ = scene.land.area([scene.pages.page(1)])
    scene.land.area([scene.pages.page(2)])
    table = first + 8 * scene.pages.image.page_size
    for index, step in enumerate(steps, 1):
        scene.pages.image.pointer(scene.node(index) + 8, table + step)
    return {scene.slab.object(index) for index in range(1, len(steps) + 1)}


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([0x1E8, 0x3D0, 0x10, 0x8, 0x5B8], "no head"),
        ([0x600, 0x1200, 0, 0xC00, 0x1800], "lost"),
        ([0x1E8, 0x3D0, 0x10], "lost"),
    ],
)
def test_buckets_of_a_hash_table_that_was_freed_lie_at_any_word(
    steps: List[int], cause: str
) -> None:
    """Pieces of a buffer lie at multiples of their size; of few nobody knows."""
    scene = Scene(set(range(1, len(steps) + 1)))
    objects = _bucketed(scene, steps)
    assert scene.causes() == {cause: objects}
    rows = of_type(records(scene.pages.heap, "slabwhy", f"{scene.cache.address:x}"), "finding")
    guess = (
        " Or that is no node of a hash list but a pointer to a word of what was freed (an array of"
        " numbers)."
    )
    assert [guess in row["text"] for row in rows] == [cause == "no head"]


def test_a_node_with_another_behind_it_in_a_freed_bucket_is_told_too() -> None:
    scene = Scene(set(range(1, 7)))
    objects = _bucketed(scene, [0x1E8, 0x3D0, 0x10, 0x8, 0x5B8])
    scene.pages.image.pointer(scene.node(2), scene.node(6))
    scene.pages.image.pointer(scene.node(6) + 8, scene.node(2))
    assert scene.causes() == {"no head": objects | {scene.slab.object(6)}}


def three_hashed() -> Scene:
    """Objects 1 to 3 are in buckets of a page in use, and 4 in none."""
    scene = Scene((1, 2, 3, 4))
    image, start = scene.pages.image, scene.pages.start
    for index in (1, 2, 3):
        bucket = start + 0x100 + 8 * index
        image.pointer(bucket, scene.node(index))
        image.pointer(scene.node(index) + 8, bucket)
    return scene


def test_a_bucket_that_others_of_the_leak_are_in_tells_of_a_table_that_was_freed() -> None:
    """Three are in a hash list; the bucket of the fourth was in a table that is gone."""
    scene = three_hashed()
    freed = scene.pages.heap.slab(scene.pages.heap.cache("kmalloc-64", 64), {1})
    scene.pages.image.pointer(scene.node(4) + 8, freed.object(2) + 0x10)
    found = scene.causes()
    assert found["no head"] == {scene.slab.object(4)}
    assert "never inserted" not in scene.evidence("list")


def test_what_is_in_no_hash_list_where_others_of_the_leak_are_is_told() -> None:
    scene = three_hashed()
    scene.pages.image.pointer(scene.slab.object(4), 7)
    assert scene.causes()["lost"] == {scene.slab.object(4)}
