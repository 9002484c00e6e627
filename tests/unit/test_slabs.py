# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that contradict each other or the kernel's counts are reported; each slab comes once."""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

import pytest

from crash_ext.slub.caches import list_caches
from crash_ext.slub.model import UNKNOWN
from crash_ext.slub.model import Slab as Told
from crash_ext.slub.objects import Decoder
from crash_ext.slub.slabs import for_each_slab
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import by_state, of_type, problems, records, session, text


class Scene(NamedTuple):
    heap: Heap
    cache: Cache
    partial: Slab
    full: Slab


def _scene(name: str = "6.1") -> Scene:
    heap = Heap(LAYOUTS[name], seed=6)
    cache = heap.cache("slab_test", 84)
    partial = heap.slab(cache, {1, 2}, node=0)
    full = heap.slab(cache, range(cache.objects), where="full-unlisted", node=1)
    return Scene(heap, cache, partial, full)


def _walk(scene: Scene, *, lists_only: bool = False) -> Tuple[List[Told], List[str]]:
    """The slabs of the scene's cache, and what was wrong."""
    kernel = session(scene.heap)
    found = list_caches(kernel).caches
    (cache,) = [each for each in found if each.address == scene.cache.address]
    said: List[str] = []
    return list(for_each_slab(kernel, cache, said, lists_only)), said


def _node(scene: Scene, member: str, number: int = 0) -> Tuple[int, int]:
    """(address, size) of a member of the cache's struct kmem_cache_node."""
    offset, size = scene.heap.layout.structs["kmem_cache_node"][1][member]
    return scene.cache.nodes[number] + offset, size


def _put_cpu_slab(scene: Scene, page: int) -> None:
    offset, size = scene.heap.layout.structs["kmem_cache_cpu"][1]["slab"]
    area = scene.cache.cpu_slab + scene.heap.image.percpu_offsets[0]
    scene.heap.image.put(area + offset, size, page)


def test_each_slab_is_told_once_with_its_list() -> None:
    scene = _scene()
    slabs, said = _walk(scene)
    assert said == []
    places = {slab.address: (slab.place, slab.node) for slab in slabs}
    assert places == {scene.partial.page: ("partial", 0), scene.full.page: ("-", 1)}


def test_a_slab_on_two_lists_is_told_once_and_said() -> None:
    scene = _scene()
    _put_cpu_slab(scene, scene.partial.page)
    slabs, said = _walk(scene)
    assert [slab.address for slab in slabs] == [scene.partial.page, scene.full.page]
    assert slabs[0].place == "cpu 0"
    assert said == [f"slab {scene.partial.page:x}: on two lists, the second is partial"]


def test_a_slab_of_another_cache_is_left_to_that_one() -> None:
    scene = _scene()
    other = scene.heap.cache("dentry", 192)
    theirs = scene.heap.slab(other, {0})
    _put_cpu_slab(scene, theirs.page)
    slabs, said = _walk(scene)
    assert theirs.page not in {slab.address for slab in slabs}
    assert said == [f"slab {theirs.page:x}: on the list cpu 0 but of cache {other.address:x}"]
    rows = records(scene.heap, "slabobjs", "dentry")
    assert by_state(rows) == {"allocated": {theirs.object(0)}}


def test_a_list_that_leads_to_no_slab_is_said_and_the_rest_stays() -> None:
    scene = _scene()
    _put_cpu_slab(scene, scene.heap.image.vmemmap)
    slabs, said = _walk(scene)
    assert [slab.address for slab in slabs] == [scene.partial.page, scene.full.page]
    assert said == [f"cpu 0: slab {scene.heap.image.vmemmap:x}: the page is not marked as a slab's"]


def test_a_partial_list_of_another_length_than_its_count_is_said_in_numbers() -> None:
    scene = _scene()
    scene.heap.image.put(*_node(scene, "nr_partial"), 7)
    slabs, said = _walk(scene)
    assert len(slabs) == 2
    assert said == ["node 0: partial: 1 slab, nr_partial says 7"]


