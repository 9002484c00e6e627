# SPDX-License-Identifier: GPL-3.0-or-later
"""KFENCE (v5.12 and later): sampled allocations in a pool of guarded pages.

Pool pages are marked as slabs, but their descriptors tell nothing right: the object may
be anywhere in its page, and slab_cache is that of the last user. The truth is in
kfence_metadata, and a cache's nr_slabs doesn't count these pages.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional

from crash_ext.reader import Reader, ReadError
from crash_ext.slub.descriptor import Descriptors
from crash_ext.slub.members import MissingMember, Struct
from crash_ext.slub.memory import read_symbol_number
from crash_ext.slub.model import ALLOCATED, RCU_PENDING, Slab, SlabObjects

PLACE = "kfence"

_BOUND = 1 << 16
"""CONFIG_KFENCE_NUM_OBJECTS is at most 65535."""


class KfenceObject(NamedTuple):
    """What one struct kfence_metadata says of an object that isn't free."""

    address: int
    size: int
    """Bytes that were asked for."""
    cache: int
    """struct kmem_cache *"""
    state: int
    """ALLOCATED or RCU_PENDING."""
    page: int
    """struct page * of the page that it lies in."""
    base: int
    """Virtual address of that page."""
    node: Optional[int]
    """NUMA node of the page."""
    metadata: int
    """Address of the struct kfence_metadata."""

    def as_slab(self) -> SlabObjects:
        """A slab of this one object."""
        slab = Slab(
            address=self.page,
            base=self.base,
            cache=self.cache,
            freelist=0,
            inuse=1,
            objects=1,
            frozen=False,
            node=self.node,
            place=PLACE,
        )
        return SlabObjects(slab, self.address, bytes([self.state]), None, {}, None, self.size)


class Kfence(NamedTuple):
    """The pool, from its first page to behind its last, and its objects that aren't free."""

    first_page: int
    """struct page *"""
    end_page: int
    objects: List[KfenceObject]

    def of(self, cache: int) -> Iterator[KfenceObject]:
        """The objects of one cache."""
        return (found for found in self.objects if found.cache == cache)

    def holds(self, page: int) -> bool:
        """Whether a struct page * is one of the pool's."""
        return self.first_page <= page < self.end_page


NO_KFENCE = Kfence(0, 0, [])


def find_kfence(reader: Reader, descriptors: Descriptors, problems: List[str]) -> Kfence:
    """The pool of this kernel; NO_KFENCE where there's none or it is switched off.

    The pool is (N + 1) * 2 pages long; N isn't in the debug information. It is as many
    as there are metadata whose address lies in the page that is theirs: entry i's is
    the pool's page 2 * (i + 1).
    """
    pool = read_symbol_number(reader, "__kfence_pool", reader.word)
    symbol = reader.symbol("kfence_metadata")
    size = reader.struct_size("kfence_metadata")
    if not pool or symbol is None or size is None:
        return NO_KFENCE
    try:
        struct = Struct(reader, "kfence_metadata", ("state", "addr", "size", "cache"))
    except MissingMember as error:
        problems.append(f"KFENCE: {error}")
        return NO_KFENCE
    # An array up to v6.5, then a pointer to one.
    pointed = read_symbol_number(reader, "kfence_metadata", reader.word)
    for table in (pointed, symbol):
        objects: List[KfenceObject] = []
        count = _read_table(reader, descriptors, struct, size, pool, table or 0, objects)
        if count:
            return _pool(reader, pool, count, objects, problems)
    problems.append(f"KFENCE: no metadata for the pool at {pool:x}")
    return NO_KFENCE


def _read_table(
    reader: Reader,
    descriptors: Descriptors,
    struct: Struct,
    size: int,
    pool: int,
    table: int,
    objects: List[KfenceObject],
) -> int:
    """Collect the table's objects; how many entries it has."""
    states = {reader.enumerator("KFENCE_OBJECT_ALLOCATED"): ALLOCATED}
    pending = reader.enumerator("KFENCE_OBJECT_RCU_FREEING")
    if pending is not None:
        states[pending] = RCU_PENDING
    mask = ~(reader.page_size - 1)
    for number in range(_BOUND):
        base = pool + 2 * (number + 1) * reader.page_size
        entry = table + number * size
        try:
            data = reader.read(entry, struct.span())
        except ReadError:
            return number
        address = struct.pointer(data, "addr")
        if address & mask != base:
            return number
        state = states.get(struct.value(data, "state"))
        page = reader.virt_to_page(base)
        if state is not None and page is not None:
            length, cache = struct.value(data, "size"), struct.pointer(data, "cache")
            length = min(length, base + reader.page_size - address)
            node = descriptors.node_of(page)
            found = KfenceObject(address, length, cache, state, page, base, node, entry)
            objects.append(found)
    return _BOUND


def _pool(
    reader: Reader, pool: int, count: int, objects: List[KfenceObject], problems: List[str]
) -> Kfence:
    first = reader.virt_to_page(pool)
    stride = reader.struct_size("page")
    if first is None or stride is None:
        problems.append(f"KFENCE: the pool at {pool:x} is not in the direct map")
        return NO_KFENCE
    return Kfence(first, first + 2 * (count + 1) * stride, objects)
