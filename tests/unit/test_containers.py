# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds an object is named for what it is, or not at all."""

from __future__ import annotations

from typing import Optional, Sequence

import pytest
from pytest_mock import MockerFixture

from crash_ext.contents.callbacks import RCU, Callback, Callbacks
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
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
    "xarray": "xa_lock:4 xa_flags:4 xa_head:p",
    "notifier_block": "notifier_call:p next:p priority:4",
    "mempool_s": "lock:4 min_nr:4 curr_nr:4 elements:p pool_data:p alloc:p free:p",
    "kobject": "name:p entry:2p parent:p kset:p ktype:p",
    "kset": "list:2p lock:8 kobj:48",
    "klist_node": "n_klist:p n_node:2p n_ref:4",
    "klist": "k_lock:8 k_list:2p get:p put:p",
}
ALLOC, FREES, CALL = 0x40, 0x80, 0xC0
CALLED = Callback(RCU, 0x20, "conn_free [bar]", None)
CHAIN = "in a notifier chain or the like, for notify [bar]"


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
        self.land = Landscape(self.pages.heap, "mem")
        self.code = self.land.module(b"bar", symbols)
        for name, text in FORMS.items():
            image.structs[name] = parse(text, image.word)
        for address in (*self.objects, *self.holders):
            image.write(address, bytes(128))
        self.pages.set(0, _refcount=1)
        self.root = self.pages.start + 0x108

    def put(self, address: int, *values: int) -> None:
        for number, value in enumerate(values):
            self.image.pointer(address + 8 * number, value)

    def use_variables(self) -> None:
        """The kernel's variables are memory in use."""
        image, size = self.image, self.image.page_size
        data = self.pages.heap.layout.place.kernel + 0x40000 + self.land.show_image_again()
        offset, length = image.structs["page"][1]["_refcount"]
        for address in range(data, data + 0x10000, size):
            image.put(image.virt_to_page(address) + offset, length, 1)

    def name(
        self,
        number: int = 0,
        held: Optional[int] = None,
        ring: Optional[int] = None,
        head: int = 0,
        trees: Sequence[int] = (),
        top: Optional[int] = None,
    ) -> str:
        """held: where the pointer to it lies; ring: the offset of a list_head that is on a list
        of that head; top: where a pointer to the first object lies.
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
        subject.trees = list(trees)
        case = Case(CACHE)
        case.subjects = [subject]
        self.subject = subject
        if top is not None:
            first = Subject(self.objects[0])
            first.held = [Held(top, self.image.get(top, 8), places.name(top))]
            case.subjects.append(first)
        pointer = None
        if held is not None:
            value = self.image.get(held, 8)
            pointer = Held(held, value, places.name(held))
        blocks = Blocks(places, reach)
        blocks.look_for((step.holder, step.place) for step in subject.path[:1])
        return Containers(places, Callbacks(places), blocks).name(case, subject, pointer)


@pytest.mark.parametrize("linked", [True, False])
def test_a_tree_is_named_though_another_pointer_was_met_first(linked: bool) -> None:
    """A node that its parent has as a child; one that was erased keeps its own words."""
    scene = Scene()
    first, second, _ = scene.objects
    node, root = 0x18, scene.root + 0x40
    scene.put(scene.root, second)
    scene.put(root, first + node)
    scene.put(first + node, 1, second + node if linked else 0)
    scene.put(second + node, first + node)
    found = scene.name(1, trees=[node], top=root)
    assert found == (f"in an rb tree at page {scene.pages.start:x}, of no slab" if linked else "")


@pytest.mark.parametrize("grows", [True, False])
def test_an_rhashtable_is_known_by_its_works_function(grows: bool) -> None:
    """The object may be in the second table of one that grows: that one is on the way."""
    scene = Scene()
    scene.image.structs["rhashtable"] = parse("tbl:p key_len:4 run_work:32", 8)
    scene.image.structs["work_struct"] = parse("data:p entry:2p func:p", 8)
    scene.image.symbols["rht_deferred_worker"] = scene.code + CALL
    old, new = scene.holders
    scene.put(scene.root, old, 0, 0, 0, 0, scene.code + CALL if grows else 0)
    scene.put(old + 0x30, new)
    scene.put(new + 0x40, scene.objects[0] + 0x20)
    page = f"page {scene.pages.start:x}, of no slab"
    assert scene.name() == (f"in the rhashtable at {page}" if grows else "")


@pytest.mark.parametrize(
    ("flags", "what"),
    [(0, "in an XArray at"), (4, "in an IDR or XArray at"), (0xCC0, "in a radix tree at")],
)
def test_a_tree_of_nodes_is_named_by_what_has_its_root(flags: int, what: str) -> None:
    scene = Scene("radix_tree_node")
    scene.image.u32(scene.root - 4, flags)
    scene.put(scene.root, scene.holders[0] + 2)
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    assert scene.name() == f"{what} page {scene.pages.start:x}, of no slab"


def test_before_there_were_xarrays_a_tree_of_nodes_is_none() -> None:
    """struct radix_tree_root {gfp_t gfp_mask; node *rnode}: four bytes of nothing in between."""
    scene = Scene("radix_tree_node")
    del scene.image.structs["xarray"]
    scene.put(scene.root, scene.holders[0] + 2)
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    assert scene.name().startswith("in a radix tree or IDR at ")


def test_a_cache_of_nodes_that_others_were_merged_into_makes_no_tree() -> None:
    scene = Scene("maple_node")
    scene.put(scene.root, scene.holders[0])
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    assert scene.name().startswith("in a maple tree at ")
    nodes = scene.pages.heap.caches[-1]
    scene.image.u32(nodes.address + scene.image.structs["kmem_cache"][1]["refcount"][0], 3)
    assert scene.name() == ""


def test_in_such_a_cache_a_maple_node_knows_its_tree_and_the_node_above_it() -> None:
    scene = Scene("maple_node")
    scene.image.structs["maple_node"] = parse("parent:p slot:15p", 8)
    scene.image.structs["maple_tree"] = parse("ma_lock:8 ma_root:p", 8)
    nodes = scene.pages.heap.caches[-1]
    scene.image.u32(nodes.address + scene.image.structs["kmem_cache"][1]["refcount"][0], 3)
    top, tree = scene.holders[0], scene.root - 8
    scene.put(scene.root, top + 0x0E)
    scene.put(top + 0x28, scene.objects[0])
    for parent in (0, tree, tree + 8 + 1, tree + 1):
        scene.put(top, parent)
        assert scene.name().startswith("in a maple tree at ") == (parent == tree + 1)
    # One below: with its parent's address, its slot and type in the low byte.
    scene.put(top + 0x28, scene.holders[1] + 0x0C)
    scene.put(scene.holders[1] + 0x10, scene.objects[0])
    for parent in (top & -256 | 0x1E, (top & -256) + 256):
        scene.put(scene.holders[1], parent)
        assert scene.name().startswith("in a maple tree at ") == (parent & -256 == top & -256)


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
    pool, page = scene.holders[0], f"page {scene.pages.start:x}, of no slab"
    found = f"in the reserve of a mempool, {pool:016x}: kmalloc-128 {pool:x}+0x10, allocated"
    assert scene.name(2) == f"{found}, to which {page} leads"


def test_what_a_node_of_sysfs_has_is_named_by_its_path() -> None:
    scene = Scene("kernfs_node_cache")
    scene.image.structs["kernfs_node"] = parse("count:4 active:4 parent:p name:p priv:p", 8)
    above, node = scene.holders
    name = scene.pages.annex.string(b"conn-0\0")
    scene.put(scene.root, node)
    scene.put(node + 8, above, name, scene.objects[0] + 0x10)
    assert scene.name() == "by /conn-0 of sysfs or another kernfs"
    # Another member's pointer is no private data.
    scene.put(node + 24, 0, scene.objects[0])
    assert scene.name() == ""


def test_what_waits_in_a_kfifo_is_named_with_it() -> None:
    scene = Scene()
    scene.image.structs["__kfifo"] = parse("in:4 out:4 mask:4 esize:4 data:p", 8)
    device, slots = scene.holders
    scene.put(scene.root, device)
    for number, value in enumerate((2, 1, 3, 8)):
        scene.image.u32(device + 32 + 4 * number, value)
    scene.put(device + 48, slots)
    scene.put(slots, *scene.objects[:2])
    page = f"page {scene.pages.start:x}, of no slab"
    place = f"kmalloc-128 {device:x}+0x30, allocated"
    assert scene.name(1) == f"in a kfifo at {place}, to which {page} leads"
    # That one was read.
    assert "kfifo" not in scene.name(0)


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
    page = f"page {scene.pages.start:x}, of no slab"
    found = scene.name(0, scene.root)
    assert found == f"{CHAIN}: {page} has its head"
    scene.put(first, scene.code + CALL, 0)
    assert scene.name(0, scene.root) == ""
    scene.put(first, scene.code + CALL, second)
    chain = scene.pages.heap._arena.variable("conn_chain")
    scene.put(chain, first)
    scene.put(scene.root, 0)
    scene.use_variables()
    found = scene.name(0, chain)
    assert found == "in a notifier chain, for notify [bar]: conn_chain has its head"


def test_a_notifier_of_a_module_that_went_is_told_by_those_beside_it() -> None:
    scene = Scene()
    first, second, third = scene.objects
    scene.put(scene.root, first)
    scene.put(first, scene.code + CALL, second)
    scene.put(second, scene.code + CALL + 4, third)
    scene.put(third, scene.code + CALL)
    gone = f"{scene.code + CALL + 4:016x} [bar, where no known function begins]"
    page = f"page {scene.pages.start:x}, of no slab"
    found = scene.name(1, first + 8)
    assert found == f"in a notifier chain or the like, for {gone}: {page} has its head"
    scene.put(third, 0)
    assert scene.name(1, first + 8) == ""


def test_an_object_of_a_notifier_is_kept_by_that() -> None:
    """The way there is by the notifiers before it, which are others'."""
    scene = Scene()
    before, own = scene.holders
    scene.put(scene.root, before)
    scene.put(before, scene.code + CALL, own)
    scene.put(own, scene.code + CALL, 0, scene.objects[0])
    page = f"page {scene.pages.start:x}, of no slab"
    assert scene.name() == f"by an object of kmalloc-128, {own:x}, {CHAIN}: {page} has its head"
    scene.put(before, 0)
    assert CHAIN not in scene.name()


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
    scene.put(scene.objects[0] + 0x40, scene.pages.annex.string(b"conn-0\0"))
    for kobject in (own + 24, scene.objects[0] + 0x40):
        scene.put(kobject + 40, scene.pages.heap._arena.variable(f"ktype_of_{kobject:x}"))


