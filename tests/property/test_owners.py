# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise in tracks, in the depot, in extensions: it ends, nothing is raised, nothing is made up.

What the noise didn't touch is told as before; what it touched is told only where it could be
so: a CPU that there is, a moment since the boot, a stack that its own record vouches for.
"""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.tracks import Track
from crash_ext.why.owners import OwnerReport, owners
from mocks.extensions import Kept, ObjectExtensions
from mocks.heap import Heap
from mocks.history import DEPOTS, UPTIME, History
from mocks.kfence import KfencePool
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from tests.unit.asked import session

NAMES = [name for name, layout in LAYOUTS.items() if layout.has("kmem_cache_node", "full")]
EXTENDED = [name for name in NAMES if LAYOUTS[name].has("slab", "obj_exts")]
NOISE = st.one_of(
    st.binary(min_size=8, max_size=64),
    st.sampled_from([0, 1, 7, 0x5A5A5A5A5A5A5A5A, (1 << 64) - 1]).map(
        lambda word: word.to_bytes(8, "little") * 4
    ),
)


def _report(heap: Heap) -> OwnerReport:
    found = session(heap)
    (cache,) = [one for one in found.listed_caches().caches if one.name == b"slab_test"]
    return owners(found, cache, for_each_decoded_slab(found, cache, []))


def _by_object(report: OwnerReport) -> Dict[int, Tuple[int, ...]]:
    return {address: group.frames for group in report.groups for address in group.objects}


def _noted(name: str, form: str) -> Tuple[Heap, Slab, History]:
    heap = Heap(LAYOUTS[name], seed=11)
    cache = heap.cache("slab_test", 84, store_user=True)
    slab = heap.slab(cache, {0, 1, 2, 4, 5})
    history = History(heap, form)
    for index in slab.allocated:
        history.track(slab, index, [heap.function(f"f{index}"), heap.function("g")], ago=index)
    return heap, slab, history


def _possible(track: Track) -> bool:
    return (
        track.cpu in (0, 1)
        and track.pid < 1 << 22
        and track.age is not None
        and 0 <= track.age <= UPTIME
    )


@given(st.sampled_from(NAMES), st.integers(0, 4), st.integers(0, 130), NOISE)
def test_noise_in_one_objects_tracks_changes_no_other_owner(
    name: str, which: int, offset: int, noise: bytes
) -> None:
    heap, slab, history = _noted(name, "6.9")
    before = _by_object(_report(heap))
    index = sorted(slab.allocated)[which]
    size = 2 * heap.image.sizeof("track")
    start = history.at(slab, index) + min(offset, size - 1)
    heap.image.write(start, noise[: history.at(slab, index) + size - start])
    report = _report(heap)
    after = _by_object(report)
    touched = slab.object(index)
    assert {one: told for one, told in after.items() if one != touched} == {
        one: told for one, told in before.items() if one != touched
    }
    assert report.tracked == len(after) <= report.allocated == 5
    for group in report.groups:
        assert _possible(group.oldest)
        if LAYOUTS[name].has("track", "handle"):
            # The depot holds whole stacks only: noise leads to one of them, or to none.
            assert group.frames in {(), *before.values()}


@given(
    st.sampled_from(list(DEPOTS)),
    st.lists(st.tuples(st.integers(0, 4 * 4096 - 64), NOISE), min_size=1, max_size=4),
    st.booleans(),
)
def test_noise_in_the_depot_loses_stacks_and_no_object(
    form: str, writes: List[Tuple[int, bytes]], table: bool
) -> None:
    heap, _, history = _noted("6.12", form)
    for offset, noise in writes:
        at = (
            history.depot.table + offset % 64 // 8 * 8 if table else history.depot.pools[1] + offset
        )
        heap.image.write(at, noise[:8] if table else noise)
    report = _report(heap)
    assert report.tracked == 5
    pool_words = 4 * heap.image.page_size // heap.image.word
    for group in report.groups:
        assert len(group.frames) < pool_words
        assert group.caller


@given(
    st.sampled_from(EXTENDED),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 300), NOISE), min_size=1, max_size=3),
)
def test_noise_in_a_vector_makes_up_no_line_and_no_memcg(
    name: str, in_object: bool, writes: List[Tuple[int, bytes]]
) -> None:
    heap = Heap(LAYOUTS[name], seed=12)
    slab = heap.slab(heap.cache("slab_test", 84, align=64), {0, 1, 2, 4})
    extensions = ObjectExtensions(heap)
    tag, objcg = extensions.tag(b"a.c", 3, b"a_get"), extensions.memcg(b"/x", 5)
    inside = 104 if in_object and name.startswith("7.") else 0
    base = extensions.put(slab, {index: Kept(objcg, tag) for index in range(5)}, in_object=inside)
    for offset, noise in writes:
        heap.image.write(base + offset, noise)
    report = _report(heap)
    objects = {slab.object(index) for index in slab.allocated}
    assert {group.tag.address for group in report.tags} <= {tag}
    assert {group.memcg.address for group in report.memcgs} <= {extensions.memcg_of(objcg)}
    for listed in [
        *(group.objects for group in report.tags),
        *(group.objects for group in report.memcgs),
    ]:
        assert set(listed) <= objects


@given(st.lists(st.tuples(st.integers(0, 4095), NOISE), min_size=1, max_size=4))
def test_noise_in_kfences_metadata_never_raises(writes: List[Tuple[int, bytes]]) -> None:
    heap = Heap(LAYOUTS["6.12"], seed=13)
    pool = KfencePool(heap)
    cache = heap.cache("slab_test", 84)
    History(heap)
    sampled: Set[int] = set()
    for number in (0, 1, 2):
        sampled.add(pool.put(number, cache, 84))
        pool.track(number, [heap.function("f")], pid=8, cpu=1, nanoseconds=10**9)
    for offset, noise in writes:
        heap.image.write(pool.metadata + offset, noise)
    report = _report(heap)
    assert report.tracked <= report.allocated <= 4
    for group in report.groups:
        assert group.oldest.cpu in (0, 1)
        assert len(group.frames) <= 64
