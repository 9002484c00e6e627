# SPDX-License-Identifier: GPL-3.0-or-later
"""What the damage property has found, each as the claim that was broken."""

from __future__ import annotations

from typing import Any, Dict, List, Set, Tuple

import pytest

from crash_ext.report.text import visible
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.property.damaged import Console


def build(name: str = "6.1") -> Heap:
    return Heap(LAYOUTS[name], seed=1, cpus=1, nodes=1)


def records(heap: Heap, *arguments: str) -> List[Dict[str, Any]]:
    return Console(heap.image).run(["slabobjs", "-j", "-f", "-b", "0", *arguments]).records()


def states(rows: List[Dict[str, Any]], kind: str) -> Set[int]:
    found = (row for row in rows if row["type"] == "object" and row["state"] == kind)
    return {int(row["address"], 16) for row in found}


def problems(rows: List[Dict[str, Any]]) -> str:
    return "\n".join(row["text"] for row in rows if row["type"] == "problem")


def set_percpu(heap: Heap, cache: Cache, name: str, value: int, kind: str = "cpu") -> None:
    struct = "kmem_cache_cpu" if kind == "cpu" else "slub_percpu_sheaves"
    pointer = cache.cpu_slab if kind == "cpu" else cache.cpu_sheaves
    at = heap.writer.member(struct, pointer + heap.image.percpu_offsets[0], name)
    heap.image.pointer(at, value)


def cut_partial_list(heap: Heap, cache: Cache, value: int) -> None:
    at = heap.writer.member("kmem_cache_node", cache.nodes[0], "partial")
    heap.image.pointer(at, value)


def test_a_link_to_nowhere_takes_no_room_from_slabs_on_no_list() -> None:
    heap = build()
    cache = heap.cache("c", 512)
    slabs = [
        heap.slab(cache, {0, 1}),
        heap.slab(cache, range(cache.objects), where="full-unlisted"),
    ]
    wanted = {slab.object(index) for slab in slabs for index in slab.allocated}
    cut_partial_list(heap, cache, heap.image.page_offset + (1 << 40))
    rows = records(heap, f"{cache.address:x}")
    assert states(rows, "allocated") == wanted
    assert "node 0: partial" in problems(rows)


@pytest.mark.parametrize("name", ["4.4", "6.1", "6.12"])
def test_a_cpu_slab_that_its_cpu_has_lost_is_unknown(name: str) -> None:
    heap = build(name)
    cache = heap.cache("c", 512)
    slab = heap.slab(cache, {0}, where="cpu", cpu_freelist=[1, 2])
    member = "slab" if heap.layout.has("kmem_cache_cpu", "slab") else "page"
    set_percpu(heap, cache, member, 0)
    rows = records(heap, f"{cache.address:x}")
    assert states(rows, "unknown") == set(map(slab.object, range(slab.objects)))
    assert "frozen, but no CPU has it" in problems(rows)
    assert f"freelist {slab.object(1):x}, but no slab" in problems(rows)


def test_a_cache_without_its_per_cpu_pointer_is_not_taken_for_one_without_cpu_slabs() -> None:
    heap = build()
    cache = heap.cache("c", 512)
    heap.slab(cache, {0}, where="cpu", cpu_freelist=[1, 2])
    heap.image.pointer(heap.writer.member("kmem_cache", cache.address, "cpu_slab"), 0)
    rows = records(heap, f"{cache.address:x}")
    assert not states(rows, "allocated")
    assert "cpu_slab is 0" in problems(rows)


def test_a_red_zone_wider_than_the_slot_makes_no_cache() -> None:
    heap = build()
    cache = heap.cache("c", 512, red_zone=True)
    heap.slab(cache, range(cache.objects), where="full-unlisted")
    at, size = heap.layout.structs["kmem_cache"][1]["red_left_pad"]
    heap.image.put(cache.address + at, size, 1 << 20)
    rows = records(heap, "c")
    assert states(rows, "allocated") == set()
    assert f"{cache.address:x}: no struct kmem_cache" in problems(rows)


def with_sheaf(where: str) -> Tuple[Heap, Cache]:
    heap = build("7.0")
    cache = heap.cache("c", 512)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    heap.sheaf(cache, [slab.object(0)], where=where)
    return heap, cache


