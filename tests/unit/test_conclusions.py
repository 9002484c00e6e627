# SPDX-License-Identifier: GPL-3.0-or-later
"""Each conclusion that golden files don't show, whole: what it says of one object and of many."""

from __future__ import annotations

from typing import List, Optional

import pytest

from crash_ext.contents.callbacks import (
    ALARM,
    DELAYED_WORK,
    HRTIMER,
    KTHREAD_WORK,
    RCU,
    TAKEN_CODE,
    TIMER,
    UNLOADED_CODE,
    UNTOLD_CODE,
    WAIT,
    WORK,
    Callback,
)
from crash_ext.contents.profile import Cell
from crash_ext.contents.queues import DISABLED_TASKLET, IRQ_WORK, TASKLET
from crash_ext.contents.words import HLIST_LINKED, LIST_EMPTY, LIST_LINKED, RB_LINKED
from crash_ext.kernel.say import before_verb
from crash_ext.places.place import (
    FREED_INIT,
    PAGE,
    STACK,
    UNLOADED,
    Place,
)
from crash_ext.reach.model import DEAD, LOST, PERHAPS, REACHED, Step
from crash_ext.why.case import Case, Subject
from crash_ext.why.finding import CERTAIN, LIKELY, Finding
from crash_ext.why.lists import EITHER, HEADED, LEAKED, WAITED, Membership
from crash_ext.why.rules import conclude
from tests.unit.test_rules import (
    AT,
    EMPTY,
    FREED,
    OTHER,
    OWNER,
    STATE,
    VARIABLE,
    case,
    held,
    of,
    only,
    subject,
)

PAGE_OF = Place(PAGE, "page 7000, of no slab", 0x7008, "")


def path(made: Subject, *steps: Optional[Place]) -> Subject:
    """Gives an object a way from memory in use."""
    made.path = [
        Step(0 if at is None else at.address, at, made.address, 0x10 * number)
        for number, at in enumerate(steps)
    ]
    made.root = steps[0]
    return made


def waits(callback: Callback, *addresses: int) -> Case:
    return case(
        *(
            subject(each, level=REACHED, by=[held(VARIABLE, callback=callback)])
            for each in addresses
        )
    )


def test_a_work_item_is_told_with_its_workqueue() -> None:
    callback = Callback(WORK, 0x28, "conn_finish", None, queue="conn_wq")
    finding = only(waits(callback, 0x100))
    assert finding.evidence[0].text == "work item at +0x28: conn_finish, in workqueue conn_wq"
    assert finding.sentence == (
        "1 object waits for a work item: conn_finish is still to be called for it, in "
        "workqueue conn_wq. It was not cancelled or waited for before "
        "kmem_cache_destroy(), or was set up after that."
    )


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (DELAYED_WORK, "waits for a delayed work item"),
        (HRTIMER, "waits for an hrtimer"),
        (RCU, "waits for an RCU callback"),
        (ALARM, "waits for an alarm timer"),
        (IRQ_WORK, "waits for an irq work item"),
        (TASKLET, "waits for a tasklet"),
    ],
)
def test_what_one_object_waits_for_is_named(kind: str, what: str) -> None:
    finding = only(waits(Callback(kind, 0x28, "conn_finish", None), 0x100))
    assert finding.evidence[0].text == f"{kind} at +0x28: conn_finish"
    assert finding.sentence == (
        f"1 object {what}: conn_finish is still to be called for it. It was not "
        "cancelled or waited for before kmem_cache_destroy(), or was set up after that."
    )


def test_a_function_that_went_with_its_module_will_crash() -> None:
    gone = f"ffffffffc026e000{UNLOADED_CODE}"
    sentence = only(waits(Callback(TIMER, 0x28, gone, None), 0x100)).sentence
    assert "ffffffffc026e000 [an unloaded module] is still to be called for it." in sentence
    assert sentence.endswith(" The module that had that function is gone: the call will crash.")


def test_a_function_of_a_module_or_of_freed_init_code_will_crash_either_way() -> None:
    gone = f"ffffffffc026e000{UNTOLD_CODE}"
    sentence = only(waits(Callback(TIMER, 0x28, gone, None), 0x100)).sentence
    assert "[an unloaded module, or freed init code] is still to be called" in sentence
    assert sentence.endswith(" The code of that function is gone: the call will crash.")


