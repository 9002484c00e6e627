# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object's extension points to: the line that allocated it, the memcg that pays for it.

Each is read once and kept. A record that can't be one (a name that isn't text) is not told.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_string, read_word
from crash_ext.kernel.structs import MissingMember, Struct, find_offset
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.memcg import Memcg, NoMemcg, memcg_of_child, read_memcg

_LINES = 1 << 24


class AllocationTag(NamedTuple):
    """A line of source that allocates (struct codetag)."""

    address: int
    """struct codetag *"""
    file: bytes
    line: int
    function: bytes
    module: Optional[bytes]
    """None for the kernel itself."""


class OwnerTags:
    """Reads such records of one kernel."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._tags: Dict[int, Optional[AllocationTag]] = {}
        self._memcgs: Dict[int, Optional[Memcg]] = {}
        self._payers: Dict[int, Optional[Memcg]] = {}

    def tag(self, address: int, problems: List[str]) -> Optional[AllocationTag]:
        """The struct codetag at an address; None, and a problem once, where it can't be one."""
        if address not in self._tags:
            self._tags[address] = self._read_tag(address, problems)
        return self._tags[address]

    def memcg(self, objcg: int, problems: List[str]) -> Optional[Memcg]:
        """The memcg of a struct obj_cgroup; None, and a problem once, where it can't be read."""
        if objcg not in self._memcgs:
            self._memcgs[objcg] = self._read_memcg(objcg, problems)
        return self._memcgs[objcg]

    def memcg_of_cache(self, cache: int) -> Optional[Memcg]:
        """The memcg that all objects of a cache are charged to: that of a memcg child."""
        if cache not in self._payers:
            self._payers[cache] = memcg_of_child(self._reader, cache)
        return self._payers[cache]

    def _read_tag(self, address: int, problems: List[str]) -> Optional[AllocationTag]:
        reader = self._reader
        try:
            struct = Struct(reader, "codetag", ("lineno", "modname", "function", "filename"))
            data = reader.read(address, struct.span())
        except (MissingMember, ReadError) as error:
            problems.append(f"allocation tag {hexa(address)}: {error}")
            return None
        file = read_string(reader, struct.pointer(data, "filename"))
        function = read_string(reader, struct.pointer(data, "function"))
        line = struct.value(data, "lineno")
        modname = struct.pointer(data, "modname")
        module = read_string(reader, modname) if modname else None
        named = _is_name(file) and _is_name(function) and (not modname or _is_name(module))
        if file is None or function is None or not named or not 0 < line < _LINES:
            # That of a module may be gone with the module.
            problems.append(f"allocation tag {hexa(address)}: no struct codetag any more")
            return None
        return AllocationTag(address, file, line, function, module)

    def _read_memcg(self, objcg: int, problems: List[str]) -> Optional[Memcg]:
        reader = self._reader
        try:
            address = read_word(reader, objcg + find_offset(reader, "obj_cgroup", "memcg"))
            return read_memcg(reader, address) if address else None
        except (MissingMember, ReadError, NoMemcg) as error:
            problems.append(f"obj_cgroup {hexa(objcg)}: {error}")
            return None


def _is_name(text: Optional[bytes]) -> bool:
    """Whether it can be a name in the kernel's source."""
    return bool(text) and all(0x20 < byte < 0x7F for byte in text or b"")
