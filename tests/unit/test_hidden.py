# SPDX-License-Identifier: GPL-3.0-or-later
"""A page's physical address is like many a number: it counts beside those of other objects."""

from __future__ import annotations

from typing import Set

import pytest

from tests.unit.asked import of_type, records, text
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


@pytest.mark.parametrize(("ring", "lost"), [({0, 1, 2}, set()), ({0}, {0, 1, 2}), ({1}, {0, 2})])
def test_descriptors_of_a_ring_hold_what_begins_with_a_page_too(
    ring: Set[int], lost: Set[int]
) -> None:
    pages = Pages()
    image = pages.image
    slab = pages.heap.slab(pages.heap.cache("rx_buffers", 512), {0, 1, 2})
    assert slab.object(0) % image.page_size == 0
    pages.set(0, _refcount=1)
    for number in (0, 1, 2):
        image.write(slab.object(number), bytes([number + 1]) * 512)
    for number in ring:
        image.pointer(pages.start + 16 * number, slab.object(number) - image.page_offset)
    whole(pages)
    said = text(pages.heap, "slablost", "-q", "rx_buffers").split()
    assert {int(each, 16) for each in said if len(each) == 16} == {slab.object(n) for n in lost}
    found = of_type(records(pages.heap, "slabwhy", f"{slab.cache.address:x}"), "finding")
    held = {
        int(at, 16) for row in found if row["cause"] == "held by handle" for at in row["objects"]
    }
    assert held == {slab.object(number) for number in {0, 1, 2} - lost}


@pytest.mark.parametrize(("inside", "cause"), [(0x42, "held by handle"), (0x43, "lost")])
def test_a_page_table_s_entries_are_no_descriptors_of_buffers(inside: int, cause: str) -> None:
    """Objects of whole pages: the table of early boot has 2 MB pages, each with the same flags."""
    pages = Pages()
    image = pages.image
    slab = pages.heap.slab(pages.heap.cache("rx_buffers", 512), {0, 1, 2})
    pages.set(0, _refcount=1)
    for number in (0, 1, 2):
        image.write(slab.object(number), bytes([number + 1]) * 512)
        image.pointer(pages.start + 8 * number, slab.object(number) - image.page_offset + inside)
    whole(pages)
    found = of_type(records(pages.heap, "slabwhy", f"{slab.cache.address:x}"), "finding")
    assert [row["cause"] for row in found] == [cause]
    text = f" a physical address in it stands at {pages.start:x}, "
    assert (text in found[0]["text"]) == (cause == "held by handle")
