# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cause is named on which evidence, which goes first, and when none is."""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest

from crash_ext.contents.profile import Cell, Profile
from crash_ext.contents.words import LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.places.place import OBJECT, PAGE, PERCPU, STACK, SYMBOL, Place
from crash_ext.slub.model import ALLOCATED, FREE
from crash_ext.why.case import POISON, ZEROES, Case, Held, Subject
from crash_ext.why.lists import HEADED, HEADLESS, LEAKED, OPEN, Membership
from crash_ext.why.rules import CERTAIN, LIKELY, Finding, conclude, unexplained
from tests.unit.plain import CACHE

OTHER = CACHE._replace(address=0x5000, name=b"owners")
AT = 0x20
LINKED = Cell(AT, 16, LIST_LINKED, LIST_LINKED)
EMPTY = Cell(AT, 16, LIST_EMPTY, LIST_EMPTY)
VARIABLE = Place(SYMBOL, "last_one", 0x9000, "last_one")
OWNER = Place(OBJECT, "owners 7000+0x8", 0x7008, "owners", OTHER, 0x7000, 8, ALLOCATED)
DEAD = OWNER._replace(state=FREE)
OLD = Place(STACK, "stack of 1 init", 0x8000, "1 init")


def subject(
    address: int,
    kind: str = "",
    verdict: str = "",
    held: Optional[List[Place]] = None,
    blank: Optional[str] = None,
) -> Subject:
    made = Subject(address)
    made.blank = blank
    if kind:
        made.lists[AT] = kind
    if verdict:
        made.memberships[AT] = Membership(verdict, 2, [address], 0x9000, f"on a {verdict} list")
    made.held = [Held(place.address, address, place) for place in held or []]
    return made


def case(*subjects: Subject, twins: int = 10, twin: Cell = LINKED, searched: bool = True) -> Case:
    made = Case(CACHE._replace(refcount=0))
    made.subjects = list(subjects)
    made.total = len(subjects)
    made.twin_profile = Profile.of([twin] for _ in range(twins))
    made.searched = "64 MB of memory" if searched else None
    return made


def causes(made: Case) -> Dict[str, List[int]]:
    return {finding.cause: finding.objects for finding in conclude(made)}


def only(made: Case) -> Finding:
    (finding,) = conclude(made)
    return finding


def test_an_empty_list_head_where_living_ones_are_linked_was_never_linked() -> None:
    finding = only(case(subject(1, LIST_EMPTY), subject(2, LIST_EMPTY)))
    assert (finding.cause, finding.objects, finding.strength) == ("never linked", [1, 2], CERTAIN)
    assert "+0x20" in finding.sentence
    assert finding.evidence[0].address == 1 + AT


def test_it_is_only_likely_where_memory_was_not_searched() -> None:
    assert only(case(subject(1, LIST_EMPTY), searched=False)).strength == LIKELY


@pytest.mark.parametrize("twins", [0, 2])
def test_an_empty_list_head_alone_tells_nothing(twins: int) -> None:
    """It may head a list of children; two living objects make no rule."""
    assert "never linked" not in causes(case(subject(1, LIST_EMPTY), twins=twins))


def test_living_objects_with_empty_list_heads_make_it_no_sign() -> None:
    assert "never linked" not in causes(case(subject(1, LIST_EMPTY), twin=EMPTY))


def test_without_a_twin_all_empty_and_unheld_is_likely() -> None:
    made = case(*(subject(n, LIST_EMPTY) for n in (1, 2, 3)), twins=0)
    assert only(made).strength == LIKELY
    mixed = case(*(subject(n, LIST_EMPTY) for n in (1, 2, 3)), subject(4), twins=0)
    assert "never linked" not in causes(mixed)


