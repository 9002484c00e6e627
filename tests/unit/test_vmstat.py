# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own count of slab memory, under every name and place that it has had."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.kernel.largekmalloc import large_kmalloc_bytes
from crash_ext.kernel.vmstat import RECLAIMABLE, UNRECLAIMABLE, memory_size, slab_counter
from mocks.annex import Annex, take_pages
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.structs import parse
from tests.unit.asked import records, target

KINDS = {
    # table, enumerators (slab's, NR_MLOCK), struct with the diffs, its owner and pointer
    "5.9": ("vm_node_stat", "_B", 5, 7, "per_cpu_nodestat", "vm_node_stat_diff"),
    "4.13": ("vm_node_stat", "", 5, 7, "per_cpu_nodestat", "vm_node_stat_diff"),
    "4.8": ("vm_zone_stat", "", 8, 7, "per_cpu_pageset", "vm_stat_diff"),
    "3.10": ("vm_stat", "", 13, 6, "per_cpu_pageset", "vm_stat_diff"),
}


def kernel(kind: str, diffs: int, cpus_known: bool = True) -> Heap:
    """One whose sums say 100 and 200 pages, and each CPU has `diffs` more."""
    table, suffix, item, mlock, part, member = KINDS[kind]
    heap = Heap(LAYOUTS["6.1"], seed=5)
    image, word = heap.image, heap.image.word
    annex = Annex(image)

    def place(struct: str, name: str) -> int:
        return image.structs[struct][1][name][0]

    image.enums[f"NR_SLAB_RECLAIMABLE{suffix}"] = item
    image.enums[f"NR_SLAB_UNRECLAIMABLE{suffix}"] = item + 1
    image.enums["NR_MLOCK"] = mlock
    if table == "vm_zone_stat":
        # So long the nodes had counters of their own.
        annex.variable("vm_node_stat", 40 * word)
    sums = annex.variable(table, 40 * word)
    image.put(sums + item * word, word, 100)
    image.put(sums + (item + 1) * word, word, 200)
    image.structs[part] = parse(f"threshold:1 {member}:40", word)
    owner = "pglist_data" if part == "per_cpu_nodestat" else "zone"
    image.structs["zone"] = parse("watermark:p pageset:p", word)
    zone = image.sizeof("zone")
    image.structs["pglist_data"] = parse(f"per_cpu_nodestats:p node_zones:{3 * zone}", word)
    node = annex.take(image.sizeof("pglist_data"))
    image.pointer(annex.variable("node_data", word * heap.nodes), node)
    if cpus_known:
        pointer = heap._arena.percpu(64)
        where = node + place("pglist_data", "per_cpu_nodestats")
        if owner == "zone":
            # The second of three zones.
            where = node + place("pglist_data", "node_zones") + zone + place("zone", "pageset")
        image.pointer(where, pointer)
        for cpu in heap.cpus:
            base = pointer + image.percpu_offsets[cpu] + place(part, member)
            image.put(base + item, 1, diffs & 0xFF)
            image.put(base + item + 1, 1, -diffs & 0xFF)
    else:
        del image.structs["pglist_data"]
    image.put(annex.variable("_totalram_pages"), word, 5000)
    return heap


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("diffs", [0, 7, -9])
def test_what_cpus_have_not_added_yet_counts(kind: str, diffs: int) -> None:
    heap = kernel(kind, diffs)
    reader, size = target(heap), heap.image.page_size
    more = diffs * len(heap.cpus)
    for name, expected in ((RECLAIMABLE, 100 + more), (UNRECLAIMABLE, 200 - more)):
        counter = slab_counter(reader, name)
        assert counter is not None
        assert (counter.bytes, counter.whole) == (expected * size, True)
        assert counter.name == name + KINDS[kind][1]
    assert memory_size(reader) == 5000 * size


def test_parts_that_cannot_be_read_are_said_to_be_missing() -> None:
    counter = slab_counter(target(kernel("5.9", 3, cpus_known=False)), RECLAIMABLE)
    assert counter is not None
    assert not counter.whole


def test_a_kernel_without_the_counters_has_none() -> None:
    reader = target(Heap(LAYOUTS["6.1"], seed=5))
    assert slab_counter(reader, RECLAIMABLE) is None
    assert memory_size(reader) is None


@pytest.mark.parametrize("layout", ["6.12", "7.3"])
def test_large_kmallocs_are_counted_by_their_order(layout: str) -> None:
    heap = Heap(LAYOUTS[layout], seed=6)
    image = heap.image
    assert large_kmalloc_bytes(target(heap)) is None
    image.enums.update(PGTY_large_kmalloc=0xF8, PG_head=6)
    stride = image.sizeof("page")
    image.structs["folio"] = parse(f"page:{stride} _flags_1:p", image.word)
    assert large_kmalloc_bytes(target(heap)) == 0
    start = take_pages(image, 16)
    flags, kind = (image.structs["page"][1][name][0] for name in ("flags", "page_type"))
    for number, order in ((0, None), (1, 1), (4, 3)):
        page = image.virt_to_page(start) + number * stride
        image.put(page + kind, 4, 0xF8 << 24)
        if order is not None:
            image.put(page + flags, image.word, 1 << 6)
            image.put(page + stride + flags, image.word, 0xAB00 | order)
    assert large_kmalloc_bytes(target(heap)) == (1 + 2 + 8) * image.page_size


def usage_of(heap: Heap) -> Optional[dict[str, object]]:
    (row,) = [row for row in records(heap, "slabdup", "-a") if row["type"] == "usage"]
    return row


def test_slabdup_says_by_how_much_the_kernel_disagrees() -> None:
    heap = kernel("5.9", 2)
    usage = usage_of(heap)
    assert usage is not None
    size = heap.image.page_size
    for kind, pages in (("reclaimable", 100), ("unreclaimable", 200)):
        part = usage[kind]
        assert isinstance(part, dict)
        more = 2 * len(heap.cpus) * (1 if kind == "reclaimable" else -1)
        assert part["counted"] == (pages + more) * size
        assert part["missing"] == part["counted"] - part["bytes"]
