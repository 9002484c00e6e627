# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the KFENCE pool are told by its metadata, never by their pages."""

from __future__ import annotations

from typing import Tuple

import pytest

from mocks.heap import Heap
from mocks.kfence import KfencePool
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.unit.asked import by_state, of_type, problems, records, session, target, text

CASES = [("5.15", False), ("6.5", False), ("6.6-tiny", True), ("6.12", True), ("7.3", True)]
every_form = pytest.mark.parametrize(("name", "pointer"), CASES)


def _heap(
    name: str, *, pointer: bool = True, rcu_freeing: bool = True, objects: int = 4
) -> Tuple[Heap, Cache, KfencePool]:
    heap = Heap(LAYOUTS[name], seed=3)
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, {1, 2})
    return heap, cache, KfencePool(heap, objects, pointer=pointer, rcu_freeing=rcu_freeing)


@every_form
def test_an_allocated_object_is_listed_with_those_of_the_slabs(name: str, pointer: bool) -> None:
    heap, cache, pool = _heap(name, pointer=pointer)
    sampled = pool.put(2, cache, 84)
    rows = records(heap, "slabobjs", "slab_test")
    assert problems(rows) == []
    assert by_state(rows) == {"allocated": heap.truth()[cache.address].allocated | {sampled}}
    places = {int(row["address"], 16): row["list"] for row in of_type(rows, "slab")}
    assert places[pool.descriptor(2)] == "kfence"


@every_form
def test_an_object_at_its_pages_end_is_found_where_it_is(name: str, pointer: bool) -> None:
    heap, cache, pool = _heap(name, pointer=pointer)
    sampled = pool.put(0, cache, 84, right=True)
    assert sampled == pool.page(0) + 4096 - 88
    assert sampled in by_state(records(heap, "slabobjs", "slab_test"))["allocated"]


def test_as_many_bytes_are_shown_as_were_asked_for() -> None:
    heap, _, pool = _heap("6.12")
    kmalloc = heap.cache("kmalloc-96", 96)
    sampled = pool.put(1, kmalloc, 70)
    (row,) = of_type(records(heap, "slabobjs", "kmalloc-96"), "object")
    assert int(row["address"], 16) == sampled
    assert row["data"] == heap.image.read(sampled, 70).hex()


@every_form
def test_unused_and_freed_objects_are_nobodys(name: str, pointer: bool) -> None:
    heap, cache, pool = _heap(name, pointer=pointer)
    pool.put(0, cache, 84, state="FREED")
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert problems(rows) == []
    truth = heap.truth()[cache.address]
    assert by_state(rows) == {"allocated": truth.allocated, "free": truth.free}
    assert {int(row["address"], 16) for row in of_type(rows, "slab")} == truth.slabs


def test_an_object_that_waits_for_a_grace_period_is_freed_but_pending() -> None:
    heap, cache, pool = _heap("6.12")
    sampled = pool.put(3, cache, 84, state="RCU_FREEING")
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert by_state(rows)["freed, RCU pending"] == {sampled}


def test_a_kernel_without_that_state_takes_no_freed_object_for_it() -> None:
    heap, cache, pool = _heap("6.1", pointer=False, rcu_freeing=False)
    pool.put(0, cache, 84, state="FREED")
    sampled = pool.put(1, cache, 84)
    states = by_state(records(heap, "slabobjs", "-f", "slab_test"))
    truth = heap.truth()[cache.address]
    assert states == {"allocated": truth.allocated | {sampled}, "free": truth.free}


@every_form
def test_pool_pages_are_no_slabs_for_the_page_scan(name: str, pointer: bool) -> None:
    heap, cache, pool = _heap(name, pointer=pointer)
    pool.put(0, cache, 84)
    pool.put(1, cache, 84, state="FREED")
    index = session(heap).page_index()
    assert set(index.of(cache.address)) == heap.truth()[cache.address].slabs
    # Slab pages that name no cache at all are the pool's, too.
    assert 0 not in index.slabs


