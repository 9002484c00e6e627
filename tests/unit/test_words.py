# SPDX-License-Identifier: GPL-3.0-or-later
"""Of an object's words is said what memory bears out, and of the others nothing."""

from __future__ import annotations

from typing import Dict, List, Tuple

import pytest
from pytest_mock import MockerFixture

from crash_ext.contents.rings import RING, Ring, describe
from crash_ext.contents.words import (
    ERROR,
    HLIST_HEAD,
    HLIST_LINKED,
    JIFFIES,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    NUMBER,
    OWN,
    POINTER,
    POISON,
    RB_CLEAR,
    RB_LINKED,
    TEXT,
    ZERO,
    Word,
    Words,
)
from crash_ext.hexa import hexa
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.place import SYMBOL, Place
from crash_ext.places.places import Places
from mocks.heap import Heap
from mocks.landscape import REGION, Landscape
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from mocks.structs import parse
from tests.unit.asked import session

every_kind = pytest.mark.parametrize("layout", ["3.10", "6.1", "6.1-s390x", "5.10-i386", "7.3"])
"""Both sizes of words, both byte orders."""


class Scene:
    """A cache with a slab; objects 1, 2, 3 and 5 are allocated. Contents are written by word."""

    def __init__(self, layout: str = "6.1", size: int = 84) -> None:
        self.heap = Heap(LAYOUTS[layout], seed=4)
        self.cache: Cache = self.heap.cache("slab_test", size)
        self.slab: Slab = self.heap.slab(self.cache, {1, 2, 3, 5}, content=lambda index: b"")
        self.word = self.heap.image.word
        for index in (1, 2, 3, 5):
            self.heap.image.write(self.slab.object(index), bytes(size))

    def at(self, index: int, number: int = 0) -> int:
        """The address of a word of an object."""
        return self.slab.object(index) + number * self.word

    def write(self, index: int, number: int, *values: int) -> None:
        for value in values:
            self.heap.image.pointer(self.at(index, number), value)
            number += 1

    def link(self, *nodes: int) -> None:
        """A ring of list_heads."""
        self.heap.writer.ring(nodes[0], nodes[1:])

    def words(self) -> Words:
        kernel = session(self.heap)
        return Words(Places(kernel, lambda: all_caches(kernel, [])))

    def explain(self, index: int = 1, size: int = 0) -> Dict[int, Word]:
        """Number of the word -> what it is; zeroes left out."""
        address = self.slab.object(index)
        data = self.heap.image.read(address, size or self.cache.object_size)
        found = self.words().explain(address, data)
        check(found, len(data))
        return {word.offset // self.word: word for word in found if word.kind != ZERO}

    def only(self, index: int = 1) -> Word:
        (word,) = self.explain(index).values()
        return word


def check(found: List[Word], length: int) -> None:
    """Ascending, not overlapping, inside."""
    end = 0
    for word in found:
        assert word.offset >= end
        assert word.size > 0
        end = word.offset + word.size
    assert end <= length


# lists ------------------------------------------------------------------------------------


@every_kind
def test_a_list_head_that_points_to_itself_is_empty(layout: str) -> None:
    scene = Scene(layout)
    scene.link(scene.at(1, 4))
    word = scene.only()
    assert (word.kind, word.text, word.offset) == (LIST_EMPTY, "list_head, empty", 4 * scene.word)
    assert word.size == 2 * scene.word


@every_kind
def test_a_linked_list_head_is_told_with_what_heads_the_list(layout: str) -> None:
    scene = Scene(layout)
    Landscape(scene.heap)
    head = scene.heap.image.symbols["slab_mutex"] + 0x40
    scene.heap.image.symbols["live_list"] = head
    scene.link(head, *(scene.at(index, 4) for index in (1, 2, 3)))
    for index in (1, 2, 3):
        word = scene.only(index)
        assert (word.kind, word.size) == (LIST_LINKED, 2 * scene.word)
        assert word.text == "list_head, linked: headed by live_list, 3 entries"


def test_a_list_headed_in_an_object_is_told_with_that_object() -> None:
    scene = Scene()
    scene.link(scene.at(5, 2), scene.at(1, 4), scene.at(2, 4))
    head = f"slab_test {scene.at(5):x}+0x10"
    assert scene.only().text == f"list_head, linked: headed by {head}, 2 entries"


def test_what_heads_a_list_of_equals_is_not_guessed() -> None:
    scene = Scene()
    scene.link(scene.at(1, 4), scene.at(2, 4), scene.at(3, 4))
    assert scene.only().text == "list_head, linked: 3 nodes, the head among them"


@every_kind
@pytest.mark.parametrize("side", ["next", "prev"])
def test_a_neighbour_that_does_not_point_back_is_said(layout: str, side: str) -> None:
    scene = Scene(layout)
    scene.link(scene.at(1, 4), scene.at(2, 4), scene.at(3, 4))
    if side == "next":
        scene.write(2, 5, scene.at(5))
        wrong = ("next", "prev", scene.at(2, 4))
    else:
        scene.write(3, 4, scene.at(5))
        wrong = ("prev", "next", scene.at(3, 4))
    word = scene.only()
    way, back, at = wrong
    text = f"list_head, broken: {way} {hexa(at)} has {back} {hexa(scene.at(5))}"
    assert (word.kind, word.text) == (LIST_BROKEN, text)


def test_of_an_objects_first_words_a_single_pointer_back_says_nothing() -> None:
    """{a, owner}, and the owner's first word is its child."""
    scene = Scene()
    scene.write(1, 0, scene.at(3), scene.at(2))
    scene.write(2, 0, scene.at(1))
    assert [word.kind for word in scene.explain().values()] == [POINTER, POINTER]


def test_two_pointers_of_which_none_leads_back_are_two_pointers() -> None:
    scene = Scene()
    scene.write(1, 4, scene.at(2), scene.at(3))
    assert [word.kind for word in scene.explain().values()] == [POINTER, POINTER]


def test_a_neighbour_that_cannot_be_read_leaves_it_unsaid() -> None:
    scene = Scene()
    away = scene.heap.image.page_offset + (8 << 20)
    scene.write(1, 4, away, scene.at(2, 4))
    scene.write(2, 4, scene.at(1, 4))
    assert [word.kind for word in scene.explain().values()] == [POINTER, POINTER]


@every_kind
def test_list_del_leaves_a_deleted_node(layout: str) -> None:
    scene = Scene(layout)
    scene.write(1, 4, *scene.heap.layout.place.poison)
    assert (scene.only().kind, scene.only().text) == (LIST_DELETED, "deleted list node")


def test_list_del_rcu_leaves_next_as_it_was() -> None:
    scene = Scene()
    scene.write(1, 4, scene.at(2, 4), scene.heap.layout.place.poison[1])
    word = scene.only()
    assert (word.kind, word.text) == (LIST_DELETED, "deleted list node (RCU)")
    assert word.target is not None
    assert word.target.object == scene.at(2)


def test_the_last_of_a_hlist_nulls_list_keeps_its_end_when_it_is_deleted() -> None:
    scene = Scene()
    scene.write(1, 4, 17, scene.heap.layout.place.poison[1])
    assert scene.only().kind == LIST_DELETED


@pytest.mark.parametrize("before", ["zero", "pointer"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_timer_that_ended_was_on_no_list(before: str, hashed: bool) -> None:
    """It keeps the poison, whether it fired or was deleted: of most objects that had one."""
    scene = Scene(size=120)
    image = scene.heap.image
    Landscape(scene.heap)
    image.structs["timer_list"] = parse("entry:2p expires:p function:p", image.word)
    function = image.symbols["slab_mutex"]
    image.symbols.update({"_stext": function, "_etext": function + 8})
    first = {"zero": 0, "pointer": scene.at(2, 4)}[before] if hashed else 0
    poison = scene.heap.layout.place.poison[1]
    # Up to v4.1 the link is a list_head: NULL and the poison, and the rest one word nearer.
    ended = (poison, 0, 77, function) if hashed else (poison, 77, function)
    scene.write(1, 4, first, *ended)
    assert LIST_DELETED not in {word.kind for word in scene.explain().values()}
    scene.write(1, 4, first, poison, 9, 77, 78)
    assert LIST_DELETED in {word.kind for word in scene.explain().values()}


def test_a_deleted_hlist_node_before_a_pointer_to_data_is_no_timer() -> None:
    """hlist_del_rcu(), an rcu_head that is done, a pointer to the driver's operations."""
    scene = Scene()
    image = scene.heap.image
    image.structs["timer_list"] = parse("entry:2p expires:p function:p", image.word)
    Landscape(scene.heap)
    data, poison = image.symbols["slab_mutex"], scene.heap.layout.place.poison[1]
    image.symbols.update({"_stext": data + 0x1000, "_etext": data + 0x2000})
    scene.write(1, 1, scene.at(2, 1), poison, 0, 77, data)
    assert LIST_DELETED in {word.kind for word in scene.explain().values()}


@pytest.mark.parametrize("code", ["unloaded", "inside", "data", "elsewhere"])
@pytest.mark.parametrize("before", [0, 4321], ids=["end", "odd"])
def test_a_timer_that_ended_was_one_of_a_module_that_is_gone(before: int, code: str) -> None:
    """An odd number before its poison looks like the end of a hlist_nulls list. Of a pointer to
    what a loaded module has there, as its operations, that is a node.
    """
    scene = Scene()
    image = scene.heap.image
    image.structs["timer_list"] = parse("entry:2p expires:p function:p", image.word)
    land = Landscape(scene.heap, "mem")
    data = 2 * REGION + 0x80
    symbols = {b"bar_exit": (0x40, 256), b"bar_ops": (data, 64)}
    module = land.module(b"bar", symbols, regions=2)
    value = {"unloaded": module + (64 << 20), "inside": module + 0x88, "data": module + data}
    poison = scene.heap.layout.place.poison[1]
    scene.write(1, 1, before, poison, 0, 77, value.get(code, 78))
    deleted = LIST_DELETED in {word.kind for word in scene.explain().values()}
    assert deleted == (code in ("data", "elsewhere"))


def test_two_small_numbers_are_no_poison_on_a_64_bit_machine() -> None:
    scene = Scene()
    scene.write(1, 4, 0x100, 0x122)
    assert {word.kind for word in scene.explain().values()} == {NUMBER}


def test_a_long_list_that_is_cut_behind_is_linked_all_the_same() -> None:
    scene = Scene()
    scene.link(scene.at(1, 4), scene.at(2, 4), scene.at(3, 4), scene.at(5, 4))
    scene.write(5, 5, 0)
    word = scene.explain(2)[4]
    assert (word.kind, word.text) == (
        LIST_LINKED,
        "list node, linked: broken or unreadable, 2 nodes on",
    )


@every_kind
def test_an_hlist_node_is_told_by_its_end(layout: str) -> None:
    scene = Scene(layout)
    bucket, first, last = scene.at(5, 2), scene.at(1, 4), scene.at(2, 4)
    scene.write(5, 2, first)
    scene.write(1, 4, last, bucket)
    scene.write(2, 4, 0, first)
    assert (scene.only(1).kind, scene.only(1).text) == (
        HLIST_LINKED,
        "hlist_node, linked: 1 behind it",
    )
    assert (scene.only(2).kind, scene.only(2).text) == (
        HLIST_LINKED,
        "hlist_node? linked, the last",
    )


def test_each_node_of_a_chain_knows_how_many_are_behind_it() -> None:
    scene = Scene()
    nodes = [scene.at(index, 4) for index in (1, 2, 3, 5)]
    for node, before, after in zip(nodes, [scene.at(5, 0), *nodes], [*nodes[1:], 0]):
        scene.heap.image.pointer(node, after)
        scene.heap.image.pointer(node + 8, before)
    rings = scene.words().rings
    # From the middle first, and then from before it.
    assert [rings.of(nodes[number]).nodes for number in (2, 0, 1, 3)] == [2, 4, 3, 1]


def test_a_list_of_too_many_nodes_is_not_walked_to_its_end(mocker: MockerFixture) -> None:
    mocker.patch("crash_ext.contents.rings._KEPT", 2)
    scene = Scene()
    scene.link(scene.at(1, 4), scene.at(2, 4), scene.at(3, 4))
    rings = scene.words().rings
    assert [rings.of(scene.at(index, 4))[:2] for index in (1, 2, 3)] == [
        ("open", 2),
        ("open", 1),
        ("open", 0),
    ]
    assert describe(rings.of(scene.at(1, 4))) == "2 nodes or more"


def test_a_list_of_one_entry_says_so() -> None:
    alone = Ring(RING, 2, Place(SYMBOL, "conn_list", 1, "conn_list"))
    assert describe(alone) == "headed by conn_list, 1 entry"


@every_kind
def test_an_hlist_head_is_told_with_how_many_nodes_it_has(layout: str) -> None:
    """Two of them stand side by side in struct pid: no list_head, and none that is broken."""
    scene = Scene(layout)
    scene.write(1, 4, scene.at(2, 4), scene.at(3, 4))
    scene.write(2, 4, scene.at(5, 4), scene.at(1, 4))
    scene.write(5, 4, 0, scene.at(2, 4))
    scene.write(3, 4, 0, scene.at(1, 5))
    found = {number: (word.kind, word.text) for number, word in scene.explain().items()}
    assert found == {4: (HLIST_HEAD, "hlist_head, 2 nodes"), 5: (HLIST_HEAD, "hlist_head, 1 node")}


def test_an_hlist_nulls_list_ends_in_an_odd_number() -> None:
    scene = Scene()
    scene.write(5, 2, scene.at(1, 4))
    scene.write(1, 4, scene.at(2, 4), scene.at(5, 2))
    scene.write(2, 4, 17, scene.at(1, 4))
    assert scene.only(1).text == "hlist_node, linked: 1 behind it"
    assert scene.only(2).text == "hlist_node? linked, the last"


# trees ------------------------------------------------------------------------------------


@every_kind
def test_a_tree_node_is_told_by_parent_and_children(layout: str) -> None:
    scene = Scene(layout)
    root, left = scene.at(1, 3), scene.at(2, 3)
    scene.write(1, 3, 1, 0, left)
    scene.write(2, 3, root, 0, 0)
    assert (scene.only(1).kind, scene.only(1).text) == (RB_LINKED, "rb_node, the root")
    word = scene.only(2)
    assert (word.kind, word.size) == (RB_LINKED, 3 * scene.word)
    assert word.target is not None
    assert word.target.object == scene.at(1)
    assert word.text == f"rb_node, linked: parent in {word.target.text}"


def test_a_parent_that_has_other_children_is_a_pointer() -> None:
    scene = Scene()
    scene.write(2, 3, scene.at(1, 3))
    assert scene.only(2).kind == POINTER


def test_a_child_that_has_another_parent_makes_no_tree() -> None:
    scene = Scene()
    scene.write(1, 3, 1, 0, scene.at(2, 3))
    scene.write(2, 3, scene.at(3, 3))
    assert {word.kind for word in scene.explain(1).values()} == {NUMBER, POINTER}


def test_a_parent_that_is_no_node_makes_no_tree() -> None:
    """{parent, NULL, NULL}, and the parent's second word is its child."""
    scene = Scene()
    scene.write(1, 0, scene.at(2))
    scene.write(2, 0, scene.at(3), scene.at(1))
    assert scene.only().kind == POINTER


def test_a_black_root_with_a_red_right_child_is_no_list() -> None:
    scene = Scene()
    scene.write(1, 3, 1, scene.at(2, 3), 0)
    scene.write(2, 3, scene.at(1, 3), 0, 0)
    assert [scene.only(index).kind for index in (1, 2)] == [RB_LINKED] * 2


def test_a_node_deep_in_a_tree_is_told() -> None:
    scene = Scene()
    top, middle, leaf = (scene.at(index, 3) for index in (1, 2, 3))
    scene.write(1, 3, 1, middle, 0)
    scene.write(2, 3, top | 1, 0, leaf)
    scene.write(3, 3, middle, 0, 0)
    assert [scene.only(index).kind for index in (1, 2, 3)] == [RB_LINKED] * 3


def test_a_node_that_is_its_own_parent_is_perhaps_a_cleared_one() -> None:
    scene = Scene()
    scene.write(1, 3, scene.at(1, 3))
    assert scene.only().kind == RB_CLEAR
    assert scene.only().text == "points to itself: a cleared rb_node?"


def test_the_kinds_that_records_have_are_words() -> None:
    assert [f"{kind}" for kind in (HLIST_HEAD, RB_LINKED, RB_CLEAR)] == [
        "hlist head",
        "rb linked",
        "rb clear",
    ]


# single words -----------------------------------------------------------------------------


@every_kind
def test_a_pointer_is_told_with_its_target(layout: str) -> None:
    scene = Scene(layout)
    Landscape(scene.heap)
    function = scene.heap.function("slabtest_release")
    scene.write(1, 0, scene.at(2, 1), scene.at(4), function, scene.at(1, 2))
    found = scene.explain()
    freed = f"slab_test {hexa(scene.at(4))}, free"
    assert {number: (word.kind, word.text) for number, word in found.items()} == {
        0: (POINTER, f"slab_test {hexa(scene.at(2))}+{scene.word:#x}, allocated"),
        1: (POINTER, freed),
        2: (POINTER, "slabtest_release"),
        3: (OWN, f"this object+{2 * scene.word:#x}"),
    }


@every_kind
def test_a_pointer_to_nothing_stays_unsaid(layout: str) -> None:
    scene = Scene(layout)
    scene.write(1, 0, 0xB7654321 if scene.word == 4 else 0x7FFF12345678)
    assert scene.explain() == {}


@every_kind
@pytest.mark.parametrize(
    ("byte", "what"),
    [
        (0x6B, "freed"),
        (0x5A, "not yet written"),
        (0xCC, "red zone, allocated"),
        (0xBB, "red zone, free"),
    ],
)
def test_poison_is_no_text_and_no_pointer(layout: str, byte: int, what: str) -> None:
    scene = Scene(layout)
    scene.heap.image.write(scene.at(1), bytes([byte]) * 4 * scene.word)
    found = scene.explain()
    assert [word.kind for word in found.values()] == [POISON] * 4
    assert found[0].text == f"poison {byte:02x}: {what}"


def test_the_last_word_of_freed_poison_ends_otherwise() -> None:
    scene = Scene(size=64)
    scene.heap.image.write(scene.at(1), b"\x6b" * 63 + b"\xa5")
    assert scene.explain()[7].text == "poison 6b: freed, its end"


@every_kind
def test_errors_and_numbers_are_told_apart(layout: str) -> None:
    scene = Scene(layout)
    scene.write(1, 0, -2, -4095, -4096, -1, 4711)
    found = {number: (word.kind, word.text) for number, word in scene.explain().items()}
    assert found == {
        0: (ERROR, "error -2 (ENOENT)"),
        1: (ERROR, "error -4095"),
        2: (NUMBER, "-4096"),
        3: (NUMBER, "-1"),
        4: (NUMBER, "4711"),
    }


@pytest.mark.parametrize(("layout", "text"), [("6.1", "7, -3"), ("6.1-s390x", "7, -3")])
def test_two_small_numbers_in_a_word_are_in_memorys_order(layout: str, text: str) -> None:
    scene = Scene(layout)
    image = scene.heap.image
    image.put(scene.at(1), 4, 7)
    image.put(scene.at(1) + 4, 4, -3)
    assert scene.only().text == text


@every_kind
def test_a_number_near_jiffies_is_perhaps_a_time(layout: str) -> None:
    scene = Scene(layout)
    jiffies = 0x12345678
    image = scene.heap.image
    image.symbols["jiffies"] = image.symbols["slab_mutex"] + 0x40
    image.pointer(image.symbols["jiffies"], jiffies)
    scene.write(1, 0, jiffies - 250, 17)
    assert scene.explain()[0][2:4] == (JIFFIES, "perhaps jiffies-250")
    assert scene.explain()[1].kind == NUMBER


TEXTS: List[Tuple[int, bytes, Tuple[int, str]]] = [
    (0, b"KCAJ", (4, '"KCAJ"')),
    (8, b"a name across words", (19, '"a name across words"')),
    (5, b"unaligned, but long", (19, '"unaligned, but long"')),
    (80, b"tail", (4, '"tail"')),
]


@pytest.mark.parametrize(("offset", "data", "wanted"), TEXTS)
@every_kind
def test_text_is_told_across_words(
    layout: str, offset: int, data: bytes, wanted: Tuple[int, str]
) -> None:
    scene = Scene(layout)
    scene.heap.image.write(scene.slab.object(1) + offset, data)
    word = scene.only()
    assert (word.kind, word.offset, word.size, word.text) == (TEXT, offset, *wanted)


@every_kind
def test_poison_that_is_partly_overwritten_is_no_text(layout: str) -> None:
    scene = Scene(layout)
    scene.heap.image.write(scene.slab.object(1) + 1, b"\x6b" * (scene.word - 1))
    assert TEXT not in {word.kind for word in scene.explain().values()}


def test_where_any_number_is_an_address_only_aligned_ones_are_pointers() -> None:
    scene = Scene("6.1-s390x")
    scene.write(1, 0, scene.at(2) + 1, scene.heap.image.present[0][1] * 4096 - 8)
    assert POINTER not in {word.kind for word in scene.explain().values()}


def test_text_that_starts_anywhere_and_is_short_is_chance() -> None:
    scene = Scene()
    scene.heap.image.write(scene.slab.object(1) + 5, b"\xff1,0*\xff")
    assert scene.explain() == {}


@pytest.mark.parametrize("layout", ["6.1", "6.1-s390x"])
def test_the_bytes_behind_the_last_whole_word_are_told_too(layout: str) -> None:
    scene = Scene(layout)
    scene.heap.image.put(scene.slab.object(1) + 80, 4, 513)
    word = scene.only()
    assert (word.kind, word.text, word.offset, word.size) == (NUMBER, "513", 80, 4)


def test_of_a_long_text_the_beginning_is_shown_and_its_length() -> None:
    scene = Scene(size=256)
    scene.heap.image.write(scene.at(1), b"A" * 64 + b"B" * 136 + bytes(56))
    assert scene.explain()[0].text == f'"{"A" * 64}".. (200 bytes)'
