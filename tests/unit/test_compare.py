# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches side by side: what differs is marked, what is the same is not."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest

from mocks.heap import Heap
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.unit.asked import of_type, records, text


def _pair(name: str = "6.12") -> Tuple[Heap, Cache, Cache]:
    """A leftover with a constructor and its twin, with more on its second node."""
    heap = Heap(LAYOUTS[name], seed=12)
    leftover = heap.cache("slab_test", 84, ctor=heap.function("init_item", module=True))
    heap.slab(leftover, {1, 2})
    heap.leave_behind(leftover)
    twin = heap.cache("slab_test", 84)
    heap.slab(twin, {0})
    heap.slab(twin, range(twin.objects), where="full-unlisted", node=1)
    return heap, leftover, twin


def _fields(heap: Heap, *arguments: str) -> Dict[str, Tuple[List[Any], bool]]:
    rows = of_type(records(heap, "slabdup", *arguments), "field")
    return {row["field"]: (list(row["values"].values()), row["differs"]) for row in rows}


@pytest.mark.parametrize("name", ["3.10", "5.10", "6.1", "6.12", "7.3"])
def test_what_differs_is_told_and_marked(name: str) -> None:
    heap, leftover, twin = _pair(name)
    fields = _fields(heap, f"{leftover.address:x}", f"{twin.address:x}")
    assert fields["state"] == (["leftover", "live"], True)
    assert fields["refcount"] == ([0, 1], True)
    assert fields["on slab_caches"][0] == [LAYOUTS[name].leftover != "unlinked", True]
    assert fields["size"] == ([leftover.size, twin.size], leftover.size != twin.size)
    assert fields["object_size"] == ([84, 84], False)
    assert fields["ctor"] == (["init_item", None], True)
    assert fields["allocated"] == ([2, 1 + twin.objects], True)
    assert fields["node 0 slabs"] == ([1, 1], False)
    assert fields["node 1 slabs"] == ([0, 1], True)
    assert fields["node 0 partial slabs"] == ([1, 1], False)
    assert fields["node 1 partial slabs"] == ([0, 0], False)
    assert fields["node 1 allocated"] == ([0, twin.objects], True)


def test_the_stars_of_the_table_stand_before_the_same_fields() -> None:
    heap, _, _ = _pair()
    marked = {field for field, (_, differs) in _fields(heap, "slab_test").items() if differs}
    lines = text(heap, "slabdup", "slab_test").splitlines()
    starred = {line[1:].strip() for line in lines if line.startswith("*")}
    assert {name for name in marked if any(row.startswith(name) for row in starred)} == marked
    assert len(starred) == len(marked)


def test_one_cache_differs_from_nobody() -> None:
    heap, leftover, _ = _pair()
    fields = _fields(heap, f"{leftover.address:x}")
    assert [field for field, (_, differs) in fields.items() if differs] == []


def test_a_cache_asked_for_twice_is_one() -> None:
    heap, leftover, twin = _pair()
    fields = _fields(heap, "slab_test", f"{leftover.address:x}", f"{twin.address:x}")
    assert len(fields["state"][0]) == 2


def test_a_constructor_is_named_where_the_host_was_told_to_leave_modules_alone() -> None:
    """crash opens 7.3 with --no_modules only, but the module's own symbols are in the dump."""
    heap = Heap(LAYOUTS["6.12"])
    base = Landscape(heap, "mem").module(b"slabtest", {b"init_item": (0x40, 8)})
    cache = heap.cache("slab_test", 84, ctor=base + 0x40)
    assert _fields(heap, f"{cache.address:x}")["ctor"] == (["init_item"], False)


def test_a_constructor_of_an_unloaded_module_is_a_number() -> None:
    heap, leftover, _ = _pair()
    del heap.image.symbols["init_item"]
    assert _fields(heap, f"{leftover.address:x}")["ctor"] == ([f"{leftover.ctor:x}"], False)


def test_names_are_compared_where_they_are_not_the_same() -> None:
    heap, leftover, _ = _pair()
    heap.cache("other", 84)
    lines = text(heap, "slabdup", f"{leftover.address:x}", "other").splitlines()
    assert any(line.split() == ["*", "name", "slab_test", "other"] for line in lines)
    lines = text(heap, "slabdup", "slab_test").splitlines()
    assert any(line.split() == ["name", "slab_test", "slab_test"] for line in lines)
