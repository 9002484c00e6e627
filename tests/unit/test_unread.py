# SPDX-License-Identifier: GPL-3.0-or-later
"""What couldn't be read is never denied: not freed late, not "none is a leftover", not lost."""

from __future__ import annotations

import re

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, problems, records, text

each_form = pytest.mark.parametrize("layout", ["5.10", "6.1", "6.12", "7.3"])


@each_form
def test_a_leftover_whose_slabs_are_not_in_the_dump_was_not_freed_late(layout: str) -> None:
    """A dump that was cut: its page structures are lost, and every object of it with them."""
    heap = Heap(LAYOUTS[layout], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 3})
    heap.leave_behind(cache)
    whole = records(heap, "slabwhy", f"{cache.address:x}")
    assert of_type(whole, "cache")[0]["state"] == "leftover"
    heap.image.unmap(slab.page, heap.image.sizeof("page"))
    rows = records(heap, "slabwhy", f"{cache.address:x}")
    assert problems(rows) != []
    assert [row["cause"] for row in of_type(rows, "finding")] == []
    assert rows[-1]["complete"] is False


def test_an_emptied_leftover_was_freed_late_if_all_of_it_was_seen() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    cache = heap.cache("slab_test", 84, refcount=0)
    heap.slab(cache, ())
    heap.image.pointer(heap.image.symbols["slab_mutex"], 0)
    rows = records(heap, "slabwhy", "-F", f"{cache.address:x}")
    assert problems(rows) == []
    assert [row["cause"] for row in of_type(rows, "finding")] == ["freed late"]


def test_no_leftover_is_denied_where_caches_may_be_missing() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    first, second = heap.cache("one", 84), heap.cache("two", 84)
    heap.slab(first, {1})
    heap.slab(second, {1})
    closing = re.compile(r"(?m)^none of \d+ caches? is a leftover$")
    assert closing.search(text(heap, "slabwhy"))
    heap.image.unmap(second.address, 8)
    said = text(heap, "slabwhy")
    assert not closing.search(said)
    assert re.search(
        r"(?m)^(none of the \d+ caches? found is a leftover, but not all could be read"
        r"|no cache could be read)$",
        said,
    )
