# SPDX-License-Identifier: GPL-3.0-or-later
"""Root caches and their per-memcg children (v3.10 to v5.8).

An accounted cache has a child in each cgroup that allocates from it. When the root is
destroyed, children that are empty go; a busy one stays on slab_caches with refcount 1, and
the root is left at 0. So what the root's destroy failed for lies in its children, too.
Knows which cache belongs to which, and how many objects a child's slabs count.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Sequence

from crash_ext.leak.state import Held
from crash_ext.reader import Reader
from crash_ext.report.text import counted, printable
from crash_ext.slub.memcg import memcg_of_child
from crash_ext.slub.model import Cache
from crash_ext.slub.objects import for_each_counted_slab
from crash_ext.slub.session import Session


class Families:
    """Which of the caches are children of which."""

    def __init__(self, caches: Iterable[Cache]) -> None:
        self._caches: Dict[int, Cache] = {}
        self._children: Dict[int, List[Cache]] = {}
        for cache in caches:
            self._caches[cache.address] = cache
            if cache.root:
                self._children.setdefault(cache.root, []).append(cache)

    def root(self, cache: Cache) -> Optional[Cache]:
        """The root of a child; None for a root, and where the root is no known cache."""
        return self._caches.get(cache.root) if cache.root else None

    def children(self, cache: Cache) -> List[Cache]:
        """The children of a root, in the caches' order; none for a child."""
        return self._children.get(cache.address, [])

    def with_children(self, cache: Cache) -> List[Cache]:
        """A cache and, where it is a root, its children."""
        return [cache, *self.children(cache)]

    def kin(self, cache: Cache) -> List[Cache]:
        """The cache's root and all children of that one: their objects are of one kind."""
        return self.with_children(self.root(cache) or cache)

    def living_namesakes(self, cache: Cache) -> List[List[Cache]]:
        """What a cache that was left behind can be compared with: families that are in use.

        Their roots have the name and object size of the cache's root. Root first, without
        its children that were left behind themselves.
        """
        own = self.root(cache) or cache
        found: List[List[Cache]] = []
        for other in self._caches.values():
            alike = own.name is not None and (other.name, other.object_size) == (
                own.name,
                own.object_size,
            )
            if alike and _in_use(other) and not self.is_member(other):
                members = filter(_in_use, self.with_children(other))
                found.append([member for member in members if member is not cache])
        return found

    def is_member(self, cache: Cache) -> bool:
        """Whether the cache is a child of a known root: then it goes with that one."""
        return self.root(cache) is not None

    def dead_namesakes(self, cache: Cache) -> List[Cache]:
        """Other caches that a failed destroy may have left behind under its name or a child's."""
        own = self.with_children(cache)
        names = {member.name for member in own if member.name is not None}
        return [
            other
            for other in self._caches.values()
            if other.name in names and other not in own and (other.dropped or not other.listed)
        ]


def _in_use(cache: Cache) -> bool:
    return cache.listed and not cache.destroyed


def children_text(children: Sequence[Held]) -> str:
    """ "11 of them in 2 memcg children", by what each holds; nothing without children."""
    if not children:
        return ""
    number = f"{len(children)} memcg {'child' if len(children) == 1 else 'children'}"
    allocated = sum(held.allocated for held in children)
    return f"{counted(allocated, any(held.more for held in children))} of them in {number}"


def cgroup_text(reader: Reader, cache: Cache) -> str:
    """ ", cgroup /docker/web" of a memcg child; nothing where that can't be read any more."""
    memcg = memcg_of_child(reader, cache.address) if cache.root else None
    if memcg is None or memcg.path is None:
        return ""
    return f", {'removed ' if memcg.removed else ''}cgroup {printable(memcg.path)}"


def count_child(session: Session, child: Cache, problems: List[str], lists_only: bool) -> Held:
    """How much a memcg child holds, by its slabs' counters."""
    slabs = allocated = unknown = 0
    for found in for_each_counted_slab(session, child, problems, lists_only):
        slabs += 1
        allocated += found.allocated
        unknown += found.unknown
    return Held(slabs, allocated, unknown, session.lacks(child))
