# SPDX-License-Identifier: GPL-3.0-or-later
"""Half built, half torn down: what a node's own pointers say where its list or tree has gone on.

Each claim is a leak that a real kernel was made to have, built here in a few words.
"""

from __future__ import annotations

import json
from typing import Any, Counter, Dict, List, Sequence, Set, cast

import pytest

from crash_ext.contents.callbacks import TIMER, WORK, Callback
from crash_ext.contents.profile import Cell
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    RB_LINKED,
)
from crash_ext.reach.model import LOST, MAYBE, REACHED, UNREACHED
from crash_ext.why.case import ANOTHER, OWN, UNTOLD
from crash_ext.why.diagnose import _in_use
from crash_ext.why.holders import _is_uncleared
from crash_ext.why.lists import EITHER, HEADLESS, Membership
from crash_ext.why.rules import conclude
from crash_ext.why.users import sample
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS
from tests.golden.scenes import CONN, LIST_POISON, SIZE, TWINS, Scene
from tests.replay import run_line
from tests.unit.asked import session
from tests.unit.plain import CACHE
from tests.unit.test_conclusions import LOST_ONE, LOST_TWO
from tests.unit.test_rules import AT, LINKED, OWNER, case, held, of, on, only, subject

LIST, NODE = CONN["list"], 0x48
"""Where a conn has a list_head, and room for a node of another kind."""


def findings(crash: FakeCrash) -> List[Dict[str, Any]]:
    rows = [json.loads(line) for line in run_line(crash, "slabwhy -j").splitlines()]
    return [row for row in rows if row["type"] == "finding"]


def packets(scene: Scene, number: int) -> Sequence[int]:
    """Objects of another cache, each with a list_head at its start."""
    slab = scene.heap.slab(scene.heap.cache("packets", 64), set(range(number)))
    return [slab.object(index) for index in range(number)]


def living(scene: Scene) -> List[int]:
    return [scene.living.object(index) for index in range(TWINS)]


# --- a list of the object's own ---


def test_what_living_objects_head_themselves_is_no_node() -> None:
    """Their queues have entries; the leaked ones' are empty, and they are on no list at all."""
    scene = Scene()
    entries = packets(scene, 3 * TWINS)
    for number, at in enumerate(living(scene)):
        scene.heap.writer.ring(at + LIST, entries[3 * number : 3 * number + 3])
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.empty(at)
    (found,) = findings(scene.done())
    assert (found["cause"], len(found["objects"])) == ("lost", 3)
    assert found["text"].endswith(
        " Their own list at +0x20 is empty, where living objects have entries on theirs; that does"
        " not show where they were lost."
    )


def test_of_a_single_entry_either_may_be_the_head_and_both_ways_are_named() -> None:
    scene = Scene()
    entries = packets(scene, TWINS)
    for at, entry in zip(living(scene), entries):
        scene.heap.writer.ring(at + LIST, [entry])
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.empty(at)
    (found,) = findings(scene.done())
    assert found["cause"] == "off the list"
    assert found["text"].endswith(
        " Or +0x20 is no node but heads a list of their own, with nothing on it: then the contents"
        " do not show where they were lost."
    )


@pytest.mark.parametrize(
    ("heads", "cause"),
    [({OWN: 9, UNTOLD: 1}, "lost"), ({OWN: 1, ANOTHER: 1}, "off the list")],
)
def test_one_that_is_on_a_list_of_others_shows_a_node(heads: Dict[str, int], cause: str) -> None:
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=2)))
    made.twin_heads = {AT: Counter(heads)}
    assert only(made).cause == cause


def test_two_pointers_to_one_thing_are_no_list_whose_head_is_gone() -> None:
    """A task's real_parent and parent: of one that somebody still counts, it was freed since."""
    scene = Scene()
    parents = packets(scene, 1)
    for at in living(scene):
        scene.point(at + NODE, parents[0])
        scene.point(at + NODE + 8, parents[0])
    gone = scene.heap.slab(scene.heap.cache("parents", 64), {1}).object(0)
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.point(at + NODE, gone)
        scene.point(at + NODE + 8, gone)
    assert "no head" not in [found["cause"] for found in findings(scene.done())]


# --- memory that an allocation does not clear ---


def test_what_looks_taken_off_may_be_the_last_owner_s_where_nothing_clears_it() -> None:
    """A constructor, SLAB_TYPESAFE_BY_RCU, poison, or no init_on_alloc."""
    made = case(subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=2)))
    assert "the last owner" not in only(made).sentence
    made.uncleared = True
    assert "or has it from the last owner of that memory." in only(made).sentence


