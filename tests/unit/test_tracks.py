# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks tell who allocated an object and who freed it last; contradictions tell nothing."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from crash_ext.kernel.clock import Clock
from crash_ext.kernel.stackdepot import Depot
from crash_ext.slub.model import Cache as Decoded
from crash_ext.slub.session import Session
from crash_ext.slub.tracks import NO_TRACKS, Track, TrackReader, Tracks
from mocks.annex import Annex
from mocks.heap import Heap
from mocks.history import DEPOTS, HZ, History, StackDepot
from mocks.history import Clock as MockClock
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from tests.unit.asked import session, target

WITH_TRACKS = [name for name, layout in LAYOUTS.items() if layout.has("kmem_cache_node", "full")]
every_layout = pytest.mark.parametrize("name", WITH_TRACKS)
BY_HANDLE = [name for name in WITH_TRACKS if LAYOUTS[name].has("track", "handle")]
both_forms = pytest.mark.parametrize("name", ["5.10", "6.12"])
FRAMES = [0xFFFFFFFF81000010, 0xFFFFFFFF81000020, 0xFFFFFFFF81000030]
SHORT_FRAMES = [0xC1000010, 0xC1000020, 0xC1000030]


def _frames(heap: Heap) -> List[int]:
    return FRAMES if heap.image.word == 8 else SHORT_FRAMES


def _built(
    name: str, *, red_zone: bool = False, poison: bool = False
) -> Tuple[Heap, Slab, History]:
    heap = Heap(LAYOUTS[name], seed=5)
    cache = heap.cache("slab_test", 84, store_user=True, red_zone=red_zone, poison=poison)
    slab = heap.slab(cache, {1, 2, 4})
    return heap, slab, History(heap)


def _asked(heap: Heap) -> Tuple[Session, Decoded]:
    found = session(heap)
    (cache,) = [one for one in found.listed_caches().caches if one.name == b"slab_test"]
    return found, cache


def _tracks(heap: Heap, slab: Slab, index: int) -> Tracks:
    return TrackReader(*_asked(heap)).of(slab.object(index))


@every_layout
@pytest.mark.parametrize("red_zone", [False, True])
@pytest.mark.parametrize("poison", [False, True])
def test_both_tracks_are_told_as_the_kernel_noted_them(
    name: str, red_zone: bool, poison: bool
) -> None:
    heap, slab, history = _built(name, red_zone=red_zone, poison=poison)
    frames = _frames(heap)
    history.track(slab, 2, frames, cpu=1, pid=4711, ago=3 * HZ)
    history.track(slab, 2, frames[1:], cpu=0, pid=12, ago=5 * HZ, free=True)
    now = history.clock.now
    assert _tracks(heap, slab, 2) == Tracks(
        Track(frames[0], tuple(frames), 1, 4711, now - 3 * HZ, 3 * HZ, 3.0),
        Track(frames[1], tuple(frames[1:]), 0, 12, now - 5 * HZ, 5 * HZ, 5.0),
    )


@both_forms
def test_a_track_without_address_was_never_set(name: str) -> None:
    heap, slab, history = _built(name)
    history.track(slab, 1, FRAMES)
    heap.image.write(history.at(slab, 1, free=True), bytes(heap.image.sizeof("track")))
    found = _tracks(heap, slab, 1)
    assert found.alloc is not None
    assert (found.free, found.problems) == (None, ())


@both_forms
def test_a_cache_that_keeps_no_tracks_has_none_and_says_why(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=5)
    heap.slab(heap.cache("slab_test", 84, poison=True), {1})
    reader = TrackReader(*_asked(heap))
    assert reader.missing == "the cache doesn't keep tracks (no SLAB_STORE_USER)"
    assert reader.of(heap.caches[-1].slabs[0].object(1)) == NO_TRACKS


@both_forms
@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("cpu", 2, "alloc track: cpu 2, but there are 2"),
        ("cpu", -1, "alloc track: cpu 4294967295, but there are 2"),
        ("pid", -1, "alloc track: pid 4294967295, which can't be"),
        ("when", 1 << 40, "alloc track: jiffies 1099511627776 are not between the boot and now"),
        ("when", 5, "alloc track: jiffies 5 are not between the boot and now"),
    ],
)
def test_a_track_that_contradicts_the_kernel_is_not_told(
    name: str, member: str, value: int, text: str
) -> None:
    heap, slab, history = _built(name)
    history.track(slab, 1, FRAMES)
    history.track(slab, 1, FRAMES[2:], free=True)
    heap.writer.set("track", history.at(slab, 1), **{member: value})
    found = _tracks(heap, slab, 1)
    assert found.alloc is None
    assert found.free is not None
    assert found.free.frames == (FRAMES[2],)
    assert found.problems == (f"object {slab.object(1):x}: {text}",)


@both_forms
def test_an_unreadable_track_is_said(name: str) -> None:
    heap, slab, history = _built(name)
    history.track(slab, 1, FRAMES)
    found, cache = _asked(heap)
    heap.image.unmap(slab.va, heap.image.page_size)
    (problem,) = TrackReader(found, cache).of(slab.object(1)).problems
    assert problem.startswith(f"object {slab.object(1):x}: tracks: cannot read")


@both_forms
def test_without_a_clock_a_track_is_told_without_its_age(name: str) -> None:
    heap, slab, history = _built(name)
    history.track(slab, 1, FRAMES)
    del heap.image.symbols["jiffies"]
    alloc = _tracks(heap, slab, 1).alloc
    assert alloc is not None
    assert (alloc.frames, alloc.age, alloc.seconds) == (tuple(FRAMES), None, None)


