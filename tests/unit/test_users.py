# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the objects of a cache in use: each holder once, by name, with the right count."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from crash_ext.contents.callbacks import WORK, Callback, Callbacks
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.reach import Reach
from crash_ext.why.users import Holder, UserNames, told_together
from mocks.structs import parse
from tests.golden import scenes
from tests.replay import run_line
from tests.unit.asked import session
from tests.unit.test_callbacks import FORMS
from tests.unit.test_containers import CALL, Scene, kset, noted

AT = 0x20


def users(scene: Scene) -> List[Tuple[str, int]]:
    """The holders of all objects of slab_test; variables are in use."""
    scene.use_variables()
    kernel = session(scene.pages.heap)
    caches = all_caches(kernel, [])
    places = Places(kernel, lambda: caches)
    reach = Reach(kernel, caches, places)
    found = UserNames(places, reach, Callbacks(places), Blocks(places, reach)).users_of(
        scene.objects, 128
    )
    return [(user.text, user.number) for user in found]


def variable(scene: Scene, name: str, words: int = 2) -> int:
    return scene.pages.heap._arena.variable(name, 8 * words)


def ring(scene: Scene, *nodes: int) -> None:
    for node, following in zip(nodes, [*nodes[1:], nodes[0]]):
        scene.put(node, following)
        scene.put(following + 8, node)


def test_all_entries_of_a_list_are_its_head_s() -> None:
    """Found by next or by prev, at the head or behind others of the list."""
    scene = Scene(objects=5)
    ring(scene, variable(scene, "conn_list"), *(each + AT for each in scene.objects))
    assert users(scene) == [("conn_list", 5)]


def test_who_points_to_one_of_a_list_has_not_the_others() -> None:
    scene = Scene(objects=5)
    nodes = [each + AT for each in scene.objects]
    scene.put(variable(scene, "last_conn"), scene.objects[0])
    ring(scene, variable(scene, "conn_list"), *nodes)
    assert users(scene) == [("conn_list", 4), ("last_conn", 1)]


def test_a_per_cpu_variable_is_told_without_its_cpu() -> None:
    scene = Scene()
    pointer = scene.pages.heap._arena.percpu(64)
    scene.land.chunk()
    scene.image.symbols["__per_cpu_end"] = pointer + 64
    scene.image.symbols["conn_of_cpu"] = pointer
    for cpu, one in enumerate(scene.objects[:2]):
        scene.put(scene.image.percpu_offsets[cpu] + pointer, one)
    # The areas have no page structures here, so no count of references.
    assert users(scene) == [("per-CPU conn_of_cpu (may be old)", 2)]


def test_a_list_in_an_object_is_told_with_what_leads_to_that() -> None:
    scene = Scene(objects=5)
    scene.put(variable(scene, "server"), scene.holders[0])
    ring(scene, scene.holders[0] + 0x40, *(each + AT for each in scene.objects))
    assert users(scene) == [("server, by way of objects of kmalloc-128 at +0x40", 5)]


def test_two_words_of_an_array_are_no_list() -> None:
    scene = Scene()
    scene.put(variable(scene, "slots", 3), *scene.objects)
    assert users(scene) == [("slots", 1), ("slots+0x8", 1), ("slots+0x10", 1)]


def test_many_slots_of_an_array_are_told_together() -> None:
    scene = Scene(objects=6)
    scene.put(variable(scene, "slots", 6), *scene.objects)
    assert users(scene) == [("slots", 6)]


def test_a_timer_s_function_is_told_and_not_what_its_list_lies_in() -> None:
    scene = Scene(objects=3)
    for name in ("timer_list", "timer_base"):
        scene.image.structs[name] = parse(FORMS[name], 8)
    pointer = scene.pages.heap._arena.percpu(3 * scene.image.sizeof("timer_base"))
    scene.image.symbols["timer_bases"] = pointer
    before = pointer + scene.image.percpu_offsets[1] + 8
    offset, length = scene.image.structs["page"][1]["_refcount"]
    scene.image.put(scene.image.virt_to_page(before) + offset, length, 1)
    for each in scene.objects:
        scene.put(before, each + AT)
        scene.put(each + AT, 0, before, 5000, scene.code + CALL)
        before = each + AT
    assert users(scene) == [("timer, still to be called: notify [bar]", 3)]


