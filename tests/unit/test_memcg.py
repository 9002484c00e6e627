# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-memcg child caches (up to v5.8) are told from duplicates by their record, not their name."""

from __future__ import annotations

import json
from typing import Dict, List, Optional, Tuple

import pytest

from mocks.crash_module import FakeCrash
from mocks.extensions import ObjectExtensions
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.replay import recorded, run_command
from tests.unit import logs
from tests.unit.asked import Record, of_type, problems, records, text

WITH_CHILDREN = [name for name, layout in LAYOUTS.items() if layout.memcg != "none"]
every_record = pytest.mark.parametrize("name", WITH_CHILDREN)


def _family(name: str) -> Tuple[Heap, Cache, List[Cache]]:
    """A root with two children of one name: their cgroup ids came round again."""
    heap = Heap(LAYOUTS[name], seed=9)
    root = heap.cache("dentry", 192)
    heap.slab(root, {0})
    children = [heap.cache("dentry(7:docker)", 192, root=root) for _ in range(2)]
    for number, child in enumerate(children):
        heap.slab(child, {number})
    return heap, root, children


def _states(rows: List[Record]) -> Dict[int, str]:
    return {int(row["address"], 16): row["state"] for row in of_type(rows, "cache")}


def test_all_three_forms_of_the_record_are_built() -> None:
    assert {LAYOUTS[name].memcg for name in WITH_CHILDREN} == {
        "pointer",
        "is_root_cache",
        "root_cache",
    }


@every_record
def test_children_of_one_name_are_no_duplicates(name: str) -> None:
    heap, _, _ = _family(name)
    rows = records(heap, "slabdup")
    assert problems(rows) == []
    assert of_type(rows, "cache") == []
    assert rows[-1]["groups"] == 0


@every_record
def test_two_roots_of_one_name_still_are(name: str) -> None:
    heap, root, children = _family(name)
    twin = heap.cache("dentry", 192)
    rows = records(heap, "slabdup")
    found = _states(rows)
    assert {found.pop(child.address) for child in children} == {"live"}, "they go with their root"
    assert found == {root.address: "live", twin.address: "live"}
    assert rows[-1]["groups"] == 1


@every_record
def test_a_leftover_child_is_a_leftover(name: str) -> None:
    heap, _, children = _family(name)
    heap.leave_behind(children[0])
    rows = records(heap, "slabdup")
    assert _states(rows)[children[0].address] == "leftover"
    assert (rows[-1]["groups"], rows[-1]["leftovers"], rows[-1]["objects"]) == (0, 1, 1)


@every_record
def test_a_child_is_compared_with_the_name_of_its_root(name: str) -> None:
    heap, root, children = _family(name)
    rows = of_type(records(heap, "slabdup", f"{children[0].address:x}"), "field")
    (values,) = [row["values"] for row in rows if row["field"] == "memcg child of"]
    assert values == {f"{children[0].address:x}": f"{root.address:x}"}


@every_record
def test_a_child_is_listed_under_its_own_name_and_its_root_s(name: str) -> None:
    heap, root, children = _family(name)
    rows = records(heap, "slabobjs", "dentry(7:docker)")
    assert set(_states(rows)) == {child.address for child in children}
    rows = records(heap, "slabobjs", "dentry")
    assert set(_states(rows)) == {root.address, *(child.address for child in children)}
    told = text(heap, "slabobjs", f"{root.address:x}")
    assert told.count("CACHE ") == 1
    assert told.count("memcg child") == 2


@every_record
def test_a_busy_child_of_a_destroyed_root_is_left_behind_with_it(name: str) -> None:
    """The root is at 0 and may hold nothing itself; the child keeps its refcount of 1."""
    heap, root, children = _family(name)
    heap.leave_behind(root)
    rows = records(heap, "slabdup")
    found = _states(rows)
    assert found == dict.fromkeys([root.address, *(c.address for c in children)], "leftover")
    assert (rows[-1]["leftovers"], rows[-1]["objects"]) == (1, 3)


def test_a_record_that_cannot_be_read_makes_no_child() -> None:
    heap, root, _ = _family("3.10")
    offset = heap.layout.structs["kmem_cache"][1]["memcg_params"][0]
    heap.image.pointer(root.address + offset, 0xDEAD0000)
    fields = [
        row["field"] for row in of_type(records(heap, "slabdup", f"{root.address:x}"), "field")
    ]
    assert "refcount" in fields
    assert "memcg child of" not in fields


def test_the_root_of_v3_10_that_has_a_record_is_no_child() -> None:
    """A root gets its record with its first child: is_root_cache, and no root_cache there."""
    heap, root, _ = _family("3.10")
    size, members = heap.layout.structs["memcg_cache_params"]
    record = heap.image.page_offset + (heap.image.present[0][1] - 1) * heap.image.page_size
    heap.image.map(record, bytes(size))
    heap.image.u8(record + members["is_root_cache"][0], 1)
    # In a root these words are its array of children.
    heap.image.pointer(record + members["root_cache"][0], root.address)
    offset = heap.layout.structs["kmem_cache"][1]["memcg_params"][0]
    heap.image.pointer(root.address + offset, record)
    fields = [
        row["field"] for row in of_type(records(heap, "slabdup", f"{root.address:x}"), "field")
    ]
    assert "memcg child of" not in fields