def test_a_function_in_whose_place_another_module_lies_may_crash() -> None:
    taken = f"ffffffffc026e000 [slab_test{TAKEN_CODE}]"
    finding = only(waits(Callback(TIMER, 0x28, taken, None), 0x100))
    assert finding.sentence == (
        "1 object waits for a timer: ffffffffc026e000 [slab_test, where no known function begins]"
        " is still to be called for it. It was not cancelled or waited for before"
        " kmem_cache_destroy(), or was set up after that. If that is of a module that was"
        " unloaded, the call will crash."
    )


def test_who_will_call_is_named() -> None:
    callback = Callback(KTHREAD_WORK, 0x28, "pump", None, by="task 77 pumper")
    finding = only(waits(callback, 0x100))
    assert finding.strength == CERTAIN
    assert finding.evidence[0].text == "kthread work item at +0x28: pump, by task 77 pumper"
    assert "still to be called for it, by task 77 pumper." in finding.sentence
    # A worker that its thread doesn't have may be left over.
    assert only(waits(callback._replace(by=""), 0x100)).strength == LIKELY


def test_objects_that_sysfs_has_are_told_together() -> None:
    def entry(address: int, name: str) -> Subject:
        made = path(subject(address, level=REACHED, by=[held(OWNER)]), VARIABLE, OWNER)
        made.container = f"by /kernel/{name} of sysfs or another kernfs"
        return made

    assert only(case(entry(0x100, "conn-0"), entry(0x200, "conn-1"))).sentence.startswith(
        "2 objects are still held by /kernel/conn-0 of sysfs or another kernfs, and the others"
        " likewise."
    )


def test_a_disabled_tasklet_is_likely_only() -> None:
    finding = only(waits(Callback(DISABLED_TASKLET, 0x28, "rx", None, by="CPU 1"), 0x100))
    assert finding.strength == LIKELY
    assert finding.sentence.endswith(" That waits for tasklet_enable().")


def test_a_function_that_runs_may_have_given_its_object_up() -> None:
    callback = Callback(WORK, 0x28, "conn_close", None, by="task 9 kworker", running=True)
    finding = only(waits(callback, 0x100))
    assert finding.strength == LIKELY
    assert finding.evidence[0].text == "work item at +0x28: conn_close runs by task 9 kworker"
    assert finding.sentence == (
        "1 object is in use by the function of a work item of its own: conn_close is being called"
        " for it by task 9 kworker, and was not waited for before kmem_cache_destroy(). Or it has"
        " given it up already, and it was allocated again: then look at who allocated last."
    )


def test_of_several_objects_on_a_wait_queue_the_way_to_it_is_shown() -> None:
    made = waits(Callback(WAIT, 0x28, "conn_wake", None), 0x100, 0x200)
    path(made.subjects[0], VARIABLE, OWNER)
    finding = only(made)
    assert [each.text for each in finding.evidence] == [
        "wait queue entry at +0x28: conn_wake",
        "last_one -> owners 7000+0x8 -> +0x10",
    ]
    assert finding.sentence == (
        "2 objects are on a wait queue: conn_wake is still to be called for them. It "
        "was not cancelled or waited for before kmem_cache_destroy(), or was set up after that."
    )


def ring(verdict: str, head: str, at: int = 0x9000) -> Membership:
    return Membership(verdict, 2, [], at, f"head {at:x}: {head}", head)


def test_the_lists_of_all_cpus_are_one_finding() -> None:
    rings = [ring(HEADED, f"per-CPU queues of cpu {cpu}", 0x9000 + cpu) for cpu in (0, 1, 1)]
    found = [
        subject(0x100 * n, LIST_LINKED, level=REACHED, ring=on) for n, on in enumerate(rings, 1)
    ]
    assert only(case(*found)).sentence.startswith(
        "3 objects are still on 2 lists with heads in use: per-CPU queues has them."
    )
    assert only(case(found[1])).sentence.startswith(
        "1 object is still on a list whose head is in use: per-CPU queues of cpu 1 has it."
    )


def test_of_a_list_in_an_object_the_variable_that_leads_to_it_is_named() -> None:
    made = subject(0x100, LIST_LINKED, level=REACHED, ring=ring(HEADED, "an object of owners"))
    made = path(made, VARIABLE, OWNER._replace(address=0x9000))
    assert only(case(made)).sentence == (
        "1 object is still on a list whose head is in use: an object of owners, to "
        "which last_one leads, has it. The list was not emptied for good before "
        "kmem_cache_destroy()."
    )


def test_of_a_list_in_memory_without_a_name_who_has_that_memory_is_named() -> None:
    made = subject(0x100, LIST_LINKED, level=REACHED, ring=ring(HEADED, "vmalloc 6000"))
    made.keeper = "conn_table"
    assert only(case(made)).sentence == (
        "1 object is still on a list whose head is in use: vmalloc 6000, memory of "
        "conn_table, has it. The list was not emptied for good before kmem_cache_destroy()."
    )