def test_a_kobject_is_in_its_kset_whoever_else_is_on_the_list() -> None:
    scene = Scene()
    kset(scene, True)
    assert scene.name(0, ring=0x48) == "in the kset conns, as a kobject at +0x40"
    assert scene.subject.kobject_name == "conn-0"


@pytest.mark.parametrize("whose", ["kset", "kobject"])
@pytest.mark.parametrize("at", [0, 40])
def test_an_owner_with_a_list_is_no_kset(whose: str, at: int) -> None:
    """{.., list_head, .., owner}, and that begins with the list's head: most drivers have such.

    Both may have a name there, too, but no type.
    """
    scene = Scene()
    kset(scene, True)
    kobject = scene.holders[0] + 24 if whose == "kset" else scene.objects[0] + 0x40
    scene.put(kobject + at, 5)
    assert "kset" not in scene.name(0, ring=0x48)


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


@pytest.mark.parametrize("where", [0x40, 0x38])
def test_a_tree_behind_an_object_is_told_with_what_leads_there(where: int) -> None:
    """Where its structure is, not the word in that which leads to its nodes."""
    scene = Scene("maple_node")
    if where != 0x40:
        scene.image.structs["maple_tree"] = parse("ma_lock:8 ma_root:p", 8)
    owner = scene.pages.heap.slab(scene.pages.heap.cache("mm_struct", 128), {1}).object(1)
    scene.image.write(owner, bytes(128))
    scene.put(scene.root, owner)
    scene.put(owner + 0x40, scene.holders[0] + 0x1E)
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    page = f"page {scene.pages.start:x}, of no slab"
    assert (
        scene.name()
        == f"in a maple tree at mm_struct {owner:x}+{where:#x}, allocated, to which {page} leads"
    )