LEFT_ROOT = 0xFFFF950B8A9B3800
"""The leftover slab_acct of the recording."""


def test_a_report_under_a_child_s_name_counts_for_its_root() -> None:
    """el8's recording: slab_acct's objects lie in the caches of two cgroups."""
    fake = FakeCrash(recorded("el8-4.18.0-147-memcg").image)
    rows = [
        json.loads(line) for line in run_command(fake, "slabwhy", ["-Fj", "slab_acct"]).splitlines()
    ]
    left = f"{LEFT_ROOT:x}"
    log = [
        row["text"]
        for row in of_type(rows, "evidence")
        if row["topic"] == "log" and row["cache"] == left
    ]
    for name, objects in (("slab_acct(3:job1)", 6), ("slab_acct(5:job2)", 5)):
        (line,) = [text for text in log if f"the destroy of {name} failed" in text]
        assert f"{objects} objects in {objects} slabs listed" in line
    assert "11 of 11 listed objects still allocated" in log


@every_record
def test_a_report_that_names_the_child_lists_the_child_s_slabs(name: str) -> None:
    heap, root, children = _family(name)
    heap.leave_behind(root)
    second = children[1]
    (slab,) = second.slabs
    told = (
        f"{slab.page:016x}",
        [(f"{slab.object(index):016x}", slab.object(index) - slab.va) for index in slab.allocated],
    )
    lines = logs.report(
        logs.WORDINGS["4.19"], second.name.decode(), [told], per_slab=second.objects
    )
    heap.image.log = logs.stamped(lines)
    rows = records(heap, "slabwhy", "-F", f"{root.address:x}")
    texts = [row["text"] for row in of_type(rows, "evidence") if row["topic"] == "log"]
    assert any("(its slabs are this cache's)" in text for text in texts), texts
    assert any("1 of 1 listed object" in text for text in texts), texts
    assert [row["address"] for row in of_type(rows, "cache")] == [f"{root.address:x}"]


def _charged(
    name: str, path: bytes = b"/docker/web", removed: bool = False
) -> Tuple[Heap, Cache, Cache, int]:
    """A leftover root, its busy child, and the struct mem_cgroup * that the child is for."""
    heap = Heap(LAYOUTS[name], seed=9)
    root = heap.cache("slab_acct", 192)
    heap.slab(root, {0})
    child = heap.cache("slab_acct(7:web)", 192, root=root)
    heap.slab(child, {1, 2})
    heap.leave_behind(root)
    built = ObjectExtensions(heap, profiling=False)
    memcg = built.memcg_of(built.memcg(path, 7, removed=removed))
    params = heap.writer.member("kmem_cache", child.address, "memcg_params")
    heap.image.pointer(heap.writer.member("memcg_cache_params", params, "memcg"), memcg)
    return heap, root, child, memcg


# 3.10, where a child points to its record, has cgroups without kernfs.
with_kernfs = pytest.mark.parametrize(
    "name", [name for name in WITH_CHILDREN if LAYOUTS[name].memcg != "pointer"]
)


@with_kernfs
def test_a_child_s_cgroup_is_named_by_every_command(name: str) -> None:
    heap, root, child, _ = _charged(name)
    said = text(heap, "slabobjs", "-b", "0", f"{root.address:x}")
    assert f"memcg child {child.address:x} slab_acct(7:web): 2 allocated in 1 slab" in said
    assert ", cgroup /docker/web\n" in said
    (row,) = [r for r in of_type(records(heap, "slabdup"), "cache") if r["root"]]
    assert row["reason"].endswith("2 allocated objects in 1 slab, cgroup /docker/web")
    assert "2 of 2 charged to /docker/web" in text(heap, "slabwhy", f"{child.address:x}")
    assert "2 of 3 charged to /docker/web" in text(heap, "slabwhy", f"{root.address:x}")


@with_kernfs
def test_a_child_in_use_has_its_cgroup_beside_its_state(name: str) -> None:
    heap, _, child, _ = _charged(name)
    heap.image.put(*_refcount(heap, child.root), 1)
    (row,) = of_type(records(heap, "slabobjs", "-b", "0", f"{child.address:x}"), "cache")
    assert row["reason"] == "on slab_caches, refcount 1, cgroup /docker/web"


def _refcount(heap: Heap, cache: Optional[Cache]) -> Tuple[int, int]:
    assert cache is not None
    return heap.writer.member("kmem_cache", cache.address, "refcount"), 4


