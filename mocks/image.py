# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's memory, symbols and debug information, held in Python objects.

It knows bytes at addresses and names. It doesn't know crash, nor what a slab is.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Dict, FrozenSet, Iterator, List, Literal, Optional, Tuple

ByteOrder = Literal["little", "big"]

Members = Dict[str, Tuple[int, int]]
"""member name -> (offset in bytes, size in bytes)."""

Structs = Dict[str, Tuple[int, Members]]
"""struct name without "struct" -> (sizeof, members)."""


class Hole(Exception):
    """Nothing is mapped at (a part of) what was asked for."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(f"{size} bytes at {address:x}: not in the image")
        self.address = address
        self.size = size


class NotRecorded(AssertionError):
    """A question that nobody asked when the recording was made: nobody knows the answer."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: not asked when this was recorded; tests/record records it anew")


class Image:
    """Sparse memory with symbols and types.

    Extents never overlap, but may touch: a read goes across the border of two.
    """

    def __init__(
        self, word: int = 8, byteorder: ByteOrder = "little", page_size: int = 4096
    ) -> None:
        self.word = word
        self.byteorder: ByteOrder = byteorder
        self.page_size = page_size
        self.symbols: Dict[str, int] = {}
        self.structs: Structs = {}
        self.enums: Dict[str, int] = {}
        self.modules: List[Tuple[str, int, int]] = []
        """(name, first address, end) of each loaded module."""
        self.symbol_reach = 0x10000
        """An address this far behind the last symbol below it belongs to none any more."""
        self.symbol_names: Dict[int, Optional[Tuple[str, int]]] = {}
        """Address -> (name, offset), where a recording says so; None: crash knows no name."""
        self.asked_in_vain: Optional[FrozenSet[str]] = None
        """What the recorded kernel is known not to have, as missing() names it.

        None: symbols, structs, enums are all that there is.
        """
        self.commands: Dict[str, str] = {}
        """A command line -> what crash answered to it, where a recording says so."""
        self.page_offset = 0
        """Direct map: virtual = page_offset + physical."""
        self.vmemmap = 0
        """struct page of page frame 0; the array is contiguous over all of memory."""
        self.present: List[Tuple[int, int]] = []
        """[first, end) page frames of sections that have page structures, ascending."""
        self.percpu_offsets: List[int] = []
        self.node_shift = 0
        """page->flags >> node_shift is the node."""
        self.log = ""
        self._starts: List[int] = []
        self._extents: Dict[int, bytearray] = {}

    # memory ---------------------------------------------------------------------------

    def map(self, address: int, data: bytes) -> None:
        """Adds an extent. ValueError where a part of it is there already."""
        if not data:
            raise ValueError("empty extent")
        at = bisect_right(self._starts, address)
        if at and self._starts[at - 1] + len(self._extents[self._starts[at - 1]]) > address:
            raise ValueError(f"extent at {address:x} overlaps the one before it")
        if at < len(self._starts) and address + len(data) > self._starts[at]:
            raise ValueError(f"extent at {address:x} overlaps the one behind it")
        self._starts.insert(at, address)
        self._extents[address] = bytearray(data)

    def unmap(self, address: int, size: int) -> None:
        """Makes a range unreadable, be it mapped, partly mapped or not at all."""
        end = address + size
        for start, data in list(self.extents()):
            stop = start + len(data)
            if stop <= address or start >= end:
                continue
            del self._starts[bisect_right(self._starts, start) - 1]
            del self._extents[start]
            if start < address:
                self.map(start, data[: address - start])
            if stop > end:
                self.map(end, data[end - start :])

    def extents(self) -> Iterator[Tuple[int, bytes]]:
        """(address, bytes) of every extent, ascending."""
        for start in list(self._starts):
            yield start, bytes(self._extents[start])

    def _pieces(self, address: int, size: int) -> Iterator[Tuple[bytearray, int, int]]:
        """(extent's bytes, first index, end index) of the pieces that a range is made of."""
        here, end = address, address + size
        while here < end:
            at = bisect_right(self._starts, here) - 1
            start = self._starts[at] if at >= 0 else 0
            data = self._extents[start] if at >= 0 else bytearray()
            stop = min(end, start + len(data))
            if at < 0 or stop <= here:
                raise Hole(address, size)
            yield data, here - start, stop - start
            here = stop

    def read(self, address: int, size: int) -> bytes:
        """size bytes; raises Hole where one of them isn't mapped."""
        return b"".join(bytes(data[i:j]) for data, i, j in self._pieces(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Overwrites mapped memory. All or nothing: raises Hole before changing a byte."""
        done = 0
        for extent, i, j in list(self._pieces(address, len(data))):
            extent[i:j] = data[done : done + j - i]
            done += j - i

    def get(self, address: int, size: int, signed: bool = False) -> int:
        """The integer of that many bytes."""
        return int.from_bytes(self.read(address, size), self.byteorder, signed=signed)

    def bytes_of(self, value: int, size: int = 0) -> bytes:
        """An integer as it lies in memory, a word unless a size is given."""
        size = size or self.word
        return (value & ((1 << 8 * size) - 1)).to_bytes(size, self.byteorder)

    def is_mapped(self, address: int, size: int) -> bool:
        """Whether all of a range can be read."""
        try:
            return bool(self.read(address, size))
        except Hole:
            return False

    def put(self, address: int, size: int, value: int) -> None:
        """Writes an integer, negative ones as two's complement."""
        self.write(address, self.bytes_of(value, size))

    def u8(self, address: int, value: int) -> None:
        self.put(address, 1, value)

    def u16(self, address: int, value: int) -> None:
        self.put(address, 2, value)

    def u32(self, address: int, value: int) -> None:
        self.put(address, 4, value)

    def u64(self, address: int, value: int) -> None:
        self.put(address, 8, value)

    def pointer(self, address: int, value: int) -> None:
        self.put(address, self.word, value)

    # types ----------------------------------------------------------------------------

    def sizeof(self, struct: str) -> int:
        """KeyError where there's no such struct."""
        return self.structs[struct][0]

    def offset(self, struct: str, member: str) -> int:
        """Of a member; KeyError."""
        return self.structs[struct][1][member][0]

    def set(self, struct: str, address: int, **values: int) -> None:
        """Writes members of a structure; of one that is longer than a word, its first word."""
        for name, value in values.items():
            offset, size = self.structs[struct][1][name]
            self.put(address + offset, min(size, self.word), value)

    def member(self, struct: str, member: str) -> Optional[Tuple[int, int]]:
        """(offset, size), or None where the struct or the member is missing."""
        return self.structs[struct][1].get(member) if struct in self.structs else None

    # symbols --------------------------------------------------------------------------

    def symbol_at(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the nearest symbol at or below, if it's near enough."""
        if self.asked_in_vain is not None:
            if address not in self.symbol_names:
                raise NotRecorded(f"the name of {address:x}")
            return self.symbol_names[address]
        below = [(value, name) for name, value in self.symbols.items() if value <= address]
        if not below:
            return None
        value, name = max(below)
        return (name, address - value) if address - value < self.symbol_reach else None

    def missing(self, kind: str, name: str) -> None:
        """To be called for what isn't there: raises NotRecorded where that isn't sure.

        kind: symbol, struct or enumerator.
        """
        if self.asked_in_vain is not None and f"{kind} {name}" not in self.asked_in_vain:
            raise NotRecorded(f"{kind} {name}")

    # page frames ----------------------------------------------------------------------

    @property
    def max_pfn(self) -> int:
        """One more than the highest page frame number."""
        return max((end for _, end in self.present), default=0)

    def phys_to_page(self, physical: int) -> Optional[int]:
        """The struct page * of a physical address, None where there is none."""
        pfn = physical // self.page_size
        if not any(first <= pfn < end for first, end in self.present):
            return None
        return self.vmemmap + pfn * self.sizeof("page")

    def page_to_virt(self, page: int) -> int:
        """The direct map's address of a struct page's page."""
        return self.page_offset + (page - self.vmemmap) // self.sizeof("page") * self.page_size

    def virt_to_page(self, address: int) -> int:
        """The struct page * of a direct map address."""
        pfn = (address - self.page_offset) // self.page_size
        return self.vmemmap + pfn * self.sizeof("page")
