# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a cache live, left behind by a failed destroy, or not to be told?

Judged by what kmem_cache_destroy() leaves in memory, never by the name. Knows one
cache and how many slabs it holds; reads nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from crash_ext.slub.model import Cache

LIVE = "live"
LEFTOVER = "leftover"
UNKNOWN = "unknown"

# include/linux/poison.h: LIST_POISON1 is 0x100 above an architecture's base, LIST_POISON2
# 0x122 (0x200 up to v5.2).
_POISON1 = 0x100
_POISON2 = (0x122, 0x200)
_POISON_MASK = 0xFFF


class State(NamedTuple):
    """LIVE, LEFTOVER or UNKNOWN, and the evidence in words."""

    kind: str
    reason: str


def judge(cache: Cache, slabs: int) -> State:
    """The state of a cache that still holds this many slabs.

    kmem_cache_destroy() drops the last reference before it shuts the cache down, and a
    shutdown that finds objects leaves it at 0. Up to v6.11 the cache stays listed, from
    v6.12 on its list pointers are poisoned. A destroy that is running passes through
    both states, but not for as long as it holds slabs with objects.
    """
    if cache.listed:
        if cache.refcount != 0:
            return State(LIVE, f"listed, refcount {cache.refcount}")
        if slabs:
            return State(LEFTOVER, f"listed, refcount 0, holds {slabs} slabs")
        return State(UNKNOWN, "refcount 0 but no slab: being destroyed, or emptied since it failed")
    if cache.refcount == 0 and unlinked(cache):
        if slabs:
            return State(LEFTOVER, f"unlinked, refcount 0, holds {slabs} slabs")
        return State(UNKNOWN, "unlinked, no slab: being destroyed, or emptied since it failed")
    if cache.list_next == 0 and cache.list_prev == 0:
        return State(UNKNOWN, "never linked: being created")
    if cache.refcount == 0:
        return State(
            UNKNOWN, f"refcount 0, not on slab_caches, holds {slabs} slabs: being destroyed"
        )
    return State(UNKNOWN, f"not on slab_caches, but refcount {cache.refcount}")


def unlinked(cache: Cache) -> bool:
    """Whether list_del() has poisoned the cache's list pointers."""
    base = cache.list_next - _POISON1
    return base & _POISON_MASK == 0 and any(cache.list_prev == base + poison for poison in _POISON2)
