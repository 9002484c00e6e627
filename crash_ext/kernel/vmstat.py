# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own count of the memory in slabs, and of all memory.

Knows the counters of mm/vmstat.c with what CPUs have not yet added to them. Doesn't know
what is in a slab. Pages of large kmallocs (no slab) count as unreclaimable, too, from
v5.4 on: Linux kernel commit 6a486c0ad4dc ("mm, sl[ou]b: improve memory accounting").
"""

from __future__ import annotations

from typing import Iterator, NamedTuple, Optional, Tuple

from crash_ext.kernel.memory import read_symbol_number, read_word
from crash_ext.kernel.nodes import for_each_pgdat
from crash_ext.reader import Reader, ReadError

RECLAIMABLE = "NR_SLAB_RECLAIMABLE"
UNRECLAIMABLE = "NR_SLAB_UNRECLAIMABLE"


class Counter(NamedTuple):
    """A counter of pages, as the kernel has it, in bytes."""

    name: str
    """The enumerator's, as this kernel has it."""
    bytes: int
    whole: bool
    """What the CPUs keep for themselves could be read, too."""


class _Home(NamedTuple):
    """Where a counter and its per-CPU parts are."""

    table: str
    """Symbol of the atomic_long_t array with the sums of all nodes or zones."""
    struct: str
    """Holds a CPU's part of a node or zone, as signed numbers of one size in `member`."""
    member: str
    owner: str
    """struct that points to it, per CPU, by `pointer`."""
    pointer: str


_NODE = _Home(
    "vm_node_stat", "per_cpu_nodestat", "vm_node_stat_diff", "pglist_data", "per_cpu_nodestats"
)
_ZONE = _Home("vm_zone_stat", "per_cpu_pageset", "vm_stat_diff", "zone", "pageset")
_OLD_ZONE = _ZONE._replace(table="vm_stat")


def slab_counter(reader: Reader, name: str) -> Optional[Counter]:
    """The kernel's count of RECLAIMABLE or UNRECLAIMABLE slab memory.

    None where it can't be read.
    """
    # Linux kernel commit d42f3245c7e2 ("mm: memcg: convert vmstat slab counters to bytes") (in
    # v5.9) renamed it. The sums of all nodes still count pages: only those of memcgs don't.
    for known in (f"{name}_B", name):
        item = reader.enumerator(known)
        if item is not None:
            break
    else:
        return None
    home = _home(reader, item)
    table = reader.symbol(home.table)
    if table is None:
        return None
    try:
        pages = _signed(read_word(reader, table + item * reader.word), reader.word)
    except ReadError:
        return None
    whole = True
    try:
        pages += sum(_parts(reader, home, item))
    except (ReadError, LookupError):
        whole = False
    return Counter(known, max(pages, 0) * reader.page_size, whole)


def memory_size(reader: Reader) -> Optional[int]:
    """Bytes of memory that the kernel manages: MemTotal of /proc/meminfo."""
    # Linux kernel commit ca79b0c211af ("mm: convert totalram_pages and totalhigh_pages
    # variables to atomic") (in v5.0).
    for name in ("_totalram_pages", "totalram_pages"):
        pages = read_symbol_number(reader, name, reader.word)
        if pages:
            return pages * reader.page_size
    return None


def _home(reader: Reader, item: int) -> _Home:
    if reader.symbol("vm_stat") is not None:
        return _OLD_ZONE
    # Linux kernel commit 385386cff4c6 ("mm: vmstat: move slab statistics from zone to node
    # counters") (in v4.13). No symbol tells which enumeration an enumerator is of; in that of
    # zones those of slabs came behind NR_MLOCK.
    mlock = reader.enumerator("NR_MLOCK")
    return _ZONE if mlock is not None and item in (mlock + 1, mlock + 2) else _NODE


def _parts(reader: Reader, home: _Home, item: int) -> Iterator[int]:
    """What each CPU has not yet added to the sum, in pages. Raises ReadError, LookupError."""
    first = reader.offset(home.struct, home.member)
    room = reader.size(home.struct, home.member)
    pointer = reader.offset(home.owner, home.pointer)
    if first is None or not room or pointer is None:
        raise LookupError
    # signed char, in every kernel up to v7.3.
    for owner in _owners(reader, home):
        percpu = read_word(reader, owner + pointer)
        for cpu in reader.possible_cpus() if percpu else ():
            base = reader.percpu(percpu, cpu)
            if base is not None and item < room:
                yield _signed(reader.read(base + first + item, 1)[0], 1)


def _owners(reader: Reader, home: _Home) -> Iterator[int]:
    """Addresses of the structures that have per-CPU parts."""
    zones, stride = _zones(reader)
    for node in for_each_pgdat(reader):
        if home is _NODE:
            yield node
            continue
        for number in range(zones[1] // stride):
            yield node + zones[0] + number * stride


def _zones(reader: Reader) -> Tuple[Tuple[int, int], int]:
    """((offset, bytes) of pglist_data.node_zones, sizeof(struct zone))"""
    start, size = (
        reader.offset("pglist_data", "node_zones"),
        reader.size("pglist_data", "node_zones"),
    )
    stride = reader.struct_size("zone")
    if start is None or not size or not stride:
        raise LookupError
    return (start, size), stride


def _signed(value: int, size: int) -> int:
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value
