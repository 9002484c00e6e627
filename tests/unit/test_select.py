# SPDX-License-Identifier: GPL-3.0-or-later
r"""NAME, \NAME or ADDRESS: what a user types stands for what crash's own kmem would take it for."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.leak.nearest import distance
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import by_state, of_type, records, text


class Scene(NamedTuple):
    heap: Heap
    cache: Cache
    slab: Slab


def _scene(name: str = "6.1", *, object_size: int = 84, red_zone: bool = False) -> Scene:
    heap = Heap(LAYOUTS[name], seed=8)
    cache = heap.cache("slab_test", object_size, order=2, red_zone=red_zone)
    return Scene(heap, cache, heap.slab(cache, {0, 3, cache.objects - 1}))


def _one_slab(scene: Scene, argument: str) -> None:
    """The argument stands for the whole slab: its allocated objects, and no other slab's."""
    other = scene.heap.slab(scene.cache, {1})
    rows = records(scene.heap, "slabobjs", argument)
    assert [row["address"] for row in of_type(rows, "slab")] == [f"{scene.slab.page:x}"]
    wanted = set(map(scene.slab.object, scene.slab.allocated))
    assert by_state(rows) == {"allocated": wanted}
    assert scene.heap.truth()[scene.cache.address].allocated == {other.object(1)} | wanted


def test_a_name_selects_every_cache_that_has_it() -> None:
    scene = _scene()
    twin = scene.heap.cache("slab_test", 84)
    rows = of_type(records(scene.heap, "slabobjs", "slab_test"), "cache")
    assert [row["address"] for row in rows] == [f"{twin.address:x}", f"{scene.cache.address:x}"]


@pytest.mark.parametrize("prefix", ["", "0x", "0X"])
def test_an_address_may_have_the_prefix_or_not(prefix: str) -> None:
    scene = _scene()
    rows = of_type(records(scene.heap, "slabobjs", f"{prefix}{scene.cache.address:x}"), "cache")
    assert [row["address"] for row in rows] == [f"{scene.cache.address:x}"]


def test_an_address_in_capitals_is_one() -> None:
    scene = _scene()
    rows = of_type(records(scene.heap, "slabobjs", f"{scene.cache.address:X}"), "cache")
    assert [row["address"] for row in rows] == [f"{scene.cache.address:x}"]


def test_a_name_that_reads_as_hexadecimal_takes_a_backslash() -> None:
    scene = _scene()
    feed = scene.heap.cache("feed", 32)
    rows = of_type(records(scene.heap, "slabobjs", "\\feed"), "cache")
    assert [row["address"] for row in rows] == [f"{feed.address:x}"]
    said = text(scene.heap, "slabobjs", "feed")
    assert said == "slabobjs: feed: an address; for the cache of this name: \\feed\n"


def test_a_backslash_does_no_harm_to_any_other_name() -> None:
    scene = _scene()
    rows = of_type(records(scene.heap, "slabobjs", "\\slab_test"), "cache")
    assert [row["address"] for row in rows] == [f"{scene.cache.address:x}"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("nobody", "nobody: no cache has this name"),
        ("\\feed", "feed: no cache has this name"),
        ("0x", "0x: no cache has this name"),
        ("feed", "feed: not the address of a cache, a slab or an object"),
        ("0", "0: not the address of a cache, a slab or an object"),
        ("1ffff888000000000", "1ffff888000000000: wider than an address"),
        ("-", "-: no cache has this name"),
    ],
)
def test_what_stands_for_nothing_is_said_and_why(argument: str, said: str) -> None:
    assert text(_scene().heap, "slabobjs", argument) == f"slabobjs: {said}\n"


def test_an_address_of_32_bits_is_all_that_such_a_kernel_has() -> None:
    scene = _scene("5.10-i386")
    assert text(scene.heap, "slabobjs", "1c0000000") == (
        "slabobjs: 1c0000000: wider than an address\n"
    )


def test_one_bad_argument_does_not_cost_the_others() -> None:
    scene = _scene()
    rows = records(scene.heap, "slabobjs", "nobody", "slab_test")
    assert len(of_type(rows, "problem")) == 1
    assert [row["name"] for row in of_type(rows, "cache")] == ["slab_test"]


def test_the_address_of_a_slabs_page_stands_for_the_slab() -> None:
    scene = _scene()
    _one_slab(scene, f"{scene.slab.page:x}")