def test_hz_is_the_clock_sources_and_none_without_it() -> None:
    heap, slab, history = _built("6.12")
    history.track(slab, 1, FRAMES, ago=HZ)
    assert Clock(target(heap)).hz == HZ
    del heap.image.symbols["clocksource_jiffies"]
    assert Clock(target(heap)).hz is None
    alloc = _tracks(heap, slab, 1).alloc
    assert alloc is not None
    assert (alloc.age, alloc.seconds) == (HZ, None)


def test_a_live_kernels_clock_is_read_again_before_a_track_is_in_the_future() -> None:
    heap = Heap(LAYOUTS["6.12"])
    running = MockClock(heap, Annex(heap.image))
    clock = Clock(target(heap))
    assert clock.age(running.now + 3) is None
    heap.image.pointer(running.jiffies, running.now + 5)
    assert clock.age(running.now + 3) == 2


def test_a_cache_without_room_for_tracks_has_none() -> None:
    """With slub_debug=O flags and sizes needn't go together."""
    heap, _, _ = _built("6.12")
    found, cache = _asked(heap)
    small = cache._replace(size=cache.inuse + 8)
    assert TrackReader(found, small).missing is not None


@pytest.mark.parametrize("form", DEPOTS)
@pytest.mark.parametrize("name", ["6.12", "6.1-s390x", "5.10-i386"])
def test_a_handle_leads_to_its_stack_in_every_depot(form: str, name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=6)
    depot = StackDepot(heap, Annex(heap.image), DEPOTS[form])
    frames = _frames(heap)
    one, other = depot.add(frames), depot.add(frames[1:])
    extra = depot.add(frames, extra=3) if DEPOTS[form].extra else one
    asked = Depot(target(heap))
    assert asked.stack(one) == (tuple(frames), None)
    assert asked.stack(other) == (tuple(frames[1:]), None)
    assert asked.stack(extra) == (tuple(frames), None)


@pytest.mark.parametrize("form", DEPOTS)
@pytest.mark.parametrize("damage", ["handle", "size 0", "size", "pool", "unmapped", "random"])
def test_what_is_no_record_of_the_handle_is_no_stack(form: str, damage: str) -> None:
    heap = Heap(LAYOUTS["6.12"], seed=7)
    image = heap.image
    depot = StackDepot(heap, Annex(image), DEPOTS[form])
    handle = depot.add(FRAMES)
    members = image.structs["stack_record"][1]
    record = depot.record(handle)
    if damage == "handle":
        image.u32(record + members["handle"][0], handle ^ 1)
    elif damage.startswith("size"):
        image.u32(record + members["size"][0], 0 if damage == "size 0" else 1 << 31)
    elif damage == "pool":
        image.pointer(depot.table + image.word, 0)
    elif damage == "unmapped":
        image.unmap(depot.pools[1], 4 * image.page_size)
    else:
        handle = 0xFFFFFFFF
    frames, problem = Depot(target(heap)).stack(handle)
    assert frames == ()
    assert problem == f"stack handle {handle:x} leads to no stack"


@pytest.mark.parametrize("name", BY_HANDLE)
def test_a_track_whose_stack_is_lost_still_has_its_caller(name: str) -> None:
    heap, slab, history = _built(name)
    history.track(slab, 1, FRAMES, handle=history.depot.add(FRAMES) ^ 1 << 20)
    found = _tracks(heap, slab, 1)
    assert found.alloc is not None
    assert (found.alloc.caller, found.alloc.frames) == (FRAMES[0], ())
    assert [problem.split(": ")[1] for problem in found.problems] == ["alloc track"]


def test_a_kernel_without_depot_says_so() -> None:
    heap = Heap(LAYOUTS["6.12"])
    assert Depot(target(heap)).stack(1)[0] == ()


def test_each_track_is_told_by_its_name_where_it_contradicts_itself() -> None:
    heap, slab, history = _built("6.12")
    history.track(slab, 2, FRAMES, pid=1 << 23)
    history.track(slab, 2, FRAMES, cpu=999, free=True)
    at = f"object {slab.object(2):016x}"
    assert _tracks(heap, slab, 2) == Tracks(
        None,
        None,
        (
            f"{at}: alloc track: pid {1 << 23}, which can't be",
            f"{at}: free track: cpu 999, but there are 2",
        ),
    )


def test_where_there_is_no_room_for_two_tracks_the_sizes_are_told() -> None:
    heap, slab, _ = _built("6.12")
    found, cache = _asked(heap)
    size = heap.image.sizeof("track")
    reader = TrackReader(found, cache._replace(size=cache.inuse + size))
    assert reader.missing == f"no room for two tracks of {size} bytes in {cache.inuse + size}"
    assert reader.of(slab.object(2)) == NO_TRACKS


def test_a_stack_of_which_nothing_is_known_is_told_by_its_handle() -> None:
    heap, slab, history = _built("6.12")
    history.track(slab, 1, FRAMES, handle=0x1)
    history.track(slab, 2, FRAMES, handle=0x7FFF)
    at = heap.image.structs["track"][1]["handle"][0]
    heap.image.u32(history.at(slab, 1) + at, 1 << 20)
    told = _tracks(heap, slab, 1).problems
    assert told == (
        f"object {slab.object(1):016x}: alloc track: stack handle 100000 names no pool",
    )
    told = _tracks(heap, slab, 2).problems
    assert told == (
        f"object {slab.object(2):016x}: alloc track: stack handle 7fff leads to no stack",
    )
    del heap.image.structs["stack_record"]
    told = _tracks(heap, slab, 2).problems
    assert told == (
        f"object {slab.object(2):016x}: alloc track: no stack depot known in this kernel",
    )
