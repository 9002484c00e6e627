# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a cache live, left behind by a failed destroy, or unknown?

Judged by what kmem_cache_destroy() leaves in memory, never by the name. Knows one
cache and what it holds; reads nothing.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

from crash_ext.hexa import hexa
from crash_ext.kernel.say import count
from crash_ext.slub.model import Cache

LIVE = "live"
LEFTOVER = "leftover"
UNKNOWN = "unknown"

# include/linux/poison.h: LIST_POISON1 is 0x100 above an architecture's base, LIST_POISON2
# 0x122 (0x200 up to v5.2).
_POISON1 = 0x100
_POISON2 = (0x122, 0x200)
_POISON_MASK = 0xFFF


class Held(NamedTuple):
    """What a cache still holds, by itself or with its memcg children."""

    slabs: int
    allocated: int
    unknown: int
    """Objects of damaged slabs, and of slabs that can't be read."""
    lacking: bool
    """Not all of its slabs were found."""

    @property
    def more(self) -> bool:
        """Whether there may be more allocated objects."""
        return self.lacking or self.unknown > 0

    def plus(self, others: Sequence[Held]) -> Held:
        """All of them together."""
        every = (self, *others)
        return Held(
            sum(held.slabs for held in every),
            sum(held.allocated for held in every),
            sum(held.unknown for held in every),
            any(held.lacking for held in every),
        )

    def text(self) -> str:
        """5 allocated objects in 2 slabs; 5+ where it may be more."""
        objects = count(self.allocated, "allocated object", self.more)
        return f"{objects} in {count(self.slabs, 'slab', self.lacking)}"


class State(NamedTuple):
    """LIVE, LEFTOVER or UNKNOWN, and the evidence in words."""

    kind: str
    reason: str


def judge(
    cache: Cache,
    holds: Held,
    mutex_held: Optional[bool],
    root: Optional[Cache] = None,
    in_children: str = "",
    cgroup: str = "",
) -> State:
    """The state of a cache by what it still holds, its memcg children included.

    mutex_held: slab_mutex is taken; None where that can't
    be told. root: of a memcg child, where it is known. in_children: how many of the objects
    lie in which children, in words; cgroup: whose a memcg child is (family.cgroup_text).

    kmem_cache_destroy() drops the last reference before it shuts the cache down, and a
    shutdown that finds objects leaves it at 0. Up to v6.11 the cache then stays on the
    list, from v6.12 on it is unlinked behind the shutdown, failed or not. A destroy that
    is running has the mutex, and frees every slab that holds no object. A busy memcg child
    keeps its refcount of 1: it shares its root's fate.
    """
    slabs, allocated, held = holds.slabs, holds.allocated, holds.text()
    passing = "being destroyed, or emptied since it failed"
    if holds.lacking or holds.unknown:
        passing = "being destroyed, emptied since it failed, or with objects that can't be read"
    if in_children:
        held += f" ({in_children})"
    refcount = f"refcount {cache.refcount}"
    if cache.refcount < 0:
        refcount += " (destroyed again after that had failed)"
    if root is not None and root.listed and root.destroyed and cache.listed:
        of = (
            f"memcg child of {hexa(root.address)}, which has refcount {root.refcount}:"
            f" {held}{cgroup}"
        )
        if allocated or mutex_held is False:
            return State(LEFTOVER, of)
        return State(UNKNOWN, f"{of}: {passing}")
    if cache.listed and not cache.destroyed:
        also = f", {held}" if in_children else ""
        return State(LIVE, f"on slab_caches, refcount {cache.refcount}{also}{cgroup}")
    if cache.listed:
        if allocated:
            return State(LEFTOVER, f"on slab_caches, {refcount}, {held}")
        if mutex_held is False:
            return State(LEFTOVER, f"on slab_caches, {refcount}, no destroy is running, {held}")
        return State(UNKNOWN, f"{refcount}, {held}: {passing}")
    if cache.destroyed and unlinked(cache):
        if slabs:
            return State(LEFTOVER, f"unlinked from slab_caches, {refcount}, {held}")
        return State(UNKNOWN, f"unlinked, no slab{' could be found' * holds.lacking}: {passing}")
    if cache.list_next == 0 and cache.list_prev == 0:
        return State(UNKNOWN, "never linked to slab_caches: being created")
    if cache.refcount == 0:
        return State(UNKNOWN, f"not on slab_caches, refcount 0, {held}: being destroyed")
    return State(UNKNOWN, f"not on slab_caches, but refcount {cache.refcount}")


def unlinked(cache: Cache) -> bool:
    """Whether list_del() has poisoned the cache's list pointers."""
    base = cache.list_next - _POISON1
    return base & _POISON_MASK == 0 and any(cache.list_prev == base + poison for poison in _POISON2)
