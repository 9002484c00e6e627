# SPDX-License-Identifier: GPL-3.0-or-later
"""What lost objects show of their state by themselves, and with which object they were lost."""

from __future__ import annotations

from typing import Dict, List, Sequence

import pytest

from crash_ext.contents.words import LIST_DELETED
from crash_ext.why.case import Kobject, Subject
from crash_ext.why.numbers import SATURATED
from mocks.landscape import Landscape
from mocks.structs import parse
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages
from tests.unit.test_rules import AT, case, only, subject

WRAP = 1 << 64
DATA = 0x2000
FORMS = {
    "kobject": "name:p entry:2p parent:p kset:p ktype:p sd:p kref:4",
    "kobj_type": "release:p sysfs_ops:p",
    "mempool_s": "lock:8 min_nr:4 curr_nr:4 elements:p pool_data:p",
}
GIVEN_UP = (
    " lost: nothing in use leads to {it}, so nobody can free {it} any more, unless {they} {kept} by"
    " a handle that is no pointer (an index, a frame number, an encoded or unaligned address)."
)
ONE = "1 object is" + GIVEN_UP.format(it="it", they="it", kept="is kept")
TWO = "2 objects are" + GIVEN_UP.format(it="them", they="they", kept="are kept")
OWNER = " Or that is of the last owner of that memory."


def told(*made: Subject, uncleared: bool = False) -> str:
    """What is said of these behind that they are lost."""
    found = case(*made, twins=0)
    found.uncleared = uncleared
    sentence = only(found).sentence
    begins = ONE if len(made) == 1 else TWO
    assert sentence.startswith(begins)
    return sentence[len(begins) :]


def kobject(references: int, name: str = "first", shown: bool = False) -> Kobject:
    node = range(AT + 8, AT + 24)
    return Kobject(AT, range(AT, AT + 56), node, "kind", "free_it", name, references, shown)


def holding(*kobjects: Kobject) -> List[Subject]:
    made = [subject(number + 1, values={AT: 7, AT + 8: 9}) for number in range(len(kobjects))]
    for each, its in zip(made, kobjects):
        each.kobject = its
    return made


@pytest.mark.parametrize(
    ("kobjects", "text"),
    [
        (
            [kobject(1)],
            " At +0x20 it has what looks like a kobject of kind 'first', out of sysfs and with 1"
            " left: a kobject_put() is missing, or what calls it.",
        ),
        (
            [kobject(1), kobject(2, "")],
            " At +0x20 each has what looks like a kobject of kind, the first one 'first', out of"
            " sysfs and with references left: a kobject_put() is missing, or what calls it.",
        ),
        (
            [kobject(0), kobject(0)],
            " At +0x20 each has what looks like a kobject of kind, without a reference: its release"
            " function, free_it, was called and did not free the object.",
        ),
        ([kobject(3, "", True)], " At +0x20 it has what looks like a kobject of kind."),
        ([kobject(0), kobject(1)], " The contents do not show where they were lost."),
    ],
)
def test_a_kobject_tells_whether_a_reference_is_left(
    kobjects: Sequence[Kobject], text: str
) -> None:
    assert told(*holding(*kobjects)) == text


def test_a_count_that_is_saturated_is_told_but_no_half_of_an_address() -> None:
    low = {AT: SATURATED, AT + 4: 0}
    made = subject(1, values={AT: SATURATED, AT + 8: 1})
    made.halves = {**low, AT + 8: 1}
    text = (
        " If +0x20 is a refcount_t, it is saturated (0xc0000000): once too many references were"
        " taken or dropped, no further put frees the object."
    )
    assert told(made) == text
    assert told(made, uncleared=True) == text + OWNER
    made.halves = {**low, AT + 4: 0xFFFFFFFF}
    assert told(made) == " The contents do not show where it was lost."


