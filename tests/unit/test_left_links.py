# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that nobody cleared when they were over, and words that only look like a holder's."""

from __future__ import annotations

from typing import List, Sequence

import pytest
from pytest_mock import MockerFixture

from crash_ext.contents.callbacks import TIMER, Callback
from crash_ext.contents.words import HLIST_LINKED, LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.reach.model import DEAD, IN_USE, LOST, REACHED, UNREACHED
from crash_ext.reach.sheaves import BEHIND_SHEAF
from crash_ext.slub.model import FREE
from crash_ext.why.case import Held, Subject
from crash_ext.why.lists import HEADED, Membership
from crash_ext.why.numbers import SATURATED
from crash_ext.why.rules import conclude
from mocks.structs import parse
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_rules import AT, OWNER, case, only, subject
from tests.unit.test_shapes import Scene, kobject, told

POISON = 0xDEAD000000000122
NODE = 0x20


def causes(scene: Scene) -> List[str]:
    """What is said, "N cause" each."""
    whole(scene.pages)
    rows = records(scene.pages.heap, "slabwhy", f"{scene.slab.cache.address:x}")
    return [f"{len(row['objects'])} {row['cause']}" for row in of_type(rows, "finding")]


# RCU's callbacks, and nodes that an _rcu form has taken off ---------------------------------


def test_callbacks_that_rcu_has_called_are_one_loss() -> None:
    """Their next leads to the next one's rcu_head, and the function is cleared."""
    scene = Scene()
    first, second, third = scene.objects
    scene.put(second + NODE, first + NODE)
    scene.put(first + NODE, third + NODE)
    scene.put(third + NODE, scene.pages.start)
    assert causes(scene) == ["3 lost"]
    assert (
        " At +0x20 some lead to another's, with a zero behind: so RCU leaves an rcu_head whose"
        " function it has called, which then did not free the object, and hlist_del_init_rcu() a"
        " node that it takes off. If that is a chain of their own, they were lost as one: look at"
        f" {second:x}, to which nothing points."
    ) in scene.said()
    scene.put(first + NODE, 0)
    assert " At +0x20 one leads to another's, with" in scene.said()


def test_a_chain_with_more_behind_its_links_is_lost_with_its_first() -> None:
    scene = Scene()
    first, second, third = scene.objects
    for at, following in ((second, first), (first, third), (third, 0)):
        scene.put(at + NODE, following + NODE if following else 0, 7)
    assert causes(scene) == ["2 lost with others", "1 lost"]
    assert f"Look at {second:x} for the reason" in scene.said()


# nodes of trees and lists -------------------------------------------------------------------


@pytest.mark.parametrize("way", ["erased", "in a tree", "a ring of cells"])
def test_nodes_that_rb_erase_took_out_don_t_lead_to_each_other(way: str) -> None:
    """Of a tree that was lost as a whole, and of what looks like one, two do."""
    scene = Scene()
    top, left, right = scene.objects
    scene.put(top, 1, left if way == "in a tree" else 0, right)
    scene.put(left, top, 0, 0)
    scene.put(right, top if way == "in a tree" else 1, 0, 0)
    if way == "a ring of cells":
        for at, east, west in ((top, left, right), (left, right, top), (right, top, left)):
            scene.put(at, top + 1, east, west)
    text = (
        " If +0x0 is an rb_node, what it leads to in 2 of 3 doesn't lead back: they were taken out"
        " of their tree one by one (rb_erase()) and not freed."
    )
    assert (text in scene.said()) == (way == "erased")
    assert causes(scene) == (["3 lost"] if way == "erased" else ["3 lost with others"])


@pytest.mark.parametrize("lead", ["past them", "back", "on two lists"])
def test_a_node_whose_list_leads_past_it_was_left_as_it_was(lead: str) -> None:
    scene = Scene()
    table = scene.table()
    head, other = table + 0x100, table + 0x180
    entries = scene.pages.heap.slab(scene.pages.heap.cache("entries", 64), {1, 2})
    first, second = entries.object(1), entries.object(2)
    for node in [first, second]:
        scene.image.write(node, bytes(64))
    if lead == "on two lists":
        for node, its in ((first, head), (second, other)):
            scene.put(its, node, node)
            scene.put(node, its, its)
    else:
        for node, following, before in (
            (head, first, second),
            (first, second, head),
            (second, head, first),
        ):
            scene.put(node, following, before)
    for at in scene.objects:
        scene.put(at + NODE, first, second)
    if lead == "back":
        scene.put(first, scene.objects[0] + NODE)
        scene.put(second + 8, scene.objects[0] + NODE)
    text = " If +0x20 is a list node, it leads into the list headed by conns [bar], which leads"
    assert (text in scene.said()) == (lead == "past them")


