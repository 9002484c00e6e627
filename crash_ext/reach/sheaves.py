# SPDX-License-Identifier: GPL-3.0-or-later
"""The old entries of sheaves (v6.18 and later): pointers behind their size hold nothing.

A sheaf is an ordinary kmalloc object, so it is known by what it holds: the address of a
cache where struct slab_sheaf has it. Those of caches that are on no list count, too.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Iterator, List, Tuple

from crash_ext.kernel.search import Targets, pointer_finder
from crash_ext.reach.extents import Extents
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache
from crash_ext.slub.sheaves import SHEAF_BOUND

BEHIND_SHEAF = "behind the entries of a sheaf"
"""Why a pointer there is worth nothing: the allocator's own word, and of no owner."""


def may_have_sheaves(slub: Slub, cache: Cache) -> bool:
    """Whether objects of this cache may be sheaves: those of kmalloc caches, by their flag."""
    flag = slub.layout.flags.mask("KMALLOC")
    return slub.layout.sheaves is not None and (not flag or bool(cache.flags & flag))


class Sheaves:
    """Finds sheaves in the memory of slabs.

    targets: the allocated objects; caches: all; slabs: those that may hold sheaves.
    """

    def __init__(self, slub: Slub, targets: Targets, caches: List[Cache], slabs: Extents) -> None:
        self._slub = slub
        self._targets = targets
        self._slabs = slabs
        self._find = None
        if slub.layout.sheaves is not None:
            wanted = Targets((cache.address, 1) for cache in caches)
            self._find = pointer_finder(slub.reader, wanted)

    def stale(self, address: int, data: bytes) -> Iterator[Tuple[int, int]]:
        """(start, bytes) of what lies behind the entries of each sheaf that has its cache in a
        piece of memory, ascending."""
        if self._find is None:
            return
        struct, targets = self._slub.layout.sheaf, self._targets
        for low, high in self._slabs.of(address, address + len(data)):
            first = max(0, low - address)
            for offset, _, _ in self._find(data[first : high - address]):
                start = address + first + offset - struct.offset("cache")
                number = bisect_left(targets.starts, start)
                if number >= len(targets.starts) or targets.starts[number] != start:
                    continue
                try:
                    head = self._slub.reader.read(start, struct.span("cache", "size"))
                except ReadError:
                    continue
                size = struct.value(head, "size")
                behind = start + struct.offset("objects") + size * self._slub.reader.word
                if size <= SHEAF_BOUND and behind < targets.end(number):
                    yield behind, targets.end(number) - behind