def test_a_node_that_says_it_is_in_no_tree_was_taken_out_or_never_in_one() -> None:
    made = [subject(number, values={AT: 5, AT + 8: 6}) for number in (1, 2)]
    for each in made:
        each.cleared = {AT: each.address == 1}
    text = (
        " If +0x20 is an rb_node, it says that it is in no tree (RB_CLEAR_NODE()): never inserted,"
        " or taken out; the child"
    )
    left = " that it still points to shows that it was in one."
    assert told(*made) == f"{text} of 1 of 2{left}"
    assert told(made[0]) == f"{text}{left}"
    assert told(made[1]) == f"{text.split(';')[0]}."


def test_an_error_in_place_of_a_pointer_is_told_without_living_objects() -> None:
    """-1 is as often a number, and there is no error 2048."""
    made = [subject(number, values={AT: WRAP - 12, AT + 8: 6}) for number in (1, 2)]
    text = (
        ": what belongs there could not be had, so look at the way out after that; or who ended"
        " the object's use put it there."
    )
    assert told(made[0]) == f" If +0x20 is a pointer, it is the error -12{text}"
    made[1].values[AT] = WRAP - 5
    assert told(*made) == f" If +0x20 is a pointer, it is an error{text}"
    for number in (1, 2048):
        made[0].values[AT] = WRAP - number
        assert told(made[0]) == " The contents do not show where it was lost."


def test_a_pair_of_one_address_may_be_a_node_whose_head_is_gone() -> None:
    made = subject(1, values={AT: 5, AT + 8: 5})
    made.alone = {AT: "owners"}
    assert told(made) == (
        " If +0x20 is a list node, it was alone on a list whose head is gone: both of its words are"
        " one address, of memory of owners that doesn't lead back."
    )


def test_functions_and_variables_tell_whose_objects_are() -> None:
    """A module's before the kernel's; not those that all living objects have."""
    made = [subject(number, values={AT: 5, AT + 8: 6, AT + 16: 7}) for number in (1, 2)]
    for each in made:
        each.addresses = {AT: "init_net", AT + 8: "end_io [bar]", AT + 16: f"own_{each.address}"}
    assert told(*made) == " Each has the address of end_io [bar] (at +0x28)."
    del made[0].addresses[AT + 8]
    assert told(made[0]) == " It has the address of init_net (at +0x20) and own_1 (at +0x30)."
    made[0].addresses[AT + 8] = "task 7 worker"
    assert told(made[0]) == " It has the address of task 7 worker (at +0x28)."


def test_what_was_hardly_written_was_given_up_early_or_cleared() -> None:
    words: Dict[int, int] = dict.fromkeys(range(0, 64, 8), 0)
    made = [subject(number, values={**words, 8: number}) for number in (1, 2)]
    text = (
        " all zeroes: given up before more was set up, or cleared since; or that is all that owners"
        " write."
    )
    assert told(made[0]) == f" But for +0x8 it is{text}"
    assert told(*made) == f" But for +0x8 they are{text}"
    made[1].values.update({8: 0, 16: 1})
    assert told(*made) == " The contents do not show where they were lost."


def test_a_next_that_an_rcu_form_kept_names_the_list() -> None:
    made = subject(1, LIST_DELETED, values={AT: 0x5000, AT + 8: 0xDEAD000000000122})
    made.was_before = {AT: "conns [bar]"}
    assert (
        " taken off a list and not freed: list_del_rcu() or hlist_del_rcu() has poisoned the list"
        " node at +0x20, and nothing in use leads to it. A next that was kept leads to conns [bar]:"
        " that was on the list, its head for one."
    ) in only(case(made, twins=0)).sentence
    made.values[AT] = 0xDEAD000000000100
    made.was_before = {}
    assert " list_del() or hlist_del() has poisoned" in only(case(made, twins=0)).sentence