def test_poison_of_a_list_may_be_the_last_owner_s_where_nothing_clears_it() -> None:
    """Used again and lost before it was written: then this one was never taken off anything."""
    made = case(subject(1, LIST_DELETED))
    assert only(made).cause == "taken off"
    assert "the last owner" not in only(made).sentence
    made.uncleared = True
    found = only(made)
    assert found.cause == "off the list"
    assert found.sentence.startswith("1 object is on no list: list_del(), hlist_del() or an _rcu")
    assert "This fits an object that was taken off and not freed" in found.sentence
    assert "Or the poison is the last owner's of that memory, which an allocation" in found.sentence


def test_what_was_taken_off_by_its_numbers_may_be_the_last_owner_s_too() -> None:
    """What living objects have at most is in the object from its memory's former life."""
    whole = subject(1, LIST_EMPTY, values=of(serial=7, since=8, owner=9, state=3))
    made = case(whole, subject(2, LIST_EMPTY, values=of()))
    assert conclude(made)[0].cause == "taken off"
    assert "the last owner" not in conclude(made)[0].sentence
    made.uncleared = True
    found = conclude(made)[0]
    assert found.cause == "off the list"
    assert found.sentence.startswith("1 object is on no list: the list node at +0x20")
    assert "or the last owner of that memory left it: then look" in found.sentence


@pytest.mark.parametrize(
    ("flags", "ctor", "key", "cleared"),
    [
        ((), 0, "", False),
        ((), 0, "init_on_alloc", True),
        ((), 0, "init_on_free", True),
        (("POISON",), 0, "", True),
        (("POISON", "TYPESAFE_BY_RCU"), 0, "", False),
        (("POISON",), 1, "init_on_alloc", False),
        (("TYPESAFE_BY_RCU",), 0, "init_on_free", False),
    ],
)
def test_what_readers_may_see_and_constructors_made_is_never_cleared(
    flags: Sequence[str], ctor: int, key: str, cleared: bool
) -> None:
    """Poison spares it, too (mm/slub.c, __OBJECT_POISON)."""
    scene = Scene()
    if key:
        scene.clear(key)
    kernel = session(scene.heap)
    bits = sum(kernel.layout.flags.mask(flag) for flag in flags)
    assert _is_uncleared(kernel, CACHE._replace(flags=bits, ctor=ctor)) != cleared


@pytest.mark.parametrize("cause", ["no head", "lost with others"])
def test_links_may_be_the_last_owner_s_where_nothing_clears_them(cause: str) -> None:
    """All that was on a list or in a tree was freed with it, and used again."""
    made = case(subject(1, LIST_LINKED, ring=on(HEADLESS)), twins=0)
    if cause != "no head":
        made.subjects[0].memberships.clear()
        made.subjects[0].ring = True
    said = " Or its links are the last owner's of that memory, which an allocation here need not"
    assert only(made).cause == cause
    assert said not in only(made).sentence
    made.uncleared = True
    assert said in only(made).sentence


def test_poison_in_what_is_lost_with_others_may_be_the_last_owner_s_too() -> None:
    made = case(subject(1, LIST_DELETED, by=[held(OWNER, LOST)]), twins=0)
    made.subjects[0].inner = True
    assert "1 object was taken off a list: +0x20 is poisoned." in only(made).sentence
    made.uncleared = True
    assert "1 object is off a list, or has that from the last owner" in only(made).sentence
    assert ", nor an allocation what the last owner wrote), and it was lost" in only(made).sentence


def test_init_on_alloc_clears_what_the_last_owner_wrote() -> None:
    scene = Scene()
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.empty(at)
    said = "or has it from the last owner of that memory"
    crash = scene.done()
    assert said in findings(crash)[0]["text"]
    # A variable of the scene, which is 0 there.
    crash.image.symbols["init_on_alloc"] = scene.variables["wheel"]
    assert said in findings(crash)[0]["text"]
    scene.image.u32(scene.variables["wheel"], 1)
    assert said not in findings(crash)[0]["text"]


# --- handles ---


