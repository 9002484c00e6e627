# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over all memory: which words point into any of a set of objects.

Every page that the dump has is read through the direct map, once, however many objects
are asked about. Only aligned words count. Knows memory and address ranges; what holds a
word, or what the objects are, is not said here.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from itertools import islice
from operator import add, le, sub
from struct import iter_unpack
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.columns import Column, marked, wanted_values
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.reader import Native, Reader

Progress = Callable[[int, int], None]
"""Called with (pages done, pages in all)."""

CAP = 1024
"""Hits of one object that are handed out, unless the caller asks for more or fewer."""

_CHUNK_PAGES = 64
_TELL_PAGES = 1 << 12
_BLOCKS = 1 << 22
"""Most bytes of the table of blocks."""
_SMALLEST_BLOCK = 12
"""log2 of its bytes. Objects lie densely: finer blocks would tell no more."""
_TELLING = 224
"""A byte's column that may have more values than this isn't worth a look."""


class Hit(NamedTuple):
    """A word that points into an object."""

    holder: int
    """Where the word is: its address in the direct map."""
    value: int
    """What it points to."""
    start: int
    """The start of the object that this lies in."""


class Targets:
    """The objects that are looked for: sorted ranges of addresses, none overlapping."""

    overlapping = 0
    """Ranges that were left out."""

    def __init__(self, ranges: Iterable[Tuple[int, int]]) -> None:
        """ranges: (start, bytes) of each object; no more than 4 GB each.

        Left out are those that begin inside another, are empty, or reach above 2**64.
        """
        pairs = sorted(ranges)
        starts = [start for start, _ in pairs]
        sizes = [size for _, size in pairs]
        ends = list(map(add, starts, sizes))
        self.overlapping = 0
        """Ranges that were left out."""
        apart = all(map(le, ends, islice(starts, 1, None)))
        if not apart or min(sizes, default=1) <= 0 or max(ends[-1:], default=0) >> 64:
            starts, ends = self._disjoint(pairs)
        self._take(array("Q", starts), array("I", map(sub, ends, starts)))

    @classmethod
    def of_arrays(cls, starts: array[int], sizes: array[int]) -> Targets:
        """Ranges that are known to be sorted, apart and not empty: without a list of pairs."""
        targets = cls.__new__(cls)
        targets._take(starts, sizes)
        return targets

    def _take(self, starts: array[int], sizes: array[int]) -> None:
        self.starts = starts
        self.sizes = sizes
        self.longest = max(sizes, default=0)
        """No range has more bytes."""
        self.low = self.starts[0] if self.starts else 0
        self.high = self.end(-1) if self.starts else 0
        """All addresses are in low <= address < high."""
        self.shift = _SMALLEST_BLOCK
        while (self.high - self.low) >> self.shift >= _BLOCKS:
            self.shift += 1
        self.blocks = self._blocks()
        """1 for each block of 1 << shift bytes, counted from low, that an object lies in."""

    def _disjoint(self, pairs: List[Tuple[int, int]]) -> Tuple[List[int], List[int]]:
        """Starts and ends of sorted ranges, without those that are to be left out."""
        kept: Tuple[List[int], List[int]] = ([], [])
        before = 0
        for start, size in pairs:
            end = start + size
            if end >> 64:
                continue
            if start < before:
                self.overlapping += 1
            elif start < end:
                kept[0].append(start)
                kept[1].append(end)
                before = end
        return kept

    def end(self, number: int) -> int:
        """The address behind a range."""
        return self.starts[number] + self.sizes[number]

    def _blocks(self) -> bytearray:
        starts, low, shift = self.starts, self.low, self.shift
        blocks = bytearray(((self.high - low) >> shift) + 1)
        at = 0
        while at < len(starts):
            # All that begin in one block at once: the last of them reaches farthest.
            block = (starts[at] - low) >> shift
            at = bisect_left(starts, low + (block + 1 << shift), at)
            count = ((self.end(at - 1) - 1 - low) >> shift) - block + 1
            blocks[block : block + count] = b"\1" * count
        return blocks

    def index(self, value: int) -> int:
        """Which range an address lies in, -1 for none."""
        if not (self.low <= value < self.high and self.blocks[(value - self.low) >> self.shift]):
            return -1
        at = bisect_right(self.starts, value) - 1
        return at if value - self.starts[at] < self.sizes[at] else -1

    def byte_values(self, significance: int) -> bytes:
        """The values that the byte of that significance (0: lowest) has in the addresses."""
        at = significance if sys.byteorder == "little" else 7 - significance
        found = set(self.starts.tobytes()[at::8])
        shift = 8 * significance
        if self.longest >> shift:
            for start, size in zip(self.starts, self.sizes):
                first, behind = start >> shift, (start + size >> shift) + 1
                found.update(number & 255 for number in range(first, min(behind, first + 256)))
        else:
            # A range reaches into the next number at most: no harm is done by one too many.
            found |= {value + 1 & 255 for value in found}
        return bytes(found)