class Scene:
    """A leftover whose objects 1 to 3 have 128 bytes, and a module with a table and functions."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.image = self.pages.image
        self.land = Landscape(self.pages.heap, "mem")
        symbols = {b"free_it": (0, 16), b"show_it": (16, 16), b"kind": (DATA, 32)}
        symbols[b"conns"] = (DATA + 0x100, 16)
        self.code = self.land.module(b"bar", symbols, regions=2)
        for name, text in FORMS.items():
            self.image.structs[name] = parse(text, self.image.word)
        cache = self.pages.heap.cache("slab_test", 128)
        self.slab = self.pages.heap.slab(cache, {1, 2, 3})
        self.objects = [self.slab.object(index) for index in (1, 2, 3)]
        for at in self.objects:
            self.image.write(at, bytes(128))
        self.pages.heap.leave_behind(cache)

    def put(self, address: int, *values: int) -> None:
        for number, value in enumerate(values):
            self.image.pointer(address + 8 * number, value)

    def said(self) -> str:
        whole(self.pages)
        rows = records(self.pages.heap, "slabwhy", f"{self.slab.cache.address:x}")
        return " ".join(str(row["text"]) for row in of_type(rows, "finding"))

    def table(self, *words: int) -> int:
        """The module's variable kind, with these words."""
        data = b"".join(word.to_bytes(8, "little") for word in words)
        self.image.map(self.code + DATA, data.ljust(0x1000, b"\0"))
        return self.code + DATA

    def kobjects(self, name: int, kind: int, references: int, state: int = 1) -> None:
        """A kobject at +0x10 of each object. state: 1 for initialised, 2 for in sysfs."""
        for at in self.objects:
            node = at + 0x18
            self.put(at + 0x10, name, node, node, 0, 0, kind, 0, references | state << 32)


def test_a_kobject_is_found_by_its_types_release_function() -> None:
    scene = Scene()
    names = scene.pages.heap.slab(scene.pages.heap.cache("kmalloc-8", 8), {1})
    scene.image.write(names.object(1), b"conn0\0\0\0")
    kind = scene.table(scene.code, scene.code + DATA)
    scene.kobjects(names.object(1), kind, 1)
    assert (
        " At +0x10 each has what looks like a kobject of kind [bar], the first one 'conn0', out of"
        " sysfs and with 1 left: a kobject_put() is missing, or what calls it."
    ) in scene.said()


@pytest.mark.parametrize(
    "why", ["two functions", "no release", "no list", "no groups", "in sysfs", "not initialised"]
)
def test_what_only_looks_like_a_kobject_is_none(why: str) -> None:
    """A socket's struct proto begins with functions, too."""
    scene = Scene()
    behind = scene.code + 16 if why == "two functions" else 0
    release = 0 if why == "no release" else scene.code
    kind = scene.table(release, behind, 0x60 if why == "no groups" else 0)
    scene.kobjects(0, kind, 1, {"in sysfs": 3, "not initialised": 0}.get(why, 1))
    if why == "no list":
        for at in scene.objects:
            scene.put(at + 0x18, 5, 6)
    assert "like a kobject" not in scene.said()


def test_a_name_that_others_have_is_not_the_kobject_s() -> None:
    scene = Scene()
    names = scene.pages.heap.slab(scene.pages.heap.cache("kmalloc-8", 8), {1})
    scene.image.write(names.object(1), b"another\0")
    scene.pages.set(0, _refcount=1)
    scene.put(scene.pages.start, names.object(1))
    scene.kobjects(names.object(1), scene.table(scene.code, 0), 1)
    assert "like a kobject of kind [bar], out of sysfs" in scene.said()


def test_of_an_rb_node_that_is_cleared_the_parent_is_itself() -> None:
    scene = Scene()
    for at in scene.objects:
        scene.put(at + 0x10, at + 0x10, 0, 0, 7)
    scene.put(scene.objects[1] + 0x18, scene.objects[2] + 0x10)
    said = scene.said()
    assert "If +0x10 is an rb_node, it says that it is in no tree (RB_CLEAR_NODE())" in said
    assert "the child of 1 of 3 that it still points to shows that it was in one" in said


def test_a_lone_node_whose_head_was_in_another_s_object() -> None:
    """To where an object begins its children point, too, twice or not."""
    scene = Scene()
    owners = scene.pages.heap.slab(scene.pages.heap.cache("owners", 64), {1})
    scene.image.write(owners.object(1), bytes(64))
    for inside in (0x18, 0):
        for at in scene.objects:
            scene.put(at + 0x20, *[owners.object(1) + inside] * 2)
        assert ("If +0x20 is a list node" in scene.said()) == bool(inside)


