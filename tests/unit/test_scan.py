# SPDX-License-Identifier: GPL-3.0-or-later
"""The page scan finds every slab of the kernel, wherever memory has holes."""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

import pytest
from pytest_mock import MockerFixture

from crash_ext.slub.allocator import Slub
from crash_ext.slub.scan import PageIndex, scan_pages
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import target

every_layout = pytest.mark.parametrize("name", list(LAYOUTS))


def _scan(heap: Heap) -> PageIndex:
    reader = target(heap)
    return scan_pages(Slub(reader), lambda page: False, lambda done, total: None)


def _found(index: PageIndex) -> Dict[int, Set[int]]:
    found = {owner: set(pages) for owner, pages in index.slabs.items()}
    assert sum(map(len, index.slabs.values())) == sum(map(len, found.values()))
    return found


def _heap(name: str) -> Heap:
    heap = Heap(LAYOUTS[name], seed=11)
    for number in range(3):
        cache = heap.cache(f"cache-{number}", 84, order=number)
        heap.slab(cache, {1}, node=heap.nodes - 1)
        heap.slab(cache, range(cache.objects), where="full-unlisted")
    return heap


def _slabs(heap: Heap) -> Dict[int, Set[int]]:
    return {address: truth.slabs for address, truth in heap.truth().items() if truth.slabs}


@every_layout
def test_every_slab_of_every_cache_is_found_and_nothing_else(name: str) -> None:
    heap = _heap(name)
    index = _scan(heap)
    assert _found(index) == _slabs(heap)
    assert index.pages == sum(end - first for first, end in heap.image.present)


@every_layout
def test_pages_of_a_freed_slab_are_no_slab_any_more(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=11)
    cache = heap.cache("slab_test", 84, order=1)
    kept = heap.slab(cache, {1})
    freed = heap.slab(cache, ())
    heap.leave_behind(cache)
    heap.cache("again", 84)
    found = _found(_scan(heap))
    assert all(freed.page not in pages for pages in found.values())
    assert kept.page in found[cache.address]


@pytest.mark.parametrize("chunk", [1 << 15, 1000, 64, 1])
def test_the_size_of_a_reading_makes_no_difference(mocker: MockerFixture, chunk: int) -> None:
    mocker.patch("crash_ext.kernel.pagestructs.CHUNK", chunk)
    heap = Heap(LAYOUTS["6.1"], seed=11, pages=1024)
    heap.slab(heap.cache("slab_test", 84), {1})
    assert _found(_scan(heap)) == _slabs(heap)


def test_a_hole_in_the_page_structures_costs_the_pages_around_it_only() -> None:
    heap = _heap("6.1")
    slabs = sorted(page for pages in _slabs(heap).values() for page in pages)
    size = heap.image.sizeof("page")
    first, end = heap.image.present[0]
    hole = heap.image.vmemmap + (first + (end - first) // 2) * size
    heap.image.unmap(hole, size)
    assert all(abs(page - hole) > 128 * size for page in slabs)
    index = _scan(heap)
    assert _found(index) == _slabs(heap)
    lost = sum(e - f for f, e in heap.image.present) - index.pages
    assert 1 <= lost <= 64


@pytest.mark.parametrize("name", ["6.1", "6.1-s390x", "5.10-i386"])
def test_a_page_of_page_structures_that_is_away_costs_those_that_have_a_part_in_it(
    name: str,
) -> None:
    """Of structures of 72 or 40 bytes some lie across its ends."""
    heap = _heap(name)
    size, page = heap.image.sizeof("page"), heap.image.page_size
    structures = {
        heap.image.vmemmap + number * size
        for first, end in heap.image.present
        for number in range(first, end)
    }
    away = range(
        min(structures) // page * page + 3 * page, min(structures) // page * page + 4 * page
    )
    heap.image.unmap(away.start, page)
    index = _scan(heap)
    lost = {at for at in structures if at < away.stop and at + size > away.start}
    assert index.pages == len(structures) - len(lost)
    assert [(hole.start, hole.end) for hole in index.holes] == [(min(lost), max(lost) + size)]
    assert _found(index) == {
        owner: kept for owner, pages in _slabs(heap).items() if (kept := pages - lost)
    }


def test_pages_that_are_not_to_be_believed_are_left_out_with_their_cache() -> None:
    heap = _heap("6.1")
    reader = target(heap)
    slabs = _slabs(heap)
    owner, unbelieved = next(iter(slabs.items()))
    index = scan_pages(Slub(reader), lambda page: page in unbelieved, lambda done, total: None)
    del slabs[owner]
    assert _found(index) == slabs
    assert list(index.of(owner)) == []


def test_progress_is_told_up_to_the_end() -> None:
    heap = _heap("6.1")
    reader = target(heap)
    told: List[Tuple[int, int]] = []
    scan_pages(Slub(reader), lambda page: False, lambda *step: told.append(step))
    total = sum(end - first for first, end in heap.image.present)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
