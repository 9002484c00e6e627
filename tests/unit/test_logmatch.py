# SPDX-License-Identifier: GPL-3.0-or-later
"""A report of the log is matched with its cache, and what log and memory disagree on is told."""

from __future__ import annotations

from typing import Callable, Collection, Dict, List, Optional, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session
from crash_ext.slub.unlisted import find_unlisted
from crash_ext.why.log.hashed import siphash_1u64
from crash_ext.why.log.match import (
    ADDRESSES,
    NAME,
    NOT_LISTED_FULL,
    NOT_LISTED_LOST,
    NOT_LISTED_NODE,
    NOT_LISTED_SINCE,
    NOT_LISTED_SLAB,
    OFFSETS,
    LogEvidence,
    match_reports,
    reported_caches,
)
from crash_ext.why.log.parse import parse_reports
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit import logs
from tests.unit.asked import session

Hide = Callable[[int], str]


def raw(address: int) -> str:
    return f"{address:016x}"


def hashed(address: int) -> str:
    return f"{siphash_1u64(address, *logs.KEY) & 0xFFFFFFFF:016x}"


def blind(_address: int) -> str:
    return "(____ptrval____)"


HIDES: Sequence[Hide] = (raw, hashed, blind)


def told(slab: Slab, hide: Hide, also: Collection[int] = ()) -> logs.Slab:
    """A slab as a report lists it. also: objects that were allocated then."""
    objects = sorted(slab.allocated | set(also))
    return hide(slab.page), [(hide(slab.object(i)), slab.object(i) - slab.va) for i in objects]


def report(
    cache: Cache, slabs: Sequence[logs.Slab], wording: str = "6.1", last: bool = True
) -> str:
    lines = logs.report(
        logs.WORDINGS[wording], cache.name.decode(), slabs, per_slab=cache.objects, last=last
    )
    return logs.stamped(lines)


def evidence(heap: Heap, address: int, log: str) -> LogEvidence:
    """What a log says of the cache at that address."""
    asked = session(heap)
    caches = asked.listed_caches().caches + find_unlisted(asked, [])
    (cache,) = [cache for cache in caches if cache.address == address]
    decoded = list(for_each_decoded_slab(asked, cache, []))
    return match_reports(asked, cache, decoded, parse_reports(log))


class Left:
    """A leftover with three slabs on two nodes, and a live cache of its name."""

    def __init__(self, layout: str = "6.12", red_zone: bool = False) -> None:
        self.heap = Heap(LAYOUTS[layout], seed=3)
        self.cache = self.heap.cache("slab_test", 84, red_zone=red_zone)
        self.slabs = [
            self.heap.slab(self.cache, {3}),
            self.heap.slab(self.cache, {3, 7}),
            self.heap.slab(self.cache, {11}),
        ]
        self.heap.leave_behind(self.cache)
        self.live = self.heap.cache("slab_test", 84, red_zone=red_zone)
        self.heap.slab(self.live, {3})
        self.heap.slab(self.live, {1, 2, 11})
        logs.give_key(self.heap, logs.key_bytes(self.heap))

    def log(self, hide: Hide, also: Optional[Dict[int, Collection[int]]] = None) -> str:
        """also: slab's number -> objects that it had then, besides."""
        also = also or {}
        return report(
            self.cache, [told(s, hide, also.get(n, ())) for n, s in enumerate(self.slabs)]
        )

    def objects(self) -> List[int]:
        return sorted(slab.object(index) for slab in self.slabs for index in slab.allocated)


@pytest.mark.parametrize("hide", HIDES)
@pytest.mark.parametrize(
    ("layout", "red_zone"),
    [("5.10", False), ("6.1", True), ("6.12", False), ("7.3", False), ("6.1-s390x", False)],
)
def test_a_report_is_the_leftovers_with_exactly_its_objects(
    hide: Hide, layout: str, red_zone: bool
) -> None:
    left = Left(layout, red_zone)
    found = evidence(left.heap, left.cache.address, left.log(hide))
    (matched,) = found.reports
    assert matched.how == (OFFSETS if hide is blind else ADDRESSES)
    assert [slab.slab and slab.slab.slab.address for slab in matched.slabs] == [
        slab.page for slab in left.slabs
    ]
    assert sorted(found.allocated) == left.objects()
    assert (found.freed, found.gone, found.unlisted, found.others) == ([], [], {}, [])
    assert found.proven


