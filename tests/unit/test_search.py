# SPDX-License-Identifier: GPL-3.0-or-later
"""The search finds every word of memory that points into an object, and no other."""

from __future__ import annotations

from random import Random
from struct import iter_unpack
from typing import List, Set, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from crash_ext.kernel.search import Hit, Summary, Targets, find_pointers
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import target

every_layout = pytest.mark.parametrize("name", list(LAYOUTS))


def _search(heap: Heap, ranges: List[Tuple[int, int]]) -> Tuple[Set[Hit], Summary]:
    summary = Summary()
    hits = list(find_pointers(target(heap), Targets(ranges), summary))
    assert len(set(hits)) == len(hits) == summary.hits
    assert [hit.holder for hit in hits] == sorted(hit.holder for hit in hits)
    return set(hits), summary


def _word_by_word(heap: Heap, ranges: List[Tuple[int, int]]) -> Set[Hit]:
    """The same, asked of the image itself."""
    image = heap.image
    into = {at: start for start, size in ranges for at in range(start, start + size)}
    found = set()
    form = (">" if image.byteorder == "big" else "<") + ("Q" if image.word == 8 else "I")
    for page in _pages(heap):
        if image.is_mapped(page, image.page_size):
            words = iter_unpack(form, image.read(page, image.page_size))
            for number, (value,) in enumerate(words):
                if value in into:
                    found.add(Hit(page + number * image.word, value, into[value]))
    return found


def _pages(heap: Heap) -> List[int]:
    image = heap.image
    return [
        image.page_offset + frame * image.page_size
        for first, end in image.present
        for frame in range(first, end)
    ]


def _heap(name: str) -> Tuple[Heap, List[Tuple[int, int]]]:
    """A heap whose objects point at each other, and the objects' ranges."""
    heap = Heap(LAYOUTS[name], seed=5, pages=1024)
    cache = heap.cache("slab_test", 84)
    slabs = [heap.slab(cache, {0, 2, 5}) for _ in range(4)]
    objects = [slab.object(index) for slab in slabs for index in slab.allocated]
    rng = Random(5)
    image = heap.image
    for address in objects:
        image.pointer(address, rng.choice(objects) + rng.randrange(84))
    for address in objects[::3]:
        # One behind an object's last byte, one in front of its first, none at all.
        image.pointer(address + 2 * image.word, address + 84)
        image.pointer(address + 3 * image.word, address - 1)
        image.pointer(address + 4 * image.word, 0)
    return heap, [(address, 84) for address in objects]


@every_layout
def test_every_pointer_into_an_object_is_found_and_nothing_else(name: str) -> None:
    heap, ranges = _heap(name)
    hits, summary = _search(heap, ranges)
    assert len(hits) >= len(ranges)
    assert hits == _word_by_word(heap, ranges)
    size = heap.image.page_size
    readable = sum(heap.image.is_mapped(page, size) for page in _pages(heap))
    assert summary.bytes == readable * size
    assert summary.unreadable == len(_pages(heap)) - readable


@every_layout
def test_a_word_that_is_no_pointer_is_none_wherever_the_objects_are(name: str) -> None:
    heap, ranges = _heap(name)
    for range_ in ranges[::5]:
        hits, _ = _search(heap, [range_])
        assert hits == _word_by_word(heap, [range_])


def test_objects_over_many_regions_of_memory_are_found_too() -> None:
    # So many that no byte of an address tells anything: every word is looked at.
    heap, ranges = _heap("6.1")
    far = [(start, 84) for start in range(1 << 40, 1 << 49, (1 << 40) + (1 << 32) + (1 << 24))]
    spread = [(0x100 + (number << 40 | number << 32 | number << 24), 84) for number in range(256)]
    for holder, (start, _) in zip(range(ranges[0][0], ranges[0][0] + 80, 8), spread[100:]):
        heap.image.pointer(holder, start + 83)
    hits, _ = _search(heap, [*ranges, *far, *spread])
    assert hits == _word_by_word(heap, [*ranges, *far, *spread])
    assert {hit.start for hit in hits} >= {start for start, _ in spread[100:110]}


