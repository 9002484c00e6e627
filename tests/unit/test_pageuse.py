# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page is used for, by its page structure, by lists of free pages, by its neighbours."""

from __future__ import annotations

from typing import Dict, List, Set

import pytest

from crash_ext.kernel import pageuse
from crash_ext.kernel.freepages import cpu_free_pages
from crash_ext.kernel.pageuse import PageUse
from mocks.annex import Annex, take_pages
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from mocks.structs import parse
from tests.unit.asked import target

PG_LRU, BUDDY = 4, -129
LISTS = 12


class Pages:
    """A kernel whose pages a test sets up: 32 of them in a row, naturally aligned."""

    def __init__(self, layout: str = "6.1", *, told: bool = True, old: bool = False) -> None:
        self.heap = Heap(LAYOUTS[layout], seed=3)
        self.image = image = self.heap.image
        self.annex = annex = Annex(image)
        if told:
            text = b"NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=%d\n" % BUDDY
            image.pointer(annex.variable("vmcoreinfo_data"), annex.string(text))
            image.put(annex.variable("vmcoreinfo_size"), image.word, len(text))
        image.enums["PG_lru"] = PG_LRU
        start = take_pages(image, 64)
        self.start = -(-start // (32 * image.page_size)) * 32 * image.page_size
        self._zones(old)

    def _zones(self, old: bool) -> None:
        """One node with one zone; old: as before v5.14, with zone.pageset."""
        image, word = self.image, self.image.word
        lists = f"count:4 high:4 lists:{2 * LISTS}p"
        image.structs["per_cpu_pages"] = parse(lists, word)
        size = image.sizeof("per_cpu_pages")
        image.structs["per_cpu_pageset"] = parse(f"stat:p pcp:{size}", word)
        name = "pageset" if old else "per_cpu_pageset"
        image.structs["zone"] = parse(f"watermark:3p {name}:p", word)
        image.structs["pglist_data"] = parse(f"node_zones:{4}p nr_zones:4", word)
        node = self.annex.take(image.sizeof("pglist_data"))
        nodes = self.annex.variable("node_data", word * self.heap.nodes)
        image.pointer(nodes, node)
        pointer = self.heap._arena.percpu(4096)
        inside = image.structs["per_cpu_pageset"][1]["pcp"][0] if old else 0
        image.pointer(node + image.structs["zone"][1][name][0], pointer)
        self._lists: Dict[int, int] = {}
        for cpu in self.heap.cpus:
            base = pointer + image.percpu_offsets[cpu] + inside
            first = base + image.structs["per_cpu_pages"][1]["lists"][0]
            self._lists[cpu] = first
            for index in range(LISTS):
                self.heap.writer.ring(first + index * 2 * word, [])

    def page(self, number: int) -> int:
        return self.image.virt_to_page(self.start + number * self.image.page_size)

    def set(self, number: int, **members: int) -> None:
        for name, value in members.items():
            offset, size = self.image.structs["page"][1][name]
            self.image.put(self.page(number) + offset, size, value & (1 << 8 * size) - 1)

    def zeroed(self, indexes: Set[int]) -> Slab:
        """A slab of a new cache slab_test with these objects allocated, zeroes in them."""
        slab = self.heap.slab(self.heap.cache("slab_test", 64), indexes)
        for index in indexes:
            self.image.write(slab.object(index), bytes(64))
        return slab

    def free_on_cpu(self, cpu: int, index: int, numbers: List[int]) -> None:
        """Puts pages on a list of a CPU's free pages."""
        link = self.image.structs["page"][1]["lru"][0]
        head = self._lists[cpu] + index * 2 * self.image.word
        self.heap.writer.ring(head, [self.page(number) + link for number in numbers])

    def uses(self, *numbers: int) -> List[int]:
        use = PageUse(target(self.heap))
        found = [use.of(self.start + n * self.image.page_size + 8) for n in numbers]
        return [-1 if kind is None else kind for kind in found]


def test_a_page_with_a_reference_is_in_use() -> None:
    pages = Pages()
    pages.set(0, _refcount=1)
    pages.set(2, _refcount=70000)
    assert pages.uses(0, 2) == [pageuse.USED, pageuse.USED]


def test_buddies_are_free_as_many_as_their_order_says() -> None:
    pages = Pages()
    for number in (8, 9, 10, 11, 12):
        pages.set(number, _refcount=1)
    pages.set(8, _refcount=0, _mapcount=BUDDY, private=2)
    assert pages.uses(8, 9, 10, 11, 12) == [pageuse.FREE] * 4 + [pageuse.USED]


@pytest.mark.parametrize("old", [False, True])
def test_pages_on_a_cpus_list_are_free_though_no_buddies(old: bool) -> None:
    pages = Pages(old=old)
    pages.set(4, _refcount=1)
    pages.free_on_cpu(0, 0, [5])
    pages.free_on_cpu(1, 1, [7, 20])
    # The fourth list is the first of those with two pages.
    pages.free_on_cpu(1, 3, [24])
    free = [pageuse.FREE]
    assert pages.uses(4, 5, 7, 20, 24, 25) == [pageuse.USED, *free * 5]


def test_tails_without_a_head_of_their_own_are_in_use_with_the_page_before() -> None:
    """alloc_pages() of four pages without __GFP_COMP: the three others have no reference."""
    pages = Pages()
    pages.set(4, _refcount=1)
    assert pages.uses(4, 5, 6, 7) == [pageuse.USED] * 4
    # A block of four begins at a multiple of four.
    assert pages.uses(8) == [pageuse.MAYBE]


def test_tails_of_a_compound_page_are_what_their_head_is() -> None:
    pages = Pages()
    pages.set(8, _refcount=1, _mapcount=-1)
    for number in range(9, 12):
        pages.set(number, compound_head=pages.page(8) + 1)
    assert pages.uses(9, 11) == [pageuse.USED, pageuse.USED]
    pages.set(8, flags=1 << PG_LRU)
    assert pages.uses(8, 11) == [pageuse.USER, pageuse.USER]


def test_pages_of_processes_and_of_files_hold_no_kernel_pointers() -> None:
    pages = Pages()
    pages.set(1, _refcount=1, _mapcount=0, mapping=0xFFFF_8880_0000_1001)
    pages.set(3, _refcount=2, flags=1 << PG_LRU)
    pages.set(5, _refcount=1, mapping=0xFFFF_8880_0000_1000)
    assert pages.uses(1, 3, 5) == [pageuse.USER, pageuse.USER, pageuse.USED]


def test_a_page_with_a_type_is_in_use_without_a_reference() -> None:
    """Page types up to v6.11 are cleared bits, later ones a number in the top byte."""
    pages = Pages()
    for number, kind in ((2, 0xFFFFFBFF), (4, 0xF5000000), (16, 0xFFFFFFFF)):
        pages.set(number, _mapcount=kind)
    assert pages.uses(2, 4, 16) == [pageuse.USED, pageuse.USED, pageuse.MAYBE]


def test_where_free_pages_cannot_be_told_every_page_may_be_in_use() -> None:
    pages = Pages(told=False)
    pages.set(0, _refcount=1)
    pages.set(1, _mapcount=BUDDY)
    use = PageUse(target(pages.heap))
    assert not use.known
    assert pages.uses(0, 1) == [pageuse.MAYBE, pageuse.MAYBE]


def test_a_damaged_list_of_free_pages_is_told_and_frees_no_other_page() -> None:
    pages = Pages()
    pages.free_on_cpu(0, 0, [5])
    link = pages.image.structs["page"][1]["lru"][0]
    pages.image.pointer(pages.page(5) + link, 0xDEAD)
    assert not cpu_free_pages(target(pages.heap)).whole
    assert not PageUse(target(pages.heap)).known


def test_a_damaged_order_of_a_buddy_frees_no_more_than_itself() -> None:
    pages = Pages()
    pages.set(8, _mapcount=BUDDY, private=1 << 40)
    pages.set(9, _refcount=1)
    assert pages.uses(9) == [pageuse.USED]


def test_what_is_put_in_by_others_stands() -> None:
    pages = Pages()
    use = PageUse(target(pages.heap))
    size = pages.image.page_size
    use.put(pages.start, 2, pageuse.SLAB)
    use.put_page(pages.page(3), pageuse.STACK)
    found = [use.of(pages.start + number * size) for number in (0, 1, 3)]
    assert found == [pageuse.SLAB, pageuse.SLAB, pageuse.STACK]
    assert use.of(0x1000) is None