def test_the_metadata_ends_where_the_pools_objects_end() -> None:
    heap, cache, pool = _heap("6.12", objects=2)
    kfence = session(heap).kfence()
    assert kfence.first_page == heap.image.virt_to_page(pool.base)
    assert kfence.end_page == heap.image.virt_to_page(pool.base + 6 * 4096)
    assert cache.slabs[0].page not in range(kfence.first_page, kfence.end_page)


def test_an_address_inside_an_object_selects_it() -> None:
    heap, cache, pool = _heap("6.12")
    sampled = pool.put(1, cache, 84, right=True)
    rows = records(heap, "slabobjs", f"{sampled + 5:x}")
    assert by_state(rows) == {"allocated": {sampled}}
    assert f"{sampled + 5:x} is at +0x5" in text(heap, "slabobjs", f"{sampled + 5:x}")


def test_an_address_in_a_free_pool_page_is_said_to_be_one() -> None:
    heap, cache, pool = _heap("6.12")
    pool.put(1, cache, 84, state="FREED")
    assert text(heap, "slabobjs", f"{pool.page(1):x}") == (
        f"slabobjs: {pool.page(1):x}: slab {pool.descriptor(1):x}:"
        " a page of the KFENCE pool without an allocated object\n"
    )


def test_an_object_that_lies_in_a_sheaf_is_free() -> None:
    heap, cache, pool = _heap("7.3")
    held, cached = pool.put(0, cache, 84), pool.put(1, cache, 84)
    slab = cache.slabs[0]
    sheaf = heap.sheaf(cache, [slab.object(1)])
    sheaf.objects.append(cached)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert problems(rows) == []
    states = by_state(rows)
    assert states["allocated"] == {slab.object(2), held}
    assert {slab.object(1), cached} <= states["free"]
    (row,) = [row for row in of_type(rows, "object") if int(row["address"], 16) == cached]
    assert row["held_by"] == "cpu 0 sheaf"


def test_a_pool_that_is_switched_off_is_none() -> None:
    heap, cache, pool = _heap("6.12")
    pool.put(0, cache, 84)
    heap.image.pointer(heap.image.symbols["__kfence_pool"], 0)
    assert session(heap).kfence().objects == []


def test_a_pool_without_readable_metadata_is_a_problem_in_one_line() -> None:
    heap, _, pool = _heap("6.12")
    heap.image.pointer(heap.image.symbols["kfence_metadata"], 0xDEAD0000)
    heap.image.pointer(heap.image.symbols["__kfence_pool"], pool.base + 4096)
    said = [f"KFENCE: no metadata for the pool at {pool.base + 4096:x}"]
    allocator = session(heap)
    assert allocator.kfence().objects == []
    found = allocator.take_problems()
    assert found == said


def test_without_metadata_what_may_be_a_page_of_the_pool_is_unknown() -> None:
    """Of a cache with one object a slab: such is what a page of the pool looks like.

    It has lost a slab, so that there is room for another in its count.
    """
    heap, _, pool = _heap("6.12")
    cache = heap.cache("large", 3000)
    lost = heap.slab(cache, {0}, where="full-unlisted")
    heap.image.put(heap.writer.member("page", lost.page, "page_type"), 4, 0)
    sampled = pool.put(0, cache, 3000, state="FREED")
    heap.image.pointer(heap.image.symbols["kfence_metadata"], 0xDEAD0000)
    states = by_state(records(heap, "slabobjs", "-f", "large"))
    assert states == {"unknown": {sampled}}


def test_the_node_is_that_of_the_page() -> None:
    heap, cache, pool = _heap("6.12")
    pool.put(0, cache, 84)
    (found,) = session(heap).kfence().objects
    assert target(heap).page_to_virt(found.page) == found.base == pool.page(0)
    assert found.node == 0


def _unlist(heap: Heap, cache: Cache) -> None:
    """slab_caches leads to no cache, and no page of a slab can be read but the pool's."""
    head = heap.image.symbols["slab_caches"]
    heap.writer.ring(head, [])
    for slab in [slab for one in heap.caches for slab in one.slabs]:
        heap.writer.set(heap.layout.descriptor, slab.page, slab_cache=0)