def test_an_array_whose_flags_are_not_in_the_dump_may_be_of_three_kinds() -> None:
    scene = Scene("radix_tree_node")
    scene.root = scene.pages.start
    scene.image.unmap(scene.root - 4096, 4096)
    scene.put(scene.root, scene.holders[0] + 2)
    scene.put(scene.holders[0] + 0x28, scene.objects[0])
    page = f"page {scene.root:x}, of no slab"
    assert scene.name() == f"in an XArray, IDR or radix tree at {page}"


@pytest.mark.parametrize("blocked", [False, True])
def test_a_task_that_has_an_object_is_named(blocked: bool) -> None:
    scene = Scene("task_struct")
    image, land, task = scene.image, scene.land, scene.holders[0]
    image.structs["task_struct"][1]["blocked_on"] = (112, 8)
    land.task(812, b"conn server", 0x5000000, at=task)
    land._tasks.append(land.member("task_struct", task, "tasks"))
    land.task(813, b"another", 0x6000000)
    at = 112 if blocked else 104
    scene.put(scene.root, task)
    scene.put(task + at, scene.objects[0] + 0x10)
    assert scene.name() == (
        "by task 812 conn server, which waits for a mutex at +0x10 of it"
        if blocked
        else "by task 812 conn server, at +0x68 of its task_struct"
    )