def test_what_a_lost_sheaf_held_is_said_to_be_taken_for_allocated() -> None:
    heap, cache = with_sheaf("spare")
    set_percpu(heap, cache, "spare", (1 << 64) - 8, "sheaves")
    assert "counted as allocated" in problems(records(heap, f"{cache.address:x}"))


def test_a_cpu_without_a_main_sheaf_is_said() -> None:
    heap, cache = with_sheaf("spare")
    set_percpu(heap, cache, "main", 0, "sheaves")
    assert "cpu 0: no main sheaf" in problems(records(heap, f"{cache.address:x}"))


def test_a_main_sheaf_that_is_empty_and_no_caches_is_said() -> None:
    """A pointer to anything with a zero where its size would be."""
    heap, cache = with_sheaf("main")
    set_percpu(heap, cache, "main", cache.cpu_sheaves + heap.image.percpu_offsets[0], "sheaves")
    rows = records(heap, f"{cache.address:x}")
    assert TAKEN in problems(rows)
    assert rows[-1]["complete"] is False


def test_a_main_sheaf_that_waits_for_rcu_is_none() -> None:
    heap, cache = with_sheaf("loose")
    (sheaf,) = cache.loose
    set_percpu(heap, cache, "main", sheaf.address, "sheaves")
    rows = records(heap, f"{cache.address:x}")
    assert f"cpu 0 sheaf {sheaf.address:x}: waits for RCU" in problems(rows)
    assert TAKEN in problems(rows)
    assert states(rows, "free") == set()


@pytest.mark.parametrize("member", ["slab_cache", "objects"])
def test_a_slab_not_searched_for_sheaves_that_wait_for_rcu_is_said(member: str) -> None:
    heap, cache = with_sheaf("loose")
    home = heap.image.virt_to_page(cache.loose[0].address)
    name = "inuse" if member == "objects" else member
    size = 4 if member == "objects" else heap.layout.word
    heap.image.put(heap.writer.member("slab", home, name), size, 0)
    assert "counted as allocated" in problems(records(heap, f"{cache.address:x}"))


def test_sheaves_in_a_slab_that_is_unmarked_are_said_to_be_lost_be_they_empty() -> None:
    """By an empty sheaf it is known which cache's slabs to search for those that wait for RCU."""
    heap, cache = with_sheaf("loose")
    home = heap.image.virt_to_page(cache.loose[0].address)
    assert heap.image.virt_to_page(cache.main[0].address) == home
    member = "page_type" if heap.layout.has("page", "page_type") else "flags"
    heap.image.put(heap.writer.member("page", home, member), 4, 0)
    assert TAKEN in problems(records(heap, f"{cache.address:x}"))


TAKEN = "counted as allocated"


@pytest.mark.parametrize(("member", "value"), [("size", 1 << 31), ("objects", 0xDEAD0000)])
def test_a_damaged_sheaf_is_said(member: str, value: int) -> None:
    heap, cache = with_sheaf("barn")
    (sheaf,) = cache.full_sheaves[0]
    size = 4 if member == "size" else heap.layout.word
    heap.image.put(heap.writer.member("slab_sheaf", sheaf.address, member), size, value)
    rows = records(heap, f"{cache.address:x}")
    assert TAKEN in problems(rows)
    assert states(rows, "free") == set()


def test_a_sheaf_of_more_than_the_caches_capacity_is_said() -> None:
    heap, cache = with_sheaf("barn")
    (sheaf,) = cache.full_sheaves[0]
    at = heap.writer.member("slab_sheaf", sheaf.address, "size")
    heap.image.put(at, 4, cache.capacity + 1)
    said = problems(records(heap, f"{cache.address:x}"))
    assert f"size {cache.capacity + 1}, sheaf_capacity {cache.capacity}" in said


def test_a_barn_shorter_than_its_own_count_is_said() -> None:
    heap, cache = with_sheaf("barn")
    assert problems(records(heap, f"{cache.address:x}")) == ""
    heap.writer.ring(heap.writer.member("node_barn", cache.barns[0], "sheaves_full"), [])
    said = problems(records(heap, f"{cache.address:x}"))
    assert "node 0: barn: 0 full sheaves, nr_full says 1" in said
    assert TAKEN in said


