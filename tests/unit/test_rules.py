# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cause is named on which evidence, which goes first, and when none is.

Each claim has an adversary in mind: a leak with another history that would look the same.
"""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest

from crash_ext.contents.callbacks import KTHREAD_WORK, TIMER, WAIT, Callback
from crash_ext.contents.profile import Cell, Profile
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    RB_LINKED,
)
from crash_ext.hexa import hexa
from crash_ext.places.place import (
    OBJECT,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    VMALLOC,
    Place,
)
from crash_ext.reach.model import (
    DEAD,
    IN_USE,
    LOST,
    MAYBE,
    PENDING,
    PERHAPS,
    REACHED,
    UNREACHED,
    Step,
)
from crash_ext.slub.kmalloc import several_types
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING
from crash_ext.why.case import POISON, ZEROES, Case, Held, Subject, Trace
from crash_ext.why.finding import CERTAIN, LIKELY, Finding
from crash_ext.why.lists import EITHER, HEADED, HEADLESS, LEAKED, OPEN, WAITED, Membership
from crash_ext.why.rules import RULES, conclude, unexplained
from tests.unit.plain import CACHE

OTHER = CACHE._replace(address=0x5000, name=b"owners")
AT = 0x20
SERIAL, SINCE, OWNER_AT, STATE = 0x40, 0x48, 0x50, 0x58
LINKED = Cell(AT, 16, LIST_LINKED, LIST_LINKED)
EMPTY = Cell(AT, 16, LIST_EMPTY, LIST_EMPTY)
VARIABLE = Place(SYMBOL, "last_one", 0x9000, "last_one")
OWNER = Place(OBJECT, "owners 7000+0x8", 0x7008, "owners", OTHER, 0x7000, 8, ALLOCATED)
FREED = OWNER._replace(state=FREE)
OLD = Place(STACK, "stack of 1 init", 0x8000, "1 init")
TRACES = {
    SERIAL: Trace(None, False),
    SINCE: Trace(None, False),
    OWNER_AT: Trace(0xFFFF0000, True, pointers=True),
    STATE: Trace(2, False),
}
"""What living objects have in these words: none is ever zero."""


def held(place: Optional[Place], worth: str = IN_USE, callback: Optional[Callback] = None) -> Held:
    at = 0 if place is None else place.address
    return Held(at, 1, place, worth, "" if worth == IN_USE else "its reason", callback)


def subject(
    address: int,
    kind: str = "",
    *,
    level: Optional[int] = UNREACHED,
    by: Optional[List[Held]] = None,
    blank: Optional[str] = None,
    values: Optional[Dict[int, int]] = None,
    ring: Optional[Membership] = None,
) -> Subject:
    made = Subject(address)
    made.level = level
    made.blank = blank
    if kind:
        made.lists[AT] = kind
    if ring is not None:
        made.memberships[AT] = ring
    made.held = by or []
    made.values = {0: 1} if values is None else values
    made.halves = dict(made.values)
    return made


def on(verdict: str, at: int = 0x9000) -> Membership:
    return Membership(verdict, 2, [], at, f"on a {verdict} list")


def case(*subjects: Subject, twins: int = 10, twin: Cell = LINKED, searched: bool = True) -> Case:
    made = Case(CACHE._replace(refcount=0))
    made.subjects = list(subjects)
    made.total = len(subjects)
    made.twin_profile = Profile.of([twin] for _ in range(twins))
    made.twin_traces = dict(TRACES) if twins else {}
    made.twin_numbers = {STATE: 2} if twins else {}
    made.searched = "64 MB of memory" if searched else None
    return made


def causes(made: Case) -> Dict[str, List[int]]:
    found: Dict[str, List[int]] = {}
    for finding in conclude(made):
        found.setdefault(finding.cause, []).extend(finding.objects)
    return found


def only(made: Case) -> Finding:
    (finding,) = conclude(made)
    return finding


def of(*, serial: int = 0, since: int = 0, owner: int = 0, state: int = 1) -> Dict[int, int]:
    return {SERIAL: serial, SINCE: since, OWNER_AT: owner, STATE: state}


# --- a word in an object is no history ---


def test_without_what_an_insertion_writes_an_object_was_never_linked() -> None:
    finding = only(case(subject(1, LIST_EMPTY, values=of()), subject(2, LIST_EMPTY, values=of())))
    assert (finding.cause, finding.objects) == ("never linked", [1, 2])
    assert "+0x20" in finding.sentence
    assert finding.evidence[0].address == 1 + AT


def test_that_is_never_certain_for_who_takes_it_off_may_have_cleared_everything() -> None:
    """list_del_init() and a reset of every field leave the same, to the last byte."""
    finding = only(case(subject(1, LIST_EMPTY, values=of())))
    assert finding.strength == LIKELY
    assert "unless who takes objects off clears" in finding.sentence


def test_with_what_an_insertion_writes_it_is_on_no_list_and_both_ways_are_named() -> None:
    """Taken off by list_del_init(); or all was written before an insertion that never came."""
    finding = only(case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=2))))
    assert (finding.cause, finding.strength) == ("off the list", LIKELY)
    assert "never linked" in finding.sentence
    assert "list_del_init()" in finding.sentence


def test_a_larger_number_is_a_reference_too_many_or_the_state_of_what_failed() -> None:
    """Numbered and timed when it was allocated, set to FAILED, and never linked."""
    finding = only(case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=3))))
    assert (finding.cause, finding.strength) == ("off the list", LIKELY)
    assert "as list_del_init() leaves it" in finding.sentence
    assert "It also fits one that was never linked" in finding.sentence
    assert any("+0x58 is 3 where all 10 living objects have 2" in e.text for e in finding.evidence)


def test_objects_that_lack_words_show_that_an_insertion_writes_them() -> None:
    """So who has them was on the list."""
    lacking, having = of(), of(serial=7, since=8, owner=9, state=2)
    made = case(subject(1, LIST_EMPTY, values=lacking), subject(2, LIST_EMPTY, values=having))
    assert causes(made) == {"never linked": [1], "taken off": [2]}
    (taken,) = [finding for finding in conclude(made) if finding.cause == "taken off"]
    assert "1 leaked object never got (+0x" in taken.sentence


def test_what_looks_taken_off_may_have_failed_late() -> None:
    """Two error paths, the later one behind all words; a state FAILED."""
    failed = of(serial=7, since=8, owner=9, state=4)
    for beside in ([], [subject(2, LIST_EMPTY, values=of())]):
        made = case(subject(1, LIST_EMPTY, values=failed), *beside)
        (taken,) = [finding for finding in conclude(made) if finding.objects == [1]]
        assert taken.cause == ("taken off" if beside else "off the list")
        assert "It also fits one that was never linked, if it got that before" in taken.sentence


def test_what_looks_never_linked_may_have_been_taken_off_before_its_first_use() -> None:
    """A time of the last use is written after the insertion."""
    finding = only(case(subject(1, LIST_EMPTY, values=of())))
    assert "or that is written later than the insertion" in finding.sentence
    assert "then for who has such objects and never links them" in finding.sentence


def test_a_module_that_was_built_anew_may_write_what_the_old_one_never_did() -> None:
    """The living objects are of the next load; of the cache itself they are of the same one."""
    made = case(subject(1, LIST_EMPTY, values=of()))
    newer = ", or that is written later than the insertion, or only by a newer build of the module"
    made.twins = [made.cache._replace(address=0x5000)]
    assert f"{newer}: the list node at +0x20 points to itself" in only(made).sentence
    made.twins = [made.cache]
    assert "newer build" not in only(made).sentence


def test_an_error_may_mark_what_was_shut_down() -> None:
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=NO_MEMORY)))
    assert "or who ended the object's use put the error there" in only(made).sentence


@pytest.mark.parametrize("values", [of(serial=7, since=8), of(serial=7, since=8, state=3)])
def test_an_owner_that_is_missing_alone_tells_nothing(values: Dict[int, int]) -> None:
    """A removal clears the owner's pointer as often as an insertion has not got to it."""
    assert set(causes(case(subject(1, LIST_EMPTY, values=values)))) == {"off the list"}


