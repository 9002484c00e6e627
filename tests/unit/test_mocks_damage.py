# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages hit what they name, only that, and the same again by the same seed."""

from __future__ import annotations

from typing import Dict, List

import pytest
from hypothesis import HealthCheck, given, settings

from mocks.damage import TARGETS, VALUES, Plan, damage
from mocks.heap import Heap
from mocks.image import Hole
from mocks.layouts import LAYOUTS
from mocks.strategies import damages, heaps


def build(name: str = "6.12") -> Heap:
    heap = Heap(LAYOUTS[name], seed=1)
    cache = heap.cache("slab_test")
    heap.slab(cache, {1, 2})
    heap.slab(heap.cache("other", 200), {0})
    return heap


def memory(heap: Heap) -> Dict[int, bytes]:
    return dict(heap.image.extents())


def changed(before: Dict[int, bytes], after: Dict[int, bytes]) -> List[int]:
    return [
        start + at
        for start, data in before.items()
        if data != after[start]
        for at in range(len(data))
        if data[at] != after[start][at]
    ]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("target", [target for target in TARGETS if target != "page"])
def test_one_word_changes(target: str, value: str) -> None:
    heap = build()
    before = memory(heap)
    done = damage(heap, target, value, seed=5)
    bytes_changed = changed(before, memory(heap))
    assert all(0 <= at - done.address < 8 for at in bytes_changed)
    assert bool(bytes_changed) == (done.before != done.after)
    assert heap.image.get(done.address, 8) == done.after
    assert value in done.text
    again = build()
    assert damage(again, target, value, seed=5) == done


def test_a_link_to_itself_is_a_cycle_for_a_decoder() -> None:
    heap = build()
    done = damage(heap, "link", "self", seed=3)
    slab = next(one for cache in heap.caches for one in cache.slabs if done.address in one.memory)
    swapped = int.from_bytes(done.address.to_bytes(8, "little"), "big")
    assert done.after ^ slab.cache.random ^ swapped == done.address - slab.cache.offset


def test_unmapped_is_unmapped() -> None:
    heap = build()
    done = damage(heap, "head", "unmapped")
    with pytest.raises(Hole):
        heap.image.read(done.after, 1)


def test_a_page_goes_away() -> None:
    heap = build()
    done = damage(heap, "page", seed=2)
    with pytest.raises(Hole):
        heap.image.read(done.address, 1)
    with pytest.raises(Hole):
        heap.image.read(done.address + 4095, 1)


def test_truth_stays() -> None:
    heap = build()
    before = heap.truth()
    damage(heap, "link", "zero")
    assert heap.truth() == before


def test_unknown_damage_is_refused() -> None:
    with pytest.raises(ValueError, match="no such damage"):
        damage(build(), "moon")
    with pytest.raises(ValueError, match="no such damage"):
        damage(build(), "cache", "blue")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(heaps(), damages())
def test_any_plan_fits_any_heap(heap: Heap, plan: Plan) -> None:
    done = plan.apply(heap)
    assert done.target == plan.target
    if plan.target == "page":
        assert not heap.image.is_mapped(done.address, 1)
    else:
        assert heap.image.get(done.address, heap.layout.word) == done.after
