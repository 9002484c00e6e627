# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that every kernel loses at boot, and harmlessly: what they are, by their contents.

The kernel marks them kmemleak_not_leak(): headers of sysctl tables that were registered at
boot and are never taken away again, so nobody keeps the pointer (fs/proc/proc_sysctl.c,
__register_sysctl_init()).
"""

from __future__ import annotations

from typing import Optional

from crash_ext.places.place import SYMBOL
from crash_ext.places.places import Places

SYSCTL = "header of a sysctl table of the kernel's own: never taken away"
_TABLES = ("ctl_table_arg", "ctl_table")


class Known:
    """Tells what is harmless of what nothing leads to."""

    def __init__(self, places: Places) -> None:
        self._places = places
        reader = self._reader = places.session.reader
        self._root = reader.symbol("sysctl_table_root")
        root_at = reader.offset("ctl_table_header", "root")
        offsets = [reader.offset("ctl_table_header", name) for name in _TABLES]
        self._tables_at = [offset for offset in offsets if offset is not None]
        self._root_at = 0 if root_at is None else root_at
        self._length = 0
        if self._root is not None and root_at is not None and self._tables_at:
            # Else this kernel has no such headers, or we don't know them.
            self._length = max(root_at, *self._tables_at) + reader.word

    def reason(self, data: bytes) -> Optional[str]:
        """Why an object with these contents is no leak; None for any other."""
        if not 0 < self._length <= len(data):
            return None
        # A table of tables (up to v6.5) has a header without a root.
        if self._word(data, self._root_at) not in (self._root, 0):
            return None
        for offset in self._tables_at:
            table = self._word(data, offset)
            place = self._places.name(table) if table else None
            if place is not None and place.kind == SYMBOL and place.offset == 0:
                return SYSCTL
        return None

    def _word(self, data: bytes, offset: int) -> int:
        return int.from_bytes(data[offset : offset + self._reader.word], self._reader.byteorder)
