# SPDX-License-Identifier: GPL-3.0-or-later
"""The free pointer that an allocation leaves tells whether the owner has written there."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.contents.words import LIST_DELETED
from crash_ext.leak.duplicates import all_caches
from crash_ext.slub.untouched import FreePointers
from crash_ext.why.case import Case
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.golden.scenes import CONN, Scene, not_set_up
from tests.unit.asked import session
from tests.unit.test_histories import findings, living
from tests.unit.test_rules import AT, case, only, subject


def stand(heap: Heap, address: int) -> Optional[bool]:
    kernel = session(heap)
    (cache,) = (each for each in all_caches(kernel, []) if each.name == b"slab_test")
    data = kernel.reader.read(address, cache.object_size)
    return FreePointers(kernel, [cache]).stand(address, data)


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ("4.14", True),
        ("6.1", True),
        ("6.1-s390x", True),
        ("7.3", True),
        ("3.10", False),
    ],
)
def test_one_that_stands_is_told_where_free_pointers_are_hardened(layout: str, told: bool) -> None:
    heap = Heap(LAYOUTS[layout])
    cache = heap.cache("slab_test", 96)
    slab = heap.slab(cache, {1, 2, 3, 4})
    for index, after in ((1, slab.object(7)), (2, 0), (3, slab.object(7) + 8), (4, slab.page)):
        at = slab.object(index)
        heap.image.write(at, bytes(96))
        heap.image.pointer(at + cache.offset, heap.writer.encode(cache, at + cache.offset, after))
    # Behind sheaves an object may have lost its own before this owner had it.
    written = None if layout == "7.3" or not told else False
    assert [stand(heap, slab.object(index)) for index in (1, 2)] == [told or None] * 2
    assert [stand(heap, slab.object(index)) for index in (3, 4)] == [written] * 2


def test_one_that_lies_behind_the_object_tells_nothing() -> None:
    heap = Heap(LAYOUTS["6.1"])
    slab = heap.slab(heap.cache("slab_test", 96, poison=True), {1})
    assert stand(heap, slab.object(1)) is None


def test_what_was_given_up_before_it_was_written_has_the_last_owner_s_marks() -> None:
    (found,) = findings(not_set_up())
    assert (found["cause"], found["strength"]) == ("not set up", "likely")
    # Objects of a sort that never writes there were taken off, perhaps.
    assert f"the list node at +{CONN['list']:#x}, poisoned by list_del(), may" in found["text"]


def test_where_living_objects_have_theirs_too_it_tells_nothing() -> None:
    """The middle of a name or of a buffer that is not full is never written."""
    scene = Scene((1,))
    scene.poison_list(scene.leaked[0])
    scene.free_pointer(scene.leaked[0])
    scene.free_pointer(living(scene)[3], scene.twin)
    (found,) = findings(scene.done())
    assert found["cause"] == "off the list"
    assert "It has the allocator's own free pointer at +0x38 still: nobody has" in found["text"]
    assert "as in 1 living object, so that speaks neither for nor against it." in found["text"]


def test_where_it_is_overwritten_the_owner_has_written() -> None:
    scene = Scene((1,))
    scene.poison_list(scene.leaked[0])
    (found,) = findings(scene.done())
    assert found["cause"] == "taken off"
    assert "these never wrote there" not in found["text"]
    assert "and this one never wrote there, though at +0x38" in found["text"]


def test_where_an_allocation_clears_no_last_owner_is_spoken_of() -> None:
    scene = Scene((1,))
    scene.clear()
    scene.poison_list(scene.leaked[0])
    scene.free_pointer(scene.leaked[0])
    (found,) = findings(scene.done())
    assert found["cause"] == "taken off"
    assert "last owner" not in found["text"]
    assert "free pointer" not in found["text"]


def poisoned(untouched: Optional[bool], *, at: int) -> Case:
    """No living ones; a poisoned node, and the cache's free pointers at an offset."""
    leaked = subject(0x1000, LIST_DELETED)
    leaked.untouched = untouched
    made = case(leaked, twins=0)
    made.cache = made.cache._replace(offset=at)
    made.uncleared = True
    return made


@pytest.mark.parametrize("at", [AT, AT + 8])
def test_one_beside_poison_in_the_node_itself_shows_whose_that_is(at: int) -> None:
    """Who links an object writes both words of the node, and who takes it off no free pointer."""
    found = only(poisoned(True, at=at))
    assert (found.cause, found.strength) == ("not set up", "likely")
    assert f"in the list node at +{AT:#x} the free pointer of when it was free" in found.sentence
    assert "taken off" not in found.sentence


@pytest.mark.parametrize("at", [AT, AT + 8])
def test_poison_over_it_is_not_the_last_owner_s(at: int) -> None:
    found = only(poisoned(False, at=at))
    assert found.cause == "taken off"
    assert "last owner" not in found.sentence
    assert "though at" not in found.sentence


@pytest.mark.parametrize("at", [AT - 8, AT + 16])
def test_one_beside_the_node_speaks_for_a_history_only_if_all_are_written_there(at: int) -> None:
    found = only(poisoned(True, at=at))
    assert found.cause == "off the list"
    assert "speaks for that where all such objects are written there." in found.sentence
    assert "though at" in only(poisoned(False, at=at)).sentence
