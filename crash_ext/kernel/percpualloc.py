# SPDX-License-Identifier: GPL-3.0-or-later
"""alloc_percpu()'s memory: where does an allocation begin, and what is free?

By the allocator's own maps, pcpu_chunk.bound_map and alloc_map, a bit for 4 bytes (Linux kernel
commit 40064aeca35c ("percpu: replace area map allocator with bitmap") (in v4.14)). Of older
kernels nothing is known. Who has an allocation has its per-CPU pointer.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from crash_ext.kernel.memory import read_symbol_number, try_number
from crash_ext.kernel.percpu import PercpuAreas, for_each_chunk
from crash_ext.kernel.ranges import Ranges
from crash_ext.reader import Reader

_MIN_ALLOC = 4
"""include/linux/percpu.h, PCPU_MIN_ALLOC_SIZE."""
_LARGEST = 32 << 10
"""include/linux/percpu.h, PCPU_MIN_UNIT_SIZE: no allocation is larger."""
_MOST_PAGES = 1 << 18
"""Of a chunk, whatever a damaged one says: 1 GB in pages of 4k."""
_FREE = re.compile("0+")
_COMPARED = 1 << 12
"""Pages of a chunk at most, of all CPUs together, that are compared with one."""


class _Chunk(NamedTuple):
    """A piece of per-CPU memory, where the first CPU has it."""

    start: int
    end: int
    bounds: int
    """unsigned long *bound_map; 0 where that isn't known."""
    taken: int
    """unsigned long *alloc_map; 0 where that isn't known."""


