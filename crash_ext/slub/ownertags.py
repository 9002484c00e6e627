# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object's extension points to: the line that allocated it, the memcg that pays for it.

Each is read once and kept. A record that can't be one (a name that isn't text) is not told.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Set

from crash_ext.kernel.memory import read_number, read_string, read_word
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

_DEPTH = 64
"""Names in a cgroup's path: more are no path."""
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


class Memcg(NamedTuple):
    """The memory cgroup that an object is charged to."""

    address: int
    """struct mem_cgroup *"""
    number: Optional[int]
    """mem_cgroup.id: the kernel's private number for it."""
    path: Optional[bytes]
    """Of its cgroup, from the hierarchy's root; None where it can't be read."""


class OwnerTags:
    """Reads such records of one kernel."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._tags: Dict[int, Optional[AllocationTag]] = {}
        self._memcgs: Dict[int, Optional[Memcg]] = {}

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

    def _read_tag(self, address: int, problems: List[str]) -> Optional[AllocationTag]:
        reader = self._reader
        try:
            struct = Struct(reader, "codetag", ("lineno", "modname", "function", "filename"))
            data = reader.read(address, struct.span())
        except (MissingMember, ReadError) as error:
            problems.append(f"allocation tag {address:x}: {error}")
            return None
        file = read_string(reader, struct.pointer(data, "filename"))
        function = read_string(reader, struct.pointer(data, "function"))
        line = struct.value(data, "lineno")
        modname = struct.pointer(data, "modname")
        module = read_string(reader, modname) if modname else None
        named = _is_name(file) and _is_name(function) and (not modname or _is_name(module))
        if file is None or function is None or not named or not 0 < line < _LINES:
            # That of a module may be gone with the module.
            problems.append(f"allocation tag {address:x}: no struct codetag any more")
            return None
        return AllocationTag(address, file, line, function, module)

    def _read_memcg(self, objcg: int, problems: List[str]) -> Optional[Memcg]:
        reader = self._reader
        try:
            address = read_word(reader, objcg + self._offset("obj_cgroup", "memcg"))
            if not address:
                return None
            css = address + self._offset("mem_cgroup", "css")
            cgroup = read_word(reader, css + self._offset("cgroup_subsys_state", "cgroup"))
            subsystem = read_word(reader, css + self._offset("cgroup_subsys_state", "ss"))
        except (MissingMember, ReadError) as error:
            problems.append(f"obj_cgroup {objcg:x}: {error}")
            return None
        if subsystem != reader.symbol("memory_cgrp_subsys"):
            problems.append(f"obj_cgroup {objcg:x}: {address:x} is no struct mem_cgroup")
            return None
        return Memcg(address, self._number(address), self._path(cgroup))

    def _number(self, memcg: int) -> Optional[int]:
        reader = self._reader
        # The 7.3 tree calls it struct mem_cgroup_private_id (mm/memcontrol-v1.h, by its DWARF).
        for struct in ("mem_cgroup_private_id", "mem_cgroup_id"):
            inner = reader.offset(struct, "id")
            if inner is None:
                continue
            try:
                at = memcg + self._offset("mem_cgroup", "id") + inner
                return read_number(reader, at, reader.size(struct, "id") or 4)
            except (MissingMember, ReadError):
                return None
        return None

    def _path(self, cgroup: int) -> Optional[bytes]:
        """The names of the cgroup's kernfs nodes, joined as in /proc/PID/cgroup."""
        reader = self._reader
        names: List[bytes] = []
        seen: Set[int] = set()
        try:
            # __parent by the DWARF of 7.3; parent up to 6.12.
            parent_at = reader.offset("kernfs_node", "__parent")
            if parent_at is None:
                parent_at = self._offset("kernfs_node", "parent")
            name_at = self._offset("kernfs_node", "name")
            node = read_word(reader, cgroup + self._offset("cgroup", "kn"))
            while True:
                if not node or node in seen or len(seen) >= _DEPTH:
                    return None
                seen.add(node)
                parent = read_word(reader, node + parent_at)
                if not parent:
                    return b"/" + b"/".join(reversed(names))
                name = read_string(reader, read_word(reader, node + name_at))
                if not name:
                    return None
                names.append(name)
                node = parent
        except (MissingMember, ReadError):
            return None

    def _offset(self, struct: str, member: str) -> int:
        offset = self._reader.offset(struct, member)
        if offset is None:
            raise MissingMember(f"struct {struct} has no member {member}")
        return offset


def _is_name(text: Optional[bytes]) -> bool:
    """Whether it can be a name in the kernel's source."""
    return bool(text) and all(0x20 < byte < 0x7F for byte in text or b"")