def test_an_object_in_a_tree_of_its_kind_is_told_by_the_tree_s_root() -> None:
    scene = Scene()
    scene.put(scene.root, scene.objects[0] + 0x18)
    scene.put(scene.objects[0] + 0x18, 1, 0, scene.objects[1] + 0x18)
    scene.put(scene.objects[1] + 0x18, scene.objects[0] + 0x19)
    page = f"page {scene.pages.start:x}, of no slab"
    found = scene.name(1, trees=[0x18])
    assert found == f"in an rb tree at {page}"


def test_a_notifier_at_a_chain_s_end_is_in_it_even_where_nothing_has_the_head() -> None:
    scene = Scene()
    second = scene.objects[1]
    scene.put(scene.root, second)
    scene.put(scene.root - 8, scene.code + CALL)
    scene.put(second, scene.code + CALL)
    assert scene.name(1, scene.root) == CHAIN


def test_an_object_of_what_a_timer_will_call_is_kept_by_that() -> None:
    scene = Scene()
    scene.image.structs["timer_list"] = parse("entry:2p expires:p function:p flags:4", 8)
    scene.image.structs["timer_base"] = parse("lock:8 vectors:4p", 8)
    conn = scene.holders[0]
    wheel = scene.image.percpu_offsets[1] + scene.pages.heap._arena.percpu(3 * 40)
    scene.put(scene.root, conn + 0x20)
    scene.put(conn + 0x20, 0, scene.root, 5000, scene.code + CALL)
    scene.put(conn + 0x60, scene.objects[0])
    # Any hash list with a function beside it looks like a timer, if the wheels aren't known.
    assert scene.name() == ""
    scene.image.symbols["timer_bases"] = wheel - scene.image.percpu_offsets[1]
    assert scene.name() == ""
    scene.put(conn + 0x20, 0, wheel + 8)
    scene.put(wheel + 8, conn + 0x20)
    assert scene.name() == (
        f"by an object of kmalloc-128, {conn:016x}, whose timer notify [bar] is still to be called"
    )