def test_an_index_that_is_zero_and_a_cleared_owner_tell_nothing() -> None:
    """The first of a row has the number 0; the owner's pointer is cleared by a removal."""
    made = case(subject(1, LIST_EMPTY, values=of(since=8, state=2)))
    made.twin_traces[SERIAL] = Trace(None, False, True)
    finding = only(made)
    assert finding.cause == "off the list"
    lost = case(subject(1, values=of(since=8, state=2)))
    lost.twin_traces = made.twin_traces
    assert only(lost).sentence.endswith(
        " In it +0x40, +0x50 are zero, where all 10 living objects have a value: not written yet,"
        " or cleared since; or +0x40 is an index or a count, and begins with 0."
    )


def test_each_object_of_a_leftover_has_its_own_history() -> None:
    made = case(
        subject(1, LIST_EMPTY, values=of()),
        subject(2, LIST_EMPTY, values=of(serial=7, since=8, owner=9)),
        subject(3, LIST_DELETED, values=of(serial=7, since=8, owner=9)),
    )
    assert causes(made) == {"never linked": [1], "taken off": [3, 2]}


def test_those_that_lack_what_living_ones_have_are_told_apart() -> None:
    """Half of them were taken off again; the others were given up before the insertion."""
    off, never = of(serial=7, since=8, owner=9, state=2), of(serial=7, since=8, owner=0, state=2)
    made = case(*(subject(n, LIST_EMPTY, values=off if n < 3 else never) for n in (1, 2, 3, 4)))
    first, second = conclude(made)
    assert (first.cause, first.objects) == ("off the list", [1, 2])
    assert (second.cause, second.objects) == ("off the list", [3, 4])
    assert "not written yet, or cleared since" not in first.sentence
    assert "+0x50 is zero, where all 10 living objects have a value" in second.sentence
    assert "The contents fit both" in second.sentence


def test_a_single_one_that_lacks_something_is_told_with_the_others() -> None:
    off, never = of(serial=7, since=8, owner=9, state=2), of(serial=7, since=8, owner=0, state=2)
    made = case(*(subject(n, LIST_EMPTY, values=off if n < 3 else never) for n in (1, 2, 3)))
    assert only(made).objects == [1, 2, 3]


NO_MEMORY = (1 << 64) - 12


def test_of_a_lost_object_it_is_told_what_all_living_ones_have_and_it_has_not() -> None:
    """The second allocation failed, and the first one's object was not freed."""
    made = case(subject(1, values=of(serial=7, state=2)))
    assert only(made).sentence.endswith(
        " In it +0x48, +0x50 are zero, where all 10 living objects have a value: not written yet,"
        " or cleared since."
    )
    # The words of the node itself say no more than that it is on no list.
    made.twin_traces[AT] = made.twin_traces[AT + 8] = Trace(None, True)
    made.subjects[0].values.update({AT: 0, AT + 8: 0})
    assert f"+{AT:#x}, " not in only(made).sentence
    made.mixed = "several types"
    assert "In it" not in only(made).sentence


def test_an_error_in_place_of_a_pointer_shows_the_step_that_failed() -> None:
    """ERR_PTR(-ENOMEM): the object was given up there. With its number missing, too, it was
    not on the list yet."""
    made = case(subject(1, LIST_EMPTY, values=of(since=8, owner=NO_MEMORY)))
    finding = only(made)
    assert finding.cause == "never linked"
    assert "+0x50 is the error -12 where all 10 living objects have a pointer" in finding.sentence


def test_an_error_alone_does_not_show_that_it_was_never_linked() -> None:
    """A later step may have failed, of an object that was linked and taken off again."""
    whole = of(serial=7, since=8, owner=NO_MEMORY, state=2)
    finding = only(case(subject(1, LIST_EMPTY, values=whole)))
    assert finding.cause == "off the list"
    assert "the error -12" in finding.sentence
    assert "never linked" in finding.sentence


