# SPDX-License-Identifier: GPL-3.0-or-later
"""Who heads the lists that objects are on, and what it means where nobody does."""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.hexa import hexa
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import (
    FREED_VMALLOC,
    OBJECT,
    PAGE,
    PERCPU,
    STACK,
    SYMBOL,
    VMALLOC,
    Place,
)
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, Cache
from crash_ext.why.lists import EITHER, HEADED, HEADLESS, LEAKED, OPEN, WAITED, Lists, Membership
from tests.unit.plain import CACHE

TWIN, OTHER = CACHE._replace(address=0x200), CACHE._replace(address=0x300)
OFFSET = 0x20
OBJECTS = [0x1000, 0x2000, 0x3000]
HEAD = 0x9000


class Words(Memory):
    """Words of memory in a dict."""

    def __init__(self) -> None:
        self.words: Dict[int, int] = {}

    def word(self, address: int) -> Optional[int]:
        return self.words.get(address)

    def ring(self, *nodes: int) -> None:
        for node, following in zip(nodes, [*nodes[1:], nodes[0]]):
            self.words[node] = following
            self.words[following + 8] = node


def node(address: int) -> int:
    return address + OFFSET


def rings(memory: Words, places: Dict[int, Place], starts: List[int]) -> Dict[int, Membership]:
    lists = Lists(memory, 8, places.get, OBJECTS, {0x100, 0x200})
    return lists.rings(OFFSET, starts)


def lies_in(owner: Cache, state: int, offset: int = OFFSET) -> Place:
    return Place(OBJECT, "there", 0, "other", owner, 0, offset, state)


VARIABLE = Place(SYMBOL, "all_objects", HEAD, "all_objects")


def test_of_two_list_heads_either_may_be_the_head() -> None:
    """The other one is a variable: a list's head, or an entry of the object's own list."""
    memory = Words()
    memory.ring(HEAD, node(0x1000))
    found = rings(memory, {HEAD: VARIABLE}, [0x1000])[0x1000]
    assert (found.verdict, found.head) == (EITHER, "all_objects")
    assert found.text == f"one other list_head beside it, {hexa(HEAD)}: all_objects"


def test_an_entry_of_a_sleeping_task_waits_and_heads_nothing() -> None:
    memory = Words()
    memory.ring(HEAD, node(0x1000))
    stack = Place(STACK, "stack of 7 sleeper+0x10", HEAD, "7 sleeper")
    lists = Lists(memory, 8, {HEAD: stack}.get, OBJECTS, set(), waits=lambda at: at == HEAD)
    found = lists.rings(OFFSET, [0x1000])[0x1000]
    assert (found.verdict, found.head) == (WAITED, "stack of 7 sleeper+0x10")
    assert found.text == (f"its own list: a task waits with {hexa(HEAD)}: stack of 7 sleeper+0x10")


def test_where_both_ways_end_in_one_place_there_was_the_head() -> None:
    """Its memory was given to somebody else since, and holds other words."""
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    memory.words[HEAD] = memory.words[HEAD + 8] = 5
    found = rings(memory, {HEAD: lies_in(OTHER, ALLOCATED)}, [0x1000])[0x1000]
    assert (found.verdict, found.at) == (HEADLESS, HEAD)
    assert found.text == f"the head was at {hexa(HEAD)}, which doesn't lead back: there"


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (VARIABLE, HEADED),
        (None, OPEN),
        (lies_in(OTHER, ALLOCATED), HEADED),
        (lies_in(OTHER._replace(refcount=0), ALLOCATED), LEAKED),
        (lies_in(OTHER._replace(root=1, root_refcount=0), ALLOCATED), LEAKED),
        (lies_in(OTHER, FREE), HEADLESS),
        (lies_in(OTHER, RCU_PENDING), HEADLESS),
        (Place(PAGE, "page", HEAD, ""), OPEN),
        (Place(STACK, "stack of 1 init", HEAD, ""), OPEN),
    ],
)
def test_a_list_is_as_alive_as_what_has_its_head(head: Optional[Place], verdict: str) -> None:
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    found = rings(memory, {} if head is None else {HEAD: head}, OBJECTS)
    assert set(found) == set(OBJECTS)
    assert {each.verdict for each in found.values()} == {verdict}
    assert found[OBJECTS[0]].at == HEAD
    assert found[OBJECTS[0]].nodes == 4
    where = "memory that can't be named" if head is None else head.text
    assert found[OBJECTS[0]].text == f"head {hexa(HEAD)}: {where}"
    label = where
    if head is not None and head.kind in (OBJECT, SYMBOL):
        label = "an object of other" if head.kind == OBJECT else head.label
    assert found[OBJECTS[0]].head == label