def test_a_cache_that_only_an_object_of_the_pool_names_is_found() -> None:
    heap, cache, pool = _heap("6.12")
    sampled = pool.put(0, cache, 84)
    _unlist(heap, cache)
    states = by_state(records(heap, "slabobjs", f"{cache.address:x}"))
    assert sampled in states["allocated"]


def _entry(heap: Heap, pool: KfencePool, number: int, member: str) -> Tuple[int, int]:
    size, members = heap.image.structs["kfence_metadata"]
    offset, length = members[member]
    return pool.metadata + number * size + offset, length


def _metadata(heap: Heap, pool: KfencePool, number: int) -> int:
    return pool.metadata + number * heap.image.structs["kfence_metadata"][0]


@every_form
def test_a_damaged_entry_hides_none_behind_it(name: str, pointer: bool) -> None:
    heap, cache, pool = _heap(name, pointer=pointer)
    sampled = pool.put(3, cache, 84)
    heap.image.put(*_entry(heap, pool, 1, "addr"), 0xDEAD)
    rows = records(heap, "slabobjs", "slab_test")
    assert sampled in by_state(rows)["allocated"]
    (said,) = problems(rows)
    assert said == (
        f"KFENCE: object 1 (metadata {_metadata(heap, pool, 1):x}): addr is 000000000000dead, its"
        f" page is {pool.page(1):x}: whether it has an object, and whose, is unknown"
    )


def test_a_state_that_is_none_is_said() -> None:
    heap, _, pool = _heap("6.12")
    heap.image.put(*_entry(heap, pool, 2, "state"), 77)
    (said,) = problems(records(heap, "slabobjs", "slab_test"))
    where = f"KFENCE: object 2 (metadata {_metadata(heap, pool, 2):x})"
    assert said.startswith(f"{where}: state 4d: ")


def test_metadata_that_its_page_contradicts_is_believed_by_neither_cache() -> None:
    heap, cache, pool = _heap("6.12")
    other = heap.cache("other", 84)
    sampled = pool.put(1, cache, 84)
    heap.image.put(*_entry(heap, pool, 1, "cache"), other.address)
    rows = records(heap, "slabobjs", "-f", "other", "slab_test")
    assert by_state(rows)["unknown"] == {sampled}
    (said,) = problems(rows)
    assert said == (
        f"slab {pool.descriptor(1):x}: KFENCE: its page names cache {cache.address:x},"
        f" its metadata {other.address:x}: its objects are unknown"
    )


def test_an_object_whose_cache_is_none_is_said() -> None:
    heap, _, pool = _heap("6.12")
    sampled = pool.put(1, heap.caches[0], 84)
    heap.image.put(*_entry(heap, pool, 1, "cache"), 0xDEAD0000)
    said = problems(records(heap, "slabobjs", "slab_test"))
    assert any(text.startswith(f"KFENCE: object {sampled:x}: its cache: ") for text in said)


def test_a_pool_that_cannot_be_found_is_said() -> None:
    heap, cache, pool = _heap("6.12")
    pool.put(0, cache, 84)
    at = heap.image.symbols["__kfence_pool"]
    heap.image.unmap(at - at % 4096, 4096)
    said = "\n".join(problems(records(heap, "slabobjs", "slab_test")))
    assert f"__kfence_pool at {at:x} can't be read" in said


def test_metadata_that_breaks_off_at_an_unreadable_page_is_said() -> None:
    heap, cache, pool = _heap("6.5", pointer=False, objects=8)
    pool.put(7, cache, 84)
    end = pool.metadata + 8 * heap.image.sizeof("kfence_metadata")
    start = (pool.metadata // 4096 + 1) * 4096
    assert start < end
    heap.image.unmap(start, (end - start) // 4096 * 4096 + 4096)
    said = "\n".join(problems(records(heap, "slabobjs", "slab_test")))
    assert "KFENCE: metadata from object" in said