def test_a_pointer_from_something_that_lives_holds_whatever_the_list_says() -> None:
    made = case(subject(1, LIST_DELETED, held=[OWNER]), subject(2, LIST_DELETED, held=[VARIABLE]))
    finding = only(made)
    assert (finding.cause, finding.objects) == ("held", [1, 2])
    assert "owners" in finding.sentence
    assert "last_one" in finding.sentence


def test_leaked_objects_that_point_to_each_other_hold_nothing() -> None:
    own = OWNER._replace(cache=CACHE._replace(refcount=0))
    leftover = OWNER._replace(cache=OTHER._replace(refcount=0))
    made = case(
        subject(1, held=[own]),
        subject(2, held=[leftover]),
        subject(3, held=[own, OWNER]),
        subject(4, LIST_LINKED, LEAKED),
    )
    assert causes(made) == {"held": [3], "held by leaked": [1, 2, 4]}


def test_per_cpu_memory_has_stacks_in_it_and_decides_nothing() -> None:
    percpu = Place(PERCPU, "per-CPU 1f000 of cpu 0", 0x9000, "1f000")
    made = case(subject(1, LIST_DELETED, held=[percpu]))
    assert conclude(made) == []


def test_a_list_with_a_head_and_one_without() -> None:
    made = case(subject(1, LIST_LINKED, HEADED), subject(2, LIST_LINKED, HEADLESS))
    assert causes(made) == {"still listed": [1], "no head": [2]}


def test_a_list_whose_head_is_not_to_be_told_is_left_unexplained() -> None:
    made = case(subject(1, LIST_LINKED, OPEN))
    assert conclude(made) == []
    assert unexplained(made, []) == [1]


def test_taken_off_and_held_by_nobody_is_forgotten_and_by_freed_memory_orphaned() -> None:
    made = case(subject(1, LIST_DELETED), subject(2, LIST_DELETED, held=[DEAD]))
    assert causes(made) == {"held by freed": [2], "forgotten": [1]}


def test_old_pointers_on_stacks_are_told_and_decide_nothing() -> None:
    page = Place(PAGE, "page", 0x6000, "")
    finding = only(case(subject(1, LIST_DELETED, held=[OLD, page])))
    assert finding.cause == "forgotten"
    assert any("maybe old" in evidence.text for evidence in finding.evidence)


def test_what_was_not_searched_for_is_not_said_to_be_unreferenced() -> None:
    made = case(subject(1), subject(2, LIST_DELETED), searched=False)
    assert conclude(made) == []


def test_nothing_known_but_that_nobody_points_there_is_lost() -> None:
    assert causes(case(subject(1), subject(2, held=[OWNER]))) == {
        "held": [2],
        "unreferenced": [1],
    }


def test_poison_was_never_written() -> None:
    finding = only(case(subject(1, blank=POISON)))
    assert (finding.cause, finding.strength) == ("never written", CERTAIN)


def test_zeroes_tell_only_where_living_objects_hold_more() -> None:
    assert only(case(subject(1, blank=ZEROES))).strength == LIKELY
    made = case(subject(1, blank=ZEROES))
    made.twin_blank = 5
    assert "never written" not in causes(made)


def test_what_the_log_lists_and_is_free_now_was_freed_late() -> None:
    made = case(subject(1, LIST_EMPTY))
    made.freed_late, made.reported = [7, 8], 3
    assert causes(made) == {"freed late": [7, 8], "never linked": [1]}


def test_a_leftover_without_objects_was_emptied_late_even_if_the_log_is_gone() -> None:
    made = case()
    assert conclude(made) == []
    made.emptied = True
    assert causes(made) == {"freed late": []}


def test_no_object_is_in_two_findings() -> None:
    made = case(
        subject(1, LIST_EMPTY, blank=None, held=[OWNER]),
        subject(2, LIST_DELETED, HEADED, [DEAD]),
        subject(3, LIST_LINKED, HEADLESS, [DEAD]),
    )
    found = [address for finding in conclude(made) for address in finding.objects]
    assert sorted(found) == sorted(set(found))