def test_a_status_of_32_bits_is_no_pointer_that_could_not_be_had() -> None:
    """-EIO as an int, where the living ones' word is a pointer: unwritten memory, a union."""
    status = of(serial=7, since=8, owner=(1 << 32) - 5)
    assert "the error" not in only(case(subject(1, LIST_EMPTY, values=status))).sentence
    narrow = case(subject(1, LIST_EMPTY, values=status))
    narrow.word = 4
    assert "the error -5" in only(narrow).sentence


def test_no_address_is_an_error() -> None:
    for owner in (0xFFFF888000000000, 0xFFFFFFFFC02A9626, (1 << 64) - 4096, 12):
        made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=owner)))
        assert all("the error" not in finding.sentence for finding in conclude(made))


def test_a_saturated_count_is_named() -> None:
    whole = of(serial=7, since=8, owner=9, state=0xC0000000)
    finding = only(case(subject(1, LIST_EMPTY, values=whole)))
    assert finding.cause == "taken off"
    assert "+0x58 is c0000000 where all 10 living objects have 2" in finding.sentence
    assert "a saturated count of references" in finding.sentence


def test_objects_of_a_kmalloc_cache_are_not_compared_as_if_they_were_of_one_type() -> None:
    """Three network rings in kmalloc-8k, and a lost table: its 3 is no reference too many, and its
    list is not empty because theirs is."""
    stranger = subject(1, values=of(serial=7, state=3))
    linked = subject(2, LIST_LINKED, level=REACHED, ring=on(EITHER)._replace(bare=True))
    hashed = case(subject(3, values={0: 1}), twin=Cell(AT, 16, HLIST_LINKED, HLIST_LINKED))
    assert "living objects are in a hash list" in only(hashed).sentence
    assert "where all 10 living objects have 2" in only(case(stranger)).sentence
    assert only(case(linked, twin=EMPTY)).cause == "held"
    for made in (case(stranger), case(linked), case(linked, twin=EMPTY), hashed):
        made.mixed = "a kmalloc cache has objects of many types"
        finding = only(made)
        assert finding.strength == LIKELY
        assert "living" not in finding.sentence
        assert finding.cause in ("lost", "still listed")


def test_kmalloc_caches_and_merged_ones_have_objects_of_several_types() -> None:
    assert several_types(CACHE) == ""
    assert "kmalloc" in several_types(CACHE._replace(name=b"kmalloc-cg-64"))
    assert several_types(CACHE._replace(refcount=3)).startswith("3 caches were merged")


def test_a_list_node_in_the_same_place_shows_that_the_type_is_the_same() -> None:
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=3)))
    made.mixed = "2 caches were merged into this one: its objects may be of many types"
    assert "+0x58 is 3 where all 10 living objects have 2" in only(made).sentence


def test_few_living_objects_make_no_rule() -> None:
    assert set(causes(case(subject(1, LIST_EMPTY, values=of()), twins=4))) == {"off the list"}
    assert set(causes(case(subject(1, LIST_EMPTY, values=of()), twins=2))) == {"lost"}


def test_an_hlist_of_several_is_as_sure_for_its_first_as_for_the_others() -> None:
    ring = on(HEADED)._replace(nodes=1)
    lone = subject(1, HLIST_LINKED, level=REACHED, ring=ring)
    first = subject(1, HLIST_LINKED, level=REACHED, ring=ring, values={AT: 0x7000})
    assert only(case(lone, twins=0)).strength == LIKELY
    assert only(case(first, twins=0)).strength == CERTAIN


def test_a_head_that_points_to_itself_says_nothing_without_a_twin_that_is_on_a_list() -> None:
    """It may be a mutex's, a wait queue's, or head a list of the object's own."""
    alone = case(*(subject(n, LIST_EMPTY) for n in (1, 2, 3)), twins=0)
    assert set(causes(alone)) == {"lost"}
    assert set(causes(case(subject(1, LIST_EMPTY, values=of()), twin=EMPTY))) == {"lost"}


def test_poison_at_another_offset_wins_over_a_head_that_points_to_itself() -> None:
    made = subject(1, LIST_EMPTY, values=of())
    made.lists[0x60] = LIST_DELETED
    finding = only(case(made))
    assert finding.cause == "taken off"
    assert "+0x60" in finding.sentence


def test_poison_of_a_list_is_likely_only_for_it_may_be_a_copy() -> None:
    """*new = *old, of one that was off the list."""
    finding = only(case(subject(1, LIST_DELETED)))
    assert finding.strength == LIKELY
    assert finding.sentence.endswith(
        " Or the poison was copied from another object, and this one never wrote there: then"
        " look for a way out between the allocation and the first write to the node."
    )


def test_poison_that_living_objects_have_too_is_not_how_an_object_was_lost() -> None:
    """All pass a list of the idle; those that are lost never came on the next one."""
    made = subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=2))
    made.lists[0x60] = LIST_DELETED
    living = [LINKED, Cell(0x60, 16, LIST_DELETED, LIST_DELETED)]
    of_all = case(made)
    of_all.twin_profile = Profile.of(living for _ in range(10))
    assert only(of_all).cause == "off the list"
    del made.lists[AT]
    assert only(of_all).cause == "lost"


def test_of_two_nodes_the_poisoned_one_is_not_said_to_be_the_only_one() -> None:
    """Out of the hash first (hlist_del()), then off the list (list_del_init()), and lost there."""
    made = subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=3))
    made.lists[0x60] = LIST_DELETED
    assert (
        " Or they were taken off it as they should be, and were lost at +0x20, where living objects"
        " are on a list: that node points to itself."
    ) in only(case(made)).sentence


def test_objects_that_are_poisoned_at_several_nodes_are_told_apart() -> None:
    other = subject(2)
    other.lists[0x60] = LIST_DELETED
    first, second = conclude(case(subject(1, LIST_DELETED), other))
    assert ("+0x20" in first.sentence, first.objects) == (True, [1])
    assert ("+0x60" in second.sentence, second.objects) == (True, [2])


# --- who holds it is asked first ---


@pytest.mark.parametrize("place", [VARIABLE, OWNER, OLD])
def test_a_pointer_may_be_left_in_a_slot_that_nobody_cleared(place: Place) -> None:
    """A consumed slot of a kfifo looks like one that is to be read yet."""
    finding = only(case(subject(1, level=REACHED, by=[held(place)])))
    assert (finding.cause, finding.strength) == ("held", LIKELY)
    assert "Or it is left over: nobody cleared a slot after use" in finding.sentence


