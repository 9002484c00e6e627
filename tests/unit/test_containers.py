# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds an object is named for what it is, or not at all."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.contents.callbacks import Callbacks
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.reach import Reach
from crash_ext.why.case import Case, Held, Subject
from crash_ext.why.containers import Containers
from crash_ext.why.lists import OPEN, Membership
from mocks.landscape import Landscape
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.plain import CACHE
from tests.unit.test_pageuse import Pages

FORMS = {
    "notifier_block": "notifier_call:p next:p priority:4",
    "mempool_s": "lock:4 min_nr:4 curr_nr:4 elements:p pool_data:p alloc:p free:p",
    "kobject": "name:p entry:2p parent:p kset:p",
    "kset": "list:2p lock:8 kobj:48",
    "klist_node": "n_klist:p n_node:2p n_ref:4",
    "klist": "k_lock:8 k_list:2p get:p put:p",
}
ALLOC, FREES, CALL = 0x40, 0x80, 0xC0


class Scene:
    """Objects of slab_test, a page in use, and a module with functions."""

    def __init__(self, holders: str = "kmalloc-128", objects: int = 3) -> None:
        self.pages = Pages()
        self.image = image = self.pages.heap.image
        cache = self.pages.heap.cache("slab_test", 128)
        slab = self.pages.heap.slab(cache, set(range(1, objects + 1)))
        self.objects = [slab.object(index) for index in range(1, objects + 1)]
        held = self.pages.heap.slab(self.pages.heap.cache(holders, 128), {1, 2})
        self.holders = [held.object(1), held.object(2)]
        symbols = {b"take": (ALLOC, 16), b"give": (FREES, 16), b"notify": (CALL, 16)}
        self.code = Landscape(self.pages.heap, "mem").module(b"bar", symbols)
        for name, text in FORMS.items():
            image.structs[name] = parse(text, image.word)
        for address in (*self.objects, *self.holders):
            image.write(address, bytes(128))
        self.pages.set(0, _refcount=1)
        self.root = self.pages.start + 0x108

    def put(self, address: int, *values: int) -> None:
        for number, value in enumerate(values):
            self.image.pointer(address + 8 * number, value)

    def name(
        self,
        number: int = 0,
        held: Optional[int] = None,
        ring: Optional[int] = None,
        head: int = 0,
    ) -> str:
        """held: where the pointer to it lies; ring: the offset of a list_head that is on a list
        of that head.
        """
        kernel = session(self.pages.heap)
        caches = all_caches(kernel, [])
        places = Places(kernel, lambda: caches)
        reach = Reach(kernel, caches, places)
        subject = Subject(self.objects[number])
        subject.path = reach.path(subject.address)
        data = self.image.read(subject.address, 128)
        subject.values = {
            at: int.from_bytes(data[at : at + 8], "little") for at in range(0, 128, 8)
        }
        if ring is not None:
            subject.memberships[ring] = Membership(OPEN, 2, [], head, "")
        case = Case(CACHE)
        case.subjects = [subject]
        pointer = None
        if held is not None:
            value = self.image.get(held, 8)
            pointer = Held(held, value, places.name(held))
        return Containers(places, Callbacks(places)).name(case, subject, pointer)


@pytest.mark.parametrize(
    ("flags", "what"),
    [(0, "in an XArray at"), (4, "in an IDR or XArray at"), (0xCC0, "in a radix tree at")],
)
def test_a_tree_of_nodes_is_named_by_what_has_its_root(flags: int, what: str) -> None:
    scene = Scene("radix_tree_node")
    scene.image.u32(scene.root - 4, flags)
    scene.put(scene.root, scene.holders[0] + 2)
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    assert scene.name().startswith(what)
    assert f"page {scene.pages.start:x}" in scene.name()


def test_a_pointer_in_an_object_alone_is_no_tree() -> None:
    scene = Scene()
    scene.put(scene.root, scene.holders[0])
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    assert scene.name() == ""


def mempool(scene: Scene, current: int) -> None:
    pool, elements = scene.holders
    image, forms = scene.image, scene.image.structs["mempool_s"][1]
    scene.put(scene.root, pool)
    image.u32(pool + forms["min_nr"][0], 3)
    image.u32(pool + forms["curr_nr"][0], current)
    image.pointer(pool + forms["elements"][0], elements)
    image.pointer(pool + forms["alloc"][0], scene.code + ALLOC)
    image.pointer(pool + forms["free"][0], scene.code + FREES)
    scene.put(elements, *scene.objects)


def test_an_element_of_a_mempool_s_reserve_is_named() -> None:
    scene = Scene()
    mempool(scene, 3)
    assert scene.name(2).startswith(f"in the reserve of a mempool, {scene.holders[0]:x}: ")


@pytest.mark.parametrize("current", [0, 2, 4])
def test_what_lies_behind_the_reserve_or_has_no_sane_counts_is_none_of_it(current: int) -> None:
    scene = Scene()
    mempool(scene, current)
    assert "mempool" not in scene.name(2)


def test_a_mempool_without_functions_is_none() -> None:
    scene = Scene()
    mempool(scene, 3)
    scene.image.pointer(
        scene.holders[0] + scene.image.structs["mempool_s"][1]["alloc"][0], scene.code + ALLOC + 4
    )
    assert "mempool" not in scene.name(2)


def test_a_notifier_chain_needs_another_notifier_beside_it() -> None:
    scene = Scene()
    first, second, _ = scene.objects
    scene.put(scene.root, first)
    scene.put(first, scene.code + CALL, second)
    scene.put(second, scene.code + CALL)
    found = scene.name(0, scene.root)
    assert found.startswith("in a notifier chain, for notify [bar]: page ")
    assert "has its head" in found
    scene.put(first, scene.code + CALL, 0)
    assert scene.name(0, scene.root) == ""


def kset(scene: Scene, linked: bool) -> None:
    """A kset in one holder, with a kobject in the other one and in the first object."""
    own, fellow = scene.holders
    name = scene.pages.annex.string(b"conns\0")
    scene.put(scene.root, own)
    scene.put(own + 24, name)
    nodes = [own, fellow + 8, scene.objects[0] + 0x40 + 8]
    for node, following in zip(nodes, [*nodes[1:], nodes[0]]):
        scene.put(node, following)
        scene.put(following + 8, node)
    if not linked:
        scene.put(own, own, own)
    scene.put(scene.objects[0] + 0x40 + 32, own)


def test_a_kobject_is_in_its_kset_whoever_else_is_on_the_list() -> None:
    scene = Scene()
    kset(scene, True)
    assert scene.name(0, ring=0x48) == "in the kset conns, as a kobject at +0x40"


def test_a_kset_on_whose_list_it_is_not_has_it_not() -> None:
    scene = Scene()
    kset(scene, False)
    assert "kset" not in scene.name(0, ring=0x48)


@pytest.mark.parametrize("flag", [0, 1])
def test_a_node_of_a_klist_says_so_and_that_has_the_head(flag: int) -> None:
    scene = Scene()
    klist = scene.pages.start + 0x200
    scene.put(scene.root, scene.objects[0])
    scene.put(scene.objects[0] + 0x40, klist + flag)
    named = scene.name(0, ring=0x48, head=klist + 8)
    assert named == f"in a klist at page {scene.pages.start:x}, of no slab"
    assert scene.name(0, ring=0x48, head=klist + 16) == ""