def test_functions_that_lost_objects_have_are_named() -> None:
    scene = Scene()
    for at in scene.objects:
        scene.put(at + 8, 7, scene.code + 16)
    assert " Each has the address of show_it [bar] (at +0x10)." in scene.said()


@pytest.mark.parametrize("flags", [0, 1, 7])
def test_a_living_task_that_lost_objects_have_is_named(flags: int) -> None:
    """A locked mutex has its owner's address, with flags."""
    scene = Scene()
    task = scene.land.task(95, b"locked", 0xFFFFC90000100000)
    for at in scene.objects:
        scene.put(at + 8, 7, task + flags, scene.code + 17)
    named = " Each has the address of task 95 locked (at +0x10)."
    assert named in scene.said()


def test_two_that_have_each_other_twice_are_no_nodes_whose_heads_are_gone() -> None:
    scene = Scene()
    scene.put(scene.objects[0] + 8, *[scene.objects[1]] * 2)
    scene.put(scene.objects[1] + 0x20, *[scene.objects[0]] * 2)
    assert (
        "2 objects are lost with others: they lead to each other, and nothing in use"
        in scene.said()
    )


def test_the_object_that_they_were_lost_with_is_named_with_its_variable() -> None:
    scene = Scene()
    nodes = scene.pages.heap.slab(scene.pages.heap.cache("nodes", 64), {1})
    scene.table()
    scene.image.write(nodes.object(1), bytes(64))
    scene.put(nodes.object(1), scene.code, scene.code + DATA + 0x100, *scene.objects)
    assert (
        f"Look at {nodes.object(1):x}, an object of nodes that has the address of conns [bar], at"
        " +0x8, for the reason: nothing in use points to it."
    ) in scene.said()


def test_a_mempool_that_was_lost_with_its_reserve_is_named() -> None:
    scene = Scene()
    pools = scene.pages.heap.slab(scene.pages.heap.cache("kmalloc-64", 64), {1, 2})
    for index in (1, 2):
        scene.image.write(pools.object(index), bytes(64))
    scene.put(pools.object(1), 0, 3 | 3 << 32, pools.object(2), scene.slab.cache.address)
    scene.put(pools.object(2), *scene.objects)
    assert (
        f"Look at {pools.object(1):x}, a mempool of this cache, with its reserve, for the reason:"
    ) in scene.said()


def test_one_of_their_own_that_they_were_lost_with_is_named_with_its_variable() -> None:
    scene = Scene()
    scene.table()
    first, second, third = scene.objects
    scene.put(first, 7, scene.code + DATA + 0x100, second, third)
    assert (
        f"Look at {first:x}, an object that has the address of conns [bar], at +0x8, for the reason"
    ) in scene.said()


@pytest.mark.parametrize("where", ["page", "object"])
def test_who_has_the_memory_with_a_physical_address_is_named(where: str) -> None:
    """A ring of descriptors in page 0 or in an object; page 1 leads to its owner."""
    scene = Scene()
    owners = scene.pages.heap.slab(scene.pages.heap.cache("owners", 64), {1})
    owner, ring = owners.object(1), scene.pages.start
    scene.image.write(owner, bytes(64))
    for number in (0, 1):
        scene.pages.set(number, _refcount=1)
    root = scene.pages.start + scene.image.page_size
    scene.put(root, owner)
    told = f"(to which page {root:x}, of no slab, leads)"
    if where == "page":
        scene.put(owner + 8, ring)
        has = f"owners {owner:x}+0x8, allocated, to which page {root:x}, of no slab, leads,"
        told = f"({has} has that memory)"
    else:
        ring = owner + 16
    for number, each in enumerate(scene.objects):
        scene.put(each, 7)
        scene.put(ring + 8 * number, each - scene.image.page_offset)
    assert told in scene.said()