def test_a_container_clears_its_own_slots_and_a_page_does_not() -> None:
    made = subject(1, level=REACHED, by=[held(OWNER)])
    made.container = "in an XArray at thing_xas"
    assert "left over" not in only(case(made)).sentence
    made.container = "by way of page 7000, of no slab: table has that memory"
    assert "left over" in only(case(made)).sentence


def test_an_area_leads_to_them_and_not_the_function_that_made_it() -> None:
    area = Place(VMALLOC, "vmalloc 8000+0x8, made by init+0x4 [foo]", 0x8008, "init [foo]")
    made = subject(1, level=REACHED, by=[held(area)])
    made.root = area
    made.path = [Step(0x8008, area, 1, 0)]
    assert "held: a vmalloc area made by init [foo] leads to it." in only(case(made)).sentence
    made.adrift = True
    assert "or it was lost itself, with what is in it" in only(case(made)).sentence
    nameless = area._replace(label="")
    made.held, made.root = [held(nameless)], nameless
    assert "held: a vmalloc area leads to it." in only(case(made)).sentence


def test_what_page_structures_have_is_one_finding_however_many_pages() -> None:
    subjects = []
    for number, page in ((1, 0x7000), (2, 0x8000), (3, 0x9000)):
        place = Place(PAGE_STRUCT, f"private of the struct page of {page:x}", page, "")
        made = subject(number, level=REACHED, by=[held(place)])
        whose = "table" if number < 3 else "other"
        made.root, made.container = place, f"by {place.text}: {whose} has that page"
        subjects.append(made)
    first, second = conclude(case(*subjects))
    assert (first.objects, second.objects) == ([1, 2], [3])
    assert "7000: table has that page, and the others likewise." in first.sentence
    assert "9000: other has that page." in second.sentence


def test_a_list_head_in_memory_that_others_had_is_likely_only() -> None:
    """It may be a freed parent's head, in memory that its next owner did not write; or an
    entry of another kind, in a ring whose head was taken out."""
    ring = on(HEADED)._replace(lent=True)
    made = case(*(subject(n, LIST_LINKED, level=REACHED, ring=ring) for n in (1, 2)))
    finding = only(made)
    assert (finding.cause, finding.strength) == ("still listed", LIKELY)
    assert "If that is another kind of entry, or left over from who had" in finding.sentence
    assert only(case(subject(1, LIST_LINKED, level=REACHED, ring=on(HEADED)))).strength == CERTAIN


@pytest.mark.parametrize("kind", [LIST_EMPTY, LIST_DELETED, ""])
@pytest.mark.parametrize("blank", [ZEROES, POISON, None])
def test_what_memory_in_use_leads_to_is_held_whatever_it_looks_like(
    kind: str, blank: Optional[str]
) -> None:
    made = case(
        subject(1, kind, level=REACHED, by=[held(OWNER)], blank=blank, values=of()),
        subject(2, kind, level=REACHED, by=[held(VARIABLE)], blank=blank, values=of()),
    )
    found = conclude(made)
    assert [finding.cause for finding in found] == ["held", "held"]
    assert "owners" in found[0].sentence
    assert "last_one" in found[1].sentence


def test_a_timer_is_certain_and_named_with_its_function() -> None:
    waiting = held(VARIABLE, callback=Callback(TIMER, 0x48, "conn_expire [foo]", 820))
    finding = only(case(subject(1, level=REACHED, by=[held(OWNER), waiting])))
    assert (finding.cause, finding.strength) == ("called back", CERTAIN)
    assert "conn_expire [foo]" in finding.sentence
    assert finding.evidence[0].address == 1 + 0x48


def test_heads_in_pages_of_one_owner_are_one_finding() -> None:
    def bucket(address: int, page: str) -> Subject:
        text = f"page {page}, of no slab"
        found = Membership(HEADED, 1, [], address, f"hlist headed by {text}", text, lent=True)
        made = subject(address, HLIST_LINKED, level=REACHED, ring=found)
        made.keeper = "sessions [foo]"
        return made

    finding = only(case(bucket(1, "7000"), bucket(2, "8000")))
    assert finding.sentence.startswith(
        "2 objects are still on 2 lists with heads in use: memory of sessions [foo] has them."
    )
    finding = only(case(bucket(1, "7000"), bucket(2, "7000")))
    assert "page 7000, of no slab, memory of sessions [foo], has them." in finding.sentence


@pytest.mark.parametrize("kind", [WAIT, KTHREAD_WORK])
def test_a_queue_in_memory_that_others_had_is_likely_only(kind: str) -> None:
    """A wait queue or a kthread_worker that was freed with entries, and not written since."""
    waiting = Callback(kind, AT - 0x18, "conn_event [foo]", None)

    def concluded(callback: Callback, lent: bool = False) -> Finding:
        on_queue = on(HEADED)._replace(lent=lent)
        by = [held(OWNER, callback=callback)]
        return only(case(subject(1, LIST_LINKED, level=REACHED, by=by, ring=on_queue)))

    finding = concluded(waiting, lent=True)
    assert (finding.cause, finding.strength) == ("called back", LIKELY)
    assert "If the head of that queue is left over" in finding.sentence
    assert "If the head of that queue is left over" not in concluded(waiting).sentence
    # Another list of the object's, and a queue that its own thread has.
    elsewhere = concluded(waiting._replace(offset=AT + 8), lent=True)
    assert "If the head of that queue is left over" not in elsewhere.sentence
    if kind == KTHREAD_WORK:
        known = waiting._replace(by="task 77 pumper")
        assert concluded(known, lent=True).strength == CERTAIN


def test_a_list_node_beside_a_function_is_likely_only_a_wait_queue_s() -> None:
    """struct mtd_notifier {void (*add)(); void (*remove)(); struct list_head list}."""
    seems = Callback(WAIT, AT - 0x18, "conn_remove [foo]", None, sure=False)
    by = [held(OWNER, callback=seems)]
    finding = only(case(subject(1, LIST_LINKED, level=REACHED, by=by, ring=on(HEADED))))
    assert (finding.cause, finding.strength) == ("called back", LIKELY)
    assert "Or that is no wait queue entry but looks like one" in finding.sentence
    assert finding.evidence[0].text.startswith("perhaps a wait queue entry at +0x8: conn_remove")