def test_a_list_that_others_are_on_need_not_have_a_name() -> None:
    made = subject(1, values={AT: 5, AT + 8: 6})
    made.passed = {AT: ""}
    assert told(made) == (
        " If +0x20 is a list node, it leads into a list in use, which leads past it: taken off with"
        " the pointers left as they were (list_replace(), __list_del()), or copied from one that"
        " was on it."
    )


def test_all_lists_that_point_to_themselves_are_told() -> None:
    """The first may be a completion's, and the node that was taken off another."""
    made = subject(1, LIST_EMPTY)
    for many, shown in (
        (2, "+0x20 and +0x30"),
        (3, "+0x20, +0x30 and +0x40"),
        (6, "+0x20, +0x30, +0x40, +0x50 and 2 more"),
    ):
        made.lists = {AT + 16 * number: LIST_EMPTY for number in range(many)}
        assert told(made) == (
            f" The list_heads at {shown} point to themselves: nodes that were never linked, or that"
            " list_del_init() took off a list; or empty lists of the object's own (a wait queue, a"
            " mutex and a completion have one)."
        )


# numbers like poison ------------------------------------------------------------------------


def test_a_number_before_what_looks_like_poison_makes_it_one_in_others_too() -> None:
    """{u64 prio; u64 magic} whose magic is LIST_POISON2: an odd prio is no hlist_nulls end."""
    scene = Scene()
    for prio, at in enumerate(scene.objects, 3):
        scene.put(at, prio, POISON)
    assert causes(scene) == ["3 lost"]
    for at in scene.objects:
        scene.put(at, 3)
    assert causes(scene) == ["3 taken off"]
    assert (
        " Or +0x0 is a number, not the end of an hlist_nulls list, and what looks like poison is"
        " its owner's, too."
    ) in scene.said()


@pytest.mark.parametrize(
    ("nexts", "by"),
    [
        ((0xB, 0x11, 0x21), "hlist_nulls_del_rcu()"),
        ((0xB, 0, 0x21), "list_del_rcu(), hlist_del_rcu() or hlist_nulls_del_rcu()"),
        ((0, 0, 0), "list_del_rcu() or hlist_del_rcu()"),
    ],
)
def test_an_odd_end_is_that_of_a_hlist_nulls_list(nexts: Sequence[int], by: str) -> None:
    scene = Scene()
    for following, at in zip(nexts, scene.objects):
        scene.put(at, following, POISON)
    assert f" not freed: {by} has poisoned the list node at +0x0" in scene.said()


# pointers that keep nobody ------------------------------------------------------------------


def beside(*holders: int) -> List[Subject]:
    """Objects of 0x60 bytes, one behind the other, each with one pointer to it, at these."""
    made = []
    for number, holder in enumerate(holders):
        place = OWNER._replace(address=holder)
        each = subject(0x10000 + 0x60 * number, level=REACHED)
        each.held = [Held(holder, each.address, place, IN_USE)]
        made.append(each)
    return made


