# SPDX-License-Identifier: GPL-3.0-or-later
"""What couldn't be read is never denied: not freed late, not "none is a leftover", not lost."""

from __future__ import annotations

import re

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, problems, records, text
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages

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


@pytest.mark.parametrize("missing", ["descriptor", "memory", "node"])
@each_form
def test_every_count_that_may_be_higher_says_so(layout: str, missing: str) -> None:
    """What a leftover holds, as the user reads it in each command: never a bare 0."""
    heap = Heap(LAYOUTS[layout], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 3})
    heap.leave_behind(cache)
    # Nobody destroys it any more: on slab_caches it's a leftover then, whatever it holds.
    heap.image.pointer(heap.image.symbols["slab_mutex"], 0)
    if missing == "node":
        members = LAYOUTS[layout].structs["kmem_cache"][1]
        heap.image.unmap(cache.address + members.get("per_node", members.get("node", (0,)))[0], 8)
    elif missing == "descriptor":
        heap.image.unmap(slab.page, heap.image.sizeof("page"))
    else:
        heap.image.unmap(slab.va, 4096)
    asked = f"{cache.address:x}"
    shown = {
        line: text(heap, *line.split())
        for line in (f"slabobjs {asked}", f"slabwhy {asked}", f"slabdup {asked}", "slabdup -a")
    }
    for line, said in shown.items():
        rows = [row.split() for row in said.splitlines()]
        counts = [row[2] for row in rows if row[:1] == [asked] and row[2][:1].isdigit()]
        if line == f"slabdup {asked}":
            counts = [row[1] for row in rows if row[:1] == ["allocated"] and len(row) == 2]
        # The page scan finds slabs that no node leads to.
        assert counts == ["2+" if missing == "node" else "0+"], said
        # An error line tells what was found, and what was to be found.
        ours = [row for row in said.splitlines() if not row.startswith(f"{line.split()[0]}: ")]
        assert not re.search(r"\b0 allocated objects|holding 0 ", "\n".join(ours)), said


@pytest.mark.parametrize("options", ["", "-q"])
def test_what_an_unseen_object_leads_to_is_not_lost_without_a_word(options: str) -> None:
    """A slab whose page names another cache is nobody's: who has its objects isn't followed."""
    pages = Pages()
    heap = pages.heap
    holder = heap.slab(heap.cache("holder", 64), {1})
    held = heap.slab(heap.cache("slab_test", 64), {1})
    for slab in (holder, held):
        heap.image.write(slab.object(1), bytes(64))
    pages.set(0, _refcount=1)
    heap.image.pointer(pages.start + 0x10, holder.object(1))
    heap.image.pointer(holder.object(1), held.object(1))
    whole(pages)
    line = ["slablost", *options.split()]
    assert "not all was read" not in text(heap, *line)
    struct = "slab" if "slab" in heap.image.structs else "page"
    offset, _ = heap.image.structs[struct][1]["slab_cache"]
    heap.image.pointer(holder.page + offset, heap.image.symbols["slab_caches"])
    shown = text(heap, *line)
    assert re.search(r"(?m)^slablost: of 1 cache not all was read", shown), shown