@pytest.mark.parametrize("name", ["3.10", "4.4", "6.1", "6.12", "7.1", "7.3"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_tail_page_stands_for_the_slab_that_it_is_a_part_of(name: str, number: int) -> None:
    scene = _scene(name)
    size = scene.heap.layout.structs["page"][0]
    _one_slab(scene, f"{scene.slab.page + number * size:x}")


@pytest.mark.parametrize("name", ["3.10", "4.4", "6.1", "6.12", "7.1", "7.3"])
@pytest.mark.parametrize("inside", [0, 1, 83])
def test_an_address_in_an_object_stands_for_it_wherever_in_the_slab(name: str, inside: int) -> None:
    scene = _scene(name)
    # The last object lies in a tail page: its page structure leads to the head.
    last = scene.slab.object(scene.cache.objects - 1)
    assert by_state(records(scene.heap, "slabobjs", f"{last + inside:x}")) == {"allocated": {last}}


def test_a_free_object_that_is_asked_for_is_shown_as_free() -> None:
    scene = _scene()
    free = scene.slab.object(5)
    assert by_state(records(scene.heap, "slabobjs", f"{free:x}")) == {"free": {free}}


def test_where_in_the_object_the_address_is_is_said() -> None:
    scene = _scene()
    first = scene.slab.object(3)
    assert f"{first + 40:x} is at +0x28" in text(scene.heap, "slabobjs", f"{first + 40:x}")
    assert " is at " not in text(scene.heap, "slabobjs", f"{first:x}")


def test_an_address_in_the_left_red_zone_is_the_objects_behind_it() -> None:
    scene = _scene(red_zone=True)
    assert scene.cache.red_left == 8
    first = scene.slab.object(3)
    said = text(scene.heap, "slabobjs", f"{first - 3:x}")
    assert f"[{first:x}]" in said
    assert f"{first - 3:x} is at -0x3" in said


def test_an_address_behind_the_last_object_stands_for_the_slab() -> None:
    scene = _scene(object_size=1000)
    behind = scene.slab.object(scene.cache.objects - 1) + scene.cache.size
    assert behind < scene.slab.va + (4096 << scene.cache.order)
    _one_slab(scene, f"{behind:x}")


def test_a_page_of_no_slab_is_nothing() -> None:
    scene = _scene()
    page = scene.heap.image.vmemmap
    assert text(scene.heap, "slabobjs", f"{page:x}") == (
        f"slabobjs: {page:x}: not the address of a cache, a slab or an object\n"
    )


@pytest.mark.parametrize("name", ["6.12", "7.3"])
def test_a_cache_off_the_list_is_selected_by_its_address_and_what_lies_in_it(name: str) -> None:
    scene = _scene(name)
    scene.heap.leave_behind(scene.cache)
    held = scene.slab.object(3)
    for argument in (scene.cache.address, scene.slab.page, held):
        rows = records(scene.heap, "slabobjs", f"{argument:x}")
        (row,) = of_type(rows, "cache")
        assert (row["address"], row["state"]) == (f"{scene.cache.address:x}", "leftover")
        assert held in by_state(rows)["allocated"]


def test_a_slab_that_names_no_cache_is_an_error_that_says_what_it_names() -> None:
    scene = _scene()
    offset = scene.heap.layout.structs["slab"][1]["slab_cache"][0]
    scene.heap.image.pointer(scene.slab.page + offset, 0xDEAD0000)
    said = text(scene.heap, "slabobjs", f"{scene.slab.object(3):x}")
    assert f"slabobjs: {scene.slab.object(3):x}: cannot read " in said
    assert " bytes at 00000000dead0000" in said


def test_a_cache_that_is_named_twice_is_shown_once() -> None:
    scene = _scene()
    once = text(scene.heap, "slabobjs", "slab_test")
    twice = ("slab_test", f"{scene.cache.address:x}", "\\slab_test")
    assert text(scene.heap, "slabobjs", *twice) == once
    assert once.count("slab_test") == 1


def test_a_node_that_is_not_there_is_said() -> None:
    scene = _scene()
    said = text(scene.heap, "slabobjs", "-n", "99", "slab_test")
    assert said.startswith("slabobjs: -n: no node 99: the nodes are 0 to ")
    assert text(scene.heap, "slabobjs", "-n", "0", "slab_test").startswith("CACHE")


def test_a_pattern_selects_every_cache_that_it_fits() -> None:
    scene = _scene()
    twin = scene.heap.cache("slab_twin", 84)
    scene.heap.slab(twin, {1})
    both = text(scene.heap, "slabobjs", "slab_twin", "slab_test")
    assert text(scene.heap, "slabobjs", "slab_t*") == both
    assert text(scene.heap, "slabobjs", "'slab_t[ew]*'") == both
    assert text(scene.heap, "slabobjs", "no*ch").endswith("no*ch: no cache has this name\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("slab_tset", "slab_test"),
        ("slabtest", "slab_test"),
        ("Slab_Test", "slab_test"),
        ("slab_testt", "slab_test"),
        ("dentyr", "dentry"),
        ("ext4_inode", "ext4_inode_cache"),
        ("kmalloc-65", "kmalloc-64"),
    ],
)
def test_a_name_with_a_mistake_is_answered_with_the_one_that_was_meant(
    typed: str, meant: str
) -> None:
    scene = _scene()
    for name in ("dentry", "ext4_inode_cache", "kmalloc-64", "kmalloc-1k"):
        scene.heap.cache(name, 64)
    said = text(scene.heap, "slabobjs", typed)
    assert said == f"slabobjs: {typed}: no cache has this name: did you mean {meant}?\n"


def test_of_names_that_are_equally_near_three_are_proposed() -> None:
    scene = _scene()
    for number in (1, 2, 3, 4):
        scene.heap.cache(f"biovec-{number}", 64)
    said = text(scene.heap, "slabobjs", "biovec-9")
    assert said.endswith("did you mean biovec-1 or biovec-2 or biovec-3?\n")


def test_single_quotes_that_crash_leaves_are_no_part_of_a_name() -> None:
    scene = _scene()
    rows = of_type(records(scene.heap, "slabobjs", "'slab_test'"), "cache")
    assert [row["address"] for row in rows] == [f"{scene.cache.address:x}"]


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_mistakes_are_counted_the_same_both_ways_and_none_is_for_the_same_name(
    one: str, other: str
) -> None:
    assert distance(one, other, 6) == distance(other, one, 6)
    assert (distance(one, other, 6) == 0) is (one == other)
    assert distance(one, f"x{one}", 1) == 1


def test_two_letters_in_the_wrong_order_are_one_mistake() -> None:
    assert [distance("dentry", word, 6) for word in ("dentyr", "edntry", "dnetyr")] == [1, 1, 2]
