# SPDX-License-Identifier: GPL-3.0-or-later
"""A page's node is told only where it is known in which bits of page.flags it is."""

from __future__ import annotations

from typing import Set

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.structs import parse
from tests.unit.asked import of_type, records, text

_BEYOND = 1 << 30
"""Bytes of memory that a heap of two nodes doesn't reach."""


def _heap(name: str, in_memory: bool) -> Heap:
    """in_memory: the page structures lie in the direct map, as without SPARSEMEM_VMEMMAP."""
    layout = LAYOUTS[name]
    if in_memory:
        place = layout.place._replace(vmemmap=layout.place.page_offset + _BEYOND)
        layout = layout._replace(place=place)
    heap = Heap(layout, seed=4)
    cache = heap.cache("slab_test", 84)
    for node in range(heap.nodes):
        # On no list, which would tell its node.
        heap.slab(cache, range(cache.objects), node=node, where="full-unlisted")
    first = _BEYOND // layout.page_size
    end = first + (1 << 24) // layout.page_size
    heap.image.present.append((first, end))
    heap.image.pointer(heap.image.symbols["max_pfn"], end)
    return heap


def _nodes(heap: Heap) -> Set[object]:
    rows = records(heap, "slabobjs", "-b", "0", "slab_test")
    return {row["node"] for row in of_type(rows, "slab")}


@pytest.mark.parametrize("name", ["4.18", "6.1", "6.12"])
@pytest.mark.parametrize("sections", [False, True])
@pytest.mark.parametrize("in_memory", [False, True])
def test_where_the_section_is_in_the_flags_no_node_is_told(
    name: str, sections: bool, in_memory: bool
) -> None:
    heap = _heap(name, in_memory)
    if sections:
        heap.image.structs["mem_section"] = parse("section_mem_map:p usage:p", 8)
    assert _nodes(heap) == ({None} if sections and in_memory else {0, 1})


def test_the_slabs_of_no_node_that_is_known_are_shown_all_the_same() -> None:
    heap = _heap("6.12", True)
    heap.image.structs["mem_section"] = parse("section_mem_map:p usage:p", 8)
    objects = 2 * heap.caches[-1].objects
    assert text(heap, "slabobjs", "-b", "0", "slab_test").count("  [") == objects
