# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that are held without a pointer to them: by physical address, or by their page.

A device's descriptor or a page table has a physical address, with flags in its low bits; a
bio_vec or a fragment of an skb has the page's struct page and the offset in it. Both are
looked for in memory that is in use. A descriptor may have the address of a buffer inside of
the object: that counts where the next one has it of another object, as far inside. An index, a
frame number or a file's number leaves no trace that differs from any other number.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.reach.model import REACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.allocator import Slub

FLAGS = 7
"""Low bits of a physical address that may be flags."""
_PIECE = 4
"""A buffer inside an object begins at a multiple of so many bytes."""
_LONGEST = 1 << 20
"""Bytes: no fragment is longer."""
_LARGEST = 1 << 12
"""Bytes behind the start of a block's last object that may be inside of it."""
_BESIDE = 64
"""Bytes from one descriptor to the next, at most."""
_PAGE = 1 << 12
_BLOCK = 1 << 16
"""Objects of one such block of memory are looked for as one."""


class Hidden(NamedTuple):
    """An object that something holds which is no pointer to it."""

    address: int
    """The object's."""
    text: str
    """What stands there: "its physical address stands"."""
    holder: int
    """Where."""
    round: bool
    """The number is a page's physical address: as likely chance, or a page table's entry."""


def find_hidden(slub: Slub, reach: Reach, objects: array[int]) -> Iterator[Hidden]:
    """What holds objects in one of the two ways.

    objects: starts of objects in the direct map, ascending. One search for all of them, in
    memory that is in use. At a page's start a number that fits is often chance: it counts beside
    those of others of the same cache.
    """
    beside: Set[Tuple[int, int]] = set()
    round_ones: List[Tuple[Tuple[int, int], Hidden]] = []
    for found in _find(slub, reach, objects):
        here = (reach.cache_at(found.address), found.holder // slub.reader.page_size)
        if found.round:
            round_ones.append((here, found))
        else:
            beside.add(here)
            yield found
    for here, found in round_ones:
        if here in beside:
            yield found


def _find(slub: Slub, reach: Reach, objects: array[int]) -> Iterator[Hidden]:
    """The same, with what is often chance."""
    reader = slub.reader
    start = reader.phys_to_virt(0)
    if start is None or not objects:
        return
    blocks = _blocks(objects)
    ranges: List[Tuple[int, int]] = []
    pages: List[Tuple[int, int, int]] = []
    size, page_size = slub.layout.page_size, reader.page_size
    for base in blocks:
        first, last = _first_and_last(objects, base)
        page = reader.virt_to_page(first)
        if page is not None:
            count = (last - first // page_size * page_size) // page_size + 1
            pages.append((page, count, first // page_size * page_size))
            ranges.append((page, count * size))
        if first - start > FLAGS:
            low = first - start & ~FLAGS
            ranges.append((low, last - start + _LARGEST - low))
    pages.sort()
    firsts = [page for page, _, _ in pages]
    before = Hidden(0, "", 0, False)
    deep = 0
    for hit in find_pointers(reader, Targets(ranges), Summary(), cap=1 << 30, pieces=reach.used()):
        value = hit.value & ~FLAGS
        at = bisect_right(firsts, hit.value & ~3) - 1
        found: Iterable[int] = []
        page_hit = at >= 0 and hit.value - pages[at][0] < pages[at][1] * size
        if page_hit:
            number, rest = divmod((hit.value & ~3) - pages[at][0], size)
            if not rest:
                page = pages[at][2] + number * page_size
                found = _named(slub, reach, objects, hit.holder, page)
        elif _has(objects, start + value):
            found = [start + value]
        else:
            inside = _around(reach, objects, start + hit.value)
            if inside is None or not _may_hold(reach, hit.holder):
                continue
            this = Hidden(inside, "a physical address in it stands", hit.holder, False)
            same = inside != before.address and start + hit.value - inside == deep
            if same and 0 < hit.holder - before.holder <= _BESIDE:
                yield before
                yield this
            before, deep = this, start + hit.value - inside
            continue
        if not found or not _may_hold(reach, hit.holder):
            continue
        text = "its page and its offset stand" if page_hit else "its physical address stands"
        for address in found:
            at_start = not page_hit and address % page_size <= FLAGS
            yield Hidden(address, text, hit.holder, at_start)


def _may_hold(reach: Reach, holder: int) -> bool:
    """Whether a number at an address may be a handle: in memory in use that is written to."""
    return reach.holds(holder)[0] == REACHED and not reach.is_constant(holder)


def _blocks(objects: array[int]) -> List[int]:
    """The blocks of memory that have some of the objects, ascending."""
    found = []
    at = 0
    while at < len(objects):
        base = objects[at] & -_BLOCK
        found.append(base)
        at = bisect_left(objects, base + _BLOCK, at)
    return found


def _first_and_last(objects: array[int], base: int) -> Tuple[int, int]:
    first = bisect_left(objects, base)
    return objects[first], objects[bisect_left(objects, base + _BLOCK, first) - 1]


def _has(objects: array[int], address: int) -> bool:
    at = bisect_left(objects, address)
    return at < len(objects) and objects[at] == address


def _around(reach: Reach, objects: array[int], address: int) -> Optional[int]:
    """The object that an address lies in, but not at its start, nor where a page begins."""
    # No buffer begins at an odd address; a page table's entry is odd where a page is present.
    found = None if address & 1 else reach.object_at(address)
    if found is None or address - found <= FLAGS or not _has(objects, found):
        return None
    return found if address % _PAGE else None


def _named(slub: Slub, reach: Reach, objects: array[int], holder: int, page: int) -> Iterable[int]:
    """The object of a page whose offset stands behind a struct page *, beside a length.

    struct bio_vec has the length first, struct scatterlist and pipe_buffer the offset. Of a
    buffer inside an object both ends are in it.
    """
    word, order = slub.reader.word, slub.reader.byteorder
    data = slub.reader.try_read(holder + word, 8)
    if data is None:
        return []
    first, second = (int.from_bytes(data[at : at + 4], order) for at in (0, 4))
    found: Dict[int, None] = {}
    for offset, length in ((first, second), (second, first)):
        if not 0 < length <= _LONGEST or offset >= slub.reader.page_size:
            continue
        start = page + offset
        if not _has(objects, start) and offset % _PIECE == 0:
            start = reach.object_at(start) or start
            if reach.object_at(page + offset + length - 1) != start:
                continue
        if _has(objects, start):
            found[start] = None
    return found
