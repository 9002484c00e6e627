# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in page structures that nobody has any more: they hold nothing.

A page that is given back keeps what its owners wrote into its structure (index, private, the
freelist of a slab), and alloc_pages() clears no more than it needs. So nothing counts in the
structure of a free page, nor in those of a slab's tail pages: the allocator writes the first's.
And where a page has another owner now, a word in the place of the freelist that points into the
page's own block is what a slab that lay there left. Nor does a page directory hold its mm.

Knows page structures by the array that they are in; what the direct map shows of that it knows
again by its bytes.
"""

from __future__ import annotations

from itertools import compress
from typing import Dict, Iterator, List, Set, Tuple

from crash_ext.kernel import pageuse
from crash_ext.kernel.backpointers import for_each_directorys_mm
from crash_ext.kernel.pagestructs import for_each_chunk
from crash_ext.kernel.pageuse import PageUse, Span
from crash_ext.kernel.search import Targets, pointer_finder
from crash_ext.reach.extents import Extents
from crash_ext.slub.allocator import Slub

_KEY = 64
"""Bytes by which a page full of structures is known again, before all of them are compared."""
_TAILS = ("compound_info", "compound_head")
_FREE = bytes(kind == pageuse.FREE for kind in range(256))
_SLAB = bytes(kind == pageuse.SLAB for kind in range(256))
_ODD = bytes(byte & 1 for byte in range(256))


class PageWords:
    """The words of page structures that lead into objects and don't count.

    targets: the allocated objects; block: pages of the largest slab there may be, a power of 2.
    """

    def __init__(self, slub: Slub, use: PageUse, targets: Targets, block: int) -> None:
        self._reader = reader = slub.reader
        self._size = slub.layout.page_size
        self._block = -block * reader.page_size
        self._find = pointer_finder(reader, targets)
        page, slab = slub.layout.page, slub.layout.slab
        self._freelist = slab.offset("freelist")
        self._tail = next((page.offset(name) for name in _TAILS if name in page), None)
        self._known: Dict[bytes, List[Tuple[int, List[int]]]] = {}
        """How a page begins -> (its address in the array, offsets of such words in it)."""
        self.extents = Extents()
        """Those that were met in the direct map, ascending as memory is read."""
        if targets.starts:
            self._look(use)

    def meet(self, address: int, data: bytes) -> None:
        """Take up which of these words a piece of the direct map has: whole pages."""
        size, read = self._reader.page_size, self._reader.try_read
        for at in range(0, len(data) if self._known else 0, size):
            for own, offsets in self._known.get(data[at : at + _KEY], ()):
                if read(own, size) == data[at : at + size]:
                    for offset in offsets:
                        self.extents.add(address + at + offset, self._reader.word)
                    break

    def _look(self, use: PageUse) -> None:
        found: Dict[int, Set[int]] = {}
        size = self._reader.page_size
        for span in use.spans:
            for word in self._of_span(span):
                found.setdefault(word - word % size, set()).add(word % size)
        for word in for_each_directorys_mm(self._reader):
            found.setdefault(word - word % size, set()).add(word % size)
        for own, offsets in found.items():
            start = self._reader.try_read(own, _KEY)
            if start is not None:
                self._known.setdefault(start, []).append((own, sorted(offsets)))

    def _of_span(self, span: Span) -> Iterator[int]:
        """Addresses in the array of such words."""
        reader, size = self._reader, self._size
        for first, count, data in for_each_chunk(reader, span.page, len(span.kinds), size):
            if data is not None:
                kinds = span.kinds[first : first + count]
                base = span.base + first * reader.page_size
                for at in (*self._unowned(kinds, data), *self._left(kinds, data, base)):
                    yield span.page + first * size + at

    def _unowned(self, kinds: bytearray, data: bytes) -> Iterator[int]:
        """Offsets of the words of free pages and of slabs' tail pages that lead into objects."""
        size = self._size
        wanted = kinds.translate(_FREE)
        if self._tail is not None:
            low = self._tail
            if self._reader.byteorder == "big":
                low += self._reader.word - 1
            odd = data[low::size].translate(_ODD)
            for number in compress(range(len(kinds)), kinds.translate(_SLAB)):
                wanted[number] |= odd[number]
        # All are searched: thousands of small pieces would leave holes in the interpreter's memory.
        for offset, _, _ in self._find(data):
            if wanted[offset // size]:
                yield offset

    def _left(self, kinds: bytearray, data: bytes, base: int) -> Iterator[int]:
        """Offsets of the freelists that former slabs left to pages which are none now."""
        size, at, word = self._size, self._freelist, self._reader.word
        column = bytearray(len(data) // size * word)
        for byte in range(word):
            column[byte::word] = data[at + byte :: size]
        for offset, value, _ in self._find(bytes(column)):
            number = offset // word
            page = base + number * self._reader.page_size
            if kinds[number] != pageuse.SLAB and not (page ^ value) & self._block:
                yield number * size + at