def test_of_two_list_heads_either_may_be_the_head() -> None:
    made = case(subject(0x100, LIST_LINKED, level=REACHED, ring=ring(EITHER, "last_one")), twins=0)
    assert only(made).sentence == (
        "1 object is still on a list whose head is in use: last_one has it. The list "
        "was not emptied for good before kmem_cache_destroy(). No other object of this kind is on "
        "it, so what seems the head may also be an entry of a list of the object's own: "
        "then look for who should have taken it off."
    )


def test_objects_that_different_tasks_hold_are_told_together() -> None:
    stacks = [
        Place(STACK, f"stack of {pid} conn+0x10", 0x8000 * pid, f"{pid} conn") for pid in (7, 8)
    ]
    made = case(*(subject(n, level=REACHED, by=[held(at)]) for n, at in enumerate(stacks, 1)))
    assert only(made).sentence == (
        "2 objects are still held: stack of 7 conn+0x10 or the like leads to them. A "
        "reference was not dropped before kmem_cache_destroy(): look for who sets and "
        "who clears that pointer. Or it is left over: nobody cleared a slot after "
        "use, or the words of the last owner of that memory."
    )


@pytest.mark.parametrize(
    ("number", "who", "tasks"),
    [(1, "1 object is", "a task waits in its"), (2, "2 objects are", "tasks wait in their")],
)
def test_a_task_that_waits_in_an_object_keeps_it(number: int, who: str, tasks: str) -> None:
    waiting = ring(WAITED, "7 conn")
    made = (subject(n, LIST_LINKED, level=REACHED, ring=waiting) for n in range(1, number + 1))
    assert only(case(*made)).sentence == (
        f"{who} still held: {tasks} own wait queue, mutex or semaphore (7 conn). The "
        "object was not to be given up before that task has gone on."
    )


@pytest.mark.parametrize(
    ("number", "who", "its"), [(1, "1 object is", "its"), (2, "2 objects are", "their")]
)
def test_what_is_on_an_object_s_own_list_holds_it(number: int, who: str, its: str) -> None:
    own = ring(EITHER, "last_one")
    made = (subject(n, LIST_LINKED, level=REACHED, ring=own) for n in range(1, number + 1))
    assert only(case(*made, twin=EMPTY)).sentence == (
        f"{who} still held: last_one is on a list of {its} own, for living objects have "
        "that list empty. What is on it was not taken off before kmem_cache_destroy(). Or that "
        f"keeps nobody, and {'it was' if number == 1 else 'they were'} lost elsewhere."
    )


def test_what_kfree_rcu_has_is_told_with_where_it_noted_that() -> None:
    made = path(subject(0x100, level=REACHED), PAGE_OF)
    made.kfree_rcu, made.freed_by = True, "slab_test 100, given to kfree_rcu()"
    finding = only(case(made))
    assert [each.text for each in finding.evidence] == [
        "noted by kfree_rcu() in page 7000, of no slab"
    ]
    assert finding.sentence == (
        "1 object waits for an RCU grace period: kfree_rcu() has it, and frees it at "
        "its end. Before kmem_cache_destroy() that was not waited for (kvfree_rcu_barrier(), "
        "which a destroy itself calls from Linux 6.12 on; in kernels without it, call_rcu() and "
        "rcu_barrier() instead of kfree_rcu()); or it was held then, and given away since."
    )


def test_an_object_that_is_held_from_memory_without_a_name_says_by_what_way() -> None:
    made = path(subject(0x100, level=REACHED), VARIABLE, OWNER)
    assert only(case(made)).sentence == (
        "1 object is still held: last_one, by way of an object of owners, leads to it. "
        "A reference was not dropped before kmem_cache_destroy(): look for who sets "
        "and who clears that pointer. Or it is left over: nobody cleared a slot after "
        "use, or the words of the last owner of that memory."
    )


def test_of_a_long_way_the_last_holder_is_named_before_the_root() -> None:
    """The root may be anybody's: one entry of /proc leads to all others."""
    made = path(subject(0x100, level=REACHED), VARIABLE, OWNER, OWNER)
    made.held = [held(OWNER)]
    start = "1 object is still held: an object of owners, which last_one reaches by way of "
    assert only(case(made)).sentence.startswith(f"{start}another, leads to it. A reference")
    path(made, VARIABLE, OWNER, OWNER, OWNER)
    assert only(case(made)).sentence.startswith(f"{start}2 others, leads to it. A reference")


