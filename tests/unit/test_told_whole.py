# SPDX-License-Identifier: GPL-3.0-or-later
"""Conclusions that golden files don't show, whole: of what is lost, idle, or its last owner's."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from crash_ext.contents.callbacks import SRCU, TIMER, WAIT, WORK, Callback
from crash_ext.contents.idle import DELETED, NEVER, OVER, Idle
from crash_ext.contents.words import LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.reach.model import LOST, REACHED
from crash_ext.why.case import Evidence, Subject
from crash_ext.why.idle import idle_evidence
from crash_ext.why.kernelobjects import BY_KERNEL_OBJECT
from crash_ext.why.lists import HEADLESS
from crash_ext.why.numbers import SATURATED
from crash_ext.why.rules import conclude
from crash_ext.why.slots import FIFO, NOT_COUNTED, POOL
from tests.unit.test_rules import AT, OWNER, VARIABLE, case, held, of, on, only, subject

LEFT_ONE = (
    " Or its links are the last owner's of that memory, which an allocation here need not clear,"
    " and it was lost before anything was written there."
)
LEFT_TWO = (
    " Or their links are the last owner's of that memory, which an allocation here need not clear,"
    " and they were lost before anything was written there."
)
WAS_LOCAL = (
    " on a list whose head was on a stack, a local variable (unless vmalloc() had that memory for"
    " another use before): its function has returned with objects on that list, or set it anew; or"
    " who took them off left their pointers as they were (list_replace(), __list_del(),"
    " __hlist_del()), or they are copies of others that were on it. Nothing in use leads to the"
    " list. Look at who moves objects to a list of its own (list_splice_init(), list_move()), and"
    " at its ways out."
)
STANDS = (
    " on a list whose head, pending, doesn't lead back any more: it was overwritten"
    " (INIT_LIST_HEAD(), a new table, another owner of that memory) or its module was unloaded; or"
    " who took them off left their pointers as they were (list_replace(), __list_del(),"
    " __hlist_del()), or they are copies of others that were on it. Nothing in use leads to the"
    " list. Look at who writes the head, and at who takes objects off. Or the list is the object's"
    " own, and what was alone on it was freed without being taken off: then the object was lost"
    " elsewhere. Or that is no list but two pointers to one thing (a parent; the first and the last"
    " of a queue)."
)


def told(sentence: str, *subjects: Subject, twins: int = 0, uncleared: bool = False) -> None:
    """The only finding of these is that sentence."""
    made = case(*subjects, twins=twins)
    made.uncleared = uncleared
    assert only(made).sentence == sentence


def test_a_head_on_a_stack() -> None:
    ring = on(HEADLESS)._replace(local=True)
    one, two = (subject(at, LIST_LINKED, ring=ring) for at in (1, 2))
    told("1 object is" + WAS_LOCAL, one)
    told("2 objects are" + WAS_LOCAL, one, two)
    told("1 object is" + WAS_LOCAL + LEFT_ONE, one, uncleared=True)
    told("2 objects are" + WAS_LOCAL + LEFT_TWO, one, two, uncleared=True)


def test_a_head_that_each_object_seems_to_have_for_itself() -> None:
    ring = on(HEADLESS)._replace(stands=True, nodes=1, head="pending")
    one, two = (subject(at, LIST_LINKED, ring=ring) for at in (1, 2))
    wrong = " Or list_add() was given its two arguments in the wrong order."
    told("1 object is" + STANDS, one)
    told("2 objects are" + STANDS + wrong, one, two)


def test_nodes_that_are_poisoned_where_others_lead_to_the_object() -> None:
    """As lost with others, and with what the last owner may have left."""
    made = subject(1, LIST_DELETED, by=[held(OWNER, LOST)])
    made.inner = True
    begins = (
        "1 object is lost with others: only lost objects lead to it. Look for the reason at"
        " 0000000000007000 and at what leads to it. Or those pointers are left over (rb_erase(),"
        " list_replace() and RCU leave a node's own, and an owner may not clear its"
    )
    told(
        begins + "), and it was lost by itself. 1 object was taken off a list: +0x20 is poisoned.",
        made,
    )
    told(
        begins + ", nor an allocation what the last owner wrote), and it was lost by itself."
        " 1 object is off a list, or has that from the last owner of the memory: +0x20 is"
        " poisoned.",
        made,
        uncleared=True,
    )


IDLE: List[Tuple[Idle, str]] = [
    (
        Idle(WORK, 8, 16, "flush", NEVER),
        "work item at +0x8: flush, not pending, as one that was never queued",
    ),
    (Idle(WORK, 8, 16, "flush", OVER), "work item at +0x8: flush, not pending"),
    (
        Idle(TIMER, 8, 8, "expire", DELETED, 2.5),
        "timer at +0x8: expire, not pending, would be due in 2.5 s",
    ),
    (
        Idle(TIMER, 8, 8, "expire", OVER, -2.5),
        "timer at +0x8: expire, not pending, was due 2.5 s before",
    ),
]


@pytest.mark.parametrize(("idle", "text"), IDLE)
def test_the_evidence_of_what_is_not_pending(idle: Idle, text: str) -> None:
    made = subject(0x1000)
    made.idle = [idle]
    assert list(idle_evidence([made])) == [Evidence("contents", text, 0x1008)]


def test_what_seems_a_wait_queue_entry_of_several() -> None:
    seems = Callback(WAIT, AT - 0x18, "conn_remove [foo]", None, sure=False)
    by = [held(VARIABLE, callback=seems)]
    made = case(*(subject(at, LIST_LINKED, by=by) for at in (1, 2)))
    assert only(made).sentence == (
        "2 objects are on a wait queue: conn_remove [foo] is still to be called for them. It was"
        " not cancelled or waited for before kmem_cache_destroy(), or was set up after that. Or"
        " that is no wait queue entry but looks like one: a node of another list that they are on,"
        " with a function beside it. Then look for who should have taken them off."
    )


def test_what_several_timers_functions_are_being_called_for() -> None:
    runs = Callback(WORK, 0x28, "conn_finish", None, running=True)
    by = [held(VARIABLE, callback=runs)]
    made = case(*(subject(at, by=by) for at in (1, 2)))
    assert only(made).sentence == (
        "2 objects are in use by the function of a work item of their own: conn_finish is being"
        " called for them, and was not waited for before kmem_cache_destroy(). Or it has given them"
        " up already, and they were allocated again: then look at who allocated last."
    )


def test_a_saturated_count() -> None:
    values = of(serial=7, since=8, owner=9)
    values = {**values, 0x58: SATURATED}
    made = subject(1, LIST_EMPTY, values=values)
    (finding,) = conclude(case(made))
    assert (
        " +0x58 is c0000000 where all 10 living objects have 2: as a saturated count of references"
        " is (refcount_t), after too many gets or a put too many: then no put frees the object any"
        " more. Look at who takes objects off the list" in finding.sentence
    )


def test_what_is_known_of_slots_and_of_holders_begins_with_these_words() -> None:
    assert (FIFO, POOL) == ("a kfifo", "the reserve of a mempool")
    assert NOT_COUNTED == (
        "in a slot of a kfifo that was read or reset",
        "in a slot of the reserve of a mempool that was emptied",
    )
    words = "open file, inode, entry, device, handler, super_block, socket, resource"
    kinds = [name.split(" ", 2)[2] for name in BY_KERNEL_OBJECT]
    assert ", ".join(kinds) == words
    assert {name.split(" ")[0] for name in BY_KERNEL_OBJECT} == {"by"}


OFF = (
    " objects are on no list: list_del(), hlist_del() or an _rcu form has poisoned the list node at"
    " +0x20, and nothing in use leads to them. This fits an object that was taken off and not"
    " freed: look at who takes them off the list. Or the poison is the last owner's of that memory,"
    " which an allocation here need not clear, or was copied from another object, and these never"
    " wrote there: then look for a way out between the allocation and the first write to the node."
)
STILL = (
    " the allocator's own free pointer at +0x58 still: nobody has written there since the"
    " allocation, which speaks for that where all such objects are written there."
)


def test_one_that_was_not_set_up() -> None:
    made = subject(1)
    made.untouched = True
    told(
        "1 object was lost before it was set up: at +0x58 it still has the free pointer of when it"
        " was free, where all 10 living objects have been written. Nothing in use leads to it. What"
        " else is in it may be the last owner's of that memory. Look for a way out between the"
        " allocation and the write to +0x58; unless objects of its sort are never written there.",
        made,
        twins=10,
        uncleared=True,
    )


def test_free_pointers_that_stand_in_some_or_in_all() -> None:
    made = [subject(at, LIST_DELETED) for at in (1, 2, 3)]
    made[0].untouched = made[1].untouched = True
    told("3" + OFF + " 2 of them have" + STILL, *made, uncleared=True)
    told("2" + OFF + " They have" + STILL, *made[:2], uncleared=True)


def test_what_rcu_leaves_of_its_callbacks() -> None:
    made = [subject(at, LIST_DELETED, by=[held(OWNER, LOST)]) for at in (1, 2)]
    for each in made:
        each.inner = each.by_done = True
    told(
        "2 objects were taken off a list and not freed: list_del(), hlist_del() or an _rcu form has"
        " poisoned the list node at +0x20, and nothing in use leads to them. Look at who takes them"
        " off the list: one of its ways does not free them, or somebody else had a reference and"
        " did not drop it. Some point to others, as RCU leaves its"
        " callbacks when they have run; if that is a chain of their own, they were lost as one. Or"
        " the poison was copied from another object, and these never wrote there: then look for a"
        " way out between the allocation and the first write to the node.",
        *made,
    )


def test_what_was_freed_late_by_places_alone() -> None:
    made = case()
    made.freed_late, made.reported, made.late_by_places = [7], 3, True
    assert only(made).sentence == (
        "1 object was freed late: allocated when the cache was destroyed, and freed after that."
        " Something that frees them (a work item, a timer, an RCU callback, a last reference) was"
        " not waited for before kmem_cache_destroy(); or who destroys the cache frees them only"
        " after that. Which objects those are shows by where objects lie in their slabs, not by"
        " addresses."
    )


def test_several_that_were_given_up_before_their_nodes_were_written() -> None:
    told(
        "2 objects are lost: nothing in use leads to them, so nobody can free them any more, unless"
        " they are kept by a handle that is no pointer (an index, a frame number, an encoded or"
        " unaligned address). At +0x20 living objects are on a list, and these have the poison of a"
        " free object there: given up before that was written, so never inserted.",
        *(subject(at, values={AT: 0x6B6B6B6B6B6B6B6B}) for at in (1, 2)),
        twins=10,
    )


@pytest.mark.parametrize(
    ("number", "lost", "were", "they", "their"),
    [
        (1, "1 object was lost before it was", "it was", "it", "its"),
        (2, "2 objects were lost before they were", "they were", "them", "their"),
    ],
)
def test_poison_beside_a_free_pointer_and_far_from_it(
    number: int, lost: str, were: str, they: str, their: str
) -> None:
    chosen = [subject(at, LIST_DELETED) for at in range(1, number + 1)]
    for each in chosen:
        each.untouched = True
    made = case(*chosen)
    made.uncleared = True
    still = "it still has" if number == 1 else "they still have"
    assert only(made).sentence == (
        f"{lost} set up: at +0x58 {still} the free pointer of when {were} free, where all 10 living"
        f" objects have been written. Nothing in use leads to {they}. What else is in {they} may be"
        " the last owner's of that memory. Look for a way out between the allocation and the write"
        f" to +0x58; unless objects of {their} sort are never written there: then the list node at"
        f" +0x20, poisoned by list_del(), may tell that {were} taken off and not freed."
    )
    made = case(*chosen, twins=0)
    made.uncleared, made.cache = True, made.cache._replace(offset=AT + 8)
    assert only(made).sentence == (
        f"{lost} set up: in the list node at +0x20 the free pointer of when {were} free still"
        " stands, at +0x28, beside the poison of list_del(). So that is the last owner's of that"
        f" memory, as much else in {they} may be. Nothing in use leads to {they}. Look for a way"
        " out between the allocation and the insertion into the list; unless objects of"
        f" {their} sort never are on that list."
    )


def test_a_callback_of_srcu_is_told_as_that() -> None:
    waits = Callback(SRCU, 0x48, "conn_free [foo]", None)
    told(
        "1 object waits for an SRCU callback: conn_free [foo] is still to be called for it. It was"
        " not cancelled or waited for before kmem_cache_destroy(), or was set up after that. That"
        " is srcu_barrier()'s to wait for: rcu_barrier() does not.",
        subject(1, level=REACHED, by=[held(VARIABLE, callback=waits)]),
    )
    named = waits._replace(queue="conn_srcu [foo]")
    (finding,) = conclude(case(subject(1, level=REACHED, by=[held(VARIABLE, callback=named)])))
    assert "called for it, after a grace period of conn_srcu [foo]. It was" in finding.sentence