def test_living_twins_on_the_list_are_no_heads() -> None:
    memory = Words()
    memory.ring(HEAD, node(0x1000), node(0x5000))
    twin = lies_in(TWIN, ALLOCATED)
    assert rings(memory, {HEAD: VARIABLE, node(0x5000): twin}, [0x1000])[0x1000].at == HEAD
    memory = Words()
    memory.ring(node(0x1000), node(0x5000))
    assert rings(memory, {node(0x5000): twin}, [0x1000])[0x1000].verdict == HEADLESS


def test_a_twin_that_has_the_list_by_another_member_is_its_head() -> None:
    memory = Words()
    memory.ring(0x5000, node(0x1000), node(0x2000))
    found = rings(memory, {0x5000: lies_in(TWIN, ALLOCATED, offset=0)}, [0x1000, 0x2000])
    assert found[0x1000].verdict == HEADED


def test_of_an_object_s_own_list_no_entry_is_the_head() -> None:
    """Its children know it; of two nodes in two objects either may be the other's head."""
    for children in ([0x5000], [0x5000, 0x6000], [0x5000, 0x6000, 0x7000]):
        memory = Words()
        memory.ring(node(0x1000), *children)
        places = {child: lies_in(OTHER, ALLOCATED, offset=0) for child in children}
        found = rings(memory, places, [0x1000])[0x1000]
        assert found.verdict == OPEN
        assert found.text == (
            f"{1 + len(children)} list_heads in a ring, perhaps headed by the object's own"
        )


def test_of_several_kinds_in_a_ring_the_head_is_the_one_there_is_once() -> None:
    memory = Words()
    memory.ring(0x9000, node(0x1000), 0x5000, 0x6000, node(0x2000))
    places = {child: lies_in(OTHER, ALLOCATED, offset=0) for child in (0x5000, 0x6000)}
    places[0x9000] = lies_in(OTHER, ALLOCATED, offset=8)
    assert rings(memory, places, [0x1000, 0x2000])[0x1000].at == 0x9000


def test_an_hlist_node_of_another_kind_before_it_is_no_head() -> None:
    """Timers of all kinds share a bucket: the bucket has them."""
    memory = Words()
    memory.words.update({HEAD: 0x5000, 0x5008: HEAD, 0x5000: node(0x1000)})
    memory.words.update({node(0x1000): 0, node(0x1000) + 8: 0x5000})
    places = {HEAD: VARIABLE, 0x5000: lies_in(OTHER, ALLOCATED, offset=0)}
    lists = Lists(memory, 8, places.get, OBJECTS, {0x100})
    assert lists.chains(OFFSET, [0x1000])[0x1000].at == HEAD


def test_a_variable_is_the_head_even_where_other_objects_are_on_the_list() -> None:
    """Or an entry, as these, on the list of the one object: none of its kind is beside it."""
    memory = Words()
    memory.ring(0x5000, node(0x1000), HEAD)
    places = {0x5000: lies_in(OTHER, ALLOCATED), HEAD: VARIABLE}
    found = rings(memory, places, [0x1000])[0x1000]
    assert (found.verdict, found.at) == (EITHER, HEAD)
    assert found.text == (f"3 list_heads in a ring, perhaps headed by {hexa(HEAD)}: all_objects")
    memory.ring(0x5000, node(0x1000), node(0x2000), HEAD)
    assert rings(memory, places, [0x1000])[0x1000].verdict == HEADED
    memory.ring(0x5000, node(0x1000), node(0x6000), HEAD)
    places[node(0x6000)] = lies_in(TWIN, ALLOCATED)
    assert rings(memory, places, [0x1000])[0x1000].verdict == HEADED


def test_a_variable_that_another_one_follows_at_once_is_a_list_head_alone() -> None:
    memory = Words()
    memory.ring(HEAD, node(0x1000))
    lock = VARIABLE._replace(label="lock")
    for behind, bare in (
        (lock, True),
        (lock._replace(offset=8), False),
        (VARIABLE._replace(offset=16), False),
        (lock._replace(label=""), False),
        (None, False),
    ):
        places = {HEAD: VARIABLE, **({} if behind is None else {HEAD + 16: behind})}
        assert rings(memory, places, [0x1000])[0x1000].bare == bare


