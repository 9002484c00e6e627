# SPDX-License-Identifier: GPL-3.0-or-later
"""Free pages on the CPUs' own lists: freed, with refcount 0, and not marked as buddies.

makedumpfile leaves them in a dump (it drops buddies only), contents and all.
Knows zones and lists; the buddies themselves are marked in their page structures.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.memory import read_word, walk_both_ways
from crash_ext.kernel.nodes import for_each_pgdat
from crash_ext.reader import Reader, ReadError

_MIGRATE_PCPTYPES = 3
_ORDERS = 4
"""PAGE_ALLOC_COSTLY_ORDER + 1"""
_HUGE = 9
"""Of the lists behind those: pageblock_order, in pages of 4k and 2 MB. A smaller guess would
leave dead pages in use; a larger one is cut by the page structures' own reference counts."""


class FreeBlock(NamedTuple):
    """Free pages in a row."""

    page: int
    """struct page * of the first."""
    order: int


class CpuLists(NamedTuple):
    """The per-CPU page lists of all zones."""

    blocks: Tuple[FreeBlock, ...]
    whole: bool
    """All lists were walked to their ends."""


def cpu_free_pages(reader: Reader) -> CpuLists:
    """The free pages that the CPUs keep for themselves."""
    blocks: List[FreeBlock] = []
    try:
        form = _Form(reader)
        for head, order in _heads(reader, form):
            walk = walk_both_ways(reader, head)
            if walk.problems:
                return CpuLists(tuple(blocks), False)
            blocks += [FreeBlock(entry - form.link, order) for entry in walk.addresses]
    except (ReadError, LookupError):
        return CpuLists(tuple(blocks), False)
    return CpuLists(tuple(blocks), True)


class _Form:
    """Where the lists are. Raises LookupError where that isn't known."""

    def __init__(self, reader: Reader) -> None:
        self.zones = _need(reader.offset("pglist_data", "node_zones"))
        self.zone_size = _need(reader.struct_size("zone"))
        self.zone_count = (reader.size("pglist_data", "node_zones") or 0) // self.zone_size
        # Linux kernel commit 28f836b6777b ("mm/page_alloc: split per cpu page lists and zone
        # stats") (in v5.14): before, zone.pageset is a struct per_cpu_pageset.
        pages = reader.offset("zone", "per_cpu_pageset")
        inside: Optional[int] = 0
        if pages is None:
            pages = reader.offset("zone", "pageset")
            inside = reader.offset("per_cpu_pageset", "pcp")
        self.pageset = _need(pages)
        self.lists = _need(inside) + _need(reader.offset("per_cpu_pages", "lists"))
        self.list_count = (reader.size("per_cpu_pages", "lists") or 0) // (2 * reader.word)
        self.link = _need(reader.offset("page", "lru"))


def _need(value: Optional[int]) -> int:
    if value is None:
        raise LookupError
    return value


def _heads(reader: Reader, form: _Form) -> Iterator[Tuple[int, int]]:
    """(struct list_head *, order of the pages on it)"""
    for node in for_each_pgdat(reader):
        for number in range(form.zone_count):
            zone = node + form.zones + number * form.zone_size
            pointer = read_word(reader, zone + form.pageset)
            for cpu in reader.possible_cpus() if pointer else ():
                base = reader.percpu(pointer, cpu)
                if base is None:
                    continue
                for index in range(form.list_count):
                    order = index // _MIGRATE_PCPTYPES
                    yield (
                        base + form.lists + index * 2 * reader.word,
                        order if order < _ORDERS else _HUGE,
                    )
