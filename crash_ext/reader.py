# SPDX-License-Identifier: GPL-3.0-or-later
"""What the allocator's rooms ask of a kernel: symbols, types, memory.

This is the only thing that slub/ and leak/ know of the world outside. host/ fulfils
it with crash, the tests with an image of memory. It knows no slab and no command.

Addresses are ints: kernel virtual addresses, untagged, 0 <= address < 2**64.
"""

from __future__ import annotations

from typing import Iterator, List, Literal, Optional, Protocol, Tuple


class ReadError(Exception):
    """Memory that can't be read: unmapped, excluded from the dump, or damaged.

    address, size: what was asked for (bytes).
    """

    def __init__(self, address: int, size: int, reason: str = "") -> None:
        super().__init__(address, size, reason)
        self.address = address
        self.size = size
        self.reason = reason

    def __str__(self) -> str:
        text = f"cannot read {self.size} bytes at {self.address:x}"
        return f"{text}: {self.reason}" if self.reason else text


class Reader(Protocol):
    """A kernel's memory with its symbols and debug information. Read only."""

    word: int
    """sizeof(long) in bytes: 8 or 4."""

    byteorder: Literal["little", "big"]
    """'little' or 'big'."""

    page_size: int
    """PAGE_SIZE in bytes."""

    def read(self, address: int, size: int) -> bytes:
        """size bytes at the virtual address. Raises ReadError."""

    def symbol(self, name: str) -> Optional[int]:
        """The address of a symbol, None where the kernel has none of that name."""

    def symbol_at(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the symbol that an address lies in or behind, else None."""

    def struct_size(self, struct: str) -> Optional[int]:
        """sizeof(struct NAME) in bytes; NAME without "struct", or "union NAME".

        None: no such type.
        """

    def offset(self, struct: str, member: str) -> Optional[int]:
        """offsetof(struct NAME, member) in bytes, through anonymous members too."""

    def size(self, struct: str, member: str) -> Optional[int]:
        """sizeof of the member in bytes, None where there's no such member."""

    def enumerator(self, name: str) -> Optional[int]:
        """The value of an enumerator of the kernel's debug information."""

    def page_to_virt(self, page: int) -> Optional[int]:
        """The direct map's address of the page whose struct page is at `page`."""

    def virt_to_page(self, address: int) -> Optional[int]:
        """The struct page * of an address in the direct map; None for any other."""

    def phys_to_virt(self, physical: int) -> Optional[int]:
        """The direct map's address of a physical address of memory; None for any other."""

    def page_ranges(self) -> Iterator[Tuple[int, int]]:
        """(struct page * of the first, number of pages) of each present range of memory.

        Within a range the page structures are contiguous. Ranges may hold pages that
        don't exist or aren't in the dump: their structures may be unreadable.
        """

    def percpu(self, pointer: int, cpu: int) -> Optional[int]:
        """per_cpu_ptr(pointer, cpu); None where that CPU has no area."""

    def possible_cpus(self) -> List[int]:
        """The CPUs that have a per-CPU area, online or not, ascending."""

    def log(self) -> Optional[str]:
        """The kernel log's text, as crash's own `log` decodes it: a line a record, its time
        in seconds in brackets before it. None where there's none. Read anew at each call: a
        live kernel goes on writing.
        """
