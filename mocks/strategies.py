# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies: heaps of any layout, damages to them.

    @given(heaps(), st.lists(damages(), max_size=3))
    def test(heap, plans):
        for plan in plans:
            plan.apply(heap)

Shrinking goes to the oldest layout, one small cache, one slab with nothing allocated.
"""

from __future__ import annotations

from typing import List, Optional, Sequence

from hypothesis import strategies as st

from mocks.damage import TARGETS, VALUES, Plan
from mocks.heap import Heap
from mocks.kernfs import SlabDirectory
from mocks.kfence import KfencePool
from mocks.layouts import LAYOUTS, KernelLayout
from mocks.model import Cache, Slab

layouts: st.SearchStrategy[KernelLayout] = st.sampled_from(list(LAYOUTS.values()))

_NAMES = ("slab_test", "dentry", "feed", "a b\x1b[31m", "")


def damages(targets: Sequence[str] = TARGETS) -> st.SearchStrategy[Plan]:
    """Damages still to be applied."""
    return st.builds(
        Plan, st.sampled_from(list(targets)), st.sampled_from(VALUES), st.integers(0, 2**16)
    )


@st.composite
def heaps(draw: st.DrawFn, layout: Optional[KernelLayout] = None) -> Heap:
    """A heap with one to three caches beside the kernel's own; some of them left behind."""
    heap = Heap(
        draw(layouts) if layout is None else layout,
        seed=draw(st.integers(0, 2**16)),
        cpus=draw(st.sampled_from([(0,), (0, 1), (1, 3)])),
        nodes=draw(st.integers(1, 3)),
    )
    for _ in range(draw(st.integers(1, 3))):
        cache = draw(_caches(heap))
        slabs = [draw(_slabs(heap, cache)) for _ in range(draw(st.integers(1, 3)))]
        if cache.capacity and draw(st.booleans()):
            draw(_sheaves(heap, cache, slabs))
        if any(slab.allocated for slab in slabs) and draw(st.booleans()):
            heap.leave_behind(cache)
    return heap


@st.composite
def crowded_heaps(draw: st.DrawFn, layout: Optional[KernelLayout] = None) -> Heap:
    """heaps() with what not every kernel has: put off frees, a KFENCE pool, sysfs."""
    heap = draw(heaps(layout))
    live = [cache for cache in heap.caches if cache.refcount and _is_drawn(cache)]
    for rcu in (False, True) if live else ():
        cache = draw(st.sampled_from(live))
        used = [slab.object(i) for slab in cache.slabs for i in sorted(slab.allocated)]
        fits = not rcu or cache.object_size >= 3 * heap.layout.word
        if heap.can_defer(rcu) and fits and len(used) > 2:
            heap.defer(cache, used[:2], cpu=draw(st.sampled_from(heap.cpus)), rcu=rcu)
    if draw(st.booleans()):
        pool = KfencePool(heap, draw(st.integers(1, 6)), pointer=draw(st.booleans()))
        for number in draw(st.sets(st.integers(0, pool.objects - 1), max_size=3)) if live else ():
            cache = draw(st.sampled_from(live))
            size = min(cache.object_size, heap.layout.page_size)
            state = draw(st.sampled_from(("ALLOCATED", "FREED", "RCU_FREEING")))
            pool.put(number, cache, size, state=state, right=draw(st.booleans()))
    if heap.layout.has("kmem_cache", "kobj") and draw(st.booleans()):
        sysfs = SlabDirectory(heap)
        for cache in live:
            home = sysfs.directory(cache, b":" + cache.name)
            sysfs.link(home, b"alias-" + cache.name)
        if live:
            sysfs.sort()
    return heap


def _is_drawn(cache: Cache) -> bool:
    """The objects of the heap's own caches are structs that are in use: never to be freed."""
    return bool(cache.slabs) and all(slab.where != "growing" for slab in cache.slabs)


@st.composite
def _caches(draw: st.DrawFn, heap: Heap) -> Cache:
    debugging = heap.layout.has("kmem_cache_node", "nr_slabs") and draw(st.booleans())
    red_zone, poison, store_user = False, False, False
    if debugging:
        red_zone, poison, store_user = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    with_ctor = draw(st.booleans())
    return heap.cache(
        draw(st.sampled_from(_NAMES)),
        draw(st.one_of(st.integers(1, 300), st.sampled_from([1024, 4096, 9000]))),
        ctor=heap.function("ctor", module=True) if with_ctor else 0,
        flags=heap.flag("TYPESAFE_BY_RCU") if draw(st.booleans()) else 0,
        order=draw(st.integers(0, 2)),
        align=draw(st.sampled_from([8, 64])),
        red_zone=red_zone,
        poison=poison,
        store_user=store_user,
    )


@st.composite
def _slabs(draw: st.DrawFn, heap: Heap, cache: Cache) -> Slab:
    where = draw(st.sampled_from(_places(heap, cache)))
    indices = range(cache.objects)
    node = draw(st.sampled_from(sorted(cache.nodes)))
    if where.startswith("full"):
        return heap.slab(cache, indices, node=node, where=where)
    # A dozen drawn indices: which of a thousand objects is used is no more telling.
    allocated = draw(st.sets(st.sampled_from(indices), max_size=12))
    if where.endswith("partial") and len(allocated) == cache.objects:
        allocated.pop()
    if where != "cpu":
        cpu = draw(st.sampled_from(heap.cpus))
        return heap.slab(cache, allocated, node=node, where=where, cpu=cpu)
    free = [index for index in indices if index not in allocated]
    on_cpu = draw(st.lists(st.sampled_from(free), unique=True, max_size=12)) if free else []
    return heap.slab(
        cache,
        allocated,
        node=node,
        where="cpu",
        cpu=draw(st.sampled_from(_cpus_without_slab(heap, cache))),
        cpu_freelist=on_cpu,
    )


def _cpus_without_slab(heap: Heap, cache: Cache) -> List[int]:
    taken = [slab.cpu for slab in cache.slabs if slab.where == "cpu"]
    return [cpu for cpu in heap.cpus if cpu not in taken]


def _places(heap: Heap, cache: Cache) -> List[str]:
    places = ["partial", "full-unlisted"]
    if cache.flags & heap.flag("STORE_USER") and heap.layout.has("kmem_cache_node", "full"):
        places.append("full")
    if cache.cpu_slab and not cache.debug:
        if _cpus_without_slab(heap, cache):
            places.append("cpu")
        if heap.layout.has("kmem_cache_cpu", "partial"):
            places.append("cpu_partial")
    return places


@st.composite
def _sheaves(draw: st.DrawFn, heap: Heap, cache: Cache, slabs: List[Slab]) -> None:
    used = [slab.object(index) for slab in slabs for index in sorted(slab.allocated)]
    for where in ("main", "spare", "rcu_free", "barn", "loose"):
        count = draw(st.integers(0, min(cache.capacity, len(used))))
        if count:
            objects, used = used[:count], used[count:]
            heap.sheaf(cache, objects, where=where, cpu=draw(st.sampled_from(heap.cpus)))