@pytest.mark.parametrize("hide", HIDES)
def test_it_is_never_the_live_caches_of_that_name(hide: Hide) -> None:
    left = Left()
    found = evidence(left.heap, left.live.address, left.log(hide))
    assert not found.proven
    assert [matched.how for matched in found.reports] == ([NAME] if hide is blind else [])
    assert len(found.others) == (hide is not blind)
    assert (found.allocated, found.freed, found.gone, found.unlisted) == ([], [], [], {})


@pytest.mark.parametrize("hide", HIDES)
def test_what_was_freed_after_the_report_is_told(hide: Hide) -> None:
    left = Left()
    found = evidence(left.heap, left.cache.address, left.log(hide, {2: {5, 6}}))
    assert found.proven
    assert sorted(found.freed) == [left.slabs[2].object(5), left.slabs[2].object(6)]
    assert sorted(found.allocated) == left.objects()


@pytest.mark.parametrize("hide", [raw, hashed])
def test_a_slab_that_was_emptied_since_is_gone(hide: Hide) -> None:
    left = Left()
    lost = (hide(left.slabs[0].page + 64 * 1024), [(hide(0xFFFF888000001000), 0)])
    log = report(left.cache, [*(told(slab, hide) for slab in left.slabs), lost])
    found = evidence(left.heap, left.cache.address, log)
    (gone,) = found.gone
    assert [told.offset for told in gone.objects_listed] == [0]
    assert sorted(found.allocated) == left.objects()


@pytest.mark.parametrize("hide", HIDES)
def test_why_the_log_lacks_an_object_is_told(hide: Hide) -> None:
    left = Left()
    heap, cache = left.heap, left.cache
    full = heap.slab(cache, range(cache.objects), where="full-unlisted")
    other = heap.slab(cache, {4, 5}, node=1)
    log = left.log(hide)
    late = heap.slab(cache, {9})
    if hide is not blind:
        left.slabs[0].allocated.add(20)
        left.slabs[0].chain.remove(20)
        heap.slab(heap.cache("unrelated"), {0})  # has the heap written anew
    found = evidence(heap, cache.address, log)
    expected = {
        NOT_LISTED_FULL: [full.object(index) for index in range(cache.objects)],
        NOT_LISTED_NODE: [other.object(4), other.object(5)],
        NOT_LISTED_SLAB: [late.object(9)],
    }
    if hide is not blind:
        expected[NOT_LISTED_SINCE] = [left.slabs[0].object(20)]
    assert {reason: sorted(objects) for reason, objects in found.unlisted.items()} == expected


def test_a_report_with_lost_lines_is_no_proof_that_an_object_came_later() -> None:
    left = Left()
    log = report(left.cache, [told(slab, raw) for slab in left.slabs[:2]], last=False)
    found = evidence(left.heap, left.cache.address, log)
    assert found.unlisted == {NOT_LISTED_LOST: [left.slabs[2].object(11)]}


@pytest.mark.parametrize("hide", [raw, hashed])
def test_two_leftovers_of_one_name_have_each_its_own_report(hide: Hide) -> None:
    heap = Heap(LAYOUTS["6.12"])
    caches, log = [], ""
    for _ in range(2):
        cache = heap.cache("slab_test", 84)
        slab = heap.slab(cache, {3})
        log += report(cache, [told(slab, hide)])
        heap.leave_behind(cache)
        caches.append((cache, slab))
    logs.give_key(heap, logs.key_bytes(heap))
    for cache, slab in caches:
        found = evidence(heap, cache.address, log)
        assert [m.slabs[0].slab and m.slabs[0].slab.slab.address for m in found.reports] == [
            slab.page
        ]
        assert len(found.others) == 1