def test_the_end_of_a_buffer_is_where_the_next_object_begins() -> None:
    made = beside(0x7008, 0x7020)
    built = case(*made)
    built.cache = built.cache._replace(object_size=0x60)
    text = (
        " stands beside what leads to the object before: that may be the end of that one, and keeps"
        " nobody then."
    )
    assert f" What leads to {made[1].address:016x}{text}" in only(built).sentence
    many = beside(*[at + 0x1000 * number for number in range(3) for at in (0x7008, 0x7020)])
    for number, each in enumerate(many):
        each.address += 0x1000 * (number // 2)
        each.held[0] = each.held[0]._replace(value=each.address)
    found = case(*many)
    found.cache = built.cache
    assert f" What leads to {many[1].address:016x} and others{text}" in only(found).sentence


def test_an_object_that_has_its_own_end_does_not_keep_the_next_one() -> None:
    first, second = beside(0x7008, 0x10000 + 8)
    built = case(first, second)
    built.cache = built.cache._replace(object_size=0x60)
    text = "stands in the object before: that may be the end of that one, and keeps nobody then."
    assert f" What leads to {second.address:016x} {text}" in only(built).sentence


@pytest.mark.parametrize("holders", [(0x7008, 0x7080), (0x7008, 0x9000), (0x7010, 0x7008, 0x7000)])
def test_what_is_far_away_or_one_of_several_is_no_end(holders: List[int]) -> None:
    built = case(*beside(*holders))
    built.cache = built.cache._replace(object_size=0x60)
    assert "the end of that one" not in only(built).sentence


def test_a_table_of_beginnings_and_ends_looks_as_one_of_objects_does() -> None:
    built = case(*beside(0x7000, 0x7008, 0x7010, 0x7018))
    built.cache = built.cache._replace(object_size=0x60)
    second = built.subjects[1].address
    assert f" What leads to {second:016x} and others stands beside" in only(built).sentence


def test_an_object_that_is_held_and_off_its_list_says_so() -> None:
    made = subject(1, LIST_DELETED, level=REACHED, by=[Held(OWNER.address, 1, OWNER)])
    assert " 1 object was taken off a list: +0x20 is poisoned." in only(case(made)).sentence


def test_a_timer_that_waits_is_in_no_hash_list_that_a_lost_object_is_not_in() -> None:
    """A timer wheel's buckets are hlists, and what is called back takes its node out itself."""
    call = Callback(TIMER, AT, "expire [bar]", 7)
    made = []
    for number in range(1, 5):
        each = subject(number, HLIST_LINKED if number < 4 else "", level=UNREACHED)
        each.held = [Held(OWNER.address, number + AT, OWNER, IN_USE, callback=call)]
        each.level = REACHED if number < 4 else UNREACHED
        made.append(each)
    made[3].held = []
    found = conclude(case(*made, twins=0))
    assert [(len(each.objects), each.cause) for each in found] == [(3, "called back"), (1, "lost")]
    assert "hash list" not in found[1].sentence
    for each in made[:3]:
        each.held[0] = each.held[0]._replace(callback=None)
    found = conclude(case(*made, twins=0))
    assert "At +0x20 3 of 3 objects of this cache to which something leads are in a hash" in (
        found[-1].sentence
    )


# what holds without a pointer ---------------------------------------------------------------


def test_a_chain_of_physical_addresses_is_held_by_who_has_the_first() -> None:
    scene = Scene()
    first, second, third = scene.objects
    scene.pages.set(0, _refcount=1)
    scene.put(scene.pages.start + 8, first - scene.image.page_offset)
    scene.put(first + 8, 7, second - scene.image.page_offset)
    scene.put(second + 8, 7, third - scene.image.page_offset)
    assert causes(scene) == ["3 held by handle"]
    whole(scene.pages)
    rows = records(scene.pages.heap, "slabwhy", f"{scene.slab.cache.address:x}")
    texts = [str(row["text"]) for row in of_type(rows, "evidence") if row["topic"] == "held"]
    there = f"its physical address stands at {scene.pages.start + 8:x}, "
    assert texts[0].startswith(there)
    beside_it = f"its physical address stands in {first:x}, and of that one {there}"
    assert texts[1].startswith(beside_it)
    assert texts[2].startswith(
        f"its physical address stands in what is chained like that to {first:x}, and of that one"
    )


def test_descriptors_that_a_device_has_are_its(mocker: MockerFixture) -> None:
    """The way there is by any of the devices, and says little."""
    scene = Scene()
    held = "by the device eth0, in its driver_data"
    mocker.patch("crash_ext.why.handles.KernelObjects.name", return_value=held)
    owners = scene.pages.heap.slab(scene.pages.heap.cache("owners", 64), {1})
    scene.image.write(owners.object(1), bytes(64))
    scene.pages.set(0, _refcount=1)
    scene.put(scene.pages.start, owners.object(1))
    for number, at in enumerate(scene.objects):
        scene.put(at, 7)
        scene.put(owners.object(1) + 8 * number, at - scene.image.page_offset)
    assert f"owners {owners.object(1):x}, allocated (held {held})" in scene.said()


def test_no_cause_has_an_object_twice() -> None:
    made = beside(0x7008, 0x7020)
    found = conclude(case(*made))
    assert sorted(at for each in found for at in each.objects) == [each.address for each in made]


# trees and tables in use, counts, lists beside calls ----------------------------------------


def test_a_node_that_was_erased_from_a_tree_in_use_leads_there_still() -> None:
    scene = Scene()
    scene.pages.set(0, _refcount=1)
    held, left, erased = scene.objects
    scene.put(scene.pages.start, held + NODE)
    scene.put(held + NODE, 1, 0, left + NODE)
    scene.put(left + NODE, held + NODE, 0, 0)
    scene.put(erased + NODE, held + NODE + 1, 0, left + NODE)
    assert sorted(causes(scene)) == ["1 lost", "2 held"]
    assert "If +0x20 is an rb_node, what it leads to in 1 of 1 doesn't lead back" in scene.said()


def test_nodes_that_some_have_cleared_are_told_as_theirs() -> None:
    made = [subject(number, values={AT: 5}) for number in (1, 2)]
    made[0].cleared = {AT: False}
    assert told(*made) == (
        " If +0x20 is an rb_node, it says in 1 of 2 that it is in no tree (RB_CLEAR_NODE()): never"
        " inserted, or taken out."
    )


def test_the_end_of_a_chain_names_the_table_that_it_was_in() -> None:
    made = [subject(number, values={AT: 5}) for number in (1, 2)]
    made[0].bucket = {AT: "the rhashtable at conns [bar]"}
    text = (
        " ends a chain of the rhashtable at conns [bar], which does not lead there any more: taken"
        " out (rhashtable_remove_fast() leaves the node as it was) and not freed; or of another"
        " table, which had that memory before."
    )
    assert told(*made) == f" If +0x20 is a rhash_head, that of 1 of 2{text}"
    assert told(made[0]) == f" If +0x20 is a rhash_head, that{text}"


@pytest.mark.parametrize("marked", [True, False])
def test_a_bucket_is_known_by_the_table_that_is_an_rhashtable_s(marked: bool) -> None:
    scene = Scene()
    scene.image.structs["rhashtable"] = parse("tbl:p key_len:4 run_work:32", 8)
    scene.image.structs["work_struct"] = parse("data:p entry:2p func:p", 8)
    scene.image.symbols["rht_deferred_worker"] = scene.code
    tables = scene.pages.heap.slab(scene.pages.heap.cache("kmalloc-64", 64), {1})
    table = tables.object(1)
    scene.image.write(table, bytes(64))
    scene.pages.set(0, _refcount=1)
    scene.put(scene.pages.start, table, 0, 0, 0, 0, scene.code)
    for at in scene.objects:
        scene.put(at + 8, table + 0x20 + marked, 7)
    named = f"of the rhashtable at page {scene.pages.start:x}, of no slab, which does not lead"
    assert (named in scene.said()) == marked


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (
            [1, 1],
            " is 1: a reference was not dropped (look for a get without its put); or who gave them"
            " up does not go by that count, and did not free them.",
        ),
        ([0, 0], " is 0: the last reference was dropped, and that did not free them."),
        ([0, 2], " is 0 to 2."),
        ([SATURATED, 1], ""),
    ],
)
def test_counts_of_references_are_told_where_the_type_is_known(
    counts: List[int], text: str
) -> None:
    made = [subject(number, values={0: 7, 8: 9}) for number in (1, 2)]
    built = case(*made, twins=0)
    built.struct, built.counts = "conn [bar]", {AT: "refcount_t refs"}
    for each, count in zip(made, counts):
        each.halves = {AT: count}
    told_so = only(built).sentence.partition(" If each is a struct conn [bar], its ")[2]
    assert told_so == (f"refcount_t refs at +0x20{text}" if text else "")