@pytest.mark.parametrize(
    ("member", "value", "line"),
    [
        ("nr_slabs", 4, "2 slabs found, nr_slabs says 5"),
        ("total_objects", 1000, "objects found, total_objects says 10"),
    ],
)
def test_a_count_that_the_slabs_do_not_reach_is_said_in_numbers(
    member: str, value: int, line: str
) -> None:
    scene = _scene()
    scene.heap.image.put(*_node(scene, member), value)
    slabs, said = _walk(scene)
    assert len(slabs) == 2
    (told,) = said
    assert line in told
    rows = records(scene.heap, "slabobjs", "slab_test")
    assert problems(rows) == [told]
    assert rows[-1]["complete"] is False


def test_without_the_page_scan_a_count_is_no_contradiction_but_the_limit_is_said() -> None:
    scene = _scene()
    slabs, said = _walk(scene, lists_only=True)
    assert [slab.address for slab in slabs] == [scene.partial.page]
    assert said == []
    assert text(scene.heap, "slabobjs", "-p", "slab_test").endswith(
        "lists only (-p): full slabs that no list holds are not shown\n"
    )
    assert records(scene.heap, "slabobjs", "-p", "slab_test")[-1]["complete"] is False


def test_more_slabs_than_the_cache_counts_are_doubted_not_claimed() -> None:
    """A reused struct inherits the pages of the cache that had it (v6.0 to v6.5)."""
    scene = _scene()
    extra = scene.heap.slab(scene.cache, range(scene.cache.objects), where="full-unlisted")
    scene.heap.image.put(*_node(scene, "nr_slabs", 0), 1)
    scene.heap.image.put(*_node(scene, "nr_slabs", 1), 1)
    slabs, _ = _walk(scene)
    doubts = {slab.address: slab.doubt for slab in slabs}
    line = "2 slabs on no list name this cache, but by its count only 1 can be its own"
    assert doubts == {scene.partial.page: None, scene.full.page: line, extra.page: line}
    rows = records(scene.heap, "slabobjs", "slab_test")
    assert by_state(rows)["allocated"] == {scene.partial.object(i) for i in (1, 2)}


def test_a_node_that_cannot_be_read_costs_its_lists_only() -> None:
    scene = _scene()
    second = scene.heap.slab(scene.cache, {0}, node=1)
    image = scene.heap.image
    array = scene.cache.address + scene.heap.layout.structs["kmem_cache"][1]["node"][0]
    image.pointer(array, 0xDEAD0000)
    slabs, said = _walk(scene)
    assert {slab.address for slab in slabs} == {
        scene.partial.page,
        scene.full.page,
        second.page,
    }
    assert said[0] == ("node 0: struct kmem_cache_node: cannot read 64 bytes at 00000000dead0000")


def test_slabs_of_a_lower_order_than_the_caches_are_told_with_their_own_count() -> None:
    """Short of memory the kernel falls back to kmem_cache.min."""
    heap = Heap(LAYOUTS["6.1"], seed=6)
    cache = heap.cache("slab_test", 84, order=2)
    small = heap.slab(cache, {0, 1}, order=0)
    large = heap.slab(cache, {0})
    assert small.objects < large.objects
    rows = records(heap, "slabobjs", "slab_test")
    assert problems(rows) == []
    counts = {int(row["address"], 16): row["objects"] for row in of_type(rows, "slab")}
    assert counts == {small.page: small.objects, large.page: large.objects}


@pytest.mark.parametrize("name", ["3.10", "6.1", "7.3"])
def test_a_doubted_slab_takes_no_memory_from_the_next_one(name: str) -> None:
    """Its objects may be a dead cache's, smaller or in smaller slabs than the struct says now."""
    heap = Heap(LAYOUTS[name], seed=6)
    large, small = heap.cache("large", 5000), heap.cache("small", 84)
    heap.slab(large, range(large.objects), where="full-unlisted", node=0)
    slab = heap.slab(small, {1, 2}, node=0)
    kernel = session(heap)
    found = list_caches(kernel).caches
    (wide,) = [cache for cache in found if cache.address == large.address]
    assert wide.order > small.order
    assert kernel.descriptors.pages(slab.page, 8) == 1 << small.order
    assert kernel.descriptors.pages(large.slabs[0].page, 1 << wide.order) == 1 << wide.order
    doubted = kernel.descriptors.read(slab.page, "-")._replace(doubt="it may be another's")
    decoded = Decoder(kernel, wide, []).decode(doubted)
    room = heap.layout.page_size << small.order
    assert (len(decoded.states) - 1) * wide.size < room, "each begins inside"
    assert set(decoded.states) == {UNKNOWN}
