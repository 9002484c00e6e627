# SPDX-License-Identifier: GPL-3.0-or-later
"""What a built heap consists of, before it is bytes: caches, slabs, sheaves.

It knows which object is where and nothing of how a kernel writes that down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Set

from mocks.geometry import Geometry


class Part(NamedTuple):
    """Bytes beside caches and slabs that the allocator's state also lies in."""

    kind: str
    """kfence: an object's metadata or its page's structure; alias: an entry of
    /sys/kernel/slab; deferred: a CPU's heads of lists of put off frees."""
    address: int
    size: int
    page: int = 0
    """kfence: the struct page * of the object's page."""


@dataclass(eq=False)
class Sheaf:
    """An array of free objects (struct slab_sheaf, 6.18 and later)."""

    address: int
    capacity: int
    objects: List[int] = field(default_factory=list)
    in_barn: bool = False
    rcu_func: int = 0
    """The callback where the sheaf is in flight after call_rcu()."""


@dataclass(eq=False)
class Slab:
    """One slab. Every object is in exactly one of allocated, chain, cpu_chain, sheaved."""

    cache: Cache
    page: int
    """struct page * or struct slab * of its first page."""
    va: int
    node: int
    order: int
    objects: int
    where: str
    cpu: int
    allocated: Set[int]
    """Indices of objects that somebody uses."""
    chain: List[int]
    """Indices on the slab's own freelist, in its order."""
    cpu_chain: List[int] = field(default_factory=list)
    """Indices on the freelist of the CPU whose slab this is."""
    sheaved: Set[int] = field(default_factory=set)
    """Indices that lie in a sheaf or wait to be freed: in use for the slab, not for a user."""

    @property
    def inuse(self) -> int:
        """What the slab's counter says."""
        return self.objects - len(self.chain)

    def object(self, index: int) -> int:
        """The user's pointer to an object."""
        return self.va + self.cache.red_left + index * self.cache.size

    def index(self, address: int) -> int:
        return (address - self.va - self.cache.red_left) // self.cache.size

    @property
    def memory(self) -> range:
        """The addresses of the objects' slots."""
        return range(self.va, self.va + self.objects * self.cache.size)


@dataclass(eq=False)
class Cache:
    """One kmem_cache."""

    name: bytes
    geometry: Geometry
    flags: int
    ctor: int
    align: int
    refcount: int
    random: int
    red_left: int
    """Bytes before each object: the left pad where red zones are on."""
    debug: bool
    address: int = 0
    name_address: int = 0
    cpu_slab: int = 0
    """Per-CPU pointer, 0 where there are no per-CPU slabs."""
    cpu_sheaves: int = 0
    capacity: int = 0
    """kmem_cache.sheaf_capacity, 0: no sheaves."""
    nodes: Dict[int, int] = field(default_factory=dict)
    """node -> kmem_cache_node *."""
    barns: Dict[int, int] = field(default_factory=dict)
    root: Optional[Cache] = None
    """For a memcg child, the cache it is a child of."""
    memcg_params: int = 0
    """3.10: the memcg_cache_params of a child."""
    slabs: List[Slab] = field(default_factory=list)
    main: Dict[int, Sheaf] = field(default_factory=dict)
    spare: Dict[int, Sheaf] = field(default_factory=dict)
    rcu_free: Dict[int, Sheaf] = field(default_factory=dict)
    full_sheaves: Dict[int, List[Sheaf]] = field(default_factory=dict)
    """node -> the barn's full sheaves."""
    loose: List[Sheaf] = field(default_factory=list)
    frozen: bool = False
    """Written for the last time: its struct has been freed."""

    @property
    def size(self) -> int:
        return self.geometry.size

    @property
    def object_size(self) -> int:
        return self.geometry.object_size

    @property
    def offset(self) -> int:
        return self.geometry.offset

    @property
    def objects(self) -> int:
        return self.geometry.objects

    @property
    def order(self) -> int:
        return self.geometry.order

    def slab_of(self, address: int) -> Slab:
        """The slab that an object lies in. ValueError where none of the cache's does."""
        for slab in self.slabs:
            if address in slab.memory:
                return slab
        raise ValueError(f"{address:x} is in no slab of {self.name.decode(errors='replace')}")

    def sheaves(self) -> List[Sheaf]:
        barns = [sheaf for sheaves in self.full_sheaves.values() for sheaf in sheaves]
        percpu = [*self.main.values(), *self.spare.values(), *self.rcu_free.values()]
        return [*percpu, *barns, *self.loose]