@pytest.mark.parametrize("container", ["in the kset 7000, as a kobject at +0x18", "in an rb tree"])
def test_a_root_in_memory_that_others_had_may_be_left_over(container: str) -> None:
    made = subject(1, level=REACHED, by=[held(OWNER)])
    made.container = container

    def sentence(*places: Place) -> str:
        made.path = [Step(0, place, 1, 0) for place in places]
        return only(case(made)).sentence

    assert "Or its root is left over" in sentence(VARIABLE, OWNER)
    assert "left over" not in sentence(VARIABLE)
    assert "left over" not in sentence(VARIABLE, OWNER._replace(label="maple_node"))
    assert "left over" not in sentence(VARIABLE, OWNER._replace(cache=CACHE))


def test_a_kobject_in_a_kset_is_told_by_its_name() -> None:
    made = [subject(number, level=REACHED, by=[held(OWNER)]) for number in (1, 2)]
    for each in made:
        each.container, each.kobject_name = "in the kset devices, as a kobject at +0x8", "conn0"
    one = only(case(made[0])).sentence
    assert "held in the kset devices, as a kobject at +0x8, 'conn0'. A reference" in one
    both = only(case(*made)).sentence
    assert "as a kobject at +0x8, the first one 'conn0'. A reference" in both


def test_a_timer_in_memory_that_is_not_in_use_calls_nobody() -> None:
    waiting = held(FREED, DEAD, Callback(TIMER, 0x48, "conn_expire [foo]", 820))
    assert "called back" not in causes(case(subject(1, by=[waiting])))


def test_a_list_with_a_head_in_use_and_one_without() -> None:
    made = case(
        subject(1, LIST_LINKED, level=REACHED, ring=on(HEADED)),
        subject(2, LIST_LINKED, ring=on(HEADLESS)),
    )
    assert causes(made) == {"still listed": [1], "no head": [2]}


def test_two_list_heads_that_lead_to_each_other_are_likely_only_and_both_ways_are_named() -> None:
    """A variable on the object's own list looks like the head of a list that it is on."""
    alone = case(subject(1, LIST_LINKED, level=REACHED, ring=on(EITHER)), twins=0)
    finding = only(alone)
    assert (finding.cause, finding.strength) == ("still listed", LIKELY)
    assert "of the object's own" in finding.sentence


def test_living_objects_on_a_list_do_not_tell_it_from_one_of_their_own() -> None:
    """All may have a list there that is never empty. What is a list_head and no more heads one."""
    for bare, strength in ((False, LIKELY), (True, CERTAIN)):
        ring = on(EITHER)._replace(bare=bare)
        finding = only(case(subject(1, LIST_LINKED, level=REACHED, ring=ring)))
        assert (finding.cause, finding.strength) == ("still listed", strength)


def test_a_list_that_living_objects_have_empty_is_the_object_s_own() -> None:
    made = case(subject(1, LIST_LINKED, level=REACHED, ring=on(EITHER)), twin=EMPTY)
    assert only(made).cause == "held"
    assert "a list of its own" in only(made).sentence


def test_a_waiting_task_is_told_and_is_no_head_of_a_list() -> None:
    finding = only(case(subject(1, LIST_LINKED, level=REACHED, ring=on(WAITED))))
    assert finding.cause == "held"
    assert "a task waits in its own wait queue" in finding.sentence


def test_zeroes_are_not_said_to_have_been_never_written() -> None:
    """Who clears an object before dropping it leaves the same."""
    finding = only(case(subject(1, blank=ZEROES)))
    assert "or written with zeroes alone, or cleared" in finding.sentence
    assert (finding.cause, finding.strength) == ("all zeroes", LIKELY)
    assert "cleared after use" in finding.sentence


def test_zeroes_that_another_lost_object_leads_to_are_the_end_of_a_chain() -> None:
    """The first of it: its number is 0, and nothing comes behind it."""
    last = subject(1, blank=ZEROES, by=[held(OWNER, LOST)])
    last.inner = True
    assert only(case(last, twins=0)).cause == "lost with others"


def test_zeroes_may_be_what_was_written() -> None:
    """The first of a series has the number 0, and may have nothing else yet."""
    zeroes = subject(0x1000, blank=ZEROES)
    zeroes.halves = {0: 0, 4: 0}
    others = [subject(0x1000 * n) for n in range(2, 6)]
    for number, other in enumerate(others, 1):
        other.halves = {0: number, 4: 0x80000}
    finding = conclude(case(zeroes, *others))[0]
    assert finding.objects == [0x1000]
    assert "or written with zeroes alone" in finding.sentence
    assert (
        " Other lost objects have small numbers at +0x0, from 1 on: it may be the one with the"
        " number 0, lost as they were." in finding.sentence
    )
    others[0].halves[0] = 0x12345678
    assert "number 0" not in conclude(case(zeroes, *others))[0].sentence


def test_a_larger_number_than_in_living_objects_may_be_a_reference_too_many() -> None:
    finding = only(case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=3))))
    assert "a count of references, and one was not dropped" in finding.sentence
    smaller = only(case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=1))))
    assert "references" not in smaller.sentence


def test_evidence_of_a_pointer_is_about_the_object_that_it_points_to() -> None:
    first, second = subject(0x100), subject(0x200, by=[held(OWNER, LOST)])
    first.inner = second.inner = True
    (finding,) = conclude(case(first, second))
    assert any(f"pointer to {hexa(0x200)}" in item.text for item in finding.evidence)


def test_a_list_is_only_likely_headed_where_memory_was_not_searched() -> None:
    """The object that has the head may be lost itself."""
    made = case(subject(1, LIST_LINKED, level=None, ring=on(HEADED)), searched=False)
    assert only(made).strength == LIKELY


