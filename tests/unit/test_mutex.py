# SPDX-License-Identifier: GPL-3.0-or-later
"""slab_mutex tells whether a cache is being made or destroyed, where the kernel shows it."""

from __future__ import annotations

import pytest

from crash_ext.slub.mutex import slab_mutex_held
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records, target

TASK = 0xFFFF888000ABC000


def _put(heap: Heap, member: str, value: int) -> None:
    offset, size = heap.layout.structs["mutex"][1][member]
    heap.image.put(heap.image.symbols["slab_mutex"] + offset, size, value)


@pytest.mark.parametrize(
    ("owner", "held"),
    [(0, False), (TASK, True), (TASK | 1, True), (TASK | 7, True), (1, False), (4, False)],
    ids=["nobody", "a task", "with waiters", "handing off", "waiters only", "pickup only"],
)
def test_from_v4_10_on_the_owner_has_it_and_flags_are_nobody(owner: int, held: bool) -> None:
    """Linux kernel commit 3ca0ff571b09 ("locking/mutex: Rework mutex::owner") (in v4.10)."""
    heap = Heap(LAYOUTS["6.1"])
    _put(heap, "owner", owner)
    assert slab_mutex_held(target(heap)) is held


@pytest.mark.parametrize(("count", "held"), [(1, False), (0, True), (-1, True)])
def test_before_a_counter_is_1_while_nobody_has_it(count: int, held: bool) -> None:
    """Without CONFIG_SMP and CONFIG_DEBUG_MUTEXES that counter is all there is."""
    heap = Heap(LAYOUTS["4.4"])
    size, members = heap.image.structs["mutex"]
    heap.image.structs["mutex"] = (size, {k: v for k, v in members.items() if k != "owner"})
    _put(heap, "count", count)
    assert slab_mutex_held(target(heap)) is held


@pytest.mark.parametrize(("count", "owner", "held"), [(1, 0, False), (0, TASK, True)])
def test_before_an_owner_beside_the_counter_says_the_same(
    count: int, owner: int, held: bool
) -> None:
    heap = Heap(LAYOUTS["4.4"])
    _put(heap, "count", count)
    _put(heap, "owner", owner)
    assert slab_mutex_held(target(heap)) is held


def test_a_kernel_whose_mutex_has_neither_does_not_tell() -> None:
    heap = Heap(LAYOUTS["6.1"])
    heap.image.structs["mutex"] = (8, {"rtmutex": (0, 8)})
    assert slab_mutex_held(target(heap)) is None


def test_a_mutex_that_cannot_be_read_does_not_tell() -> None:
    heap = Heap(LAYOUTS["6.1"])
    heap.image.symbols["slab_mutex"] = 0xDEAD0000
    assert slab_mutex_held(target(heap)) is None


def test_a_kernel_without_the_symbol_does_not_tell() -> None:
    heap = Heap(LAYOUTS["6.1"])
    del heap.image.symbols["slab_mutex"]
    assert slab_mutex_held(target(heap)) is None


@pytest.mark.parametrize(("owner", "state"), [(0, "leftover"), (TASK, "unknown")])
def test_an_emptied_cache_is_a_leftover_only_while_no_destroy_can_be_running(
    owner: int, state: str
) -> None:
    heap = Heap(LAYOUTS["6.1"])
    cache = heap.cache("slab_test", 84, refcount=0)
    heap.slab(cache, ())
    _put(heap, "owner", owner)
    (row,) = of_type(records(heap, "slabdup"), "cache")
    assert (row["name"], row["state"], row["allocated"]) == ("slab_test", state, 0)