def test_what_an_srcu_callback_s_object_keeps_is_srcu_barrier_s_to_wait_for(
    mocker: MockerFixture,
) -> None:
    scene = Scene()
    mocker.patch("crash_ext.why.containers.Callbacks.at", return_value=CALLED)
    mocker.patch("crash_ext.why.containers.Callbacks.in_rcu_chain", return_value=True)
    mocker.patch("crash_ext.why.containers.Callbacks.by_srcu", return_value=True)
    conn = scene.holders[0]
    scene.put(scene.root, conn + 0x20)
    scene.put(conn + 0x60, scene.objects[0])
    assert scene.name() == (
        f"by an object of kmalloc-128, {conn:016x}, whose SRCU callback conn_free [bar] is still to"
        " be called (srcu_barrier() waits for that, not rcu_barrier())"
    )


def noted(scene: Scene) -> None:
    """The page in use is one in which kfree_rcu() notes what it is to free."""
    image, heap = scene.image, scene.pages.heap
    image.structs["kfree_rcu_cpu"] = parse("bkvhead:2p bkvcache:p", 8)
    image.structs["kvfree_rcu_bulk_data"] = parse("next:p nr_records:p records:100p", 8)
    image.pointer(scene.pages.start + 8, 64)
    image.symbols["krc"] = heap._arena.percpu(24)
    image.pointer(image.symbols["krc"] + image.percpu_offsets[1] + 8, scene.pages.start)


def test_what_kfree_rcu_had_noted_before_is_not_freed_by_it_again() -> None:
    """Pages are kept for the next notes, and have the old ones still; so have counted-out slots."""
    scene = Scene()
    noted(scene)
    scene.put(scene.root, scene.objects[0])
    scene.put(scene.pages.start + 8, 3)
    scene.name()
    assert not scene.subject.kfree_rcu
    noted(scene)
    krc = scene.image.symbols["krc"] + scene.image.percpu_offsets[1]
    scene.name()
    assert scene.subject.kfree_rcu
    scene.put(krc + 8, 0, scene.pages.start)
    scene.name()
    assert not scene.subject.kfree_rcu


def test_what_kfree_rcu_has_noted_is_freed_by_that() -> None:
    scene = Scene()
    noted(scene)
    scene.put(scene.root, scene.objects[0])
    assert scene.name() == ""
    assert scene.subject.kfree_rcu
    assert scene.subject.freed_by == f"slab_test {scene.objects[0]:016x}, given to kfree_rcu()"
    scene.put(scene.root, scene.holders[0])
    scene.put(scene.holders[0] + 0x20, scene.objects[1])
    assert scene.name(1) == ""
    assert not scene.subject.kfree_rcu
    assert scene.subject.freed_by == f"kmalloc-128 {scene.holders[0]:016x}, given to kfree_rcu()"


@pytest.mark.parametrize("at", [0, 8, 16, 24, 32, 40, 48])
def test_what_else_kfree_rcu_leads_to_is_no_page_of_notes(at: int) -> None:
    """rcu_work.rcu.next leads to RCU's next callback: perhaps to the first file of a slab."""
    scene = Scene()
    noted(scene)
    image = scene.image
    image.structs["kfree_rcu_cpu"] = parse("head:p bkvhead:p krw_arr:6p", 8)
    image.structs["kfree_rcu_cpu_work"] = parse("rcu_work:p bkvhead_free:p head_free:p", 8)
    image.symbols["krc"] = scene.pages.heap._arena.percpu(64)
    krc = image.symbols["krc"] + image.percpu_offsets[1]
    scene.put(scene.root, scene.objects[0])
    scene.put(krc + at, scene.pages.start)
    scene.name()
    assert scene.subject.kfree_rcu == (at in (8, 24, 48))


