# SPDX-License-Identifier: GPL-3.0-or-later
"""What the allocator's files ask of a kernel: symbols, types, memory.

This is the only thing that slub/ and leak/ know of the world outside. host/ fulfils
it with crash, the tests with an image of memory. It knows no slab and no command.

Addresses are ints: kernel virtual addresses, untagged, 0 <= address < 2**64.
"""

from __future__ import annotations

from array import array
from typing import Dict, Iterator, List, Literal, NamedTuple, Optional, Protocol, Tuple

from crash_ext.hexa import hexa


class ReadError(Exception):
    """Memory that can't be read: unmapped, excluded from the dump, or damaged.

    address, size: what was asked for (bytes).
    """

    def __init__(self, address: int, size: int, reason: str = "") -> None:
        # Millions of pages may be missing from a dump: no call of Exception's, which has
        # the arguments already.
        self.address = address
        self.size = size
        self.reason = reason

    def __str__(self) -> str:
        text = f"cannot read {self.size} bytes at {hexa(self.address)}"
        return f"{text}: {self.reason}" if self.reason else text


class Native(Protocol):
    """The innermost loops in C, where the host has them (host/native.c says what each does).

    Each gives what Python code beside its call gives; numbers are unsigned 64-bit.
    """

    def states(
        self,
        size: int,
        objects: int,
        shift: int,
        link: int,
        form: int,
        random: int,
        memory: bytes,
        base: int,
        head: int,
        expected: int,
    ) -> Optional[bytes]:
        """FREE or ALLOCATED of a slab's objects (slub/quick.py). form: 0 plain, 1 by address,
        2 by its swapped address.
        """

    def lines(self, size: int, firsts: List[int], states: List[bytes]) -> str:
        """The addresses of the objects whose byte is 1 (report/addresses.py)."""

    def contents(
        self,
        memory: bytes,
        first: int,
        shift: int,
        size: int,
        length: int,
        chosen: bytes,
        before: str,
        after: str,
        word: int,
        little: bool,
    ) -> Optional[str]:
        """The chosen objects with their contents (report/hexdump.py)."""

    def pointers(
        self,
        data: bytes,
        word: int,
        foreign: bool,
        starts: array[int],
        sizes: array[int],
        blocks: bytearray,
        shift: int,
    ) -> bytes:
        """(offset, number of the range) of words that point into ranges (kernel/search.py).

        foreign: their bytes are in the other order than this machine's. Packed: '=QQ'.
        """

    def mark(
        self,
        data: bytes,
        address: int,
        word: int,
        foreign: bool,
        starts: array[int],
        sizes: array[int],
        blocks: bytearray,
        shift: int,
        level: int,
        levels: bytearray,
        parents: array[int],
    ) -> bytes:
        """Marks in `levels` and `parents` what the data point into (reach/mark.py).

        The edges that find no place there, packed: '=II'.
        """

    def spread(
        self, edges: array[int], starts: array[int], levels: bytearray, parents: array[int]
    ) -> bytes:
        """Follows the edges, which get sorted, from what is marked; edges to be kept, too."""

    def lost(self, edges: array[int], levels: bytearray, parents: array[int]) -> bytes:
        """The edges between objects that aren't marked (reach/mark.py)."""

    def inner(self, edges: array[int], count: int) -> bytes:
        """Which of `count` objects others lead to (reach/inner.py); the edges get sorted."""

    def plain(
        self,
        memory: bytes,
        shift: int,
        size: int,
        length: int,
        chosen: bytes,
        word: int,
        foreign: bool,
        lowest: int,
        marks: array[int],
    ) -> bytes:
        """Which of the chosen objects have no word that may be told (contents/groups.py)."""


class Member(NamedTuple):
    """A member of a structure, of a nested one too. Offset from the outermost's start, bytes."""

    name: str
    offset: int
    size: int
    type: str
    """As C has it, without the name: "struct list_head", "char[24]", "struct inode *"."""

    @property
    def is_pointer(self) -> bool:
        """Whether it is one pointer: no array of them."""
        return self.type.endswith("*") or " (*)(" in self.type

    @property
    def pointed(self) -> str:
        """The type that it points to; empty for what is no pointer, or one to a function."""
        return self.type[:-1].strip() if self.type.endswith("*") else ""


class SourceLine(NamedTuple):
    """A line of the kernel's or a module's source."""

    file: str
    """As the compiler had it: relative to where it ran, or with a path of that machine."""
    line: int
    """From 1."""


class Reader(Protocol):
    """A kernel's memory with its symbols and debug information. Read only."""

    word: int
    """sizeof(long) in bytes: 8 or 4."""

    byteorder: Literal["little", "big"]
    """'little' or 'big'."""

    page_size: int
    """PAGE_SIZE in bytes."""

    native: Optional[Native]
    """The host's help with what takes long; None: there is none."""

    def read(self, address: int, size: int) -> bytes:
        """size bytes at the virtual address. Raises ReadError."""

    def try_read(self, address: int, size: int) -> Optional[bytes]:
        """read(), but None where that raises: for who asks for a million absent pages."""

    def symbol(self, name: str) -> Optional[int]:
        """The address of a symbol, None where the kernel has none of that name."""

    def symbol_at(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the symbol that an address lies in or behind, else None."""

    def percpu_symbol_at(self, pointer: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the kernel's own per-CPU variable that a pointer lies in, else None.

        The pointer is one that percpu() takes: an offset in many kernels.
        """

    def source_line(self, address: int) -> Optional[SourceLine]:
        """The source of the code at an address, by debug information that the host has read.

        Of inlined code the inlined function's own line. None where the host can't tell.
        """

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

    def registers(self) -> Dict[int, Dict[str, int]]:
        """CPU -> name -> value of its registers, of each CPU that the dump has them of; none on
        a live system. Names are crash's, in capitals: RSP, SP, RAX.
        """

    def log(self) -> Optional[str]:
        """The kernel log's text, as crash's own `log` decodes it: a line a record, its time
        in seconds in brackets before it, behind that who printed it ([  T777], [    C3]) where
        the host can tell. None where there's none. Read anew at each call: a live kernel goes
        on writing.
        """

    def structs_of_size(self, smallest: int, largest: int) -> Optional[List[str]]:
        """Names (without "struct") of the structures of that many bytes, loaded modules' too.

        Only modules whose debug information crash has read count. None where the host
        can't tell. Slow: the first call reads all debug information.
        """

    def members(self, struct: str) -> List[Member]:
        """Members of a structure and of those in it, by offset. Empty where it's not known."""

    def module_files(self) -> Optional[Dict[str, bool]]:
        """Module -> whether the host has read its debug information. None: the host can't tell."""

    def how_to_load(self, module: str) -> str:
        """What a user has to type to have a module's debug information read."""
