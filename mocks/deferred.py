# SPDX-License-Identifier: GPL-3.0-or-later
"""Frees that a CPU has put off (6.18 and later): objects that are freed and on no freelist.

kfree_nolock() links objects, kvfree_rcu() their RCU heads, and 7.3 full RCU sheaves into
per-CPU lists (struct llist_head). It knows these lists; whose the objects are, the heap does.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

from mocks.arena import Arena
from mocks.model import Cache, Part, Sheaf
from mocks.writer import Writer


class Put(NamedTuple):
    """Something on a list; objects: the user's pointers that are freed by it."""

    cache: Cache
    link: int
    """The address of its struct llist_node."""
    objects: List[int]


class Deferred:
    """The lists of all CPUs. Layouts without them have no symbol either."""

    def __init__(self, arena: Arena, writer: Writer, cpus: Sequence[int]) -> None:
        self._writer = writer
        self._offsets = arena.image.percpu_offsets
        self._cpus = cpus
        self._struct, self._pointer = "", 0
        self._lists: Dict[Tuple[int, str], List[Put]] = {}
        for struct, symbol in (
            ("defer_free", "defer_free_objects"),
            ("deferred_percpu_work", "deferred_percpu_work"),
        ):
            if writer.layout.has(struct):
                self._struct = struct
                self._pointer = arena.percpu(writer.layout.structs[struct][0])
                arena.image.symbols[symbol] = self._pointer

    def parts(self) -> List[Part]:
        """The lists' heads, a CPU's in one struct."""
        if not self._struct:
            return []
        size = self._writer.layout.structs[self._struct][0]
        heads = [self._pointer + self._offsets[cpu] for cpu in self._cpus]
        return [Part("deferred", head, size) for head in heads]

    def has(self, member: str) -> bool:
        """Whether this layout's CPUs put off such frees: objects, objects_by_rcu, rcu_sheaves."""
        return bool(self._struct) and self._writer.layout.has(self._struct, member)

    def add_object(self, cache: Cache, address: int, cpu: int, rcu: bool) -> None:
        """rcu: kvfree_rcu()'s list, linked by an RCU head in the object's second word."""
        skip = self._writer.layout.word if rcu else cache.offset
        member = "objects_by_rcu" if rcu else "objects"
        self._add(cpu, member, Put(cache, address + skip, [address]))

    def add_sheaf(self, cache: Cache, sheaf: Sheaf, cpu: int) -> None:
        self._add(cpu, "rcu_sheaves", Put(cache, sheaf.address, list(sheaf.objects)))

    def _add(self, cpu: int, member: str, put: Put) -> None:
        if not self.has(member):
            raise ValueError(f"{self._writer.layout.name} has no list of deferred {member}")
        self._lists.setdefault((cpu, member), []).insert(0, put)

    def free(self, cache: Cache) -> List[int]:
        """Objects of a cache that are freed for good once the list is worked off."""
        return self._objects(cache, "objects")

    def pending(self, cache: Cache) -> List[int]:
        """Objects of a cache that wait for an RCU grace period as well."""
        return self._objects(cache, "objects_by_rcu") + self._objects(cache, "rcu_sheaves")

    def links(self) -> Dict[int, int]:
        """The address of each object's link -> the object's."""
        return {
            put.link: put.objects[0]
            for (_, member), puts in self._lists.items()
            for put in puts
            if member != "rcu_sheaves"
        }

    def _objects(self, cache: Cache, kind: str) -> List[int]:
        return [
            address
            for (_, member), puts in self._lists.items()
            for put in puts
            if member == kind and put.cache is cache
            for address in put.objects
        ]

    def drop(self, cache: Cache) -> None:
        """The lists are worked off, as far as it's about this cache."""
        for key, puts in self._lists.items():
            self._lists[key] = [put for put in puts if put.cache is not cache]

    def write(self) -> None:
        """Links everything. After the caches: a link may lie where a sheaf's members do."""
        for (cpu, member), puts in self._lists.items():
            head = self._pointer + self._offsets[cpu]
            here = self._writer.member(self._struct, head, member)
            for put in puts:
                self._writer.image.pointer(here, put.link)
                here = put.link
            self._writer.image.pointer(here, 0)