def test_a_pointer_that_nothing_names_is_told_as_such() -> None:
    made = subject(1, level=REACHED, by=[held(None)])
    finding = only(case(made))
    assert finding.evidence[0].text == "pointer to 0000000000000001 in memory that can't be named"
    assert finding.sentence == (
        "1 object is still held: memory in use leads to it. A reference "
        "was not dropped before kmem_cache_destroy(): look for who sets and who clears "
        "that pointer. Or it is left over: nobody cleared a slot after "
        "use, or the words of the last owner of that memory."
    )


def test_an_object_that_is_reached_by_an_unknown_way_is_held_by_memory_in_use() -> None:
    assert only(case(subject(0x100, level=REACHED))).sentence == (
        "1 object is still held: memory in use leads to it. A reference was not dropped before"
        " kmem_cache_destroy(): look for who sets and who clears that pointer. Or it is left over:"
        " nobody cleared a slot after use, or the words of the last owner of that memory."
    )


def test_what_was_taken_off_is_told_with_what_others_never_got() -> None:
    lacking, having = of(), of(serial=7, since=8, owner=9, state=2)
    made = case(
        subject(1, LIST_EMPTY, values=lacking),
        subject(2, LIST_EMPTY, values=lacking),
        subject(3, LIST_EMPTY, values=having),
    )
    made.subjects[2].level = 0
    (taken,) = [each for each in _all(made) if each.cause == "taken off"]
    assert taken.sentence == (
        "1 object was taken off a list and not freed: the list node at +0x20 points to "
        "itself, as list_del_init() leaves it, and it has what living objects have and "
        "2 leaked objects never got (+0x40, +0x48, +0x50). Nothing in use leads to it. "
        "Look at who takes objects off the list: one of its ways does not free it, or "
        "somebody else had a reference and did not drop it. "
        "It also fits one that was never linked, if it got that before an insertion which "
        "failed: then look at the ways out before the insertion."
    )


def test_where_nothing_tells_the_two_ways_apart_both_are_named() -> None:
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=0, owner=9, state=2)))
    assert only(made).sentence == (
        "1 object is on no list: the list node at +0x20 points to itself, where living "
        "objects are on a list, and nothing in use leads to it. The contents fit both "
        "an object that was never linked and one that list_del_init() took off again: "
        "look at the ways out before the insertion, and at who takes objects off."
    )


def test_several_numbers_that_differ_are_one_sentence() -> None:
    made = case(subject(1, LIST_EMPTY, values={**of(serial=7, since=8, owner=9, state=1), 0x60: 1}))
    made.twin_numbers = {STATE: 2, 0x60: 4}
    assert only(made).sentence == (
        "1 object is on no list: the list node at +0x20 points to itself, where living "
        "objects are on a list, and nothing in use leads to it. +0x58 is 1 where all "
        "10 living objects have 2, +0x60 is 1 where these have 4. This fits an object "
        "that was taken off (list_del_init()) and not freed: look at who takes objects "
        "off, and at who else had a reference. It also fits one that was never linked, if it "
        "gets what it has before its insertion."
    )


def test_a_list_whose_head_is_lost_itself_leads_to_that() -> None:
    members = [subject(n, LIST_LINKED, ring=ring(LEAKED, "an object of owners")) for n in (1, 2)]
    members[0].inner = members[1].inner = True
    assert only(case(*members)).sentence == (
        "2 objects are lost with others: they are on a list whose head, or another kind of"
        " entry, lies in an object of owners, and nothing in use leads to that. Look for the"
        " reason there."
    )
    assert only(case(members[0])).sentence == (
        "1 object is lost with others: it is on a list whose head, or another kind of entry,"
        " lies in an object of owners, and nothing in use leads to that. Look for the reason there."
    )


def test_each_inode_has_its_own_and_they_are_one_finding() -> None:
    first, second = subject(1, level=REACHED), subject(2, level=REACHED)
    for number, made in enumerate((first, second)):
        path(made, VARIABLE._replace(label=f"root {number}"), OWNER)
        made.container = f"by the inode of /conn/{number} of debugfs, in its i_private"
    (finding,) = conclude(case(first, second))
    assert finding.sentence.startswith(
        "2 objects are still held by the inode of /conn/0 of debugfs, in its i_private, and the"
        " others likewise."
    )


