# SPDX-License-Identifier: GPL-3.0-or-later
"""The loaded modules, where they lie, and their symbols, as the kernel itself has them.

Asked of memory, not of crash: crash may run without the modules (--no_modules) or know
only its own pseudo symbols of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.memory import read_string, walk_both_ways
from crash_ext.kernel.ranges import Ranges
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

_MODULES = 1 << 13
_REGIONS = 16
_SYMBOLS = 1 << 18
_NAMES = 1 << 24
"""Most bytes of a module's string table."""
_LARGEST = 1 << 28
"""Bytes. A region that is longer is no module's."""
_UNSIZED = 1 << 12
"""Bytes that a symbol without a size may have, if the next one doesn't come before."""


class Region(NamedTuple):
    """A range of addresses of a module: text, data, ..."""

    start: int
    end: int
    module: int
    """struct module *"""
    name: bytes


class Symbol(NamedTuple):
    """A symbol of a module."""

    address: int
    name: bytes
    size: int
    """Bytes; 0 where that isn't known: then it reaches to the next symbol, if that is near."""


class Modules:
    """The modules of a kernel. Nothing is found where it has none or they can't be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.regions: Ranges[Region] = Ranges()
        """Of all loaded modules."""
        self.percpu: Ranges[Region] = Ranges()
        """The per-CPU pointers to their variables of that sort."""
        self.last_unloaded = _last_unloaded(reader)
        self._symbols: Dict[int, List[Symbol]] = {}
        self._inits: Dict[int, bytes] = {}
        """Page number of a module's init function -> its name."""
        try:
            self._forms = _Forms(reader)
        except MissingMember:
            return
        percpu: List[Region] = []
        self.regions = Ranges(self._find(percpu))
        self.percpu = Ranges(percpu)

    def symbol(self, region: Region, address: int) -> Optional[Symbol]:
        """The symbol of the region that an address lies in; None between two symbols."""
        symbols = self._symbols_of(region.module)
        at = bisect_right(symbols, (address + 1,)) - 1
        if at < 0 or symbols[at].address < region.start:
            return None
        found = symbols[at]
        return found if address < found.address + (found.size or _UNSIZED) else None

    def symbols_named(self, module: bytes, name: bytes) -> List[Symbol]:
        """A module's symbols of a name: static functions may share one."""
        heads = {region.module for region in self.regions if region.name == module}
        return [each for head in heads for each in self._symbols_of(head) if each.name == name]

    def freed_init(self, address: int) -> Optional[bytes]:
        """The loaded module whose init code was at an address, and was freed when it had run.

        Known by the page of its init function, to which struct module still points.
        """
        if self.regions.at(address) is not None:
            return None
        return self._inits.get(address // self._reader.page_size)

    def starts(self, region: Region, address: int) -> bool:
        """Whether a symbol of the region's module starts at an address."""
        symbols = self._symbols_of(region.module)
        at = bisect_right(symbols, (address + 1,)) - 1
        return at >= 0 and symbols[at].address == address

    def _symbols_of(self, module: int) -> List[Symbol]:
        if module in self._symbols:
            return self._symbols[module]
        symbols = self._forms.symbols(self._reader, module)
        wanted = [each for each in symbols if self._holds(module, each.address)]
        wanted.sort(key=lambda each: (each.address, _rank(each.name), each.name))
        plain = [
            each
            for number, each in enumerate(wanted)
            if not number or wanted[number - 1].address != each.address
        ]
        self._symbols[module] = plain
        return plain

    def _holds(self, module: int, address: int) -> bool:
        region = self.regions.at(address) or self.percpu.at(address)
        return region is not None and region.module == module

    def _find(self, percpu: List[Region]) -> Iterator[Region]:
        """percpu: takes what the modules have of per-CPU pointers."""
        head = self._reader.symbol("modules")
        if head is None:
            return
        link = self._forms.module.offset("list")
        for entry in walk_both_ways(self._reader, head).addresses[:_MODULES]:
            module = entry - link
            try:
                data = self._reader.read(module, self._forms.module.span())
            except ReadError:
                continue
            at = self._forms.module.offset("name")
            name = data[at : at + self._forms.module.size("name")].split(b"\0")[0]
            if "init" in self._forms.module:
                init = self._forms.module.pointer(data, "init")
                self._inits[init // self._reader.page_size] = name
            if "percpu" in self._forms.module and "percpu_size" in self._forms.module:
                first = self._forms.module.pointer(data, "percpu")
                end = first + self._forms.module.value(data, "percpu_size")
                if first < end:
                    percpu.append(Region(first, end, module, name))
            for start, size in self._forms.regions(data):
                if start and 0 < size < _LARGEST:
                    yield Region(start, start + size, module, name)


class _Forms:
    """How this kernel keeps its modules. Raises MissingMember where that's not known."""

    def __init__(self, reader: Reader) -> None:
        self._word, self._byteorder = reader.word, reader.byteorder
        # Linux kernel commit ac3b43283923 ("module: replace module_layout with module_memory")
        # (in v6.4). Before, since Linux kernel commit 7523e4dc5057 ("module: use a structure to
        # encapsulate layout.") (in v4.5), struct module_layout; then module_core and core_size.
        self.memory: Optional[Struct] = None
        self.layout: Optional[Struct] = None
        self.stride = reader.struct_size("module_memory") or 0
        if self.stride and reader.offset("module", "mem") is not None:
            where: Tuple[str, ...] = ("mem",)
            self.memory = Struct(reader, "module_memory", ("base", "size"))
        elif reader.offset("module", "core_layout") is not None:
            where = ("core_layout",)
            self.layout = Struct(reader, "module_layout", ("base", "size"))
        else:
            where = ("module_core", "core_size")
        # Linux kernel commit 8244062ef1e5 ("modules: fix longstanding /proc/kallsyms vs module
        # insertion race.") (in v4.5) made struct mod_kallsyms of members of struct module.
        self.kallsyms: Optional[Struct] = None
        names: Tuple[str, ...] = ("symtab", "num_symtab", "strtab")
        if reader.offset("module", "kallsyms") is not None:
            self.kallsyms = Struct(reader, "mod_kallsyms", names)
            names = ("kallsyms",)
        self.module = Struct(
            reader, "module", ("list", "name", *where), (*names, "init", "percpu", "percpu_size")
        )
        self.tables = names
        elf = "elf64_sym" if reader.word == 8 else "elf32_sym"
        self.symbol_size = reader.struct_size(elf) or 0
        self.elf: Optional[Struct] = None
        if self.symbol_size:
            self.elf = Struct(reader, elf, ("st_name", "st_value", "st_size", "st_shndx"))

    def regions(self, data: bytes) -> Iterator[Tuple[int, int]]:
        """(start, size) of each region, in the bytes of a struct module."""
        module = self.module
        if self.memory is not None:
            at = module.offset("mem")
            for number in range(min(module.size("mem") // self.stride, _REGIONS)):
                base = at + number * self.stride
                yield (
                    self.memory.pointer(data, "base", base),
                    self.memory.value(data, "size", base),
                )
        elif self.layout is not None:
            at = module.offset("core_layout")
            yield (
                self.layout.pointer(data, "base", at),
                self.layout.value(data, "size", at),
            )
        else:
            yield module.pointer(data, "module_core"), module.value(data, "core_size")

    def symbols(self, reader: Reader, module: int) -> List[Symbol]:
        """The symbols of a struct module *, none where they can't be read."""
        if self.elf is None or any(name not in self.module for name in self.tables):
            return []
        try:
            data = reader.read(module, self.module.span())
            table = self.module
            if self.kallsyms is not None:
                address = self.module.pointer(data, "kallsyms")
                table = self.kallsyms
                data = reader.read(address, table.span())
            count = min(table.value(data, "num_symtab"), _SYMBOLS)
            strings = table.pointer(data, "strtab")
            symbols = reader.read(table.pointer(data, "symtab"), count * self.symbol_size)
        except ReadError:
            return []
        return list(self._named(reader, symbols, strings))

    def _named(self, reader: Reader, symbols: bytes, strings: int) -> Iterator[Symbol]:
        elf = self.elf
        assert elf is not None
        starts = range(0, len(symbols), self.symbol_size)
        names = array("L", (elf.value(symbols, "st_name", start) for start in starts))
        end = min(max(names, default=0), _NAMES)
        text = _read_up_to(reader, strings, end)
        for start, at in zip(starts, names):
            if not elf.value(symbols, "st_shndx", start) or at > len(text):
                continue
            found = text[at : text.find(b"\0", at)]
            # As in the kernel's own kallsyms: no mapping symbols, no local labels.
            if found and found[:1] != b"$" and found[:2] != b".L":
                value, size = (elf.value(symbols, name, start) for name in ("st_value", "st_size"))
                yield Symbol(value, found, size)


def _rank(name: bytes) -> int:
    """Of several names for one address the module's own is the best."""
    if name.endswith((b"init_module", b"cleanup_module")):
        return 2
    return int(name.startswith(b"_"))


def _read_up_to(reader: Reader, address: int, last: int) -> bytes:
    """The strings from an address to the one that starts `last` bytes behind it, whole."""
    try:
        text = reader.read(address, last) if last else b""
    except ReadError:
        return b""
    return text + (read_string(reader, address + last) or b"") + b"\0"


def _last_unloaded(reader: Reader) -> Optional[bytes]:
    """The name of the module that was unloaded last, None where that isn't known."""
    symbol = reader.symbol("last_unloaded_module")
    if symbol is None:
        return None
    # An array of characters; since Linux kernel commit 6f1dae1d84b6 ("module: Show the last
    # unloaded module's taint flag(s)") (in v6.1) a struct that opens with one.
    name = read_string(reader, symbol)
    return name if name and name.isascii() and len(name) < 64 else None