def test_without_addresses_equal_reports_are_not_told_apart() -> None:
    """A module that was loaded twice may leave the same object of the first slab each time."""
    heap = Heap(LAYOUTS["6.12"])
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {3})
    log = report(cache, [told(slab, blind)])
    heap.leave_behind(cache)
    assert evidence(heap, cache.address, log).proven
    found = evidence(heap, cache.address, log + log)
    assert [matched.how for matched in found.reports] == [NAME, NAME]
    assert (found.allocated, found.unlisted) == ([], {})


def test_offsets_that_fit_no_slab_prove_nothing() -> None:
    left = Left()
    cache = left.cache
    stride = cache.size
    log = report(
        cache, [("(ptrval)", [("(ptrval)", 30 * stride)]), ("(ptrval)", [("(ptrval)", 0)])]
    )
    found = evidence(left.heap, cache.address, log)
    assert [matched.how for matched in found.reports] == [NAME]
    assert not found.proven


def test_offsets_that_fit_one_of_many_slabs_prove_nothing() -> None:
    left = Left()
    log = report(left.cache, [told(left.slabs[0], blind)])
    assert not evidence(left.heap, left.cache.address, log).proven
    heap = Heap(LAYOUTS["6.12"])
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {3})
    heap.leave_behind(cache)
    log = report(cache, [told(slab, blind), ("(ptrval)", [("(ptrval)", 0)])])
    assert not evidence(heap, cache.address, log).proven


def test_a_hash_of_another_shape_is_not_taken_for_the_slab() -> None:
    """Hashes have 32 bits: another address may have the same."""
    left = Left()
    slab = left.slabs[0]
    for objects in ([(hashed(1), 3 * left.cache.size)], [(hashed(slab.va + 1), 1)]):
        log = report(left.cache, [(hashed(slab.page), objects)])
        found = evidence(left.heap, left.cache.address, log)
        assert (found.reports, found.gone, len(found.others)) == ([], [], 1)


def test_a_report_of_full_slabs_alone_fits_by_name() -> None:
    left = Left()
    found = evidence(left.heap, left.cache.address, report(left.cache, []))
    assert [(matched.how, matched.slabs) for matched in found.reports] == [(NAME, [])]


def test_other_names_are_other_caches() -> None:
    left = Left()
    log = left.log(raw).replace("slab_test", "slab_tes")
    assert evidence(left.heap, left.cache.address, log) == LogEvidence([], [], [], [], [], {})


@pytest.mark.parametrize(
    ("name", "shown"), [(b"a\xe9", "a."), (b"a\xe9", "a\\xe9"), (b"a b", "a b")]
)
def test_odd_names_are_compared_as_crash_shows_them(name: bytes, shown: str) -> None:
    heap = Heap(LAYOUTS["6.12"])
    cache = heap.cache(name, 84)
    slab = heap.slab(cache, {3})
    heap.leave_behind(cache)
    lines = logs.report(logs.WORDINGS["6.12"], shown, [told(slab, raw)], per_slab=cache.objects)
    assert evidence(heap, cache.address, logs.stamped(lines)).proven


@pytest.mark.parametrize("hide", [raw, hashed])
def test_a_live_cache_that_was_merged_into_a_leftover_is_found(hide: Hide) -> None:
    """Up to v6.11 the next kmem_cache_create() takes it over: leaked and live side by side."""
    heap = Heap(LAYOUTS["6.1"])
    cache = heap.cache("slab_test", 84)
    slabs = [heap.slab(cache, {3}), heap.slab(cache, {4, 5})]
    other = heap.cache("other", 84)
    heap.slab(other, {3})
    log = report(cache, [told(slab, hide) for slab in slabs]) + report(other, [])
    leaked = sorted(slab.object(index) for slab in slabs for index in slab.allocated)
    for slab in slabs:
        slab.allocated.add(9)
        slab.chain.remove(9)
    logs.give_key(heap, logs.key_bytes(heap))
    asked: Session = session(heap)
    problems: List[str] = []
    caches = asked.listed_caches().caches
    found = list(reported_caches(asked, caches, parse_reports(log), problems))
    assert problems == []
    ((taken, told_of),) = found
    assert (taken.address, taken.refcount) == (cache.address, 1)
    assert sorted(told_of.allocated) == leaked
    assert told_of.unlisted == {NOT_LISTED_SINCE: [slab.object(9) for slab in slabs]}