@pytest.mark.parametrize("label", ["", "[bar]"])
def test_of_a_module_without_symbols_a_head_may_be_inside_of_a_variable(label: str) -> None:
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    found = rings(memory, {HEAD: VARIABLE._replace(label=label)}, OBJECTS)[0x1000]
    assert (found.verdict, found.lent, found.bare) == (HEADED, True, False)


def test_a_head_whose_memory_was_freed_and_overwritten_breaks_the_ring_and_is_none() -> None:
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    memory.words[HEAD] = memory.words[HEAD + 8] = 0x6B6B6B6B6B6B6B6B
    found = rings(memory, {HEAD: lies_in(OTHER, FREE)}, OBJECTS)
    assert {each.verdict for each in found.values()} == {HEADLESS}
    assert set(found) == set(OBJECTS)


def test_inside_of_a_variable_may_be_an_entry_of_a_list_without_a_head() -> None:
    """list_del() of a head leaves a ring; one of its entries is a module's variable."""
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    for offset, lent in ((0, False), (8, True)):
        place = VARIABLE._replace(offset=offset)
        found = rings(memory, {HEAD: place}, OBJECTS)[0x1000]
        assert (found.verdict, found.lent) == (HEADED, lent)


def test_a_variable_s_hlist_node_that_has_lost_its_head_may_be_no_head() -> None:
    """Of a table of heads the word behind one is the next one, or null."""
    memory = Words()
    memory.words.update({HEAD: node(0x1000), node(0x1000) + 8: HEAD})
    lists = Lists(memory, 8, {HEAD: VARIABLE}.get, OBJECTS, {0x100}, lowest=0x1000)
    gone, other = 0xF0000, node(0x2000)
    for behind, lent in ((0, False), (gone, True), (other, False)):
        memory.words.update({HEAD + 8: behind, other + 8: HEAD + 8, gone: 5})
        found = lists.chains(OFFSET, [0x1000])[0x1000]
        assert (found.verdict, found.at, found.lent) == (HEADED, HEAD, lent)


def test_a_head_that_was_set_anew_heads_its_old_list_no_more() -> None:
    """By INIT_LIST_HEAD(), or by a module that was loaded where another was."""
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    memory.words[HEAD] = memory.words[HEAD + 8] = HEAD
    found = rings(memory, {HEAD: VARIABLE}, [0x1000])[0x1000]
    assert (found.verdict, found.stands) == (HEADLESS, True)


@pytest.mark.parametrize(("place", "stands"), [(VARIABLE, True), (lies_in(OTHER, FREE), False)])
def test_pointers_may_lead_to_a_head_that_stands_but_not_to_one_that_was_freed(
    place: Place, stands: bool
) -> None:
    """__list_del() and __hlist_del() leave an object's own pointers to the head."""
    memory = Words()
    memory.words.update({HEAD: HEAD, HEAD + 8: HEAD})
    memory.words.update({node(0x1000): HEAD, node(0x1000) + 8: HEAD})
    found = rings(memory, {HEAD: place}, [0x1000])[0x1000]
    assert (found.verdict, found.stands) == (HEADLESS, stands)
    memory.words[HEAD] = 0
    chains = Lists(memory, 8, {HEAD: place}.get, OBJECTS, {0x100}).chains(OFFSET, [0x1000])
    assert (chains[0x1000].verdict, chains[0x1000].stands) == (HEADLESS, stands)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("label", "local"), [("", False), ("stack", True)])
def test_a_head_in_memory_that_vfree_gave_back_is_gone(
    label: str, local: bool, whole: bool
) -> None:
    """A stack that no task has any more may still have its words."""
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    if not whole:
        del memory.words[HEAD], memory.words[HEAD + 8]
    place = Place(FREED_VMALLOC, "what was freed", HEAD, label)
    found = rings(memory, {HEAD: place}, [0x1000])[0x1000]
    assert (found.verdict, found.at, found.stands) == (HEADLESS, HEAD, False)
    assert found.local == local
    assert sorted(found.members) == OBJECTS


def test_a_ring_that_breaks_in_two_places_in_memory_in_use_is_left_open() -> None:
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    memory.words[HEAD] = memory.words[HEAD + 8] = 5
    memory.words[node(0x1000) + 8] = HEAD + 64
    places = {HEAD: VARIABLE, HEAD + 64: VARIABLE}
    found = rings(memory, places, [0x1000])[0x1000]
    assert (found.verdict, found.text) == (
        OPEN,
        f"broken at {hexa(HEAD)}, which doesn't point back: all_objects",
    )


