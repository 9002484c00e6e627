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
from crash_ext.reader import ReadError

SYSCTL = "header of a sysctl table of the kernel's own: never taken away"
_TABLES = ("ctl_table_arg", "ctl_table")


def known_reason(places: Places, address: int) -> Optional[str]:
    """Why an object that nothing leads to is no leak; None for any other."""
    reader = places.slub.reader
    root = reader.symbol("sysctl_table_root")
    root_at = reader.offset("ctl_table_header", "root")
    if root is None or root_at is None:
        return None
    for name in _TABLES:
        offset = reader.offset("ctl_table_header", name)
        if offset is None:
            continue
        try:
            table = int.from_bytes(reader.read(address + offset, reader.word), reader.byteorder)
            own = int.from_bytes(reader.read(address + root_at, reader.word), reader.byteorder)
        except ReadError:
            return None
        # A table of tables (up to v6.5) has a header without a root.
        if own not in (root, 0):
            continue
        place = places.name(table)
        if place is not None and place.kind == SYMBOL and place.offset == 0:
            return SYSCTL
    return None