@pytest.mark.parametrize("hide", [raw, hashed])
@pytest.mark.parametrize("freed", [False, True])
def test_a_page_that_came_to_a_live_cache_makes_it_no_leftover(hide: Hide, freed: bool) -> None:
    """The leftover was emptied since; the allocator gave one of its pages to its successor."""
    heap = Heap(LAYOUTS["6.12"])
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {3, 5})
    gone = (hide(slab.page + 0x10000), [(hide(0xFFFF888000001000), 0)])
    slabs = [told(slab, hide, {9})] if freed else [told(slab, hide), gone]
    logs.give_key(heap, logs.key_bytes(heap))
    found = evidence(heap, cache.address, report(cache, slabs))
    assert [matched.how for matched in found.reports] == [NAME]
    assert (found.allocated, found.freed, found.gone, found.others) == ([], [], [], [])


def test_a_live_cache_beside_a_leftover_of_its_name_is_not_said_to_be_one() -> None:
    left = Left()
    page = left.heap.slab(left.live, {3})
    log = left.log(raw) + report(left.live, [told(page, raw)])
    asked = session(left.heap)
    caches = asked.listed_caches().caches + find_unlisted(asked, [])
    assert match_reports(
        asked,
        next(cache for cache in caches if cache.address == left.live.address),
        list(for_each_decoded_slab(asked, asked.listed_caches().caches[0], [])),
        parse_reports(log),
    ).proven
    found = reported_caches(asked, caches, parse_reports(log), [])
    assert [cache.address for cache, _ in found] == [left.cache.address]


@pytest.mark.parametrize("hide", [raw, hashed])
def test_an_older_report_that_names_one_of_its_pages_is_another_caches(hide: Hide) -> None:
    left = Left()
    gone = (hide(left.slabs[0].page + 0x10000), [(hide(0xFFFF888000001000), 0)])
    older = report(left.cache, [told(left.slabs[0], hide, {20}), gone])
    found = evidence(left.heap, left.cache.address, older + left.log(hide))
    assert [matched.how for matched in found.reports] == [NAME, ADDRESSES]
    assert sorted(found.allocated) == left.objects()
    assert (found.freed, found.gone, found.unlisted) == ([], [], {})


LEFT = Left()
POINTERS = st.sampled_from(
    [hide(address) for hide in HIDES for slab in LEFT.slabs for address in (slab.page, slab.va)]
) | st.integers(0, (1 << 64) - 1).map(raw)
OFFSETS_LOGGED = st.sampled_from([0, 3, 7, 11, 40]).map(lambda index: index * LEFT.cache.size)
SLABS = st.tuples(
    POINTERS, st.lists(st.tuples(POINTERS, OFFSETS_LOGGED | st.integers(0, 1 << 20)), max_size=4)
)


@given(st.lists(st.lists(SLABS, max_size=5), max_size=3), st.booleans())
def test_whatever_the_log_says_nothing_is_said_that_memory_denies(
    told_of: List[List[logs.Slab]], last: bool
) -> None:
    log = "".join(report(LEFT.cache, slabs, last=last) for slabs in told_of)
    for cache in (LEFT.cache, LEFT.live):
        found = evidence(LEFT.heap, cache.address, log)
        truth = LEFT.heap.truth()[cache.address]
        unlisted = [address for objects in found.unlisted.values() for address in objects]
        assert set(found.allocated) <= truth.allocated
        assert set(found.freed) <= truth.free
        for listed in (found.allocated, found.freed, unlisted):
            assert len(listed) == len(set(listed))
        assert not found.proven or set(found.allocated) | set(unlisted) == truth.allocated
        assert len(found.reports) + len(found.others) <= sum(map(bool, told_of)) + len(told_of)