def test_a_cache_that_others_were_merged_into_may_not_be_what_its_name_says() -> None:
    merged = OTHER._replace(refcount=3)
    made = subject(1, level=REACHED, by=[held(OWNER._replace(cache=merged))])
    path(made, VARIABLE, OWNER)
    assert "an object of owners or one merged into it, leads" in only(case(made)).sentence


def test_of_a_tree_that_was_lost_the_topmost_node_is_named() -> None:
    top, child = (subject(n, by=[held(OWNER, LOST)]) for n in (0x100, 0x200))
    for each, parent in ((top, 1), (child, 0x119)):
        each.inner = each.ring = True
        each.trees = [0x18]
        each.values = {0x18: parent}
    assert only(case(top, child)).sentence == (
        "2 objects are lost with others: they are in an rb tree whose root lies in owners 7000+0x8,"
        " and nothing in use leads to that. Look for the reason there."
    )
    top.held = []
    assert only(case(top, child)).sentence == (
        "2 objects are lost with others: they and other lost objects are in an rb "
        "tree, and nothing in use leads to any of them. The pointer to its topmost "
        "node, in 0000000000000100, is gone: the tree was lost as a whole; or who went "
        "through it to free each of them (rbtree_postorder_for_each_entry_safe() leaves the nodes "
        "as they are) did not."
    )


LOST_ONE = (
    "1 object is lost: nothing in use leads to it, so nobody can free it any more, unless it is"
    " kept by a handle that is no pointer (an index, a frame number, an encoded or unaligned"
    " address)."
)
LOST_TWO = (
    "2 objects are lost: nothing in use leads to them, so nobody can free them any more, unless"
    " they are kept by a handle that is no pointer (an index, a frame number, an encoded or"
    " unaligned address)."
)


@pytest.mark.parametrize(
    ("kind", "number", "what"),
    [
        (
            HLIST_LINKED,
            1,
            "in a hash list, and this is not: never inserted, or taken out again"
            " (hlist_del_init())",
        ),
        (
            RB_LINKED,
            2,
            "in an rb tree, and these are not: never inserted, or taken out again (rb_erase())",
        ),
    ],
)
def test_an_object_that_is_in_no_tree_where_living_ones_are(
    kind: str, number: int, what: str
) -> None:
    lost = [subject(n, values={0: n}) for n in range(1, number + 1)]
    made = case(*lost, twin=Cell(AT, 24, kind, kind))
    assert only(made).sentence == (
        f"{LOST_ONE if number == 1 else LOST_TWO} At +0x20 living objects are {what}."
    )
    # Contents that are not in the dump.
    lost[-1].away = True
    assert "living objects" not in only(made).sentence


@pytest.mark.parametrize("number", [1, 2])
def test_a_list_head_that_points_to_itself_has_three_histories(number: int) -> None:
    made = case(*(subject(n, LIST_EMPTY) for n in range(1, number + 1)), twins=0)
    assert only(made).sentence == (
        f"{LOST_ONE if number == 1 else LOST_TWO} The list_head at +0x20 points to "
        "itself: a node that was never linked, or that list_del_init() took off a "
        "list; or an empty list of the object's own."
    )


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (Place(UNLOADED, "module area", 0x100, "conn"), "the memory of an unloaded module"),
        (Place(FREED_INIT, "x", 0x200, "x"), "a module's init memory, which is freed"),
    ],
)
def test_memory_that_was_given_back_is_named_for_what_it_was(place: Place, what: str) -> None:
    made = case(subject(1, level=REACHED, by=[held(place)]))
    assert only(made).sentence.startswith(
        f"1 object is still held: {before_verb(what)} leads to it. A"
    )


def test_what_may_be_old_is_told_with_the_reason() -> None:
    finding = only(case(subject(1, by=[held(None, PERHAPS)])))
    assert [each.text for each in finding.evidence] == [
        ("pointer to 0000000000000001 in memory that can't be named (its reason)")
    ]
    assert finding.sentence == (
        "1 object is perhaps held: what leads to it may be old: memory that can't be "
        "named, its reason. Whether somebody still knows it is unknown."
    )


def test_freed_objects_of_many_caches_are_told_by_the_first_three() -> None:
    made: List[Subject] = []
    for number, name in enumerate(("one", "two", "three", "four", "five"), 1):
        made.append(subject(number, by=[held(FREED._replace(label=name), DEAD)]))
    assert only(case(*made)).sentence == (
        "5 objects are referred to by freed memory only: a freed object of one, a "
        "freed object of two, a freed object of three and 2 others. Perhaps what owned "
        "them was freed without freeing them; or the pointers are of who had that memory "
        "before."
    )


def _all(made: Case) -> List[Finding]:
    return conclude(made)