@pytest.mark.parametrize("lost", ["memcg", "another", "name"])
def test_a_cgroup_that_cannot_be_read_is_not_named(lost: str) -> None:
    heap, root, child, memcg = _charged("4.18")
    offsets = heap.image.structs
    if lost == "memcg":
        params = heap.writer.member("kmem_cache", child.address, "memcg_params")
        heap.image.pointer(heap.writer.member("memcg_cache_params", params, "memcg"), 0xDEAD0000)
    elif lost == "another":
        heap.image.pointer(memcg + offsets["cgroup_subsys_state"][1]["ss"][0], root.address)
    else:
        cgroup = heap.image.get(memcg + offsets["cgroup_subsys_state"][1]["cgroup"][0], 8)
        node = heap.image.get(cgroup + offsets["cgroup"][1]["kn"][0], 8)
        heap.image.pointer(node + offsets["kernfs_node"][1]["name"][0], 0)
    rows = records(heap, "slabobjs", "-b", "0", f"{root.address:x}")
    assert problems(rows) == []
    assert "cgroup" not in text(heap, "slabobjs", "-b", "0", f"{root.address:x}")


@every_record
def test_a_child_is_compared_with_the_living_and_not_with_another_leftover_s_child(
    name: str,
) -> None:
    """A busy child of a destroyed root keeps its refcount of 1."""
    heap, _, children = _left_twice(name)
    rows = records(heap, "slabwhy", "-F", f"{children[0].address:x}")
    twins = [row["text"] for row in of_type(rows, "evidence") if row["topic"] == "twin"]
    assert twins == ["no living cache of this name and object size: nothing to compare with"]
    live = heap.cache("dentry", 192)
    heap.slab(live, {0, 1, 2})
    second = heap.cache("dentry(9:web)", 192, root=live)
    heap.slab(second, {0, 1})
    rows = records(heap, "slabwhy", "-F", f"{children[0].address:x}")
    twins = [
        (row["address"], row["text"]) for row in of_type(rows, "evidence") if row["topic"] == "twin"
    ]
    assert (f"{live.address:x}", "living cache of the same name") in twins
    assert (None, "5 living objects compared") in twins


def _left_twice(name: str) -> Tuple[Heap, List[Cache], List[Cache]]:
    """Two leftovers of one name, empty but for the children, whose names are the same, too."""
    heap = Heap(LAYOUTS[name], seed=9)
    roots: List[Cache] = []
    children: List[Cache] = []
    for number in range(2):
        roots.append(heap.cache("dentry", 192))
        children.append(heap.cache("dentry(7:docker)", 192, root=roots[-1]))
        heap.slab(children[-1], {number, 5})
        heap.leave_behind(roots[-1])
    return heap, roots, children


@every_record
def test_two_leftovers_of_one_name_have_the_objects_of_their_own_children(name: str) -> None:
    heap, roots, children = _left_twice(name)
    rows = records(heap, "slabwhy", "-F")
    assert [row["allocated"] for row in of_type(rows, "cache")] == [2, 2]
    states = [row for row in of_type(rows, "evidence") if row["topic"] == "state"]
    for root, child in zip(roots, children):
        own = [row for row in states if row["cache"] == f"{root.address:x}"]
        assert own[0]["text"].endswith("in 1 slab (2 of them in 1 memcg child)")
        assert own[1]["address"] == f"{child.address:x}"
        assert own[1]["text"].startswith("memcg child dentry(7:docker): 2 objects in 1 slab")


@every_record
def test_slabwhy_sees_a_child_with_its_root_or_alone_by_its_own_name(name: str) -> None:
    heap, roots, children = _left_twice(name)
    rows = records(heap, "slabwhy", "-F", "dentry")
    assert set(_states(rows)) == {root.address for root in roots}
    rows = records(heap, "slabwhy", "-F", "dentry(7:docker)")
    assert set(_states(rows)) == {child.address for child in children}


@every_record
def test_of_a_thousand_busy_children_the_largest_have_a_line(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=9)
    root = heap.cache("dentry", 192)
    for number in range(12):
        child = heap.cache(f"dentry({number}:job)", 192, root=root)
        heap.slab(child, set(range(number + 1)))
    rows = records(heap, "slabwhy", "-F", f"{root.address:x}")
    states = [row["text"] for row in of_type(rows, "evidence") if row["topic"] == "state"]
    assert states[0].endswith("78 allocated objects in 12 slabs (78 of them in 12 memcg children)")
    assert states[1] == "memcg child dentry(11:job): 12 objects in 1 slab"
    assert len(states) == 10
    assert states[-1] == "10 objects in 4 more memcg children"


@with_kernfs
def test_of_a_cgroup_that_was_removed_the_name_is_told_with_that(name: str) -> None:
    """rmdir leaves the memcg as long as objects are charged to it."""
    heap, root, child, _ = _charged(name, removed=True)
    assert ", removed cgroup /docker/web\n" in text(
        heap, "slabobjs", "-b", "0", f"{root.address:x}"
    )
    charged = [
        row["text"]
        for row in of_type(records(heap, "slabwhy", "-F", f"{child.address:x}"), "evidence")
        if "charged" in row["text"]
    ]
    assert charged == ["2 of 2 charged to /docker/web, a cgroup that is removed"]