@pytest.mark.parametrize(
    ("offset", "length", "causes"),
    [(0x40, 0x20, {"held by handle"}), (0x40, SIZE, {"lost"}), (0x41, 0x20, {"lost"})],
)
def test_a_buffer_inside_an_object_holds_it(offset: int, length: int, causes: Set[str]) -> None:
    """A scatterlist has the page, offset and length of a command's own sense buffer."""
    scene = Scene((3,), twin=False)
    page, image = scene.used(), scene.image
    scene.conn(scene.leaked[0], serial=7, since=8, state=2)
    scene.point(page + 0x80, image.virt_to_page(scene.leaked[0]))
    image.u32(page + 0x88, scene.leaked[0] % image.page_size + offset)
    image.u32(page + 0x8C, length)
    assert {found["cause"] for found in findings(scene.done())} == causes


# --- a timer's link is no list ---


def test_a_timer_that_is_pending_in_living_objects_is_no_hash_list() -> None:
    made = case(subject(1), twin=Cell(AT, 16, HLIST_LINKED, HLIST_LINKED))
    made.twin_calls = {AT: Callback(TIMER, AT, "conn_expire [conn]", 7)}
    assert only(made).sentence == (
        f"{LOST_ONE} The timer at +0x20 (conn_expire [conn]) is pending in living objects, and"
        " not in this: never started, or over."
    )


def test_a_work_item_that_is_queued_in_living_objects_is_no_list_node() -> None:
    """The leaked ones' works are idle: their links point to themselves."""
    made = case(subject(1, LIST_EMPTY), subject(2, LIST_EMPTY))
    made.twin_calls = {AT: Callback(WORK, AT - 8, "conn_finish [conn]", None)}
    assert only(made).sentence == (
        f"{LOST_TWO} The work item at +0x18 (conn_finish [conn]) is pending in living objects,"
        " and not in these: never started, or over."
    )


# --- pointers of nodes that were taken out ---


def test_the_only_node_of_a_tree_looks_as_if_it_still_were() -> None:
    """Its root was cleared: it is black, and has no parent and no children."""
    made = case(subject(1, values={AT: 1}), twin=Cell(AT, 24, RB_LINKED, RB_LINKED))
    assert "rb tree" not in only(made).sentence


def test_what_heads_a_list_in_living_objects_heads_one_here() -> None:
    """Its entry is in use; whether that keeps it, memory doesn't show."""
    own = Membership(EITHER, 2, [], 0x9000, "one other list_head beside it", "packets")
    made = case(subject(1, LIST_LINKED, level=REACHED, ring=own))
    made.twin_heads = {AT: Counter({OWN: 9})}
    assert only(made).sentence == (
        "1 object is still held: packets is on a list of its own, for living objects head theirs,"
        " too. What is on it was not taken off before kmem_cache_destroy(). Or that keeps nobody,"
        " and it was lost elsewhere."
    )


def test_of_a_node_that_leads_out_of_the_dump_nothing_is_said() -> None:
    made = subject(1)
    made.unread = {AT}
    assert only(case(made)).sentence == (f"{LOST_ONE} The contents do not show where it was lost.")


def test_what_is_not_in_the_dump_is_found_where_living_objects_have_a_node() -> None:
    """Its neighbours may well lead back."""
    scene = Scene()
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.point(at + LIST, scene.used(3) + 0x100)
        scene.point(at + LIST + 8, scene.used(3) + 0x200)
    crash = scene.done()
    assert "living objects are on a list" in findings(crash)[0]["text"]
    crash.image.unmap(scene.used(3), 4096)
    assert "The contents do not show" in findings(crash)[0]["text"]


def test_what_living_objects_have_on_a_list_and_these_do_not_is_said() -> None:
    """list_replace() leaves its pointers, __list_del() and a clearing of them zeroes."""
    assert only(case(subject(1), subject(2), twin=LINKED)).sentence == (
        f"{LOST_TWO} At +0x20 living objects are on a list, and these are not: never inserted, or"
        " taken out again (list_replace(), or with its pointers cleared)."
    )


def test_poison_in_a_node_shows_that_it_was_never_inserted() -> None:
    """SLAB_POISON: some members were written, and then came an error."""
    made = case(subject(1, values={AT: 0x6B6B6B6B6B6B6B6B, 0: 7}))
    assert only(made).sentence == (
        f"{LOST_ONE} At +0x20 living objects are on a list, and this has the poison of a free"
        " object there: given up before that was written, so never inserted."
    )


def _tree(scene: Scene, objects: Sequence[int]) -> None:
    """Puts them into an rb tree: the first at the top, each other one a left child."""
    parent = 0
    for at in objects:
        scene.point(at + NODE, parent + NODE if parent else 1)
        if parent:
            scene.point(parent + NODE + 16, at + NODE)
        parent = at


