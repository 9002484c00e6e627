# SPDX-License-Identifier: GPL-3.0-or-later
"""Red zones, cross-checked with what is allocated, in caches with SLAB_RED_ZONE.

The kernel fills an object's red zones with one byte while it's allocated and with
another while it's free (include/linux/poison.h), independent of any freelist. A zone
that holds neither was overwritten, and tells nothing.
"""

from __future__ import annotations

from typing import Container, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.slub.freelist import Geometry
from crash_ext.slub.model import ALLOCATED, FREE, UNKNOWN, Cache

_INACTIVE = 0xBB
_ACTIVE = 0xCC


class Verdict(NamedTuple):
    """What the red zones say against the freelists."""

    states: bytes
    """The states, UNKNOWN where a red zone contradicts."""
    remarks: List[str]
    """A line for each object whose red zone contradicts or was overwritten."""


def cross_check(
    cache: Cache,
    where: Geometry,
    memory: bytes,
    states: bytes,
    word: int,
    deferred: Container[int] = (),
) -> Verdict:
    """Compare the states of a slab's objects with their red zones.

    memory: the slab's bytes; word: of a free pointer. Objects that are neither free nor
    allocated are passed over, and those whose free is put off (deferred: their indices):
    kfree_nolock() leaves the zones to the work that is done later (v6.18, mm/slub.c).
    """
    checked = bytearray(states)
    remarks: List[str] = []
    for index, state in enumerate(states):
        if state not in (FREE, ALLOCATED) or index in deferred:
            continue
        zone = _zone(cache, where, memory, index, word)
        if not zone:
            break
        told = _told(zone)
        if told == state:
            continue
        address = where.first + index * where.size
        if told is None:
            remarks.append(f"object {hexa(address)}: red zone overwritten: {zone.hex()}")
        else:
            checked[index] = UNKNOWN
            says, lists = ("allocated", "free") if told == ALLOCATED else ("free", "allocated")
            remarks.append(
                f"object {hexa(address)}: {says} by its red zone, {lists} by the freelists"
            )
    return Verdict(bytes(checked), remarks)


def _zone(cache: Cache, where: Geometry, memory: bytes, index: int, word: int) -> bytes:
    """The left red zone where there's one (v4.6 and later), else what is left of the right.

    The right one may start inside the object: from v6.2 on a kmalloc cache that stores
    the size asked for has it behind that many bytes. Up to v5.12 a free object smaller than
    a pointer has its free pointer over the zone's begin. Empty where there's no zone.
    """
    start = where.shift + index * where.size
    if cache.red_left:
        return memory[start - cache.red_left : start]
    first = cache.object_size
    if cache.offset < cache.inuse:
        # Linux kernel commit 74c1d3e08153 ("mm/slub: fix redzoning for small allocations")
        # (in v5.13).
        first = max(first, cache.offset + word)
    return memory[start + first : start + cache.inuse]


def _told(zone: bytes) -> Optional[int]:
    if zone == bytes([_ACTIVE]) * len(zone):
        return ALLOCATED
    if zone == bytes([_INACTIVE]) * len(zone):
        return FREE
    return None
