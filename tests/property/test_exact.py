# SPDX-License-Identifier: GPL-3.0-or-later
"""On a heap of any layout, every object is told as it is: complete sets, nothing else."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Set

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.strategies import crowded_heaps, heaps
from tests.replay import run_command

FREEING = ["6.2", "6.5"]
"""Layouts whose failed destroy frees the struct."""


def _records(heap: Heap, name: str, *arguments: str) -> List[Dict[str, Any]]:
    text = run_command(FakeCrash(heap.image), name, ["-j", *arguments])
    return [json.loads(line) for line in text.splitlines()]


def _reused(heap: Heap) -> Set[int]:
    """The addresses that a dead cache and a later one have in common."""
    addresses = [cache.address for cache in heap.caches]
    return {address for address in addresses if addresses.count(address) > 1}


def _without_kfence(records: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """A pool's objects lie in no slab of their cache (tests/unit/test_kfence.py)."""
    pool = {row["address"] for row in records if row["type"] == "slab" and row["list"] == "kfence"}
    return [row for row in records if not pool & {row.get("slab"), row.get("address")}]


def _by_state(records: List[Dict[str, Any]]) -> Dict[str, Set[int]]:
    found: Dict[str, Set[int]] = {}
    for row in records:
        if row["type"] == "object":
            address = int(row["address"], 16)
            assert all(address not in others for others in found.values()), "listed twice"
            found.setdefault(row["state"], set()).add(address)
    return found


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@given(data=st.data())
def test_every_object_of_every_cache_is_told_as_it_is(name: str, data: st.DataObject) -> None:
    heap = data.draw(crowded_heaps(LAYOUTS[name]))
    reused = _reused(heap)
    for address, truth in heap.truth().items():
        if address in reused:
            continue
        records = _without_kfence(_records(heap, "slabobjs", "-f", "-b", "0", f"{address:x}"))
        texts = [row["text"] for row in records if row["type"] == "problem"]
        assert [text for text in texts if not (reused and text.startswith("slab_caches:"))] == []
        states = _by_state(records)
        assert states.pop("allocated", set()) == truth.allocated
        assert states.pop("free", set()) == truth.free
        assert states.pop("freed, RCU pending", set()) == truth.rcu
        assert states == {}
        assert {int(r["address"], 16) for r in records if r["type"] == "slab"} == truth.slabs
        assert records[-1]["complete"] is not bool(texts)


@given(data=st.data(), name=st.sampled_from(FREEING))
def test_a_reused_struct_takes_no_object_of_the_dead_cache_over(
    name: str, data: st.DataObject
) -> None:
    """v6.0 to v6.5 free the struct of a cache whose destroy failed, and reuse it."""
    heap = data.draw(heaps(LAYOUTS[name]))
    for address in _reused(heap):
        truth = heap.truth()[address]
        states = _by_state(_records(heap, "slabobjs", "-f", "-b", "0", f"{address:x}"))
        assert states.get("allocated", set()) <= truth.allocated
        assert states.get("free", set()) <= truth.free


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@given(data=st.data())
def test_the_leftovers_are_those_that_were_left_behind(name: str, data: st.DataObject) -> None:
    heap = data.draw(heaps(LAYOUTS[name]))
    records = _records(heap, "slabdup", "-a")
    told = {int(r["address"], 16): r["state"] for r in records if r["type"] == "cache"}
    wanted = {
        cache.address: "live" if cache.refcount else "leftover"
        for cache in heap.caches
        if cache.refcount or heap.truth()[cache.address].allocated
    }
    assert {address: told.get(address) for address in wanted} == wanted
    assert set(told) == {cache.address for cache in heap.caches}
