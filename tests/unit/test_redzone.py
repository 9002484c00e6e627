# SPDX-License-Identifier: GPL-3.0-or-later
"""Red zones are cross-checked: where they contradict the freelists, nothing is claimed."""

from __future__ import annotations

from typing import Dict, List, Tuple

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import Record, by_state, of_type, problems, records, text

ACTIVE, INACTIVE = b"\xcc", b"\xbb"
WITH_ZONES = [name for name, layout in LAYOUTS.items() if layout.has("kmem_cache_node", "full")]
every_layout = pytest.mark.parametrize("name", WITH_ZONES)
left_and_right = pytest.mark.parametrize("name", ["4.4", "6.1"])
"""v4.4 has a right zone only, and the left one is asked where there is one."""


def _heap(name: str) -> Tuple[Heap, Cache, Slab]:
    heap = Heap(LAYOUTS[name], seed=2)
    cache = heap.cache("slab_test", 84, red_zone=True)
    return heap, cache, heap.slab(cache, {1, 4, 5})


def _zone(heap: Heap, cache: Cache, slab: Slab, index: int) -> Tuple[int, int]:
    """(address, bytes) of the zone that is asked."""
    address = slab.object(index)
    if cache.red_left:
        return address - cache.red_left, cache.red_left
    return address + cache.object_size, cache.geometry.inuse - cache.object_size


def _write(heap: Heap, cache: Cache, slab: Slab, index: int, byte: bytes) -> None:
    at, size = _zone(heap, cache, slab, index)
    heap.image.write(at, byte * size)


def _states(rows: List[Record]) -> Dict[int, str]:
    return {row["index"]: row["state"] for row in of_type(rows, "object")}


@every_layout
def test_zones_that_agree_are_not_mentioned(name: str) -> None:
    heap, cache, _ = _heap(name)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert problems(rows) == []
    truth = heap.truth()[cache.address]
    assert by_state(rows) == {"allocated": truth.allocated, "free": truth.free}


@left_and_right
def test_an_object_in_use_by_its_zone_and_free_by_the_list_is_unknown(name: str) -> None:
    heap, cache, slab = _heap(name)
    _write(heap, cache, slab, 2, ACTIVE)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert _states(rows)[2] == "unknown"
    assert problems(rows) == [
        f"object {slab.object(2):x}: allocated by its red zone, free by the freelists"
    ]
    assert rows[-1]["complete"] is False


@left_and_right
def test_an_object_free_by_its_zone_and_on_no_list_is_unknown(name: str) -> None:
    heap, cache, slab = _heap(name)
    _write(heap, cache, slab, 4, INACTIVE)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    states = _states(rows)
    assert [index for index, state in states.items() if state == "unknown"] == [4]
    assert problems(rows) == [
        f"object {slab.object(4):x}: free by its red zone, allocated by the freelists"
    ]
    (row,) = of_type(rows, "cache")
    assert (row["allocated"], row["unknown"]) == (2, 1)


@left_and_right
def test_an_overwritten_zone_tells_nothing_but_is_said(name: str) -> None:
    heap, cache, slab = _heap(name)
    at, size = _zone(heap, cache, slab, 5)
    heap.image.u8(at + size - 1, 0x41)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert _states(rows)[5] == "allocated"
    zone = (ACTIVE * (size - 1)).hex() + "41"
    assert problems(rows) == [f"object {slab.object(5):x}: red zone overwritten: {zone}"]


def test_the_user_reads_the_contradiction_with_its_cache() -> None:
    heap, cache, slab = _heap("6.1")
    _write(heap, cache, slab, 4, INACTIVE)
    lines = text(heap, "slabobjs", "slab_test").splitlines()
    assert lines[-1] == (
        f"slabobjs: {cache.address:x} slab_test: object {slab.object(4):x}:"
        " free by its red zone, allocated by the freelists"
    )
    assert [line for line in lines if f"[{slab.object(4):x}]" in line] == []


@left_and_right
def test_a_full_slab_is_asked_too(name: str) -> None:
    """A slab without a freelist is read for its zones alone."""
    heap = Heap(LAYOUTS[name], seed=2)
    cache = heap.cache("slab_test", 84, red_zone=True)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    _write(heap, cache, slab, 0, INACTIVE)
    rows = records(heap, "slabobjs", "slab_test")
    assert by_state(rows)["allocated"] == {slab.object(i) for i in range(1, cache.objects)}
    assert len(problems(rows)) == 1


def test_the_same_bytes_in_a_cache_without_red_zones_are_contents() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=2)
    cache = heap.cache("slab_test", 88)
    slab = heap.slab(cache, {1, 4}, content=lambda index: INACTIVE * 88)
    rows = records(heap, "slabobjs", "slab_test")
    assert problems(rows) == []
    assert by_state(rows) == {"allocated": {slab.object(1), slab.object(4)}}


@pytest.mark.parametrize(("name", "size"), [("3.10", 1), ("4.4", 3)])
def test_a_free_pointer_over_a_right_zone_is_no_damage(name: str, size: int) -> None:
    heap = Heap(LAYOUTS[name], seed=2)
    cache = heap.cache("slab_tiny", size, red_zone=True)
    heap.slab(cache, {1, 4, 5})
    rows = records(heap, "slabobjs", "-f", "slab_tiny")
    assert problems(rows) == []
    truth = heap.truth()[cache.address]
    assert by_state(rows) == {"allocated": truth.allocated, "free": truth.free}
