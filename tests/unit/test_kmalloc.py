# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a kmalloc cache: known by name, and what they have lost is told together."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.slub.kmalloc import kmalloc_size
from tests.unit.asked import of_type, records, session, text
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("kmalloc-64", "64"),
        ("kmalloc-2k", "2k"),
        ("kmalloc-rcl-96", "96"),
        ("kmalloc-cg-512", "512"),
        ("kmalloc-rnd-05-64", "64"),
        ("dma-kmalloc-64", "64"),
        ("kmalloc-64x", None),
        ("my-kmalloc-64", None),
        ("kmalloc-", None),
        ("slab_test-64", None),
    ],
)
def test_a_name_tells_the_size_of_a_kmalloc_cache(name: str, size: Optional[str]) -> None:
    pages = Pages()
    made = pages.heap.cache(name, 64)
    (cache,) = [c for c in session(pages.heap).listed_caches().caches if c.address == made.address]
    assert kmalloc_size(cache) == size


def lossy() -> Pages:
    """Two copies of kmalloc-64 and a cache of that size have lost like objects."""
    pages = Pages()
    for name, lost in (("kmalloc-64", {1, 2}), ("kmalloc-rnd-03-64", {3}), ("slab_test", {4})):
        slab = pages.heap.slab(pages.heap.cache(name, 64), lost)
        for index in lost:
            pages.image.write(slab.object(index), b"lost!".ljust(64, b"\0"))
    whole(pages)
    return pages


def test_copies_of_one_size_have_their_groups_in_common() -> None:
    lines = text(lossy().heap, "slablost", "kmalloc-64", "kmalloc-rnd-03-64", "slab_test")
    assert lines.count("2 kmalloc caches of one size, told together") == 1
    assert "  3 objects of 3 (100.0%), the first:" in lines
    assert "  1 object of 1 (100.0%), the first:" in lines


def test_records_keep_each_cache_by_itself() -> None:
    rows = records(lossy().heap, "slablost", "kmalloc-64", "kmalloc-rnd-03-64", "slab_test")
    assert sorted(row["objects"] for row in of_type(rows, "group")) == [1, 1, 2]
    assert sorted(row["name"] for row in of_type(rows, "lost")) == [
        "kmalloc-64", "kmalloc-rnd-03-64", "slab_test",
    ]  # fmt: skip


def test_more_bytes_than_an_object_has_show_no_neighbour() -> None:
    """-b may go as far as to the next object: neither its contents nor its pointers are shown."""
    whole, more = (
        text(lossy().heap, "slablost", "-b", size, "slab_test") for size in ("64", "500")
    )
    assert whole == more
    assert "definitely lost" in whole