@pytest.mark.parametrize("function", [0x20, 0])
def test_without_a_page_kfree_rcu_chains_the_objects_themselves(function: int) -> None:
    """By their rcu_head, whose function is its offset, since v6.4 the object's address. Another
    way leads to the first one: through what has ended and waits, too."""
    scene = Scene()
    noted(scene)
    image = scene.image
    image.structs["kfree_rcu_cpu"] = parse("bkvhead:2p bkvcache:p head:p krw_arr:6p", 8)
    image.structs["kfree_rcu_cpu_work"] = parse("rcu_work:2p head_free:p", 8)
    image.symbols["krc"] = scene.pages.heap._arena.percpu(80)
    krc = image.symbols["krc"] + image.percpu_offsets[1]
    first, second = scene.objects[:2]
    for at, following in ((first, second + 0x20), (second, 0)):
        scene.put(at + 0x20, following, function or at)
    for head in (krc + 24, krc + 48, krc + 72):
        scene.put(krc + 24, *[0] * 7)
        scene.put(head, first + 0x20)
        for number in (0, 1):
            scene.put(scene.root, scene.objects[number])
            assert scene.name(number) == ""
            assert scene.subject.kfree_rcu
            assert [step.holder for step in scene.subject.path] == [head]


def test_a_page_without_a_name_is_told_by_the_variable_that_has_its_address() -> None:
    scene = Scene()
    scene.put(scene.pages.heap._arena.variable("conn_table"), scene.pages.start)
    scene.put(scene.root, scene.objects[0])
    page = f"page {scene.pages.start:x}, of no slab"
    assert scene.name() == f"by way of {page}: conn_table has that memory"
    scene.put(scene.root, scene.holders[0])
    scene.put(scene.holders[0] + 0x20, scene.objects[0])
    assert scene.name() == (
        f"by way of {page} and kmalloc-128 {scene.holders[0]:x}+0x20, allocated:"
        " conn_table has that memory"
    )


def test_a_page_of_a_genradix_is_told_by_the_variable_with_the_topmost_page() -> None:
    """Its pointer to that one has the depth in its low bits."""
    scene = Scene()
    top = scene.pages.start + 3 * scene.pages.heap.image.page_size
    scene.pages.set(3, _refcount=1)
    scene.put(scene.pages.heap._arena.variable("conn_slots"), top | 1)
    scene.put(top + 8, scene.pages.start)
    scene.put(scene.root, scene.objects[0])
    assert scene.name().endswith(": conn_slots has that memory")


def show_page_structures(scene: Scene) -> None:
    """The sixth page is where the direct map has the structures of the first ones."""
    image, pages = scene.image, scene.pages
    pages.set(5, _refcount=1)
    link = image.structs["page"][1]["lru"][0]
    pages.heap.writer.ring(pages.page(1) + link, [pages.page(2) + link])
    start = pages.page(0) - pages.page(0) % image.page_size
    image.write(pages.start + 5 * image.page_size, image.read(start, image.page_size))


def test_what_a_page_structure_has_is_told_with_who_has_its_page() -> None:
    scene = Scene()
    scene.pages.set(0, private=scene.objects[0])
    show_page_structures(scene)
    struct = f"private of the struct page of {scene.pages.start:016x}"
    assert scene.name() == f"by {struct}"
    assert scene.subject.adrift
    scene.put(scene.pages.heap._arena.variable("conn_page"), scene.pages.start)
    assert scene.name() == f"by {struct}: conn_page has that page"
    assert not scene.subject.adrift
    scene.pages.set(0, private=scene.holders[0])
    show_page_structures(scene)
    scene.put(scene.holders[0] + 0x20, scene.objects[0])
    assert scene.name() == (
        f"by {struct} and kmalloc-128 {scene.holders[0]:x}+0x20, allocated: conn_page has that page"
    )


@pytest.mark.parametrize("known", [False, True])
def test_a_page_whose_address_no_variable_has_may_be_lost_itself(known: bool) -> None:
    scene = Scene()
    scene.put(scene.root, scene.objects[0])
    scene.put(scene.pages.heap._arena.variable("conn_table"), scene.pages.start if known else 0)
    scene.name()
    assert scene.subject.adrift is not known