def test_a_parent_in_an_rb_tree_is_known_by_its_address_with_a_colour() -> None:
    scene = Scene(objects=1)
    image = scene.image
    image.structs["hrtimer"] = parse("node:4p softexpires:8 function:p base:p state:1", 8)
    scene.land.chunk()
    (timer,) = scene.objects
    clock = image.percpu_offsets[1] + scene.pages.heap._arena.percpu(64)
    scene.put(variable(scene, "child", 4), timer + AT + 1)
    scene.put(timer + AT + 40, scene.code + CALL, clock, 1)
    assert users(scene) == [("hrtimer, still to be called: notify [bar]", 1)]


def test_work_is_told_with_its_queue_s_name() -> None:
    scene = Scene(objects=2)
    for name in ("work_struct", "pool_workqueue", "workqueue_struct"):
        scene.image.structs[name] = parse(FORMS[name], 8)
    pool, queue = scene.pages.start + 0x400, scene.pages.start + 0x600
    scene.put(pool + 8, queue)
    scene.image.write(queue + 16, b"conn_wq\0")
    ring(scene, variable(scene, "inactive"), *(each + AT for each in scene.objects))
    for each in scene.objects:
        scene.put(each + AT - 8, pool | 5)
        scene.put(each + AT + 16, scene.code + CALL)
    assert users(scene) == [("work item, still to be called: notify [bar] in workqueue conn_wq", 2)]


def test_what_is_being_called_of_an_object_says_more_than_a_worker_s_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(objects=2)
    for number, each in enumerate(scene.objects):
        scene.put(variable(scene, f"worker_{number}"), each + AT)
    runs = Callback(WORK, AT, "conn_poll [bar]", None, by="task 9 kworker/0:1", running=True)
    monkeypatch.setattr(Callbacks, "queued", lambda self, start, size: (start, runs))
    assert users(scene) == [("work item, being called: conn_poll [bar]", 2)]


def test_what_sysfs_has_is_told_by_its_folder_and_not_by_who_is_beside_it() -> None:
    """The way to a node in the tree of its folder is by any other one there."""
    scene = Scene("kernfs_node_cache", objects=1)
    scene.image.structs["kernfs_node"] = parse("count:4 active:4 parent:p name:p priv:p", 8)
    above, node = scene.holders
    scene.put(variable(scene, "mm_kobj"), node)
    scene.put(node + 8, above, scene.pages.annex.string(b"conn-0\0"), scene.objects[0])
    assert users(scene) == [("entries in / of sysfs or another kernfs", 1)]


@pytest.mark.parametrize("known", [False, True])
def test_any_two_words_look_like_an_rcu_head_but_in_rcu_s_lists(known: bool) -> None:
    scene = Scene(objects=2)
    scene.image.structs["callback_head"] = parse(FORMS["callback_head"], 8)
    first, second = scene.objects
    scene.put(variable(scene, "rcu_data" if known else "conn_of"), first + AT)
    scene.put(first + AT, second + AT, scene.code + CALL)
    scene.put(second + AT, 0, scene.code + CALL)
    called = "RCU callback, still to be called: notify [bar]"
    assert users(scene) == [(called if known else "conn_of", 2)]


def test_a_function_beside_a_list_is_no_wait_queue_s() -> None:
    """struct mtd_notifier is {.., function, list_head}; so is a wait_queue_entry."""
    scene = Scene(objects=2)
    scene.image.structs["wait_queue_entry"] = parse(FORMS["wait_queue_entry"], 8)
    ring(scene, variable(scene, "notifiers"), *(each + AT for each in scene.objects))
    for each in scene.objects:
        scene.put(each + AT - 8, scene.code + CALL)
    assert users(scene) == [("notifiers", 2)]


@pytest.mark.parametrize("known", [False, True])
def test_memory_without_a_name_is_its_owner_s(known: bool) -> None:
    scene = Scene()
    scene.put(variable(scene, "conn_table"), scene.pages.start if known else 0)
    scene.put(scene.root, *scene.objects)
    assert users(scene) == [("memory of conn_table" if known else "a page of no slab", 3)]


@pytest.mark.parametrize("known", [False, True])
def test_an_area_is_its_owner_s_or_who_made_it(known: bool) -> None:
    scene = Scene()
    start, _ = scene.land.area([scene.pages.page(2)], scene.code + CALL)
    scene.pages.set(2, _refcount=1)
    scene.put(scene.pages.start + 2 * scene.image.page_size + 0x40, *scene.objects)
    scene.put(variable(scene, "conn_table"), start if known else 0)
    whose = "of conn_table" if known else "made by notify [bar]"
    assert users(scene) == [(f"vmalloc area {whose}", 3)]