def test_nodes_that_were_erased_from_a_tree_do_not_keep_each_other() -> None:
    """rb_erase() leaves a node's words: they lead to a node that was erased before."""
    scene = Scene()
    _tree(scene, living(scene))
    first, second, third = scene.leaked
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    scene.point(first + NODE, second + NODE + 1)
    scene.point(second + NODE + 16, third + NODE)
    (found,) = findings(scene.done())
    assert (found["cause"], len(found["objects"])) == ("lost", 3)
    assert "living objects are in an rb tree, and these are not" in found["text"]


def test_a_node_that_was_cleared_keeps_no_children() -> None:
    """RB_CLEAR_NODE() after rb_erase() leaves the children's pointers; no living object tells."""
    scene = Scene(twin=False)
    first, second, third = scene.leaked
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
        scene.point(at + NODE, at + NODE)
    scene.point(first + NODE + 8, second + NODE)
    scene.point(first + NODE + 16, third + NODE)
    (found,) = findings(scene.done())
    assert (found["cause"], len(found["objects"])) == ("lost", 3)
    scene = Scene(twin=False)
    first, second, third = scene.leaked
    scene.point(first + NODE, 0x10)
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    scene.point(first + NODE + 8, second + NODE)
    scene.point(first + NODE + 16, third + NODE)
    assert {found["cause"] for found in findings(scene.done())} == {"lost", "lost with others"}


def test_a_tree_that_is_lost_as_a_whole_is_lost_together() -> None:
    """There each leads back to what leads to it."""
    scene = Scene()
    _tree(scene, living(scene))
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    _tree(scene, scene.leaked)
    (found,) = findings(scene.done())
    assert (found["cause"], len(found["objects"])) == ("lost with others", 3)
    assert "the tree was lost as a whole" in found["text"]


def test_who_has_the_list_s_head_is_the_one_that_was_lost_first() -> None:
    """A parent and its children, of one cache: their nodes' pointers do not keep it."""
    scene = Scene((1, 2, 3, 4), twin=False)
    parent, *children = scene.leaked
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    scene.heap.writer.ring(parent + NODE, [at + LIST for at in children])
    found = {row["cause"]: row for row in findings(scene.done())}
    assert [int(at, 16) for at in found["lost"]["objects"]] == [parent]
    assert sorted(int(at, 16) for at in found["lost with others"]["objects"]) == children
    assert "lies in an object of slab_test" in found["lost with others"]["text"]


def test_callbacks_that_ran_do_not_keep_what_was_taken_off() -> None:
    """RCU leaves the next callback's address; list_del_rcu(), the next node's."""
    scene = Scene()
    first, second, third = scene.leaked
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    for at, other in ((first, second), (second, third)):
        scene.point(at + LIST, other + LIST)
        scene.point(at + NODE, other + NODE)
    for at in scene.leaked:
        scene.point(at + LIST + 8, LIST_POISON[1])
    scene.clear()
    (found,) = findings(scene.done())
    assert (found["cause"], len(found["objects"])) == ("taken off", 3)
    assert "as RCU leaves its callbacks when they have run" in found["text"]


def test_what_leads_on_by_more_than_such_words_is_lost_with_it() -> None:
    made = subject(2, LIST_DELETED, by=[held(None, "lost")], values=of())
    made.inner = True
    assert only(case(made)).cause == "lost with others"
    made.by_done = True
    assert only(case(made)).cause == "taken off"


def test_a_node_of_a_tree_is_not_judged_where_living_objects_have_none() -> None:
    made = case(subject(1), twin=Cell(AT, 24, RB_LINKED, RB_LINKED), twins=1)
    assert "rb tree" not in only(made).sentence


@pytest.mark.parametrize("value", ["near", "far", "stamp"])
def test_a_pointer_to_where_a_module_was_is_told(value: str) -> None:
    """Not so a number that is an address far from all modules, nor SK_DEFAULT_STAMP."""
    scene = Scene()
    base = Landscape(scene.heap).module(b"other", {})
    near = base + (16 << 20)
    stamp = near - (near - (1 << 64)) % 1000000
    for at in scene.leaked:
        scene.conn(at, serial=7, since=8, state=2)
        scene.point(at + LIST, {"near": near, "far": base + (64 << 20), "stamp": stamp}[value])
    (found,) = findings(scene.done())
    told = " 3 of 3 point at +0x20 into the module area, no module loaded there:" in found["text"]
    assert told == (value == "near")


