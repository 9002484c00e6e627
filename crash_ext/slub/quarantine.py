# SPDX-License-Identifier: GPL-3.0-or-later
"""KASAN's quarantine: freed objects that SLUB hasn't got back yet.

Generic KASAN keeps what is freed from use for a while: queues of every CPU, and batches of
all. Such an object is on no freelist, its slab counts it as used, and its struct
kasan_free_meta has the queue's link. Knows the queues; whose the objects are, a slab tells.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

from crash_ext.reader import Reader

_BATCHES = 1 << 16
"""QUARANTINE_BATCHES is 1024, or 4 for every CPU that the kernel can have."""


class Queue(NamedTuple):
    """A struct qlist_head. Its first word points to the first link, each link to the next."""

    address: int
    note: str


def for_each_queue(reader: Reader) -> Iterator[Queue]:
    """The quarantine's queues; none on a kernel without one."""
    # Linux kernel commit 55834c59098d ("mm: kasan: initial memory quarantine implementation")
    # (in v4.7).
    queues = reader.symbol("cpu_quarantine")
    size = reader.struct_size("qlist_head") if queues is not None else None
    if queues is None or not size:
        return
    # Linux kernel commit 07d067e4f2ce ("kasan: fix sleeping function called from invalid
    # context on RT kernel") (in v6.0): what a destroyed cache had on a CPU, on its way.
    lists = [(queues, 0)]
    shrunk = reader.symbol("shrink_qlist")
    inside = reader.offset("cpu_shrink_qlist", "qlist")
    if shrunk is not None and inside is not None:
        lists.append((shrunk, inside))
    for cpu in reader.possible_cpus():
        for symbol, offset in lists:
            base = reader.percpu(symbol, cpu)
            if base is not None:
                yield Queue(base + offset, f"cpu {cpu} quarantine")
    batches = reader.symbol("global_quarantine")
    if batches is not None:
        for number in range(_count(reader, batches, size)):
            yield Queue(batches + number * size, "quarantine")


def meta_offset(reader: Reader, cache: int) -> int:
    """Where an object of a cache has the link, from its start. Raises ReadError.

    kmem_cache.kasan_info.free_meta_offset (int); 0: in the object itself.
    """
    info = reader.offset("kmem_cache", "kasan_info")
    inside = reader.offset("kasan_cache", "free_meta_offset")
    if info is None or inside is None:
        return 0
    return int.from_bytes(reader.read(cache + info + inside, 4), reader.byteorder)


def _count(reader: Reader, batches: int, size: int) -> int:
    """How many batches there are: those before the next symbol.

    Linux kernel commit 64abdcb24351 ("kasan: eliminate long stalls during quarantine
    reduction") (in v4.10): one queue before, an array of them since.
    """
    low, high = 1, _BATCHES
    while low < high:
        middle = (low + high + 1) // 2
        found = reader.symbol_at(batches + middle * size - 1)
        if found and found[0] == "global_quarantine":
            low = middle
        else:
            high = middle - 1
    return low
