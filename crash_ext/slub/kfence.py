# SPDX-License-Identifier: GPL-3.0-or-later
"""KFENCE (v5.12 and later): sampled allocations in a pool of guarded pages.

Pool pages are marked as slabs, but their descriptors tell nothing right: the object may
be anywhere in its page, and slab_cache is that of the last user. The truth is in
kfence_metadata, and a cache's nr_slabs doesn't count these pages.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Union

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import CacheError, read_cache
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import ALLOCATED, RCU_PENDING, UNKNOWN, Slab, SlabObjects

PLACE = "kfence"

_BOUND = 1 << 16
"""CONFIG_KFENCE_NUM_OBJECTS is at most 65535."""
_GAP = 64
"""So many damaged entries in a row are passed: a page of them, and some more."""


class KfenceObject(NamedTuple):
    """What one struct kfence_metadata says of an object that isn't free."""

    address: int
    size: int
    """Bytes that were asked for."""
    cache: int
    """struct kmem_cache *"""
    state: int
    """ALLOCATED or RCU_PENDING; UNKNOWN where the page contradicts the metadata."""
    page: int
    """struct page * of the page that it lies in."""
    base: int
    """Virtual address of that page."""
    node: Optional[int]
    """NUMA node of the page."""
    metadata: int
    """Address of the struct kfence_metadata."""
    problem: Optional[str] = None
    """What contradicts itself; then the state is UNKNOWN."""

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
        states = bytes([self.state])
        return SlabObjects(slab, self.address, self.size, states, self.problem, {}, None, self.size)


class Kfence(NamedTuple):
    """The pool, from its first page to behind its last, and its objects that aren't free."""

    first_page: int
    """struct page *"""
    end_page: int
    objects: List[KfenceObject]
    lost: bool = False
    """There may be one, or more of it, but where is unknown."""

    def of(self, cache: int) -> Iterator[KfenceObject]:
        """The objects of one cache."""
        return (found for found in self.objects if found.cache == cache)

    def holds(self, page: int) -> bool:
        """Whether a struct page * is one of the pool's."""
        return self.first_page <= page < self.end_page


NO_KFENCE = Kfence(0, 0, [])
_LOST = NO_KFENCE._replace(lost=True)


_Entry = Union[bytes, str]
"""A struct kfence_metadata, or what is wrong with it."""


class _Table(NamedTuple):
    """The metadata of a pool's objects."""

    pool: int
    """Virtual address of the pool."""
    address: int
    """Of the first entry."""
    struct: Struct
    size: int
    """sizeof(struct kfence_metadata)."""
    entries: List[_Entry]
    """Up to the last that is in order."""


def find_kfence(slub: Slub, problems: List[str]) -> Kfence:
    """The pool of this kernel; NO_KFENCE where there's none or it is switched off.

    The pool is (N + 1) * 2 pages long; N isn't in the debug information. It is as many
    as there are metadata whose address lies in the page that is theirs: entry i's is
    the pool's page 2 * (i + 1).
    """
    reader = slub.reader
    pool = read_symbol_number(reader, "__kfence_pool", reader.word)
    variable = reader.symbol("__kfence_pool")
    if pool is None and variable is not None:
        what = f"KFENCE: __kfence_pool at {hexa(variable)} can't be read"
        problems.append(f"{what}: what is in the pool is unknown")
        return _LOST
    symbol = reader.symbol("kfence_metadata")
    size = reader.struct_size("kfence_metadata")
    if not pool:
        return NO_KFENCE
    if symbol is None or size is None:
        problems.append(f"KFENCE: the pool at {hexa(pool)} has no kfence_metadata in the symbols")
        return _LOST
    try:
        struct = Struct(reader, "kfence_metadata", ("state", "addr", "size", "cache"))
    except MissingMember as error:
        problems.append(f"KFENCE: {error}")
        return _LOST
    # An array up to v6.5, then a pointer to one.
    pointed = read_symbol_number(reader, "kfence_metadata", reader.word)
    for address in (pointed, symbol):
        table = _read_table(reader, _Table(pool, address or 0, struct, size, []))
        if table.entries:
            problem = _cut_short(slub, table)
            if problem is not None:
                problems.append(problem)
            objects = list(_objects(slub, table, problems))
            _check_caches(slub, objects, problems)
            found = _pool(reader, table, objects, problems)
            return found if problem is None else found._replace(lost=True)
    problems.append(f"KFENCE: no metadata for the pool at {hexa(pool)}")
    return _LOST