def test_a_ring_of_their_own_kind_is_not_said_to_have_lost_its_head_to_a_free() -> None:
    """The head may have been taken out of the ring, or be one of the objects' own."""
    freed, bare = conclude(
        case(
            subject(1, LIST_LINKED, ring=on(HEADLESS)),
            subject(2, LIST_LINKED, ring=on(HEADLESS, at=0)),
        )
    )
    assert "was freed" in freed.sentence
    assert "freed" not in bare.sentence
    assert "one of them is the head" in bare.sentence


def test_of_a_head_that_stands_the_objects_may_have_been_taken_off() -> None:
    ring = on(HEADLESS)._replace(stands=True)
    finding = only(case(subject(1, LIST_LINKED, ring=ring)))
    assert finding.cause == "no head"
    assert finding.sentence == (
        "1 object is on a list whose head doesn't lead back any more: it was overwritten"
        " (INIT_LIST_HEAD(), a new table, another owner of that memory) or its module was unloaded;"
        " or who took them off left their pointers as they were (list_replace(), __list_del(),"
        " __hlist_del()), or they are copies of others that were on it. Nothing in use leads to the"
        " list. Look at who writes the head, and at who takes objects off."
    )


def test_a_head_that_was_a_local_variable_is_told_as_one() -> None:
    """The stack may be there still, or be another task's by now."""
    for stands in (True, False):
        ring = on(HEADLESS)._replace(stands=stands, local=True)
        finding = only(case(subject(1, LIST_LINKED, ring=ring)))
        assert finding.cause == "no head"
        assert "whose head was on a stack, a local variable (unless vmalloc()" in finding.sentence


def test_a_head_that_is_a_variable_is_named_where_it_is_one_of_all() -> None:
    first, other = (on(HEADLESS, at)._replace(stands=True, nodes=1) for at in (0x9000, 0x9100))
    first = first._replace(head="pending")
    one = only(case(*(subject(at, LIST_LINKED, ring=first) for at in (1, 2))))
    assert "on a list whose head, pending, doesn't lead back any more" in one.sentence
    assert one.sentence.endswith("list_add() was given its two arguments in the wrong order.")
    rings = {1: first, 2: other._replace(head="others")}
    two = only(case(*(subject(at, LIST_LINKED, ring=ring) for at, ring in rings.items())))
    assert "on a list whose head doesn't lead back any more" in two.sentence
    assert "wrong order" not in two.sentence


def test_a_list_of_the_object_s_own_that_has_lost_what_was_on_it_loses_no_object() -> None:
    """A child was freed, and not taken off: the node looks as if its head was freed."""
    ring = on(HEADLESS)._replace(nodes=1)
    alone = only(case(subject(1, LIST_LINKED, ring=ring), twins=0))
    assert alone.cause == "no head"
    assert "Or the list is the object's own" in alone.sentence
    assert only(case(subject(1, LIST_LINKED, ring=ring), twin=EMPTY)).cause == "lost"


def test_a_ring_without_a_head_does_not_hide_that_objects_were_taken_off_a_list() -> None:
    """Peers, in a ring that never has a head, were taken off the list that has one."""
    made = subject(1, LIST_LINKED, ring=on(HEADLESS, at=0))
    made.lists[0x60] = LIST_DELETED
    sentence = only(case(made)).sentence
    assert "or the ring never has one" in sentence
    assert "At +0x60 it is on no list, any more or ever" in sentence
    ring = on(HEADLESS, at=0)._replace(members=[1, 2])
    pair = [subject(number, LIST_LINKED, ring=ring) for number in (1, 2)]
    pair[1].lists[0x60] = LIST_DELETED
    assert "At +0x60 some are on no list, any more or ever" in only(case(*pair)).sentence
    made.ring, made.memberships, made.held = True, {}, [held(OWNER, LOST)]
    made.inner = True
    assert "1 object was taken off a list: +0x60 is poisoned" in only(case(made)).sentence


def test_a_pointer_in_a_lost_object_may_be_left_over() -> None:
    """rb_erase() of a whole tree, one by one: what is left of it leads from one to the next."""
    first, second = subject(1), subject(2, LIST_DELETED, by=[held(OWNER, LOST)])
    second.inner, second.leader = True, 1
    (found,) = [each for each in conclude(case(first, second)) if each.objects == [2]]
    assert "Or those pointers are left over" in found.sentence
    assert "1 object was taken off a list: +0x20 is poisoned" in found.sentence


def test_entries_on_a_list_of_the_object_s_own_do_not_keep_it() -> None:
    """Its children are in use, and it was taken off the list that it was on itself."""
    made = subject(0x1000, LIST_LINKED, level=REACHED, ring=on(OPEN))
    made.path = [Step(OWNER.address, OWNER, made.address, AT)]
    assert only(case(made)).sentence.endswith(
        " Or what leads to it is an entry of a list of its own, headed at +0x20: that keeps nobody,"
        " and it was lost elsewhere."
    )
    other = subject(0x2000, LIST_LINKED, level=REACHED, ring=on(OPEN))
    other.path = [Step(OWNER.address, OWNER, other.address, AT)]
    assert only(case(made, other)).sentence.endswith(
        " Or what leads to them is an entry of a list of their own, headed at +0x20: that keeps"
        " nobody, and they were lost elsewhere."
    )
    made.path = [Step(OWNER.address, OWNER, made.address, 0)]
    assert "list of its own" not in only(case(made)).sentence


def test_what_may_be_old_holds_perhaps_and_is_never_said_to_be_lost() -> None:
    made = case(
        subject(1, level=MAYBE, by=[held(OLD, PERHAPS)]), subject(2, by=[held(OLD, PERHAPS)])
    )
    assert causes(made) == {"perhaps held": [1, 2]}


def test_what_waits_for_a_grace_period_holds_until_then() -> None:
    pending = OWNER._replace(state=RCU_PENDING)
    assert causes(case(subject(1, by=[held(pending, PENDING)]))) == {"until grace": [1]}


def test_a_handle_that_is_no_pointer_is_likely() -> None:
    made = subject(1, LIST_EMPTY, values=of())
    made.hidden = "its physical address stands at 7000"
    finding = only(case(made))
    assert (finding.cause, finding.strength) == ("held by handle", LIKELY)


