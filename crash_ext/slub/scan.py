# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over all page structures: which slab pages belong to which cache.

SLUB keeps full slabs on no list, and a slab's page is the only thing that still names
a cache which was unlinked. Knows pages; says nothing about the caches they name.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import Callable, Dict, Iterable, List, Tuple

from crash_ext.kernel.absent import Range
from crash_ext.kernel.columns import Column, marked, wanted_values
from crash_ext.kernel.pagestructs import for_each_chunk
from crash_ext.slub.allocator import Slub

Progress = Callable[[int, int], None]
"""Called with (pages done, pages in all)."""


class PageIndex:
    """cache address -> addresses of its slabs' descriptors, ascending by page."""

    def __init__(self) -> None:
        self.slabs: Dict[int, array[int]] = {}
        self.pages = 0
        """Page structures that were read."""
        self.holes: List[Range] = []
        """Of page structures that couldn't be read: absent, or not in the dump; users: pages."""

    @property
    def unreadable(self) -> int:
        """Page structures that couldn't be read."""
        return sum(hole.users for hole in self.holes)

    def add_hole(self, address: int, pages: int, size: int) -> None:
        """`pages` structures of `size` bytes can't be read. Ascending."""
        if self.holes and self.holes[-1].end == address:
            last = self.holes.pop()
            address, pages = last.start, last.users + pages
        self.holes.append(Range(address, address + pages * size, pages))

    def of(self, cache: int) -> array[int]:
        """The descriptors of the slabs that name this cache."""
        return self.slabs.get(cache, array("Q"))


def scan_pages(slub: Slub, skip: Callable[[int], bool], progress: Progress) -> PageIndex:
    """Index every slab page of the kernel by the cache that its descriptor names.

    skip: says of a struct page * that its descriptor is not to be believed.
    """
    index = PageIndex()
    ranges = list(slub.reader.page_ranges())
    total = sum(count for _, count in ranges)
    find = _finder(slub)
    done = 0
    size = slub.layout.page_size
    for start, count in ranges:
        for first, pages, data in for_each_chunk(slub.reader, start, count, size):
            address = start + first * size
            if data is None:
                index.add_hole(address, pages, size)
            else:
                _take(index, find(data), address, pages, size)
            done += pages
            progress(done, total)
    _drop(index, skip)
    return index


def _drop(index: PageIndex, skip: Callable[[int], bool]) -> None:
    for owner, pages in list(index.slabs.items()):
        kept = array("Q", [page for page in pages if not skip(page)])
        if kept:
            index.slabs[owner] = kept
        else:
            del index.slabs[owner]


_Found = Iterable[Tuple[int, int]]
_Finder = Callable[[bytes], _Found]


def _take(index: PageIndex, found: _Found, address: int, pages: int, size: int) -> None:
    """Index what a chunk of page structures has. address: of the first; size: of each."""
    index.pages += pages
    slabs = index.slabs
    for number, owner in found:
        if owner not in slabs:
            slabs[owner] = array("Q")
        slabs[owner].append(address + number * size)


def _finder(slub: Slub) -> _Finder:
    """A function that finds (index of the page, slab_cache) of the slab pages in a chunk.

    It works on whole columns, the same byte of every page structure at once: asking page
    by page takes some ten times as long.
    """
    reader, layout = slub.reader, slub.layout
    columns = _mark_columns(slub)
    order = "<" if reader.byteorder == "little" else ">"
    owner_at = Struct(
        f"{order}{layout.slab.offset('slab_cache')}x{'Q' if reader.word == 8 else 'I'}"
    ).unpack_from
    stride = layout.page_size

    def find(data: bytes) -> _Found:
        for number in marked(data, columns, stride):
            yield number, owner_at(data, number * stride)[0]

    return find


def _mark_columns(slub: Slub) -> List[Column]:
    """The bytes of a page structure that mark it as a slab's."""
    layout, byteorder = slub.layout, slub.reader.byteorder
    mark = layout.slab_mark
    size = layout.page.size(mark.member)
    masks = mark.mask.to_bytes(size, byteorder)
    wanted = mark.value.to_bytes(size, byteorder)
    start = layout.page.offset(mark.member)
    return [
        wanted_values(start + at, [byte for byte in range(256) if byte & mask == value])
        for at, (mask, value) in enumerate(zip(masks, wanted))
        if mask
    ]