def test_a_kobject_s_own_count_is_told_with_it_alone() -> None:
    made = subject(1, values={AT: 7, AT + 8: 9})
    made.kobject = kobject(1)
    built = case(made, twins=0)
    built.struct, built.counts, made.halves = "conn", {AT + 56: "kref kref"}, {AT + 56: 1}
    assert "kref kref" not in only(built).sentence


def test_two_counts_of_one_object() -> None:
    built = case(subject(1, values={0: 7, 8: 9}), twins=0)
    built.struct, built.counts = "conn", {AT: "kref refs", AT + 4: "refcount_t users"}
    built.subjects[0].halves = {AT: 1, AT + 4: 2}
    assert (
        " If it is a struct conn, its kref refs at +0x20 is 1 and its refcount_t users at +0x24 is"
        " 2: a reference was not dropped"
    ) in only(built).sentence


def test_a_list_that_what_is_called_back_is_on_is_told_beside() -> None:
    ring = Membership(HEADED, 4, [], 0x9000, "head", "conns [bar]")
    call = Callback(TIMER, AT, "expire [bar]", 7)
    made = subject(1, level=REACHED, by=[Held(OWNER.address, 1, OWNER, callback=call)])
    told_of = " It is on a list in use, too: conns [bar] has it."
    for at in (0x8, AT, AT + 0x20, AT + 0x80):
        made.memberships = {at: ring}
        assert (told_of in only(case(made)).sentence) == (at in (0x8, AT + 0x80)), at
    made.memberships = {8: ring._replace(lent=True)}
    assert told_of not in only(case(made)).sentence
    made.memberships = {8: ring}
    other = subject(2, level=REACHED, by=[Held(OWNER.address, 2, OWNER, callback=call)])
    other.memberships = {8: ring._replace(head="more [bar]")}
    both = only(case(made, other)).sentence
    assert " They are on a list in use, too: conns [bar] or the like has them." in both


