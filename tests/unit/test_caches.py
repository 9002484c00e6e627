# SPDX-License-Identifier: GPL-3.0-or-later
"""A struct kmem_cache is believed where its numbers can be, and its faults cost it alone."""

from __future__ import annotations

from typing import List

import pytest

from crash_ext.slub.caches import CacheError, for_each_node, list_caches, node_count, read_cache
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.unit.asked import of_type, problems, records, session, text

every_layout = pytest.mark.parametrize("name", list(LAYOUTS))


def _put(heap: Heap, cache: Cache, member: str, value: int) -> None:
    offset, size = heap.layout.structs["kmem_cache"][1][member]
    heap.image.put(cache.address + offset, min(size, heap.image.word), value)


@every_layout
def test_the_numbers_are_those_that_the_kernel_computed(name: str) -> None:
    heap = Heap(LAYOUTS[name])
    ctor = heap.function("ctor", module=True)
    cache = heap.cache("slab_test", 84, ctor=ctor, order=1, align=64, refcount=-1)
    kernel = session(heap)
    told = read_cache(kernel, cache.address, listed=True)
    geometry = cache.geometry
    assert (told.name, told.refcount, told.ctor, told.align) == (b"slab_test", -1, ctor, 64)
    assert (told.object_size, told.size, told.inuse, told.offset) == (
        84,
        geometry.size,
        geometry.inuse,
        geometry.offset,
    )
    assert (told.order, told.objects, told.red_left) == (geometry.order, geometry.objects, 0)
    assert told.random == (cache.random if LAYOUTS[name].hardened else None)


def test_a_red_zone_is_what_the_flag_says_not_the_pad() -> None:
    """With slub_debug=O sizes are computed twice, and the pad of the first time stays."""
    heap = Heap(LAYOUTS["6.1"])
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {3})
    _put(heap, cache, "red_left_pad", 64)
    rows = records(heap, "slabobjs", "slab_test")
    assert problems(rows) == []
    assert [row["address"] for row in of_type(rows, "object")] == [f"{slab.object(3):x}"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("size", 0),
        ("size", (1 << 26) + 8),
        ("object_size", 0),
        ("object_size", 1 << 20),
        ("inuse", 1 << 20),
        ("offset", 1 << 20),
        ("oo", 0),
        ("oo", 0xFFFF),
        ("oo", 14 << 16 | 4),
    ],
)
def test_numbers_that_contradict_each_other_are_no_cache(member: str, value: int) -> None:
    heap = Heap(LAYOUTS["6.1"])
    heap.cache("older", 84)
    cache = heap.cache("slab_test", 84)
    heap.cache("newer", 84)
    _put(heap, cache, member, value)
    kernel = session(heap)
    with pytest.raises(CacheError, match=f"^{cache.address:x}: no struct kmem_cache: "):
        read_cache(kernel, cache.address, listed=True)
    caches, said = list_caches(kernel)
    assert [each.name for each in caches[:2]] == [b"newer", b"older"]
    assert [line.startswith(f"slab_caches: {cache.address:x}: ") for line in said] == [True]


def test_a_name_that_cannot_be_read_is_said_to_be_so_and_the_cache_stays() -> None:
    heap = Heap(LAYOUTS["6.1"])
    cache = heap.cache("slab_test", 84)
    _put(heap, cache, "name", 0xDEAD0000)
    rows = of_type(records(heap, "slabdup", "-a"), "cache")
    names = {row["address"]: row["name"] for row in rows}
    assert names[f"{cache.address:x}"] is None


def test_two_caches_whose_names_cannot_be_read_are_no_duplicates() -> None:
    heap = Heap(LAYOUTS["6.1"])
    for _ in range(2):
        _put(heap, heap.cache("slab_test", 84), "name", 0xDEAD0000)
    assert of_type(records(heap, "slabdup"), "cache") == []


def test_a_name_with_control_characters_never_reaches_a_terminal() -> None:
    heap = Heap(LAYOUTS["6.1"])
    for _ in range(2):
        heap.cache(b"a\x1b[2Jb\xff", 84)
    said = text(heap, "slabdup")
    assert "a\\x1b[2Jb\\xff" in said
    assert "\x1b" not in said


@every_layout
def test_each_node_that_has_memory_is_read_and_no_other(name: str) -> None:
    heap = Heap(LAYOUTS[name], nodes=3)
    cache = heap.cache("slab_test", 84, nodes=2)
    heap.slab(cache, {0}, node=0)
    kernel = session(heap)
    told = read_cache(kernel, cache.address, listed=True)
    said: List[str] = []
    nodes = list(for_each_node(kernel, told, said))
    assert said == []
    assert {node.number: node.address for node in nodes} == cache.nodes
    counts = [node.nr_slabs for node in nodes]
    assert counts[0] == (1 if LAYOUTS[name].has("kmem_cache_node", "nr_slabs") else None)


@pytest.mark.parametrize("count", [0, 1 << 20, (1 << 32) - 1])
def test_an_absurd_number_of_nodes_is_cut_to_what_the_struct_has(count: int) -> None:
    heap = Heap(LAYOUTS["6.1"])
    heap.image.u32(heap.image.symbols["nr_node_ids"], count)
    kernel = session(heap)
    assert 1 <= node_count(kernel) <= 64


def test_a_kernel_without_numa_has_one_node() -> None:
    kernel = session(Heap(LAYOUTS["5.10-i386"]))
    assert node_count(kernel) == 1


def test_a_kernel_without_slab_caches_says_so() -> None:
    heap = Heap(LAYOUTS["6.1"])
    del heap.image.symbols["slab_caches"]
    assert "the kernel has no symbol slab_caches" in problems(records(heap, "slabdup"))


@pytest.mark.parametrize("name", ["6.12", "6.18", "7.3"])
def test_a_leftover_off_the_list_is_found_without_the_page_scan(name: str) -> None:
    """Its struct is still an allocated object of the boot cache kmem_cache."""
    heap = Heap(LAYOUTS[name])
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, {1})
    heap.leave_behind(cache)
    rows = of_type(records(heap, "slabdup", "-p"), "cache")
    assert [(row["address"], row["state"]) for row in rows] == [(f"{cache.address:x}", "leftover")]


def test_where_parts_cannot_be_read_no_leftover_is_none_of_those_found() -> None:
    """drgn opens a dump that is damaged or cut, where crash gives up."""
    heap = Heap(LAYOUTS["6.1"])
    heap.cache("one", 64)
    heap.cache("two", 64)
    count = sum(row["type"] == "cache" for row in records(heap, "slabdup", "-a"))
    intact = text(heap, "slabdup")
    assert intact == f"no two of {count} caches share a name, and none is a leftover\n"
    heap.image.u64(heap.image.symbols["slab_caches"], 0x10)
    told, start, last = text(heap, "slabdup").partition("no two of the ")
    assert told
    assert start
    assert " ".join(last.split()).endswith(
        " found share a name, and none is a leftover, but not all could be read"
    )
