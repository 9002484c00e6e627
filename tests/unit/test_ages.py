# SPDX-License-Identifier: GPL-3.0-or-later
"""How old objects are: by tracks, and else by words that are likely jiffies."""

from __future__ import annotations

from typing import Callable, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.contents.ages import Ages, ages_of
from crash_ext.kernel.say import duration
from mocks.annex import Annex
from mocks.heap import Heap
from mocks.history import HZ, UPTIME, Clock, History
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records


@given(st.lists(st.integers(0, 10**7), min_size=1))
def test_at_least_half_of_the_objects_are_as_old_as_is_said(seconds: List[int]) -> None:
    found = ages_of(seconds)
    assert found is not None
    assert 2 * sum(each >= found.half for each in seconds) >= len(seconds)
    assert found.oldest == max(seconds)


@given(st.floats(0, 10**9))
def test_a_duration_is_never_longer_than_what_it_stands_for(seconds: float) -> None:
    number, unit = duration(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert 0 <= seconds - int(number) * size < size


def test_no_objects_have_no_age() -> None:
    assert ages_of([]) is None
    assert ages_of([3.0]) == Ages(1, 3.0, 3.0)


def ages(heap: Heap) -> List[str]:
    rows = of_type(records(heap, "slabwhy", "-F", "slab_test"), "evidence")
    return [row["text"] for row in rows if row["topic"] == "age"]


def in_use(word: Callable[[int, Clock], int], count: int = 20) -> Heap:
    """A cache in use whose objects have that word at +0x10; the i-th of 20, and the clock."""
    heap = Heap(LAYOUTS["6.1"], seed=4)
    slab = heap.slab(heap.cache("slab_test", 128), set(range(count)))
    clock = Clock(heap, Annex(heap.image))
    for index in range(count):
        heap.image.write(slab.object(index), bytes(128))
        value = word(index, clock) & (1 << 64) - 1
        heap.image.put(slab.object(index) + 0x10, 8, value)
    return heap


def test_a_word_that_is_a_moment_in_each_object_tells_their_age() -> None:
    heap = in_use(lambda index, clock: clock.now - HZ * 10 * (index + 1))
    assert UPTIME > HZ * 10 * 20
    assert ages(heap) == [
        "+0x10 is perhaps a time: by it, of 20 objects half are older than 100 s, the oldest 3 min"
    ]


@pytest.mark.parametrize(
    "word",
    [
        lambda index, clock: index,
        lambda index, clock: clock.now + HZ * (index + 1),  # A timer's.
        lambda index, clock: 0xFFFFFFFF,  # An int of -1.
        lambda index, clock: clock.now - index if index % 4 else 0,
        lambda index, clock: clock.now - clock.uptime - index - 1,
        lambda index, clock: 0xFFFF888000000000 + index,
    ],
)
def test_a_word_that_may_be_anything_tells_nothing(word: Callable[[int, Clock], int]) -> None:
    assert ages(in_use(word)) == []


def test_few_objects_prove_nothing() -> None:
    assert ages(in_use(lambda index, clock: clock.now - index, count=7)) == []


def test_tracks_tell_better_than_words() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=8)
    slab = heap.slab(heap.cache("slab_test", 84, store_user=True), {0, 1, 2, 4, 5})
    history = History(heap)
    for index, ago in ((0, 500), (1, 400), (2, 30), (4, 20), (5, 10)):
        history.track(slab, index, [0x1000], pid=7, ago=ago * HZ)
    (text,) = ages(heap)
    assert text == "of 5 objects half are older than 30 s, the oldest 8 min"
