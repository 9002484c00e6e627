# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated heaps are ones that a kernel could have: their own counts agree with the bytes."""

from __future__ import annotations

from typing import Set

from hypothesis import HealthCheck, given, settings

from mocks.heap import Heap
from mocks.strategies import heaps

slow = [HealthCheck.too_slow]


@settings(max_examples=60, deadline=None, suppress_health_check=slow)
@given(heaps())
def test_every_object_is_somewhere(heap: Heap) -> None:
    image, layout = heap.image, heap.layout
    truth = heap.truth()
    assert len(truth) >= 3
    for cache in heap.caches:
        if cache.frozen:
            continue
        said = truth[cache.address]
        objects = sum(slab.objects for slab in cache.slabs)
        # A struct that was freed and handed out again names the dead cache's slabs, too.
        namesakes = [one for one in heap.caches if one.address == cache.address]
        everything = sum(slab.objects for one in namesakes for slab in one.slabs)
        assert len(said.allocated) + len(said.free) + len(said.rcu) == everything
        offset = layout.structs[layout.descriptor][1]["slab_cache"][0]
        for slab in cache.slabs:
            assert image.get(slab.page + offset, layout.word) == cache.address
        if layout.has("kmem_cache_node", "total_objects"):
            at = layout.structs["kmem_cache_node"][1]["total_objects"][0]
            counted = [image.get(node + at, layout.word) for node in cache.nodes.values()]
            assert sum(counted) == objects


def test_every_kind_is_among_them() -> None:
    seen: Set[str] = set()

    @settings(
        max_examples=150, deadline=None, suppress_health_check=slow, derandomize=True, database=None
    )
    @given(heaps())
    def collect(heap: Heap) -> None:
        for cache in heap.caches:
            seen.update(slab.where for slab in cache.slabs)
            seen.update(name for name in ("spare", "rcu_free", "loose") if getattr(cache, name))
            seen.add("leftover" if cache.refcount == 0 else "live")

    collect()
    assert seen == {
        *("partial", "full", "full-unlisted", "cpu", "cpu_partial", "growing"),
        *("spare", "rcu_free", "loose", "leftover", "live"),
    }