# --- lost ---


def test_memory_that_is_not_in_use_holds_nothing_and_is_told() -> None:
    made = case(subject(1, LIST_DELETED, by=[held(OLD, DEAD), held(FREED, DEAD)]))
    finding = only(made)
    assert (finding.cause, finding.strength) == ("taken off", LIKELY)
    assert any("2 old pointers" in evidence.text for evidence in finding.evidence)


def test_a_freed_owner_is_a_cause_only_where_nothing_else_points_there() -> None:
    made = case(
        subject(1, by=[held(FREED, DEAD)]), subject(2, by=[held(FREED, DEAD), held(OLD, DEAD)])
    )
    assert causes(made) == {"held by freed": [1], "lost": [2]}


def test_an_old_pointer_to_one_of_many_lost_objects_is_no_owner() -> None:
    """Memory is used again: what was freed leads to who had it before."""
    made = case(subject(1, by=[held(FREED, DEAD)]), *(subject(n) for n in range(2, 7)))
    assert set(causes(made)) == {"lost"}
    made = case(*(subject(n, by=[held(FREED, DEAD)]) for n in range(1, 4)), subject(4))
    assert causes(made) == {"held by freed": [1, 2, 3], "lost": [4]}
    text = "; or the pointers are of who had that memory before."
    assert conclude(made)[0].sentence.endswith(text)


def test_an_array_of_pointers_in_a_page_s_former_life_is_no_owner() -> None:
    made = case(*(subject(n, by=[held(FREED._replace(offset=8 * n), DEAD)]) for n in range(1, 6)))
    assert set(causes(made)) == {"lost"}


def test_lost_objects_of_a_module_that_went_name_it() -> None:
    made = case(*(subject(n) for n in range(1, 4)))
    for one in made.subjects[1:]:
        one.orphaned = {8: "module area, no module loaded there (last unloaded: gone)"}
    assert only(made).sentence.endswith(
        " 2 of 3 point at +0x8 into the module area, no module loaded there (last unloaded: gone):"
        " if that module made them, it went without freeing them."
    )


@pytest.mark.parametrize("kind", ["freed", "lost"])
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, " 2 of 3 point at +0x8 to it, perhaps what they belonged to or owned."),
        (1, " 1 of 1 points at +0x8 to it, perhaps what it belonged to or owned."),
    ],
)
def test_what_lost_objects_point_to_and_is_gone_is_told(kind: str, number: int, text: str) -> None:
    made = case(*(subject(n) for n in range(1, 2 * number)))
    for one in made.subjects[:number]:
        one.ends = {8: (kind, "it"), 16: ("freed", "something else")}
    made.subjects[0].ends[16] = (kind, "what one of them has")
    finding = only(made)
    assert finding.sentence.endswith(text)
    assert any(e.text == f"+0x8: to it, in {number} of {2 * number - 1}" for e in finding.evidence)
    for one in made.subjects[:number]:
        one.ends = {}
    made.uncleared = True
    assert not only(made).sentence.endswith(text)


@pytest.mark.parametrize(
    ("kind", "what", "way"),
    [
        (RB_LINKED, "in an rb tree", "rb_erase()"),
        (HLIST_LINKED, "in a hash list", "hlist_del_init()"),
    ],
)
def test_without_living_ones_those_of_the_leftover_that_are_held_tell(
    kind: str, what: str, way: str
) -> None:
    made = case(subject(1), *(subject(n, level=REACHED, by=[held(VARIABLE)]) for n in range(2, 12)))
    made.twin_profile = Profile()
    for one in made.subjects[1:]:
        one.trees, one.lists = ([8], {}) if kind == RB_LINKED else ([], {8: kind})
    lost = next(each for each in conclude(made) if each.cause == "lost")
    told = (
        f" At +0x8 10 of 10 objects of this cache to which something leads are {what}, and this is"
        f" not: never inserted, or taken out again ({way}); or another sort of object."
    )
    assert lost.sentence.endswith(told)
    two = case(subject(21), subject(22))
    two.subjects += made.subjects[1:]
    two.twin_profile = Profile()
    lost = next(each for each in conclude(two) if each.cause == "lost")
    assert lost.sentence.endswith(told.replace("this is", "these are"))
    made.subjects[0].unread = {8}
    assert told not in next(each for each in conclude(made) if each.cause == "lost").sentence


def test_nobody_can_free_it_is_never_certain() -> None:
    """An index or a frame number may find it."""
    finding = only(case(subject(1)))
    assert (finding.cause, finding.strength) == ("lost", LIKELY)
    assert "handle that is no pointer" in finding.sentence


def test_of_a_chain_the_one_that_nothing_points_to_is_the_one_to_look_at() -> None:
    first, second = subject(1), subject(2, by=[held(OWNER, LOST)])
    second.inner, second.leader = True, 1
    found = {finding.cause: finding for finding in conclude(case(first, second))}
    assert found["lost with others"].objects == [2]
    assert f"Look at {hexa(1)} for the reason: nothing in use points to it" in (
        found["lost with others"].sentence
    )
    assert found["lost"].objects == [1]
    assert "and it was lost by itself" in found["lost with others"].sentence


def test_of_a_ring_no_member_is_said_to_be_the_one() -> None:
    made = [subject(n, by=[held(OWNER, LOST)], ring=on(LEAKED)) for n in (2, 3)]
    for each in made:
        each.inner = each.ring = True
    finding = only(case(*made))
    assert finding.cause == "lost with others"
    assert "does not show which" in finding.sentence
    assert "nothing points" not in finding.sentence


def test_what_was_not_searched_for_is_not_said_to_be_lost() -> None:
    made = case(
        subject(1, level=None),
        subject(2, LIST_DELETED, level=None),
        subject(3, LIST_EMPTY, level=None, values=of()),
        subject(4, level=None, blank=ZEROES),
        searched=False,
    )
    assert conclude(made) == []
    assert unexplained(made, []) == [1, 2, 3, 4]


def test_a_list_whose_head_cannot_be_told_makes_no_cause_of_its_own() -> None:
    assert set(causes(case(subject(1, LIST_LINKED, ring=on(OPEN))))) == {"lost"}