@pytest.mark.parametrize(("lost", "compared"), [(2, TWINS - 2), (TWINS, TWINS)])
def test_what_a_live_cache_has_lost_itself_is_no_living_object(lost: int, compared: int) -> None:
    """Unless nothing leads to any of them."""
    scene = Scene()
    scene.ring(scene.variables["conn_list"], living(scene)[lost:])
    for at in living(scene)[:lost]:
        scene.empty(at)
    scene.point(scene.variables["last_conn"], 0)
    rows = [json.loads(each) for each in run_line(scene.done(), "slabwhy -j").splitlines()]
    told = [row["text"] for row in rows if row["type"] == "evidence" and row["topic"] == "twin"]
    assert f"{compared} living objects compared" in told


@pytest.mark.parametrize(
    ("levels", "compared"),
    [
        ((REACHED, REACHED, REACHED, MAYBE, UNREACHED), 3),
        ((REACHED, REACHED, MAYBE, UNREACHED, UNREACHED), 3),
        ((REACHED, MAYBE, UNREACHED, UNREACHED, UNREACHED), 5),
    ],
)
def test_what_only_old_memory_leads_to_is_a_living_object_in_need_alone(
    levels: Sequence[int], compared: int
) -> None:
    class Known:
        def level(self, address: int) -> int:
            return levels[address]

    assert len(_in_use(cast(Any, Known()), list(range(5)))) == compared
    assert len(_in_use(None, list(range(5)))) == 5


# --- of very many objects, and of those in use ---


def conclusion(crash: FakeCrash, line: str) -> List[str]:
    rows = [json.loads(each) for each in run_line(crash, f"{line} -j").splitlines()]
    return [row["text"] for row in rows if row["type"] == "conclusion"]


def test_of_which_objects_the_numbers_are_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.why.gather.EXAMINED", 2)
    (text,) = conclusion(Scene((1, 2, 3, 4)).done(), "slabwhy")
    assert text.startswith(
        "2 of 4 objects, evenly spread, were examined: the numbers that follow are of these."
    )


@pytest.mark.parametrize("held", [2, 5])
def test_who_has_many_of_a_live_cache_s_objects_is_named(held: int) -> None:
    scene = Scene()
    scene.ring(scene.variables["conn_list"], living(scene)[:held])
    for number, at in enumerate(living(scene)[held:]):
        scene.empty(at)
        scene.point(scene.heap._arena.variable(f"conn_of_{number}"), at)
    text = next(each for each in conclusion(scene.done(), "slabwhy slab_test") if "in use:" in each)
    named = f" {held} of {TWINS} have one kind of holder: conn_list."
    assert text.endswith(named) == (held * 3 >= TWINS)


def test_of_many_objects_those_that_were_asked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.why.users._ASKED", 3)
    scene = Scene()
    scene.ring(scene.variables["conn_list"], living(scene))
    text = next(each for each in conclusion(scene.done(), "slabwhy slab_test") if "in use:" in each)
    asked = len(sample(living(scene)))
    assert text.endswith(
        f" Of those that were looked at, {asked} of {asked} have one kind of holder: conn_list."
    )


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_what_waits_for_rcu_in_a_sheaf_is_told_of_a_live_cache(waiting: int) -> None:
    """kfree_rcu() puts it there; it is not allocated any more."""
    heap = Heap(LAYOUTS["7.3"], seed=19)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    objects = [slab.object(index) for index in range(cache.objects)]
    heap.sheaf(cache, objects[:waiting], where="rcu_free", cpu=0)
    text = conclusion(FakeCrash(heap.image), f"slabwhy {cache.address:x}")[0]
    told = {0: "", 1: " 1 freed object waits", 2: " 2 freed objects wait"}[waiting]
    assert (f".{told} for an RCU grace period." in text) == bool(waiting)


def test_where_all_others_are_the_lost_ones_have_left_or_never_were() -> None:
    scene = Scene()
    scene.ring(scene.variables["conn_list"], living(scene)[2:])
    for at in living(scene)[:2]:
        scene.empty(at)
    scene.point(scene.variables["last_conn"], 0)
    text = next(each for each in conclusion(scene.done(), "slabwhy slab_test") if "in use:" in each)
    assert (
        f" Of the others, {TWINS - 2} of {TWINS - 2} have one kind of holder: conn_list. The lost"
        " ones were never there, or have left it." in text
    )
