# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of a kernfs node: of a file or directory of sysfs, or of a cgroup."""

from __future__ import annotations

from typing import List, Optional, Set

from crash_ext.kernel.memory import read_string, read_word
from crash_ext.kernel.structs import MissingMember, find_offset
from crash_ext.reader import Reader, ReadError

_DEPTH = 64
"""Names in a path: more are no path."""


def kernfs_path(reader: Reader, node: int) -> Optional[bytes]:
    """The names of a struct kernfs_node and those above it; b"/" for the root."""
    names: List[bytes] = []
    seen: Set[int] = set()
    try:
        # __parent by the DWARF of 7.3; parent up to 6.12.
        parent_at = reader.offset("kernfs_node", "__parent")
        if parent_at is None:
            parent_at = find_offset(reader, "kernfs_node", "parent")
        name_at = find_offset(reader, "kernfs_node", "name")
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
