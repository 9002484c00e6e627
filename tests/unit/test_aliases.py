# SPDX-License-Identifier: GPL-3.0-or-later
"""The names merged into a cache are those of the links in /sys/kernel/slab."""

from __future__ import annotations

from typing import Any, List, Set, Tuple

import pytest

from crash_ext.host.target import Target
from crash_ext.slub.aliases import UnknownOrder, find_alias, find_aliases, name_hash
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.kernfs import SlabDirectory
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.unit.asked import by_state, of_type, problems, records, target, text


def _merged(name: str = "6.1") -> Tuple[Heap, Cache, SlabDirectory, List[int]]:
    """kmalloc-96 that feed_item and slab_test were merged into, and a cache of its own."""
    heap = Heap(LAYOUTS[name], seed=5)
    cache = heap.cache("kmalloc-96", 96, refcount=3)
    heap.slab(cache, {0, 4})
    other = heap.cache("dentry", 192)
    sysfs = SlabDirectory(heap)
    home = sysfs.directory(cache, b":0000096")
    sysfs.directory(other, b"dentry")
    links = [sysfs.link(home, name) for name in (b"slab_test", b"kmalloc-96", b"feed_item")]
    return heap, cache, sysfs, links


def _find(heap: Heap) -> Tuple[List[bytes], List[str]]:
    """The names of all links, and what was wrong."""
    said: List[str] = []
    found = find_aliases(target(heap), said)
    return sorted(name for names in found.values() for name in names), said


@pytest.mark.parametrize("name", ["4.4", "5.10", "6.1", "6.1-s390x", "7.3"])
def test_links_are_names_of_the_cache_that_they_point_to(name: str) -> None:
    heap, cache, _, _ = _merged(name)
    said: List[str] = []
    found = find_aliases(target(heap), said)
    assert found == {cache.address: [b"feed_item", b"kmalloc-96", b"slab_test"]}
    assert said == []


def test_an_alias_selects_the_cache_and_the_output_says_what_it_is_merged_into() -> None:
    heap, cache, _, _ = _merged()
    rows = records(heap, "slabobjs", "slab_test")
    assert problems(rows) == []
    (row,) = of_type(rows, "cache")
    assert (row["address"], row["alias"]) == (f"{cache.address:x}", "slab_test")
    assert by_state(rows)["allocated"] == heap.truth()[cache.address].allocated
    assert text(heap, "slabobjs", "slab_test").startswith("slab_test is merged into kmalloc-96:\n")


def test_the_caches_own_name_is_no_alias() -> None:
    heap, cache, _, _ = _merged()
    (row,) = of_type(records(heap, "slabobjs", "kmalloc-96"), "cache")
    assert row["alias"] is None
    rows = of_type(records(heap, "slabdup", "kmalloc-96"), "field")
    (aliases,) = [row["values"] for row in rows if row["field"] == "aliases"]
    assert aliases == {f"{cache.address:x}": "feed_item slab_test"}


def test_a_leftover_and_a_cache_that_took_the_name_as_an_alias_stand_side_by_side() -> None:
    heap, cache, _, _ = _merged()
    leftover = heap.cache("slab_test", 84, ctor=heap.function("ctor", module=True))
    heap.slab(leftover, {7})
    heap.leave_behind(leftover)
    rows = of_type(records(heap, "slabdup", "slab_test"), "cache")
    states = {int(row["address"], 16): row["state"] for row in rows}
    assert states == {leftover.address: "leftover", cache.address: "live"}


def test_a_cycle_in_the_tree_ends_the_walk_and_is_said() -> None:
    heap, _, sysfs, links = _merged()
    sysfs.cycle(links[-1])
    names, said = _find(heap)
    assert names == [b"feed_item", b"kmalloc-96", b"slab_test"]
    assert said == [f"aliases: /sys/kernel/slab: cycle at {sysfs.rb_node(sysfs.entries[0]):x}"]


def test_an_unreadable_entry_is_said_and_those_before_it_stay() -> None:
    heap, _, sysfs, _ = _merged()
    left = heap.image.structs["rb_node"][1]["rb_left"][0]
    heap.image.pointer(sysfs.rb_node(sysfs.entries[1]) + left, 0xDEAD0000)
    names, said = _find(heap)
    # Whatever hung below that child is lost.
    assert set(names) < {b"feed_item", b"kmalloc-96", b"slab_test"}
    assert said == ["aliases: /sys/kernel/slab: cannot read 24 bytes at 00000000dead0000"]


def test_a_link_whose_target_is_gone_names_no_cache() -> None:
    heap, _, sysfs, _ = _merged()
    private = heap.image.structs["kernfs_node"][1]["priv"][0]
    heap.image.pointer(sysfs.entries[0] + private, 0)
    assert _find(heap) == ([], [])
    assert text(heap, "slabobjs", "slab_test") == "slabobjs: slab_test: no cache has this name\n"