class PercpuAllocations:
    """Where per-CPU allocations begin, as per-CPU pointers."""

    def __init__(self, reader: Reader, areas: PercpuAreas) -> None:
        self._reader = reader
        self._areas = areas
        self._by_page: Dict[int, Optional[int]] = {}

    def pointer(self, address: int) -> Optional[int]:
        """The per-CPU pointer to the allocation in which an address lies.

        address: in a CPU's unit, or in the direct map, on a page that a chunk has. None where
        it lies in no allocation, or that isn't known.
        """
        pointer = self._pointer_of(address)
        return None if pointer is None else self._allocation(pointer)

    def extent(self, address: int) -> Optional[Tuple[int, int, int]]:
        """(per-CPU pointer, bytes, how far inside) of the allocation in which an address lies."""
        pointer = self._pointer_of(address)
        begin = None if pointer is None else self._allocation(pointer)
        here = 0 if begin is None else self._wrapped(begin - self._shift)
        chunk = self._chunks.at(here)
        if pointer is None or begin is None or chunk is None:
            return None
        bit = (here - chunk.start) // _MIN_ALLOC + 1
        word = self._reader.word
        first = bit // (8 * word)
        last = min(bit + _LARGEST // _MIN_ALLOC, (chunk.end - chunk.start) // _MIN_ALLOC)
        wanted = (last // (8 * word) - first + 1) * word
        data = self._reader.try_read(chunk.bounds + first * word, wanted)
        if data is None:
            return None
        bits = _bits(self._reader, data) >> bit - first * 8 * word
        size = (bits & -bits).bit_length() * _MIN_ALLOC
        return (begin, size, self._wrapped(pointer - begin)) if size else None

    def is_free(self, address: int) -> bool:
        """Whether nobody has the memory at an address any more: free_percpu() leaves its words."""
        pointer = self._pointer_of(address)
        here = 0 if pointer is None else self._wrapped(pointer - self._shift)
        chunk = self._chunks.at(here)
        if chunk is None or not chunk.taken:
            return False
        bit = (here - chunk.start) // _MIN_ALLOC
        bits = 8 * self._reader.word
        data = self._reader.try_read(chunk.taken + bit // bits * self._reader.word, bits // 8)
        return data is not None and not _bits(self._reader, data) >> bit % bits & 1

    def _pointer_of(self, address: int) -> Optional[int]:
        """The per-CPU pointer to an address in a CPU's unit, or on a page that a chunk has."""
        unit = self._areas.units.at(address)
        if unit is not None:
            return self._wrapped(unit.pointer + address - unit.start)
        size = self._reader.page_size
        page = address - address % size
        if page not in self._by_page:
            self._by_page[page] = self._pointer_to_page(page)
        pointer = self._by_page[page]
        return None if pointer is None else self._wrapped(pointer + address - page)

    def _wrapped(self, value: int) -> int:
        """As a pointer has it: variables may be linked high, a chunk lie far above the first."""
        return value & ((1 << 8 * self._reader.word) - 1)

    def is_chunks(self, address: int) -> bool:
        """Whether a page of the direct map is some chunk's, by its page structure."""
        return self._chunk_of(address) is not None

    def _allocation(self, pointer: int) -> Optional[int]:
        here = self._wrapped(pointer - self._shift)
        chunk = self._chunks.at(here)
        if chunk is None or not chunk.bounds:
            return None
        word = self._reader.word
        bit = (here - chunk.start) // _MIN_ALLOC
        first = max(0, bit - _LARGEST // _MIN_ALLOC) // (8 * word)
        wanted = (bit // (8 * word) - first + 1) * word
        data = self._reader.try_read(chunk.bounds + first * word, wanted)
        if data is None:
            return None
        first *= 8 * word
        bits = _bits(self._reader, data) & (2 << (bit - first)) - 1
        if not bits:
            return None
        begins = (first + bits.bit_length() - 1) * _MIN_ALLOC
        return self._wrapped(pointer - (here - chunk.start) + begins)

    @cached_property
    def _shift(self) -> int:
        """What a per-CPU pointer has more than the address where the first CPU has that."""
        reader = self._reader
        base = read_symbol_number(reader, "pcpu_base_addr", reader.word) or 0
        return (reader.symbol("__per_cpu_start") or 0) - base

    @cached_property
    def _chunks(self) -> Ranges[_Chunk]:
        return Ranges(_for_each_chunk_read(self._reader))

    def _chunk_of(self, address: int) -> Optional[_Chunk]:
        """pcpu_set_page_chunk() keeps it in page.index; v6.16 renamed that; 7.3: page.private."""
        page = self._reader.virt_to_page(address)
        for member in ("private", "index", "__folio_index"):
            kept = None if page is None else _member(self._reader, "page", page, member)
            chunk = _read_chunk(self._reader, kept) if kept else None
            if chunk is not None and self._areas.units.at(chunk.start) is not None:
                return chunk
        return None

    def _pointer_to_page(self, page: int) -> Optional[int]:
        """By what it has: of the chunk's pages one alone is the same, in the area of its own."""
        chunk, size = self._chunk_of(page), self._reader.page_size
        data = self._reader.try_read(page, size)
        if chunk is None or data is None:
            return None
        cpus = self._reader.possible_cpus()
        if len(cpus) * (chunk.end - chunk.start) > _COMPARED * size:
            return None
        found = []
        for cpu in cpus:
            for here in range(chunk.start, chunk.end, size):
                pointer = self._wrapped(here + self._shift)
                address = self._reader.percpu(pointer, cpu)
                if address is not None and self._reader.try_read(address, size) == data:
                    found.append(pointer)
        return found[0] if len(found) == 1 else None


def for_each_free(reader: Reader) -> Iterator[Tuple[int, int]]:
    """(start, bytes) of the per-CPU memory that nobody has, of each CPU, in the direct map.

    What free_percpu() got back keeps its words. Of the first chunk: that of others is mapped
    elsewhere.
    """
    base = read_symbol_number(reader, "pcpu_base_addr", reader.word)
    if not base:
        return
    start = reader.symbol("__per_cpu_start") or 0
    firsts = [reader.percpu(start, cpu) for cpu in reader.possible_cpus()]
    for chunk in _for_each_chunk_read(reader):
        if not chunk.taken or reader.virt_to_page(chunk.start) is None:
            continue
        data = reader.try_read(chunk.taken, (chunk.end - chunk.start) // _MIN_ALLOC // 8)
        if data is None:
            continue
        free = list(_zeroes(_bits(reader, data), 8 * len(data)))
        for first in firsts:
            for at, number in free if first is not None else ():
                yield chunk.start + (first or 0) - base + at * _MIN_ALLOC, number * _MIN_ALLOC


def _for_each_chunk_read(reader: Reader) -> Iterator[_Chunk]:
    for address in for_each_chunk(reader):
        chunk = _read_chunk(reader, address)
        if chunk is not None:
            yield chunk


def _read_chunk(reader: Reader, address: int) -> Optional[_Chunk]:
    """The struct pcpu_chunk at an address; None for what can't be one."""
    base = _member(reader, "pcpu_chunk", address, "base_addr")
    pages = _member(reader, "pcpu_chunk", address, "nr_pages", 4)
    if not base or not pages or pages > _MOST_PAGES:
        return None
    bounds = _member(reader, "pcpu_chunk", address, "bound_map") or 0
    taken = _member(reader, "pcpu_chunk", address, "alloc_map") or 0
    return _Chunk(base, base + pages * reader.page_size, bounds, taken)


def _member(reader: Reader, struct: str, address: int, member: str, size: int = 0) -> Optional[int]:
    at = reader.offset(struct, member)
    return None if at is None else try_number(reader, address + at, size or reader.word)


def _bits(reader: Reader, data: bytes) -> int:
    """A bitmap of unsigned longs as one number: its lowest bit is the first."""
    if reader.byteorder == "big":
        word = reader.word
        data = b"".join(data[at : at + word][::-1] for at in range(0, len(data), word))
    return int.from_bytes(data, "little")


def _zeroes(bits: int, number: int) -> Iterator[Tuple[int, int]]:
    """(number of the first, how many) of the runs of bits that are 0."""
    for run in _FREE.finditer(f"{bits:0{number}b}"[::-1]):
        yield run.start(), run.end() - run.start()
