# SPDX-License-Identifier: GPL-3.0-or-later
"""The old entries of sheaves (v6.18 and later): pointers behind their size hold nothing.

A sheaf is an ordinary kmalloc object, so it is known by what it holds: the address of a
cache where struct slab_sheaf has it. Those of caches that are on no list count, too.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Iterable, Iterator, List, Set, Tuple

from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache
from crash_ext.slub.sheaves import SHEAF_BOUND


def may_have_sheaves(slub: Slub, cache: Cache) -> bool:
    """Whether objects of this cache may be sheaves: those of kmalloc caches, by their flag."""
    flag = slub.layout.flags.mask("KMALLOC")
    return slub.layout.sheaves is not None and (not flag or bool(cache.flags & flag))


def stale_entries(
    slub: Slub, targets: Targets, caches: List[Cache], slabs: Iterable[Tuple[int, int]]
) -> List[Tuple[int, int]]:
    """(start, end) of the part of each sheaf that lies behind its entries, ascending.

    slabs: (address, bytes) of those that may hold sheaves; only they are searched.
    """
    if slub.layout.sheaves is None:
        return []
    struct = slub.layout.sheaf
    at = struct.offset("cache")
    found: Set[Tuple[int, int]] = set()
    wanted = Targets((cache.address, 1) for cache in caches)
    pieces = _readable(slub, slabs)
    for hit in find_pointers(slub.reader, wanted, Summary(), cap=1 << 30, pieces=pieces):
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


def _readable(slub: Slub, slabs: Iterable[Tuple[int, int]]) -> Iterator[Tuple[int, bytes]]:
    """What can be read of some slabs: a slab whole, or its pages."""
    size = slub.reader.page_size
    for base, length in slabs:
        data = slub.reader.try_read(base, length)
        if data is not None:
            yield base, data
            continue
        for address in range(base, base + length, size):
            data = slub.reader.try_read(address, size)
            if data is not None:
                yield address, data
