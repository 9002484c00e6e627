# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader over PyKdump's built-in module `crash` (its loader's, or PyKdump's own).

Every question to crash goes through this file, by that module's function names: so one
code base runs on stock crash, on PyKdump and on the tests' image. Read only.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from importlib import import_module
from typing import Any, Dict, Iterator, List, Literal, Optional, Tuple

from crash_ext.hexa import use_word
from crash_ext.host import sourcelines, typeinfo
from crash_ext.host.native import native_loops
from crash_ext.host.percpusymbols import PercpuSymbols
from crash_ext.host.pykdump import PyKdump, is_pykdump, take_sigint
from crash_ext.reader import Member, Native, ReadError, SourceLine

_CPUS = 1 << 14
"""No kernel is built for more (CONFIG_NR_CPUS); a damaged nr_cpu_ids may say so."""

ByteOrder = Literal["little", "big"]

_REGISTER = re.compile(r"\b([A-Za-z]\w*):\s*(?:0x)?([0-9a-f]{8,16})\b").findall

_CALLERS = re.compile(r"\blog \[-\w*c\w*\]")
"""The synopsis of a `log` that can show who printed each line."""

_RANGE_STEP = 1 << 24
"""Bytes: the smallest memory section of any architecture (ppc64's SECTION_SIZE_BITS)."""
_RANGE_STEPS = 1 << 22
"""Most sections, whatever a damaged max_pfn says: 64 TB in smallest sections."""
_LARGEST_STEP = 1 << 30
"""Bytes. A longer step would take a hole of any size for memory, and scan it."""


_given: List[Any] = []
"""A host that is no built-in module: drgn's."""
_pykdump: List[Tuple[Any, PyKdump]] = []
"""PyKdump's built-in module, and what the commands ask in its place."""


def give_host(host: Any) -> None:
    """From now on the commands ask `host`, which answers as the module `crash` does."""
    _given[:] = [host]


def host_module() -> Any:
    """The host that was given, else the built-in module `crash`. ImportError: there's none.

    PyKdump's comes as the one PyKdump made of it, with Ctrl-C in Python's hands.
    """
    if _given:
        return _given[0]
    module = import_module("crash")
    if not is_pykdump(module):
        return module
    take_sigint()
    if not _pykdump or _pykdump[0][0] is not module:
        _pykdump[:] = [(module, PyKdump(module))]
    return _pykdump[0][1]