def test_what_kfree_rcu_has_noted_is_its_own() -> None:
    scene = Scene()
    noted(scene)
    scene.put(scene.pages.start + 8, (scene.root - scene.pages.start) // 8 + 1)
    scene.put(scene.root, *scene.objects)
    assert users(scene) == [("kfree_rcu(), until the end of a grace period", 3)]


def test_holders_of_one_name_keep_the_offset_that_they_share() -> None:
    found = [(number, Holder("table", 8 * number, "dentry", 0x90)) for number in range(6)]
    (only,) = told_together(found)
    assert (only.text, only.number, only.of) == (
        "table, by way of objects of dentry at +0x90",
        6,
        6,
    )


def test_a_way_that_may_be_old_is_told_apart_from_one_that_is_in_use() -> None:
    found = [(number, Holder("stack of 7 conn", old=number > 1)) for number in range(3)]
    assert [(user.text, user.number) for user in told_together(found)] == [
        ("stack of 7 conn", 2),
        ("stack of 7 conn (may be old)", 1),
    ]


@pytest.mark.parametrize("lost", [False, True])
def test_what_only_memory_that_may_be_old_leads_to_is_not_said_to_be_held(lost: bool) -> None:
    scene = scenes.Scene((1,))
    objects = [scene.living.object(index) for index in range(scenes.TWINS)]
    scene.ring(scene.variables["conn_list"], objects[:-2])
    scene.empty(objects[-1])
    scene.empty(objects[-2])
    scene.point(scene.pages.start + 16 * scene.image.page_size, objects[-1])
    if not lost:
        scene.point(scene.pages.start + 16 * scene.image.page_size + 8, objects[-2])
    text = " ".join(run_line(scene.done(), "slabwhy slab_test").split())
    assert "memory in use leads to all" not in text
    assert (
        "and nothing in use leads to 1 of them; only memory that may be old leads to 1 of them."
        if lost
        else "are allocated, and only memory that may be old leads to 2 of them."
    ) in text
    assert (
        f"{1 if lost else 2} of {9 if lost else 10} objects: a page of no slab (may be old)" in text
    )


@pytest.mark.parametrize("linked", [True, False])
def test_a_kobject_is_its_kset_s_though_a_neighbour_on_the_list_leads_to_it(linked: bool) -> None:
    scene = Scene()
    kset(scene, linked)
    scene.put(scene.root + 8, scene.holders[1])
    (told,) = users(scene)
    assert (told[0] == "the kset conns, as a kobject at +0x40") == linked


def test_a_neighbour_on_a_list_that_a_variable_has_in_it_is_no_holder() -> None:
    """Two variables are on it: its head begins with its node, the other one is an entry."""
    scene = Scene(objects=3)
    head, entry = variable(scene, "conn_list"), variable(scene, "own_conn", 8)
    nodes = [each + AT for each in scene.objects]
    ring(scene, head, entry + 0x20, *nodes)
    assert users(scene) == [("conn_list", 3)]


def test_what_a_neighbour_in_a_variable_leads_to_by_an_object_is_the_heads() -> None:
    scene = Scene(objects=1)
    head, entry = variable(scene, "conn_list"), variable(scene, "own_conn", 8)
    ring(scene, head, entry + 0x20, scene.holders[0] + 0x40)
    scene.put(scene.holders[0] + 0x10, scene.objects[0])
    scene.put(head, entry + 0x20)
    assert users(scene) == [("conn_list, by way of objects of kmalloc-128 at +0x10", 1)]


def test_who_has_one_of_a_list_headed_in_an_object_has_not_the_others() -> None:
    """All mm_structs are on a list whose head lies in a memory cgroup."""
    scene = Scene(objects=5)
    nodes = [each + AT for each in scene.objects]
    scene.put(variable(scene, "current_mm"), scene.objects[0])
    scene.put(variable(scene, "root_group"), scene.holders[0])
    ring(scene, scene.holders[0] + 0x40, *nodes)
    found = users(scene)
    assert found[0] == ("root_group, by way of objects of kmalloc-128 at +0x40", 4)


def test_a_list_of_which_no_head_is_seen_names_nobody() -> None:
    scene = Scene(objects=5)
    scene.put(variable(scene, "current_mm"), scene.objects[0])
    ring(scene, *(each + AT for each in scene.objects))
    assert sorted(users(scene)) == [("a list of theirs, its head unknown", 4), ("current_mm", 1)]
