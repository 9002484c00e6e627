# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that the allocator's files pass on: caches, nodes, slabs, object states.

Plain data, already decoded. Knows no kernel and reads nothing.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

FREE = 0
"""On a freelist of its slab or of a CPU."""
ALLOCATED = 1
"""On no freelist: somebody has it."""
UNKNOWN = 2
"""The evidence contradicts itself, or can't be read."""

RCU_PENDING = 3
"""Freed by kfree_rcu(), but its grace period isn't over: its contents are still there."""

ONLY_ALLOCATED = bytes(state == ALLOCATED for state in range(256))
"""A table for bytes.translate(): 1 for ALLOCATED, 0 for every other state."""

STATE_NAMES = {
    FREE: "free",
    ALLOCATED: "allocated",
    UNKNOWN: "unknown",
    RCU_PENDING: "freed, RCU pending",
}


class Cache(NamedTuple):
    """A struct kmem_cache. Sizes and offsets in bytes."""

    address: int
    """struct kmem_cache *: the cache's identity."""
    name: Optional[bytes]
    """What kmem_cache.name points to; None where it can't be read."""
    listed: bool
    """It was found on slab_caches."""
    refcount: int
    """1 + aliases; 0 once kmem_cache_destroy() was called, less where it was called again; -1 of
    the kernel's first caches, which are not to be merged."""
    flags: int
    object_size: int
    """What the user of the cache gets."""
    size: int
    """From one object to the next, metadata included."""
    inuse: int
    """Where the metadata starts, from the object's start."""
    align: Optional[int]
    offset: int
    """Of the free pointer, from the object's start."""
    red_left: int
    """Bytes of red zone before an object; 0 where SLAB_RED_ZONE isn't set."""
    ctor: int
    """void (*)(void *): the constructor's address or 0."""
    random: Optional[int]
    """The freelist's key; None where freelists are plain."""
    order: int
    """log2 of the pages of a usual slab."""
    objects: int
    """Objects of a usual slab."""
    max_objects: int
    """The most objects that one of its slabs may have."""
    list_next: int
    """kmem_cache.list.next."""
    list_prev: int
    root: int
    """struct kmem_cache * that it's a memcg child of; 0 for a root cache."""
    cpu_slab: Optional[int]
    """struct kmem_cache_cpu __percpu *; None where the kernel has none."""
    cpu_sheaves: Optional[int]
    """struct slub_percpu_sheaves __percpu *; None or 0 where the cache has none."""
    sheaf_capacity: Optional[int] = None
    """The most objects of one of its sheaves; None where the kernel has none."""
    root_refcount: Optional[int] = None
    """Of a memcg child: its root's refcount, where that can be read."""

    @property
    def destroyed(self) -> bool:
        """kmem_cache_destroy() has dropped its last reference.

        Called again for a leftover, it counts on: below 0 are else the caches of boot only.
        """
        again = self.refcount < 0 and self.name is not None and not _OF_BOOT.match(self.name)
        return self.refcount == 0 or again

    @property
    def dropped(self) -> bool:
        """kmem_cache_destroy() has dropped its last reference, or its root's."""
        return self.destroyed or self.root_refcount == 0


_OF_BOOT = re.compile(rb"kmem_cache(_node)?$|(dma-)?kmalloc-")
"""create_boot_cache() in mm/slab_common.c."""


class Node(NamedTuple):
    """A struct kmem_cache_node of one cache."""

    number: int
    address: int
    nr_partial: int
    """Length of the partial list by the kernel's count."""
    nr_slabs: Optional[int]
    """All slabs of the node; None without CONFIG_SLUB_DEBUG."""
    total_objects: Optional[int]


class Slab(NamedTuple):
    """A slab's descriptor: struct slab, or struct page before v5.17."""

    address: int
    """struct slab * = struct page * of its first page."""
    base: int
    """Virtual address of its first byte."""
    cache: int
    """slab_cache: struct kmem_cache *."""
    freelist: int
    """First free object, 0 for none."""
    inuse: int
    objects: int
    frozen: bool
    node: Optional[int]
    """NUMA node; None where unknown."""
    place: str
    """The list it's on: partial, full, cpu N, cpu N partial; kfence
    for a page of the KFENCE pool; "-" for a slab on none."""
    cpu: Optional[int] = None
    """The CPU whose slab it is."""
    doubt: Optional[str] = None
    """Why it may not be the cache's at all; then its objects are unknown."""
    cpu_freelist: int = 0
    """kmem_cache_cpu.freelist of that CPU: free objects that inuse counts as used."""


_SlabFields = Tuple[
    int,
    int,
    int,
    int,
    int,
    int,
    bool,
    Optional[int],
    str,
    Optional[int],
    Optional[str],
    int,
]
fast_slab: Callable[[_SlabFields], Slab] = partial(tuple.__new__, Slab)
"""Slab(*fields), in half the time: for what is done for each slab of a kernel."""


class SlabObjects(NamedTuple):
    """A slab with the state of each of its objects."""

    slab: Slab
    first: int
    """Address of object 0, behind its red zone."""
    stride: int
    """Bytes from one object to the next."""
    states: bytes
    """FREE, ALLOCATED, UNKNOWN or RCU_PENDING for each object."""
    problem: Optional[str]
    """What contradicts itself; then no state is claimed."""
    notes: Dict[int, str]
    """Object index -> what holds it, for free objects that aren't on the slab's freelist."""
    memory: Optional[bytes]
    """The slab's memory from slab.base on, where it was read to know the states."""
    length: Optional[int] = None
    """Bytes of its object where it isn't the cache's object_size (KFENCE)."""
    absent: bool = False
    """The problem is that the slab's memory can't be read: absent.py tells which of it."""

    def count(self, state: int) -> int:
        """How many objects are in that state."""
        return self.states.count(state)

    def address(self, index: int) -> int:
        """The address of an object."""
        return self.first + index * self.stride

    def allocated(self) -> Iterator[int]:
        """The addresses of the allocated objects, ascending."""
        index = self.states.find(ALLOCATED)
        while index >= 0:
            yield self.address(index)
            index = self.states.find(ALLOCATED, index + 1)

    def only(self, chosen: bytes) -> SlabObjects:
        """The same with only the chosen objects called allocated; chosen: 1 for each of them."""
        return self._replace(states=bytes(ALLOCATED if one else FREE for one in chosen))

    def without_memory(self) -> SlabObjects:
        """The same for who keeps many."""
        slab, first, stride, states, problem, notes, _, length, absent = self
        return fast_slab_objects(
            (slab, first, stride, states, problem, notes, None, length, absent)
        )


_SlabObjectsFields = Tuple[
    Slab,
    int,
    int,
    bytes,
    Optional[str],
    Dict[int, str],
    Optional[bytes],
    Optional[int],
    bool,
]
fast_slab_objects: Callable[[_SlabObjectsFields], SlabObjects] = partial(tuple.__new__, SlabObjects)
"""SlabObjects(*fields), likewise."""


Chain = Tuple[List[int], Optional[str]]
"""Indices of the objects on a freelist, in its order; what ended it early, or None."""