class Target:
    """The dump or live system of this crash session, as a crash_ext.reader.Reader."""

    def __init__(self, crash: Any, byteorder: Optional[ByteOrder] = None) -> None:
        self._crash = crash
        self._offsets: Dict[Tuple[str, str], Optional[int]] = {}
        self._sizes: Dict[Tuple[str, str], Optional[int]] = {}
        self._structs: Dict[str, Optional[int]] = {}
        self._lines: Dict[int, Optional[SourceLine]] = {}
        self._percpu_symbols = PercpuSymbols(crash)
        self._ranges: Optional[List[Tuple[int, int, int]]] = None
        self.word: int = self._word()
        use_word(self.word)
        # crash itself reads only dumps of its own byte order; drgn any.
        own: ByteOrder = getattr(crash, "byteorder", sys.byteorder)
        self.byteorder: ByteOrder = byteorder or own
        self.page_size: int = crash.PAGESIZE
        self.native: Optional[Native] = native_loops()
        self._direct_map = self._direct_map_start()
        self._last_range = (0, 0, 1, 0)
        """[first, end) of the struct pages of a range, sizeof(struct page), its base."""
        self._percpu: Optional[Dict[int, int]] = None

    def read(self, address: int, size: int) -> bytes:
        """size bytes at the virtual address. Raises ReadError."""
        try:
            data: bytes = self._crash.readmem(address, size)
        except (self._crash.error, IndexError) as error:
            raise ReadError(address, size) from error
        return data

    def try_read(self, address: int, size: int) -> Optional[bytes]:
        """read(), but None where that raises."""
        try:
            data: bytes = self._crash.readmem(address, size)
        except (self._crash.error, IndexError):
            return None
        return data

    def symbol(self, name: str) -> Optional[int]:
        """The address of a symbol, None where the kernel has none of that name."""
        # crash has an error for no name at all, drgn a nameless symbol.
        return (self._crash.sym2addr(name) or None) if name else None

    def symbol_at(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the symbol that an address lies in or behind, else None."""
        name, offset = self._crash.addr2sym(address, True)
        # Where a part of a module begins or ends crash puts a symbol of its own making.
        made_up = name is None or name.startswith("_MODULE_")
        return None if made_up else (name, offset)

    def percpu_symbol_at(self, pointer: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the kernel's own per-CPU variable that a pointer lies in, else None."""
        return self._percpu_symbols.at(pointer) or self.symbol_at(pointer)

    def source_line(self, address: int) -> Optional[SourceLine]:
        """The source of the code at an address; None where the host can't tell."""
        if address not in self._lines:
            self._lines[address] = sourcelines.source_line(self._crash, address)
        return self._lines[address]

    def struct_size(self, struct: str) -> Optional[int]:
        """sizeof(struct NAME) in bytes, None for a type that is missing or incomplete."""
        if struct not in self._structs:
            size = self._crash.struct_size(_typed(struct))
            self._structs[struct] = size if size > 0 else None
        return self._structs[struct]

    def offset(self, struct: str, member: str) -> Optional[int]:
        """offsetof(struct NAME, member), through anonymous members too."""
        key = (struct, member)
        if key not in self._offsets:
            offset = self._crash.member_offset(_typed(struct), member)
            self._offsets[key] = offset if offset >= 0 else None
        return self._offsets[key]

    def size(self, struct: str, member: str) -> Optional[int]:
        """sizeof of the member in bytes, None where there's no such member."""
        key = (struct, member)
        if key not in self._sizes:
            size = self._crash.member_size(_typed(struct), member)
            self._sizes[key] = size if size > 0 else None
        return self._sizes[key]

    def enumerator(self, name: str) -> Optional[int]:
        """The value of an enumerator of the kernel's debug information."""
        value: Optional[int] = self._crash.enumerator_value(name)
        return value

    def page_to_virt(self, page: int) -> Optional[int]:
        """The direct map's address of the page whose struct page is at `page`."""
        start, end, size, base = self._last_range
        if not start <= page < end:
            if not self._find_range(page):
                return None
            start, end, size, base = self._last_range
        number, rest = divmod(page - start, size)
        return None if rest else base + number * self.page_size

    def _find_range(self, page: int) -> bool:
        """Make _last_range the one of this struct page *; False where there's none."""
        size = self.struct_size("page")
        ranges = self._page_ranges()
        at = bisect_right(ranges, (page, sys.maxsize, 0)) - 1
        if size is None or at < 0 or self._direct_map is None:
            return False
        start, count, pfn = ranges[at]
        if page >= start + count * size:
            return False
        base = self._direct_map + pfn * self.page_size
        self._last_range = (start, start + count * size, size, base)
        return True

    def virt_to_page(self, address: int) -> Optional[int]:
        """The struct page * of an address in the direct map; None for any other."""
        if self._direct_map is None or address < self._direct_map:
            return None
        physical = address - self._direct_map
        if physical >= self._end_of_memory():
            return None
        return self._phys_to_page(physical)

    def phys_to_virt(self, physical: int) -> Optional[int]:
        """The direct map's address of a physical address of memory; None for any other."""
        if self._direct_map is None or not 0 <= physical < self._end_of_memory():
            return None
        return self._direct_map + physical

    def page_ranges(self) -> Iterator[Tuple[int, int]]:
        """(struct page * of the first, number of pages) of each present range of memory."""
        for start, count, _ in self._page_ranges():
            yield start, count

    def percpu(self, pointer: int, cpu: int) -> Optional[int]:
        """per_cpu_ptr(pointer, cpu); None where that CPU has no area."""
        offset = self._percpu_offsets().get(cpu)
        if offset is None:
            return None
        return (pointer + offset) & ((1 << 8 * self.word) - 1)

    def possible_cpus(self) -> List[int]:
        """The CPUs that have a per-CPU area, online or not, ascending."""
        return sorted(self._percpu_offsets())

    def registers(self) -> Dict[int, Dict[str, int]]:
        """The registers of each CPU, by crash's `help -r`; none where that has none."""
        try:
            text: str = self._crash.exec_crash_command("help -r")
        except self._crash.error:
            return {}
        # "CPU 0:", then lines of "RAX: 0123456789abcdef  RBX: ..."; none of a CPU that was off.
        parts = re.split(r"^\s*CPU (\d+):", text, flags=re.MULTILINE)
        found = {}
        for cpu, part in zip(parts[1::2], parts[2::2]):
            values = {name.upper(): int(value, 16) for name, value in _REGISTER(part)}
            if values:
                found[int(cpu)] = values
        return found

    def log(self) -> Optional[str]:
        """The kernel log's text by crash's `log`; None where crash can't tell, or it's empty.

        With who printed each line where this crash can tell (9.0 can). Asked for elsewhere, its
        `log` would complain on the terminal, so its help page is asked first.
        """
        found = None
        if _CALLERS.search(self._command("help log") or ""):
            found = self._command("log -c")
        return found or self._command("log")

    def _command(self, line: str) -> Optional[str]:
        """What a command of crash's prints; None where it fails or prints nothing."""
        try:
            text: str = self._crash.exec_crash_command(line)
        except self._crash.error:
            return None
        # Where `log` failed, crash may say so in the text alone.
        return None if not text.strip() or text.startswith("log: ") else text

    def structs_of_size(self, smallest: int, largest: int) -> Optional[List[str]]:
        """Names of the structures of that many bytes; None where crash can't tell."""
        return typeinfo.structs_of_size(self._crash, smallest, largest)

    def members(self, struct: str) -> List[Member]:
        """Members of a structure and of those in it, by offset. Empty where it's not known."""
        return typeinfo.members(self._crash, struct)

    def module_files(self) -> Optional[Dict[str, bool]]:
        """Module -> whether crash has read its debug information; None where it can't tell."""
        return typeinfo.module_files(self._crash)

    def how_to_load(self, module: str) -> str:
        """What a user has to type to have a module's debug information read."""
        return typeinfo.how_to_load(self._crash, module)

    def _word(self) -> int:
        # struct list_head is two pointers in every kernel.
        size = self._crash.struct_size("struct list_head")
        return 4 if size == 8 else 8

    def _direct_map_start(self) -> Optional[int]:
        """Virtual address of physical 0 in the direct map, which is linear wherever SLUB is.

        Asked of crash's own PTOV() through its command: each architecture and KASLR has
        another answer, and no function of the module `crash` gives it.
        """
        # The answer is kept as long as crash runs, and on PyKdump a Ctrl-C looks like none.
        for _ in range(3):
            try:
                lines = self._crash.exec_crash_command("ptov 0").split("\n")
                return int(lines[1].split()[0], 16)
            except (self._crash.error, IndexError, ValueError):
                continue
        return None

    def _phys_to_page(self, physical: int) -> Optional[int]:
        return self._crash.phys_to_page(physical) or None

    def _end_of_memory(self) -> int:
        """The physical address behind the last page: max_pfn, in bytes."""
        pfn = self._variable("max_pfn", self.word)
        return (pfn or 0) * self.page_size

    def _page_ranges(self) -> List[Tuple[int, int, int]]:
        """(struct page *, number of pages, first page frame), ascending by address."""
        if self._ranges is None:
            found = sorted(self._find_ranges())
            self._ranges = found
        return self._ranges

    def _find_ranges(self) -> Iterator[Tuple[int, int, int]]:
        size = self.struct_size("page")
        end = self._end_of_memory()
        if size is None:
            return
        step = _RANGE_STEP
        while end // step > _RANGE_STEPS and step < _LARGEST_STEP:
            step *= 2
        end = min(end, step * _RANGE_STEPS)
        start, count, first = 0, 0, 0
        for physical in range(0, end, step):
            page = self._phys_to_page(physical)
            pages = min(step, end - physical) // self.page_size
            if count and page == start + count * size:
                count += pages
                continue
            if count:
                yield start, count, first
            start, count, first = (
                page or 0,
                pages if page else 0,
                physical // self.page_size,
            )
        if count:
            yield start, count, first

    def _percpu_offsets(self) -> Dict[int, int]:
        if self._percpu is None:
            self._percpu = self._read_percpu_offsets()
        return self._percpu

    def _read_percpu_offsets(self) -> Dict[int, int]:
        table = self.symbol("__per_cpu_offset")
        if table is None:
            # No CONFIG_SMP: a per-CPU pointer is an ordinary one.
            return {0: 0}
        count = min(self._variable("nr_cpu_ids", 4) or 1, _CPUS)
        possible = self._possible_mask(count)
        offsets = {}
        for cpu in range(count):
            if not possible >> cpu & 1:
                continue
            try:
                data = self.read(table + cpu * self.word, self.word)
            except ReadError:
                continue
            offsets[cpu] = int.from_bytes(data, self.byteorder)
        return offsets

    def _possible_mask(self, count: int) -> int:
        # cpu_possible_bits up to v4.4.
        for name in ("__cpu_possible_mask", "cpu_possible_bits"):
            address = self.symbol(name)
            if address is None:
                continue
            words = (count + 8 * self.word - 1) // (8 * self.word)
            mask = 0
            for number in range(words):
                try:
                    data = self.read(address + number * self.word, self.word)
                except ReadError:
                    return (1 << count) - 1
                mask |= int.from_bytes(data, self.byteorder) << 8 * self.word * number
            if mask:
                return mask
        return (1 << count) - 1

    def _variable(self, name: str, size: int) -> Optional[int]:
        address = self.symbol(name)
        if address is None:
            return None
        try:
            return int.from_bytes(self.read(address, size), self.byteorder)
        except ReadError:
            return None


def _typed(name: str) -> str:
    """The name of a type with its kind; a struct where none is given."""
    return name if name.startswith("union ") else f"struct {name}"