def test_a_ring_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.why.lists._NODES", 4)
    memory = Words()
    memory.ring(node(0x1000), *range(0x5000, 0x5100, 16))
    found = rings(memory, {}, [0x1000])[0x1000]
    assert (found.verdict, found.text) == (OPEN, "a ring of more than 4 list_heads")


def test_a_list_of_several_kinds_of_objects_has_its_head_in_one_that_is_not_told() -> None:
    """A kset's list: kobjects of many owners, and the kset, are all objects."""
    memory = Words()
    memory.ring(HEAD, node(0x1000), 0x7010, node(0x2000))
    kset, fellow = lies_in(OTHER, ALLOCATED, 0), lies_in(OTHER, ALLOCATED, 0x10)
    found = rings(memory, {HEAD: kset, 0x7010: fellow}, [0x1000])[0x1000]
    assert (found.verdict, found.head) == (OPEN, "")
    assert found.text == "4 list_heads in a ring, one of several has the head"


def test_an_hlist_is_followed_back_to_its_first_pointer() -> None:
    memory = Words()
    memory.words.update({HEAD: node(0x1000), node(0x1000) + 8: HEAD})
    memory.words.update({node(0x1000): node(0x2000), node(0x2000) + 8: node(0x1000)})
    lists = Lists(memory, 8, {HEAD: VARIABLE}.get, OBJECTS, {0x100})
    found = lists.chains(OFFSET, [0x1000, 0x2000])
    assert [each.verdict for each in found.values()] == [HEADED, HEADED]
    assert [each.at for each in found.values()] == [HEAD, HEAD]
    memory.words[HEAD] = 0
    found = lists.chains(OFFSET, [0x2000])
    assert [found[address].verdict for address in (0x1000, 0x2000)] == [HEADLESS, HEADLESS]
    assert found[0x2000].at == HEAD
    gone = f"the hlist's head was at {hexa(HEAD)}, which doesn't lead back: all_objects"
    assert found[0x2000].text == gone
    memory.words[node(0x1000) + 8] = 0
    text = f"hlist without a first pointer, broken at {hexa(node(0x1000))}"
    assert lists.chains(OFFSET, [0x2000])[0x2000].text == text
    memory.words[node(0x1000) + 8] = 0x13
    assert lists.chains(OFFSET, [0x2000])[0x2000].text == text


_ADDRESSES = st.sampled_from([*map(node, OBJECTS), *(node(a) + 8 for a in OBJECTS), HEAD, HEAD + 8])


@given(st.dictionaries(_ADDRESSES, _ADDRESSES))
def test_any_links_end_in_a_verdict_for_each_object(links: Dict[int, int]) -> None:
    memory = Words()
    memory.words = links
    for place in (VARIABLE, lies_in(OTHER, FREE), None):
        places = {} if place is None else {HEAD: place}
        found = rings(memory, places, OBJECTS)
        assert set(OBJECTS) <= set(found)
        assert {each.verdict for each in found.values()} <= {EITHER, HEADED, HEADLESS, LEAKED, OPEN}
        lists = Lists(memory, 8, places.get, OBJECTS, {0x100})
        assert set(lists.chains(OFFSET, OBJECTS)) == set(OBJECTS)


@pytest.mark.parametrize(
    ("place", "lent"),
    [
        (Place(SYMBOL, "variable", HEAD, "variable"), False),
        (lies_in(OTHER, ALLOCATED), True),
        (Place(PAGE, "page", HEAD, "page"), True),
        # Where an unloaded module was, say: who has it now need not have written all of it.
        (Place(VMALLOC, "vmalloc 9000+0x0", HEAD, ""), True),
        # free_percpu() clears nothing, and a frame keeps what another function left there.
        (Place(PERCPU, "per-CPU 3ccd0 of cpu 1", HEAD, "3ccd0"), True),
        (Place(PERCPU, "per-CPU batches+0x8 of cpu 1", HEAD, "batches"), False),
        (Place(STACK, "stack of 7 sleeper+0x10", HEAD, "7 sleeper"), True),
    ],
)
def test_a_head_in_memory_that_others_had_before_is_told_from_a_variable(
    place: Place, lent: bool
) -> None:
    memory = Words()
    memory.ring(HEAD, *map(node, OBJECTS))
    lists = Lists(memory, 8, {HEAD: place}.get, OBJECTS, {0x100, 0x200}, lambda address: True)
    ring = lists.rings(OFFSET, OBJECTS)[OBJECTS[0]]
    assert (ring.verdict, ring.lent) == (HEADED, lent)