def test_a_kernel_without_sysfs_has_no_aliases() -> None:
    heap = Heap(LAYOUTS["6.6-tiny"])
    heap.cache("slab_test", 84)
    assert _find(heap) == ([], [])


def test_a_kernel_without_kernfs_has_no_aliases() -> None:
    # v3.10: sysfs_dirent in its place.
    heap, _, _, _ = _merged("3.10")
    del heap.image.structs["kernfs_node"]
    assert _find(heap) == ([], [])


def test_a_kset_that_is_not_made_yet_holds_no_links() -> None:
    heap, _, _, _ = _merged()
    heap.image.pointer(heap.image.symbols["slab_kset"], 0)
    assert _find(heap) == ([], [])


# one name, by the directory's order -----------------------------------------------------


def _ordered(names: List[bytes], layout: str = "6.1") -> Tuple[Heap, Cache, SlabDirectory]:
    """A cache that these names were merged into, in a directory as kernfs keeps it."""
    heap = Heap(LAYOUTS[layout], seed=5)
    cache = heap.cache("kmalloc-96", 96)
    heap.slab(cache, {0, 4})
    sysfs = SlabDirectory(heap)
    home = sysfs.directory(cache, b":0000096")
    for name in names:
        sysfs.link(home, name)
    sysfs.sort()
    return heap, cache, sysfs


_MANY = [b"merged_%d" % number for number in range(60)]
_OF_ONE_HASH = [b"slab_aal", b"slab_aba"]


@pytest.mark.parametrize("layout", ["4.4", "5.10", "6.1", "6.1-s390x", "7.3"])
def test_each_name_is_found_by_its_hash_and_no_other(layout: str) -> None:
    heap, cache, _ = _ordered(_MANY, layout)
    reader = target(heap)
    assert {find_alias(reader, name) for name in _MANY} == {cache.address}
    for name in (b"merged_60", b"merged_", b"", b"dentry", b":0000096"):
        assert find_alias(reader, name) is None


def test_a_name_is_looked_up_in_few_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    heap, _, sysfs = _ordered(_MANY)
    fake = FakeCrash(heap.image)
    read = fake.readmem
    asked: Set[int] = set()

    def noting(*arguments: Any) -> bytes:
        asked.add(arguments[0])
        return read(*arguments)

    monkeypatch.setattr(fake, "readmem", noting)
    assert find_alias(Target(fake), b"merged_37") is not None
    # log2(61) on the way, and the target of the link.
    assert 1 < len(asked.intersection(sysfs.entries)) <= 8


@pytest.mark.parametrize("names", [_OF_ONE_HASH, _OF_ONE_HASH[::-1]])
def test_of_names_with_one_hash_each_is_found(names: List[bytes]) -> None:
    assert name_hash(names[0], 8) == name_hash(names[1], 8)
    heap, cache, _ = _ordered(names)
    assert [find_alias(target(heap), name) for name in names] == [cache.address] * 2
    heap, _, _ = _ordered(names[:1])
    assert find_alias(target(heap), names[1]) is None


def test_a_leftover_and_an_alias_of_its_name_are_both_shown_by_the_order_too() -> None:
    heap, cache, _ = _ordered([b"slab_test", b"feed_item"])
    leftover = heap.cache("slab_test", 84)
    heap.slab(leftover, {7})
    heap.leave_behind(leftover)
    rows = of_type(records(heap, "slabdup", "slab_test"), "cache")
    assert {int(row["address"], 16) for row in rows} == {leftover.address, cache.address}


@pytest.mark.parametrize("member", ["hash", "ns", "name"])
def test_where_an_entry_is_out_of_order_all_are_walked(member: str) -> None:
    heap, cache, sysfs = _ordered([b"slab_test", *_MANY])
    offset, size = heap.image.structs["kernfs_node"][1][member]
    heap.image.put(sysfs.top + offset, size, 7)
    with pytest.raises(UnknownOrder):
        find_alias(target(heap), b"slab_test")
    (row,) = of_type(records(heap, "slabobjs", "slab_test"), "cache")
    assert (row["address"], row["alias"]) == (f"{cache.address:x}", "slab_test")


def test_a_cycle_ends_the_search() -> None:
    heap, _, sysfs = _ordered(_OF_ONE_HASH)
    for side in ("rb_left", "rb_right"):
        offset, size = heap.image.structs["rb_node"][1][side]
        heap.image.put(sysfs.rb_node(sysfs.top) + offset, size, sysfs.rb_node(sysfs.top))
    with pytest.raises(UnknownOrder):
        find_alias(target(heap), b"dentry")


def test_for_a_name_beyond_ascii_all_are_walked() -> None:
    name = "ø".encode()
    heap, cache, _ = _ordered([name])
    with pytest.raises(UnknownOrder):
        find_alias(target(heap), name)
    (row,) = of_type(records(heap, "slabobjs", "ø"), "cache")
    assert row["address"] == f"{cache.address:x}"
