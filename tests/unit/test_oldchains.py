# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of links without a head, as RCU leaves it, keeps nobody; one in use does."""

from __future__ import annotations

from typing import List, Optional

import pytest

from crash_ext.reach.model import MAYBE, REACHED, UNREACHED
from crash_ext.reach.oldchains import OldChains
from crash_ext.reach.reach import Reach
from tests.unit.asked import session
from tests.unit.test_pageuse import Pages
from tests.unit.test_reach import reach

AT = 0x18
"""Of the rcu_head in the objects."""
FUNCTION = 0x7000


class Chain:
    """Objects 1 and 3 live: a page has pointers to them. RCU has run all of 1, 2, 3, 4, in line."""

    def __init__(self, behind: int = 0, at: int = AT) -> None:
        self.pages = Pages()
        self.slab, self.image = self.pages.zeroed({1, 2, 3, 4, 5}), self.pages.image
        self.behind, self.at = behind, at
        self.pages.set(0, _refcount=1)
        for index in (1, 3):
            self.image.pointer(self.pages.start + 16 * index, self.object(index) + 8)
        for index in (1, 2, 3):
            self.link(index, index + 1)
        self.image.pointer(self.object(4) + at + 8, behind)

    def object(self, index: int) -> int:
        address: int = self.slab.object(index)
        return address

    def link(self, one: int, other: int) -> None:
        self.image.pointer(self.object(one) + self.at, self.object(other) + self.at)
        self.image.pointer(self.object(one) + self.at + 8, self.behind)

    def aged(self) -> Reach:
        found = reach(self.pages)
        reader = session(self.pages.heap).reader
        chains = OldChains(reader, found, lambda address: address == FUNCTION)
        chains.age([self.object(index) for index in range(1, 6)], self.slab.cache.object_size)
        return found

    def levels(self) -> List[Optional[int]]:
        found = self.aged()
        return [found.level(self.object(index)) for index in (1, 2, 3, 4)]


OLD = [REACHED, MAYBE, REACHED, MAYBE]


@pytest.mark.parametrize("behind", [0, FUNCTION])
def test_what_only_links_of_callbacks_that_ran_lead_to_is_perhaps_held(behind: int) -> None:
    """RCU clears the function before it calls it, SRCU doesn't."""
    chain = Chain(behind)
    assert chain.levels() == OLD
    found = chain.aged()
    why = "in a chain whose head nobody has, as callbacks that RCU has run leave it"
    assert found.holds(chain.object(1) + AT) == (MAYBE, why)
    assert found.holds(chain.object(1) + 8) == (REACHED, "")
    assert found.level(chain.object(5)) == UNREACHED


def test_a_chain_with_a_head_holds_all_that_are_on_it() -> None:
    chain = Chain()
    chain.image.pointer(chain.pages.start + 0x100, chain.object(1) + AT)
    assert chain.levels() == [REACHED] * 4
    assert chain.aged().holds(chain.object(1) + AT) == (REACHED, "")


def test_a_head_in_an_object_of_the_kind_is_one_too() -> None:
    chain = Chain()
    chain.image.pointer(chain.object(3) + 0x30, chain.object(1) + AT)
    assert chain.levels() == [REACHED] * 4


def test_any_other_pointer_in_use_holds() -> None:
    chain = Chain()
    chain.image.pointer(chain.pages.start + 0x100, chain.object(2))
    assert chain.levels() == [REACHED, REACHED, REACHED, MAYBE]


def test_a_pointer_in_a_living_object_of_the_kind_holds() -> None:
    chain = Chain()
    chain.image.pointer(chain.object(3) + 8, chain.object(2))
    assert chain.levels() == [REACHED, REACHED, REACHED, MAYBE]


def test_what_an_object_leads_to_that_is_perhaps_held_is_so_too() -> None:
    chain = Chain()
    chain.image.pointer(chain.object(2) + 8, chain.object(5))
    chain.image.pointer(chain.object(5) + 8, chain.object(2))
    found = chain.aged()
    assert [found.level(chain.object(n)) for n in (2, 5)] == [MAYBE, MAYBE]


def test_a_child_that_points_back_keeps_nobody() -> None:
    """What it is reached by is the object itself."""
    chain = Chain()
    child = chain.pages.heap.slab(chain.pages.heap.cache("children", 64), {1})
    chain.image.write(child.object(1), bytes(64))
    chain.image.pointer(chain.object(2) + 8, child.object(1))
    chain.image.pointer(child.object(1) + 0x20, chain.object(2))
    assert chain.levels() == OLD
    chain.image.pointer(child.object(1) + 0x28, chain.object(5))
    assert chain.aged().level(chain.object(5)) == MAYBE
    chain.image.pointer(chain.pages.start + 0x200, child.object(1))
    assert chain.levels()[1] == REACHED


def test_the_way_to_what_is_held_is_not_by_an_old_link() -> None:
    chain = Chain()
    head = chain.pages.start + 0x200
    chain.image.pointer(chain.object(4) + 0x30, chain.object(2) + 0x30)
    chain.image.pointer(head, chain.object(4) + 0x30)
    found = chain.aged()
    assert [found.level(chain.object(n)) for n in (1, 2, 3, 4)] == [REACHED] * 4
    holders = [step.holder for step in found.path(chain.object(2))]
    assert holders == [head, chain.object(4) + 0x30]


def test_two_links_to_one_object_are_no_chain() -> None:
    """A callback has one before it, a parent has several children."""
    chain = Chain()
    chain.link(3, 2)
    assert chain.levels()[1] == REACHED


def test_a_word_behind_that_differs_or_is_no_function_makes_no_link() -> None:
    chain = Chain(0x1234)
    assert chain.levels() == [REACHED] * 4
    chain = Chain()
    chain.image.pointer(chain.object(2) + AT + 8, 7)
    assert chain.levels()[1] == REACHED


def test_a_first_word_with_nothing_behind_may_be_a_parent() -> None:
    assert Chain(at=0).levels() == [REACHED] * 4


def test_too_many_objects_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.reach.oldchains._MOST", 4)
    assert Chain().levels() == [REACHED] * 4