def test_a_freed_object_that_is_on_the_list_is_told() -> None:
    ring = Membership(HEADED, 4, [], 0x9000, "head", "conns [bar]", freed=0x7000)
    made = subject(1, LIST_LINKED, level=REACHED, by=[Held(OWNER.address, 1, OWNER)])
    made.memberships = {AT: ring}
    assert (
        " The object at 0000000000007000 is on it, too, and is freed: it was not taken off before,"
        " and who walks the list goes through freed memory."
    ) in only(case(made)).sentence


def test_what_is_behind_a_sheaf_s_entries_is_nobody_s_pointer() -> None:
    """An owner that was freed is found though the allocator has the address, too."""
    freed = Held(0x7008, 1, OWNER._replace(state=FREE), DEAD, "in a free object")
    sheaf = Held(0x6008, 1, OWNER._replace(address=0x6008), DEAD, BEHIND_SHEAF)
    made = subject(1, by=[sheaf, freed])
    found = only(case(made))
    assert (found.cause, "a freed object of owners" in found.sentence) == ("held by freed", True)
    made.held = [sheaf]
    found = only(case(made, twins=0))
    assert found.cause == "lost"
    assert "(behind the entries of a sheaf)" in found.evidence[-1].text


def test_a_freed_one_is_found_on_the_list() -> None:
    scene = Scene()
    head = scene.table() + 0x100
    ring = [head, *(at + NODE for at in [*scene.objects, scene.slab.object(5)])]
    for number, node in enumerate(ring):
        scene.put(node, ring[(number + 1) % len(ring)], ring[number - 1])
    said = scene.said()
    assert f" The object at {scene.slab.object(5):x} is on it, too, and is freed:" in said


def test_a_ring_that_others_are_in_says_so() -> None:
    made = [subject(number, by=[Held(OWNER.address, number, OWNER, LOST)]) for number in (1, 2)]
    for each in made:
        each.inner = each.ring = True
    text = "2 objects are lost with others: they and other lost objects lead to each other, and"
    assert only(case(*made)).sentence.startswith(text)
    for each, other in ((made[0], 2), (made[1], 1)):
        each.held[0] = each.held[0]._replace(place=OWNER._replace(object=other))
    text = "2 objects are lost with others: they lead to each other, and"
    assert only(case(*made)).sentence.startswith(text)