def with_deferred() -> Tuple[Heap, Cache, int]:
    """An object that a CPU has put off to free, and where its list begins."""
    heap = build("6.18")
    cache = heap.cache("c", 512)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    heap.defer(cache, [slab.object(2)])
    assert states(records(heap, "\\c"), "free") == {slab.object(2)}
    (head,) = [part.address for part in heap.parts if part.kind == "deferred"]
    return heap, cache, heap.writer.member("defer_free", head, "objects")


@pytest.mark.parametrize("value", [0xDEAD0000, (1 << 64) - 4096])
def test_what_a_lost_list_of_put_off_frees_holds_is_said(value: int) -> None:
    heap, _, head = with_deferred()
    heap.image.pointer(head, value)
    assert TAKEN in problems(records(heap, "\\c"))


def test_a_put_off_free_that_is_no_free_pointer_frees_no_object() -> None:
    heap, cache, head = with_deferred()
    heap.image.pointer(head, cache.slabs[0].object(4) + cache.offset + 8)
    rows = records(heap, "\\c")
    assert states(rows, "free") == set()
    assert "is no free pointer of an object of the cache" in problems(rows)


def test_a_slab_that_fills_no_pages_is_in_doubt() -> None:
    heap = build("6.6-tiny")
    cache = heap.cache("c", 240)
    slab = heap.slab(cache, range(1), where="full-unlisted", objects=1)
    rows = records(heap, "\\c")
    assert states(rows, "unknown") == {slab.object(0)}
    assert f"slab {slab.page:x}: 1 object of 240 bytes fills no power of two" in problems(rows)