def _read_table(reader: Reader, table: _Table) -> _Table:
    """The table with its entries."""
    struct = table.struct
    entries: List[_Entry] = []
    count = 0
    mask = ~(reader.page_size - 1)
    for number in range(_BOUND):
        base = _page_of(reader, table.pool, number)
        try:
            data = reader.read(table.address + number * table.size, struct.span())
        except ReadError as error:
            entries.append(str(error))
        else:
            address = struct.pointer(data, "addr")
            if address & mask == base:
                entries.append(data)
                count = number + 1
            else:
                entries.append(f"addr is {hexa(address)}, its page is {hexa(base)}")
        if number - count >= _GAP:
            break
    return table._replace(entries=entries[:count])


def _cut_short(slub: Slub, table: _Table) -> Optional[str]:
    """What is wrong where the table may go on: its next entry can't be read.

    Behind the pool's end that says nothing, unless the page that would be the entry's may be
    a slab's: those of the pool are marked as such.
    """
    reader, number = slub.reader, len(table.entries)
    try:
        reader.read(table.address + number * table.size, 1)
        return None
    except ReadError as error:
        unreadable = str(error)
    page = reader.virt_to_page(_page_of(reader, table.pool, number))
    if page is None:
        return None
    try:
        if not slub.descriptors.is_slab(reader.read(page, slub.layout.page_size)):
            return None
    except ReadError:
        pass
    return f"KFENCE: metadata from object {number} on: {unreadable}: what they are is unknown"


def _page_of(reader: Reader, pool: int, number: int) -> int:
    """The virtual address of the page that an entry's object lies in."""
    return pool + 2 * (number + 1) * reader.page_size


def _objects(slub: Slub, table: _Table, problems: List[str]) -> Iterator[KfenceObject]:
    """The objects that aren't free; entries that tell nothing are problems."""
    reader, struct = slub.reader, table.struct
    wanted = {"UNUSED": None, "ALLOCATED": ALLOCATED, "RCU_FREEING": RCU_PENDING, "FREED": None}
    states = {reader.enumerator(f"KFENCE_OBJECT_{name}"): wanted[name] for name in wanted}
    damaged: List[str] = []
    for number, entry in enumerate(table.entries):
        base = _page_of(reader, table.pool, number)
        page = reader.virt_to_page(base)
        at = table.address + number * table.size
        what = f"object {number} (metadata {hexa(at)})"
        if isinstance(entry, str) or page is None:
            damaged.append(f"{what}: {entry if isinstance(entry, str) else 'no page'}")
            continue
        value = struct.value(entry, "state")
        if value not in states:
            damaged.append(f"{what}: state {value:x}")
        state = states.get(value)
        if state is None:
            continue
        address, cache = struct.pointer(entry, "addr"), struct.pointer(entry, "cache")
        length = min(struct.value(entry, "size"), base + reader.page_size - address)
        node = slub.descriptors.node_of(page)
        found = KfenceObject(address, length, cache, state, page, base, node, at)
        yield _doubted(slub, found)
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        problems.append(
            f"KFENCE: {damaged[0]}{more}: whether it has an object, and whose, is unknown"
        )


def _doubted(slub: Slub, found: KfenceObject) -> KfenceObject:
    """The page of an object that isn't free names its cache, in every kernel."""
    try:
        owner = slub.descriptors.read(found.page, PLACE).cache
    except SlabError as error:
        return found._replace(state=UNKNOWN, problem=f"KFENCE: its page: {error}")
    if owner == found.cache:
        return found
    text = f"KFENCE: its page names cache {hexa(owner)}, its metadata {hexa(found.cache)}"
    return found._replace(state=UNKNOWN, problem=text)


def _check_caches(slub: Slub, objects: List[KfenceObject], problems: List[str]) -> None:
    """Say which objects belong to what can't be a cache: no cache will show them."""
    for address in dict.fromkeys(found.cache for found in objects):
        try:
            read_cache(slub, address, listed=False)
        except (ReadError, CacheError) as error:
            lost = [found for found in objects if found.cache == address]
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            problems.append(f"KFENCE: object {hexa(lost[0].address)}{more}: its cache: {error}")


def _pool(
    reader: Reader, table: _Table, objects: List[KfenceObject], problems: List[str]
) -> Kfence:
    first = reader.virt_to_page(table.pool)
    stride = reader.struct_size("page")
    if first is None or stride is None:
        problems.append(f"KFENCE: the pool at {hexa(table.pool)} is not in the direct map")
        return _LOST
    return Kfence(first, first + 2 * (len(table.entries) + 1) * stride, objects)