class Summary:
    """What a search has looked at; complete when its iterator is exhausted."""

    def __init__(self) -> None:
        self.bytes = 0
        """That were read and searched."""
        self.unreadable = 0
        """Pages: excluded from the dump, holes in memory, damaged."""
        self.hits = 0
        """Words that point into an object, those that weren't handed out included."""
        self.left_out = 0
        """Hits beyond the cap of their object."""
        self.capped = 0
        """Objects that have more hits than the cap."""


def find_pointers(
    reader: Reader,
    targets: Targets,
    summary: Summary,
    skip: Optional[Callable[[int], bool]] = None,
    cap: int = CAP,
    progress: Progress = lambda done, total: None,
    pieces: Optional[Iterable[Tuple[int, bytes]]] = None,
) -> Iterator[Hit]:
    """Every word in memory that points into one of the objects, by ascending holder.

    skip: says of the address of a word that it doesn't count (asked of hits only). cap: so
    many hits of each object are handed out, the first; the others are only counted. pieces:
    (address, bytes) of the memory to search, where that isn't all of it.
    """
    if not targets.starts:
        return
    counts = array("I", bytes(4 * len(targets.starts)))
    find = pointer_finder(reader, targets)
    starts = targets.starts
    if pieces is None:
        pieces = for_each_piece(reader, summary, progress)
    for address, data in pieces:
        for offset, value, index in find(data):
            holder = address + offset
            if skip is not None and skip(holder):
                continue
            summary.hits += 1
            counts[index] += 1
            if counts[index] > cap:
                summary.left_out += 1
                summary.capped += counts[index] == cap + 1
                continue
            yield Hit(holder, value, starts[index])


def for_each_piece(
    reader: Reader, summary: Summary, progress: Progress = lambda done, total: None
) -> Iterator[Tuple[int, bytes]]:
    """All readable memory as (address in the direct map, bytes); whole pages, ascending.

    Pieces are large; at an unreadable page they shrink to what comes before it, so that
    it alone is lost.
    """
    ranges = sorted(_direct_map(reader))
    total = sum(pages for _, pages in ranges)
    size = reader.page_size
    done = told = 0
    for start, pages in ranges:
        at, piece = 0, _CHUNK_PAGES
        while at < pages:
            count = min(piece, pages - at)
            address = start + at * size
            data = reader.try_read(address, count * size)
            if data is not None:
                summary.bytes += len(data)
                piece = min(_CHUNK_PAGES, 2 * count)
                yield address, data
            elif count > 1:
                piece = count // 2
                continue
            else:
                summary.unreadable += 1
            at += count
            if done + at - told >= _TELL_PAGES:
                told = done + at
                progress(told, total)
        done += pages
    progress(total, total)


def _direct_map(reader: Reader) -> Iterator[Tuple[int, int]]:
    """(address, pages) of each range of memory that the direct map has.

    On 32 bits it ends at high_memory: what lies above it is mapped nowhere for good.
    """
    end = 1 << 8 * reader.word
    if reader.word == 4:
        end = read_symbol_number(reader, "high_memory", reader.word) or end
    for page, count in reader.page_ranges():
        start = reader.page_to_virt(page)
        if start is not None and start < end:
            yield start, min(count, (end - start) // reader.page_size)


_Found = Iterable[Tuple[int, int, int]]
"""(offset of a word in the piece, its value, which of the targets it points into)."""


def pointer_finder(reader: Reader, targets: Targets) -> Callable[[bytes], _Found]:
    """A function that finds the words of a piece of memory which point into the targets."""
    word, order = reader.word, reader.byteorder
    if reader.native is not None:
        return _native_finder(reader.native, word, order != sys.byteorder, targets)
    columns = telling_columns(reader, targets)

    def find(data: bytes) -> _Found:
        for number in marked(data, columns, word):
            offset = number * word
            value = int.from_bytes(data[offset : offset + word], order)
            index = targets.index(value)
            if index >= 0:
                yield offset, value, index

    return find


def _native_finder(
    native: Native, word: int, foreign: bool, targets: Targets
) -> Callable[[bytes], _Found]:
    starts, sizes, blocks, shift = targets.starts, targets.sizes, targets.blocks, targets.shift
    order = sys.byteorder
    if foreign:
        order = "big" if order == "little" else "little"

    def find(data: bytes) -> _Found:
        found = native.pointers(data, word, foreign, starts, sizes, blocks, shift)
        for offset, index in iter_unpack("=QQ", found):
            yield offset, int.from_bytes(data[offset : offset + word], order), index

    return find


def telling_columns(reader: Reader, targets: Targets) -> List[Column]:
    """The bytes of a word that tell whether it may be a pointer into the targets.

    Those in the middle: the upper ones are the same in every kernel address, the lower
    ones may have any value.
    """
    found = []
    for significance in (4, 3, 2) if reader.word == 8 else (3, 2):
        values = targets.byte_values(significance)
        if len(values) <= _TELLING:
            at = significance if reader.byteorder == "little" else reader.word - 1 - significance
            found.append(wanted_values(at, values))
    return found
