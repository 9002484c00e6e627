# SPDX-License-Identifier: GPL-3.0-or-later
"""The old entries of sheaves (v6.18 and later): pointers behind their size hold nothing.

A sheaf is an ordinary kmalloc object, so it is known by what it holds: the address of a
cache where struct slab_sheaf has it. Those of caches that are on no list count, too.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import List, Set, Tuple

from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache
from crash_ext.slub.sheaves import SHEAF_BOUND


def stale_entries(slub: Slub, targets: Targets, caches: List[Cache]) -> List[Tuple[int, int]]:
    """(start, end) of the part of each sheaf that lies behind its entries, ascending."""
    if slub.layout.sheaves is None:
        return []
    struct = slub.layout.sheaf
    at = struct.offset("cache")
    found: Set[Tuple[int, int]] = set()
    wanted = Targets((cache.address, 1) for cache in caches)
    for hit in find_pointers(slub.reader, wanted, Summary(), cap=1 << 30):
        start = hit.holder - at
        number = bisect_left(targets.starts, start)
        if number >= len(targets.starts) or targets.starts[number] != start:
            continue
        try:
            head = slub.reader.read(start, struct.span("cache", "size"))
        except ReadError:
            continue
        size = struct.value(head, "size")
        first = start + struct.offset("objects") + size * slub.reader.word
        end = targets.ends[number]
        if size <= SHEAF_BOUND and first < end:
            found.add((first, end))
    return sorted(found)