def test_without_a_count_of_slabs_unreadable_page_structures_are_said() -> None:
    heap = build("6.6-tiny")
    cache = heap.cache("c", 512)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    heap.image.unmap(slab.page // 4096 * 4096, 4096)
    assert "64 page structures can't be read" in problems(records(heap, "c"))


def test_a_slab_asked_for_by_address_is_doubted_as_in_its_cache() -> None:
    """v6.0 to v6.5: a later cache gets the struct of one whose destroy failed."""
    heap = build("6.2")
    dead = heap.cache("dead", 512)
    slab = heap.slab(dead, range(dead.objects), where="full-unlisted")
    heap.leave_behind(dead)
    assert heap.cache("new", 512).address == dead.address
    for argument in (slab.page, dead.address):
        rows = records(heap, f"{argument:x}")
        assert states(rows, "unknown") == set(map(slab.object, range(slab.objects)))


def test_a_slab_of_another_shape_is_not_decoded_by_a_freed_struct() -> None:
    """v6.0 to v6.5: two caches at one address, both destroyed in vain."""
    heap = build("6.5")
    first = heap.cache("first", 512)
    slab = heap.slab(first, range(first.objects), where="full-unlisted")
    heap.leave_behind(first)
    second = heap.cache("second", 64)
    own = heap.slab(second, range(second.objects), where="full-unlisted")
    heap.leave_behind(second)
    assert second.address == first.address
    rows = records(heap, f"{second.address:x}")
    assert states(rows, "allocated") == set(map(own.object, range(own.objects)))
    assert f"slab {slab.page:x}: {slab.objects} objects in a slab, but {own.objects}" in problems(
        rows
    )


def test_an_argument_is_shown_without_its_control_characters() -> None:
    assert visible("a\x1b[31m\udcff\\b") == r"a\x1b[31m\xff\b"
    said = Console(build().image).run(["slabobjs", "no\x1b[31m\n"])
    assert said.text == "slabobjs: no\\x1b[31m\\x0a: no cache has this name\n"


def test_slabs_that_can_t_be_seen_of_a_struct_that_counts_none_are_missed_aloud() -> None:
    """A struct that a failed destroy has freed has no nodes, and so no count to fall short of."""
    heap = build("6.2")
    cache = heap.cache("c", 512)
    slab = heap.slab(cache, {0, 1})
    heap.image.pointer(heap.writer.member("kmem_cache", cache.address, "node"), 0)
    heap.image.unmap(slab.page - slab.page % heap.image.page_size, heap.image.page_size)
    rows = records(heap, f"{cache.address:x}")
    assert "nothing counts the cache's slabs: some may be missing" in problems(rows)
    assert rows[-1]["complete"] is False


def test_a_slab_with_too_few_pages_is_not_decoded_by_a_freed_struct() -> None:
    """As many objects, but of a cache whose objects are twice as long."""
    heap = build("6.5")
    first = heap.cache("first", 512)
    slab = heap.slab(first, range(first.objects), where="full-unlisted")
    heap.leave_behind(first)
    second = heap.cache("second", 1024, order=1)
    own = heap.slab(second, range(second.objects), where="full-unlisted")
    heap.leave_behind(second)
    assert (second.address, second.objects) == (first.address, first.objects)
    rows = records(heap, f"{second.address:x}")
    assert states(rows, "allocated") == set(map(own.object, range(own.objects)))
    assert f"slab {slab.page:x}: a slab of 4096 bytes, but 8192" in problems(rows)


def test_with_an_absurd_count_of_slabs_a_dead_caches_slab_is_still_doubted() -> None:
    heap = build("6.2")
    dead = heap.cache("old", 512)
    slab = heap.slab(dead, range(dead.objects), where="full-unlisted")
    heap.leave_behind(dead)
    new = heap.cache("new", 512)
    own = heap.slab(new, range(new.objects), where="full-unlisted")
    heap.image.pointer(heap.writer.member("kmem_cache_node", new.nodes[0], "nr_slabs"), 1 << 60)
    rows = records(heap, f"{new.address:x}")
    both = {s.object(index) for s in (slab, own) for index in range(s.objects)}
    assert states(rows, "unknown") == both
    assert f"only {own.objects} of their {len(both)} objects can be its own" in problems(rows)


def test_a_damaged_slab_takes_no_room_from_those_on_no_list() -> None:
    """Where another slab is missing, objects are counted: not by an absurd number of them."""
    heap = build()
    cache = heap.cache("c", 512)
    lost, damaged, whole = (
        heap.slab(cache, range(cache.objects), where="full-unlisted"),
        heap.slab(cache, {0}),
        heap.slab(cache, range(cache.objects), where="full-unlisted"),
    )
    heap.image.put(heap.writer.member("slab", damaged.page, "inuse"), 4, 0x7FFF0001)
    heap.image.pointer(heap.writer.member("slab", lost.page, "slab_cache"), 0)
    rows = records(heap, f"{cache.address:x}")
    assert states(rows, "allocated") == set(map(whole.object, range(whole.objects)))


def test_a_put_off_free_has_the_red_zones_of_an_allocated_object() -> None:
    """kfree_nolock() of a cache with debugging leaves them to the work that is done later."""
    heap = build("6.18")
    cache = heap.cache("c", 512, red_zone=True)
    slab = heap.slab(cache, {0, 1, 2})
    heap.defer(cache, [slab.object(0), slab.object(1)])
    rows = records(heap, f"{cache.address:x}")
    assert states(rows, "allocated") == {slab.object(2)}
    assert states(rows, "unknown") == set()
    assert problems(rows) == ""


@pytest.mark.parametrize("name", ["3.10", "6.1", "7.3"])
def test_a_node_that_a_cache_has_lost_is_said(name: str) -> None:
    """Its slab, unmarked, would be missed in silence."""
    heap = Heap(LAYOUTS[name], seed=1, cpus=1, nodes=2)
    cache = heap.cache("c", 512)
    heap.slab(cache, {0}, node=1)
    array = "per_node" if heap.layout.has("kmem_cache", "per_node") else "node"
    stride = 2 if array == "per_node" else 1
    at = heap.writer.member("kmem_cache", cache.address, array) + stride * heap.layout.word
    at += (stride - 1) * heap.layout.word
    assert heap.image.get(at, heap.layout.word) == cache.nodes[1]
    heap.image.pointer(at, 0)
    rows = records(heap, f"{cache.address:x}")
    assert "node 1: no struct kmem_cache_node, as other caches have" in problems(rows)
    assert rows[-1]["complete"] is False