def test_an_object_of_many_megabytes_is_one() -> None:
    heap, ranges = _heap("6.1")
    start = ranges[0][0] & -(1 << 24)
    holder = ranges[1][0] + 40
    heap.image.pointer(holder, start + (100 << 20))
    hits, _ = _search(heap, [(start, 200 << 20)])
    assert Hit(holder, start + (100 << 20), start) in hits


def test_an_unreadable_page_costs_itself_only() -> None:
    heap, ranges = _heap("6.1")
    size = heap.image.page_size
    pages = [page for page in _pages(heap) if heap.image.is_mapped(page, size)]
    _, before = _search(heap, ranges)
    for page in pages[3::7]:
        heap.image.unmap(page + 8, 8)
    hits, after = _search(heap, ranges)
    assert after.unreadable == before.unreadable + len(pages[3::7])
    assert after.bytes == before.bytes - len(pages[3::7]) * size
    assert hits == _word_by_word(heap, ranges)


def test_what_is_skipped_is_not_counted() -> None:
    heap, ranges = _heap("6.1")
    everything, _ = _search(heap, ranges)
    skipped = {hit.holder for hit in list(everything)[::2]}
    summary = Summary()
    found = find_pointers(target(heap), Targets(ranges), summary, skipped.__contains__)
    assert set(found) == {hit for hit in everything if hit.holder not in skipped}
    assert summary.hits == len(everything) - len(skipped)


def test_an_object_with_very_many_pointers_is_cut_and_said_to_be() -> None:
    heap, ranges = _heap("6.1")
    (popular, _), (page, _) = ranges[0], ranges[-1]
    page &= -4096
    for holder in range(page, page + 4096, 8):
        heap.image.pointer(holder, popular)
    summary = Summary()
    hits = list(find_pointers(target(heap), Targets(ranges), summary, cap=7))
    assert sum(hit.start == popular for hit in hits) == 7
    assert summary.capped == 1
    assert summary.hits - summary.left_out == len(hits)
    assert summary.hits == len(_word_by_word(heap, ranges))


def test_nothing_to_look_for_reads_nothing() -> None:
    heap, _ = _heap("6.1")
    hits, summary = _search(heap, [])
    assert not hits
    assert (summary.bytes, summary.unreadable) == (0, 0)


def test_ranges_that_begin_inside_another_are_left_out_and_counted() -> None:
    targets = Targets([(0x3000, 16), (0x1000, 32), (0x1010, 32), (0x1020, 8), (0x2000, 0)])
    assert list(targets.starts) == [0x1000, 0x1020, 0x3000]
    assert targets.overlapping == 1
    assert list(Targets([(1 << 63, 8), ((1 << 64) - 8, 16)]).starts) == [1 << 63]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 90)), min_size=1))
def test_an_address_is_in_the_range_that_has_it(ranges: List[Tuple[int, int]]) -> None:
    base = 0xFFFF_8880_00FF_F000
    targets = Targets([(base + start, size) for start, size in ranges])
    kept = [(start, targets.end(number)) for number, start in enumerate(targets.starts)]
    for address in range(base - 2, base + 3100):
        inside = [i for i, (start, end) in enumerate(kept) if start <= address < end]
        assert [targets.index(address)] == (inside or [-1])


def test_progress_is_told_up_to_the_end(mocker: MockerFixture) -> None:
    mocker.patch("crash_ext.kernel.search._TELL_PAGES", 64)
    heap, ranges = _heap("6.1")
    told: List[Tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    list(find_pointers(target(heap), Targets(ranges), Summary(), progress=tell))
    assert told[-1] == (len(_pages(heap)), len(_pages(heap)))
    assert told == sorted(told)
    assert len(told) > 3


def test_the_upper_memory_of_32_bits_is_no_part_of_the_direct_map() -> None:
    name = next(name for name, layout in LAYOUTS.items() if layout.word == 4)
    heap, ranges = _heap(name)
    image = heap.image
    pages = [page for page in _pages(heap) if image.is_mapped(page, image.page_size)]
    variable = ranges[0][0] + 40
    image.symbols["high_memory"] = variable
    image.pointer(variable, pages[len(pages) // 2])
    hits, summary = _search(heap, ranges)
    assert hits == {
        hit for hit in _word_by_word(heap, ranges) if hit.holder < pages[len(pages) // 2]
    }
    assert summary.bytes == len(pages) // 2 * image.page_size