@pytest.mark.parametrize("red_zones", [True, False])
def test_poison_was_never_written_and_a_device_may_have_it(red_zones: bool) -> None:
    """By a DMA address that no memory shows. And a freelist that was cut off loses free objects:
    they are all poison, too, which red zones would tell."""
    made = case(subject(1, blank=POISON))
    made.red_zones = red_zones
    finding = only(made)
    assert (finding.cause, finding.strength) == ("never written", LIKELY)
    assert "or for a device that was given it to fill it" in finding.sentence
    assert ("Without red zones it may also be free" in finding.sentence) != red_zones


def test_zeroes_tell_only_where_living_objects_hold_more() -> None:
    assert only(case(subject(1, blank=ZEROES))).strength == LIKELY
    made = case(subject(1, blank=ZEROES))
    made.twin_blank = 5
    assert "never written" not in causes(made)


@pytest.mark.parametrize("blank", [ZEROES, POISON])
def test_what_a_lost_object_leads_to_was_lost_with_that_whatever_is_in_it(blank: str) -> None:
    """The last of a chain may hold nothing but zeroes: its next is NULL, its number 0."""
    first, last = subject(1), subject(2, blank=blank, by=[held(OWNER, LOST)])
    last.inner, last.leader = True, 1
    assert causes(case(first, last)) == {"lost with others": [2], "lost": [1]}


# --- freed since ---


def test_what_the_log_lists_and_is_free_now_was_freed_late() -> None:
    made = case(subject(1, LIST_EMPTY, values=of()))
    made.freed_late, made.reported = [7, 8], 3
    found = conclude(made)
    assert [(each.cause, each.strength) for each in found] == [
        ("freed late", CERTAIN),
        ("never linked", LIKELY),
    ]


def test_a_report_that_is_matched_by_places_alone_may_be_of_a_cache_that_is_gone() -> None:
    """Kernels of v6.0 to v6.5 free the struct of a leftover; another's objects may lie alike."""
    made = case()
    made.freed_late, made.reported, made.late_by_places = [7], 3, True
    finding = only(made)
    assert (finding.cause, finding.strength) == ("freed late", LIKELY)
    assert finding.sentence.endswith("by where objects lie in their slabs, not by addresses.")


def test_a_leftover_without_objects_was_probably_emptied_late_even_if_the_log_is_gone() -> None:
    made = case()
    assert conclude(made) == []
    made.emptied = True
    finding = only(made)
    assert (finding.cause, finding.objects, finding.strength) == ("freed late", [], LIKELY)


def test_objects_whose_slabs_are_gone_are_counted_with_those_that_are_free() -> None:
    made = case()
    made.emptied, made.freed_late, made.gone = True, [7, 8], 5
    assert only(made).number == 7
    assert only(made).sentence.startswith("7 objects were freed late")
    assert "a destroy frees empty ones" in only(made).sentence


def test_what_kfree_rcu_has_itself_is_no_pointer_of_another_object() -> None:
    own, other = subject(1, level=REACHED), subject(2, level=REACHED)
    own.freed_by = other.freed_by = "slab_test 1, given to kfree_rcu()"
    own.kfree_rcu = True
    found = conclude(case(own, other))
    assert [(each.cause, each.objects) for each in found] == [
        ("until grace", [1]),
        ("until grace", [2]),
    ]
    assert "kfree_rcu() has it, and frees it" in found[0].sentence
    assert "freed but waits for its RCU grace period" in found[1].sentence


# --- all rules ---


def test_of_a_live_cache_nothing_is_certain() -> None:
    made = case(subject(1, LIST_LINKED, level=REACHED, ring=on(HEADED)))
    assert only(made).strength == CERTAIN
    made.live = True
    assert only(made).strength == LIKELY


def test_no_object_is_in_two_findings_and_no_finding_is_stronger_than_its_rule() -> None:
    made = case(
        subject(1, LIST_EMPTY, level=REACHED, by=[held(OWNER)]),
        subject(2, LIST_DELETED, ring=on(HEADED), by=[held(FREED, DEAD)]),
        subject(3, LIST_LINKED, ring=on(HEADLESS), by=[held(FREED, DEAD)]),
        subject(4, blank=POISON),
        subject(5),
    )
    made.freed_late = [9]
    found = conclude(made)
    objects = [address for finding in found for address in finding.objects]
    assert sorted(objects) == sorted(set(objects))
    allowed = {rule.cause: rule.strengths for rule in RULES}
    assert len(allowed) == len(RULES)
    for finding in found:
        assert finding.strength in allowed[finding.cause]


@pytest.mark.parametrize(("words", "cause"), [(3, "lost"), (2, "held by freed")])
def test_pointers_at_each_word_of_freed_objects_are_of_an_array_that_was_there_before(
    words: int, cause: str
) -> None:
    """Buckets of a table: the page has small objects now, of which none was an owner."""
    small = OTHER._replace(object_size=24)
    by = [
        FREED._replace(cache=small, object=0x7000 + 24 * n, offset=8 * (n % words))
        for n in range(12)
    ]
    made = case(*(subject(n + 1, by=[held(each, DEAD)]) for n, each in enumerate(by)), twins=0)
    assert set(causes(made)) == {cause}


def test_minus_one_in_living_objects_is_no_pointer() -> None:
    """A file's prev_pos is -1 in all of them: no error, for nothing else could be there."""
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=(1 << 64) - 1)))
    made.twin_traces[OWNER_AT] = Trace((1 << 64) - 1, True)
    assert "the error" not in only(made).sentence


def test_of_objects_in_the_memory_of_several_cpus_none_is_all_ones() -> None:
    """Each CPU's slot has another one."""
    made = []
    for cpu in (0, 1):
        place = Place(PERCPU, f"per-CPU slot of cpu {cpu}", 0x9000 + cpu * 0x100, "slot")
        made.append(subject(cpu + 1, level=REACHED, by=[held(place)]))
        made[-1].root = place
    assert ": per-CPU slot of several CPUs leads to them." in only(case(*made)).sentence
    assert ": per-CPU slot of cpu 0 leads to it." in only(case(made[0])).sentence
