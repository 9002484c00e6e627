# SPDX-License-Identifier: GPL-3.0-or-later
"""Each shape of SLUB that no dump of a real kernel stands for is told whole and exactly.

A test is named after what the kernel changed. In each heap a cache was left behind, a live
twin has its name, and there's a slab on every list and an object in every kind of sheaf
that this kernel has.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Set

import pytest

from crash_ext.hexa import hexa
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import by_state, of_type, problems, records, session, text

NAME = "slab_test"


class Scene(NamedTuple):
    heap: Heap
    leftover: Cache
    twin: Cache


def _fill(heap: Heap, cache: Cache) -> Dict[str, Slab]:
    """A slab on every list that the cache can have one on, by list."""
    last = heap.nodes - 1
    slabs = {
        "partial": heap.slab(cache, {1, 4}, node=last),
        "-": heap.slab(cache, range(cache.objects), where="full-unlisted"),
    }
    if cache.flags & heap.flag("STORE_USER") and heap.layout.has("kmem_cache_node", "full"):
        slabs["full"] = heap.slab(cache, range(cache.objects), where="full", node=last)
    if cache.cpu_slab and not cache.debug:
        slabs["cpu 1"] = heap.slab(cache, {0, 2, 5}, where="cpu", cpu=1, cpu_freelist=[7, 3])
        if heap.layout.has("kmem_cache_cpu", "partial"):
            slabs["cpu 0 partial"] = heap.slab(cache, {6}, where="cpu_partial", cpu=0)
            heap.slab(cache, {8}, where="cpu_partial", cpu=0, node=last)
    return slabs


def _fill_sheaves(heap: Heap, cache: Cache, full: Slab) -> None:
    """Moves a part of a full slab's objects into one sheaf of each kind."""
    objects = [full.object(index) for index in range(full.objects)]
    for number, where in enumerate(("main", "spare", "rcu_free", "barn", "loose")):
        heap.sheaf(cache, objects[2 * number : 2 * number + 2], where=where, cpu=1)
    heap.defer(cache, objects[10:12], cpu=0)


def _scene(name: str, *, store_user: bool = False) -> Scene:
    heap = Heap(LAYOUTS[name], seed=sum(map(ord, name)))
    leftover = heap.cache(NAME, 84, ctor=heap.function("ctor", module=True))
    _fill(heap, leftover)
    heap.cache("between", 84)
    heap.leave_behind(leftover)
    sheaves = None if LAYOUTS[name].sheaves != "opt-in" else 32
    twin = heap.cache(NAME, 84, sheaves=sheaves, store_user=store_user)
    slabs = _fill(heap, twin)
    if twin.capacity:
        _fill_sheaves(heap, twin, slabs["-"])
    return Scene(heap, leftover, twin)


def _check(scene: Scene, places: Set[str]) -> None:
    """Complete sets through both commands. places: the lists that the twin has slabs on."""
    heap, leftover, twin = scene
    truth = heap.truth()
    named = [f"{leftover.address:x}", f"{twin.address:x}"]
    rows = records(heap, "slabobjs", "-f", "-b", "0", *named)
    assert problems(rows) == []
    both = [truth[leftover.address], truth[twin.address]]
    wanted = {
        "allocated": set().union(*(each.allocated for each in both)),
        "free": set().union(*(each.free for each in both)),
        "freed, RCU pending": set().union(*(each.rcu for each in both)),
    }
    assert by_state(rows) == {state: found for state, found in wanted.items() if found}
    slabs = of_type(rows, "slab")
    assert {int(row["address"], 16) for row in slabs} == both[0].slabs | both[1].slabs
    mine = [row for row in slabs if row["cache"] == hexa(twin.address)]
    assert {row["list"] for row in mine} == places
    assert {row["node"] for row in mine} == set(range(heap.nodes))
    _check_states(scene)


def _check_states(scene: Scene) -> None:
    heap, leftover, twin = scene
    rows = records(heap, "slabdup")
    assert problems(rows) == []
    told = {int(row["address"], 16): row for row in of_type(rows, "cache")}
    # A memcg child goes with its root.
    states = {address: row["state"] for address, row in told.items() if not row["root"]}
    assert states == {leftover.address: "leftover", twin.address: "live"}
    lost = heap.truth()[leftover.address].allocated
    assert (rows[-1]["groups"], rows[-1]["leftovers"], rows[-1]["objects"]) == (1, 1, len(lost))
    assert told[leftover.address]["allocated"] == len(lost)
    assert rows[-1]["complete"] is True


PER_CPU = {"-", "partial", "cpu 1", "cpu 0 partial"}


def test_3_10_lists_by_lru_and_puts_a_leftover_back_at_the_head() -> None:
    """Linux 3.10.49. A tail page is told by PG_tail and first_page, a child by a pointer."""
    scene = _scene("3.10")
    _check(scene, PER_CPU)
    assert _names(scene.heap)[:3] == [NAME, NAME, "between"]


def test_4_4_keeps_a_leftover_in_its_place() -> None:
    """Linux 4.4.155: memcg_params inside struct kmem_cache, compound_head, no left red zone."""
    scene = _scene("4.4")
    _check(scene, PER_CPU)
    assert _names(scene.heap)[:3] == [NAME, "between", NAME]


def _names(heap: Heap) -> List[str]:
    """The names on slab_caches, in its order."""
    caches = session(heap).listed_caches().caches
    return [(cache.name or b"?").decode() for cache in caches]


def test_4_9_puts_a_red_zone_before_objects() -> None:
    """Linux kernel commit d86bd1bece6f ("mm/session: support left redzone") (in v4.6)."""
    heap = Heap(LAYOUTS["4.9"], seed=49)
    leftover = heap.cache(NAME, 84, red_zone=True, store_user=True)
    slabs = _fill(heap, leftover)
    heap.leave_behind(leftover)
    twin = heap.cache(NAME, 84, red_zone=True, store_user=True)
    _fill(heap, twin)
    assert slabs["partial"].object(0) > slabs["partial"].va
    _check(Scene(heap, leftover, twin), {"-", "partial", "full"})


def test_4_12_tells_a_memcg_child_by_its_root_cache() -> None:
    """Linux kernel commit 510ded33e075 ("slab: implement slab_root_caches list") (in v4.11)."""
    scene = _scene("4.12")
    for number in range(2):
        child = scene.heap.cache("slab_test(3:web)", 84, root=scene.twin)
        scene.heap.slab(child, {number})
    _check(scene, PER_CPU)


def test_4_14_hides_free_pointers_behind_their_address() -> None:
    """Linux kernel commit 2482ddec670f ("mm: add SLUB free list pointer obfuscation") (v4.14)."""
    _check(_scene("4.14"), PER_CPU)


def test_4_18_moves_the_list_link_in_front() -> None:
    """Linux kernel commit 4da1984edbbe ("mm: combine LRU and main union in struct page") (v4.18).

    The flags of a cache and its oo are 32 bits wide from here on.
    """
    _check(_scene("4.18"), PER_CPU)


def test_4_19_without_per_cpu_partial_slabs_and_unhardened() -> None:
    """CONFIG_SLUB_CPU_PARTIAL=n and CONFIG_SLAB_FREELIST_HARDENED=n.

    Linux kernel commit a93cf07bc3fb ("mm/session.c: wrap cpu_slab->partial in
    CONFIG_SLUB_CPU_PARTIAL") (in v4.13).
    """
    _check(_scene("4.19-plain"), PER_CPU - {"cpu 0 partial"})


def test_5_7_swaps_the_address_and_moves_the_free_pointer_into_the_middle() -> None:
    """Linux kernel commits 1ad53d9fa3f6 and 3202fa62fb43 (in v5.7)."""
    scene = _scene("5.7")
    assert scene.twin.offset == 48
    _check(scene, PER_CPU)


def test_5_10_with_32_bit_words_and_without_numa() -> None:
    """Linux 5.10.223 for i386: pages and pobjects of 16 bits, no nr_node_ids."""
    scene = _scene("5.10-i386")
    assert "nr_node_ids" not in scene.heap.image.symbols
    _check(scene, PER_CPU)


@pytest.mark.parametrize(("name", "digits"), [("5.10-i386", 8), ("5.10", 16)])
def test_an_address_has_all_digits_of_a_pointer(name: str, digits: int) -> None:
    scene = _scene(name)
    listed = text(scene.heap, "slabobjs", "-q", f"{scene.twin.address:x}").splitlines()
    assert {int(line, 16) for line in listed} == scene.heap.truth()[scene.twin.address].allocated
    assert {len(line) for line in listed} == {digits}


def test_5_15_adds_a_lock_behind_the_per_cpu_slab() -> None:
    """Linux kernel commit bd0e7491a931 ("mm, session: convert kmem_cpu_slab protection to
    local_lock") (in v5.15)."""
    _check(_scene("5.15"), PER_CPU)


def test_5_17_gives_slabs_a_struct_of_their_own() -> None:
    """Linux kernel commits d122019bf061 ("mm: Split slab into its own type") and bb192ed9aa71
    ("mm/session: Convert most struct page to struct slab by spatch") (in v5.17)."""
    scene = _scene("5.17")
    assert "slab_cache" not in scene.heap.image.structs["page"][1]
    _check(scene, PER_CPU)


def test_5_19_keeps_tracks_in_the_stack_depot() -> None:
    """Linux kernel commit 5cf909c553e9 ("mm/session: use stackdepot to save stack trace in
    objects") (in v5.19): a debug cache's objects lie closer together."""
    scene = _scene("5.19", store_user=True)
    before = Heap(LAYOUTS["5.17"]).cache(NAME, 84, store_user=True)
    assert scene.twin.size < before.size
    _check(scene, {"-", "partial", "full"})


def test_6_1_on_s390x_counts_from_the_other_end() -> None:
    """Linux 6.1, big endian: bit fields from the top, 72-byte page structures."""
    scene = _scene("6.1-s390x")
    assert scene.heap.image.byteorder == "big"
    _check(scene, PER_CPU)


def _break_slab_caches(name: str) -> None:
    """A destroy fails, its struct is freed, reused and closes slab_caches into a cycle.

    Linux kernel commit 46a9ea668190 ("mm/slab_common: fix slab_caches list corruption after
    kmem_cache_destroy()") (in v6.6) ended that.
    """
    heap = Heap(LAYOUTS[name], seed=62)
    older = heap.cache("older", 84)
    _fill(heap, older)
    dead = heap.cache(NAME, 84)
    orphan = _fill(heap, dead)["partial"]
    between = heap.cache("between", 84)
    _fill(heap, between)
    heap.leave_behind(dead)
    reused = heap.cache(NAME, 84)
    _fill(heap, reused)
    assert reused.address == dead.address
    rows = records(heap, "slabdup", "-a")
    cycles = [said for said in problems(rows) if "cycle: next of" in said]
    assert cycles == [
        f"slab_caches: list {heap.image.symbols['slab_caches']:x}: cycle:"
        f" next of {_link(heap, between):x} is {_link(heap, reused):x} again"
    ]
    assert rows[-1]["complete"] is False
    told = [row["address"] for row in of_type(rows, "cache")]
    assert len(told) == len(set(told))
    assert {int(address, 16) for address in told} == {cache.address for cache in heap.caches}
    # The others are told whole, be they behind the break or not.
    truth = heap.truth()
    for cache in (older, between):
        states = _states_of(heap, cache)
        assert states["allocated"] == truth[cache.address].allocated
        assert states["free"] == truth[cache.address].free
    # The dead cache's objects are not given to the one that got its struct.
    taken = _states_of(heap, reused).get("allocated", set())
    assert taken.isdisjoint(map(orphan.object, orphan.allocated))


def _link(heap: Heap, cache: Cache) -> int:
    offset: int = heap.layout.structs["kmem_cache"][1]["list"][0]
    return cache.address + offset


def _states_of(heap: Heap, cache: Cache) -> Dict[str, Set[int]]:
    return by_state(records(heap, "slabobjs", "-f", "-b", "0", f"{cache.address:x}"))


def test_6_2_frees_the_struct_of_a_cache_whose_destroy_failed() -> None:
    """Linux 6.2.1; see _break_slab_caches()."""
    _break_slab_caches("6.2")


def test_6_5_frees_the_struct_of_a_cache_whose_destroy_failed() -> None:
    """Linux 6.5.0; see _break_slab_caches()."""
    _break_slab_caches("6.5")


def _check_typesafe(name: str) -> None:
    """A cache with SLAB_TYPESAFE_BY_RCU escapes that: its struct is kept."""
    heap = Heap(LAYOUTS[name], seed=65)
    leftover = heap.cache(NAME, 84, flags=heap.flag("TYPESAFE_BY_RCU"))
    _fill(heap, leftover)
    heap.leave_behind(leftover)
    twin = heap.cache(NAME, 84)
    _fill(heap, twin)
    _check(Scene(heap, leftover, twin), PER_CPU)


def test_6_2_swaps_the_list_link_and_the_cache() -> None:
    """Linux kernel commit 130d4df57390 ("mm/sl[au]b: rearrange struct slab fields to allow
    larger rcu_head") (in v6.2): page.lru isn't where slab.slab_list is any more."""
    slab, page = (LAYOUTS["6.2"].structs[struct][1] for struct in ("slab", "page"))
    assert slab["slab_list"] != page["lru"]
    _check_typesafe("6.2")


def test_6_5_joins_the_cpu_freelist_and_its_transaction() -> None:
    """Linux kernel commit 6801be4f2653 ("session: Replace cmpxchg_double()") (in v6.5)."""
    _check_typesafe("6.5")


def test_6_6_tiny_has_neither_per_cpu_slabs_nor_counts() -> None:
    """CONFIG_SLUB_TINY: Linux kernel commit e240e53ae0ab ("mm, session: add CONFIG_SLUB_TINY")
    (in v6.2). No cpu_slab, no nr_slabs, no hardened freelist."""
    scene = _scene("6.6-tiny")
    assert "cpu_slab" not in scene.heap.image.structs["kmem_cache"][1]
    _check(scene, {"-", "partial"})


def test_6_9_leaves_per_cpu_partial_slabs_unfrozen() -> None:
    """Linux kernel commits 8cd3fa428b56 ("session: Delay freezing of partial slabs") (in v6.8) and
    cc61eb851461 (in v6.9): the flags of a cache are enumerators."""
    _check(_scene("6.9"), PER_CPU)


def test_6_11_tells_a_slab_by_inverted_bits_of_its_page_type() -> None:
    """Linux kernel commit 46df8e73a4a3 ("mm: free up PG_slab") (in v6.10)."""
    scene = _scene("6.11")
    assert scene.heap.image.enums["PG_slab"] > 64
    _check(scene, PER_CPU)


def test_6_18_has_sheaves_for_caches_that_ask_beside_per_cpu_slabs() -> None:
    """Linux kernel commit 2d517aa09bbc ("slab: add opt-in caching layer of percpu sheaves")
    (in v6.18), and deferred frees: commit af92793e52c3. A leftover is off the list."""
    scene = _scene("6.18")
    assert (scene.twin.capacity, bool(scene.twin.cpu_slab)) == (32, True)
    _check(scene, PER_CPU)


def test_7_0_has_sheaves_for_most_and_no_per_cpu_slabs() -> None:
    """Linux 7.0.0: the barn hangs on struct kmem_cache_node."""
    scene = _scene("7.0")
    assert scene.twin.capacity == 60
    assert not scene.heap.layout.has("kmem_cache_cpu")
    _check(scene, {"-", "partial"})


def test_7_1_puts_the_barn_beside_the_node() -> None:
    """Linux kernel commit 5ba6bc27b1f9 ("slab: decouple pointer to barn from kmem_cache_node")
    (in v7.1); compound_info of a tail page is a mask."""
    scene = _scene("7.1")
    big = scene.heap.cache("big", 3000, order=3)
    slab = scene.heap.slab(big, {1})
    _check(scene, {"-", "partial"})
    tail = slab.page + 5 * scene.heap.image.sizeof("page")
    rows = records(scene.heap, "slabobjs", f"{tail:x}")
    assert by_state(rows) == {"allocated": {slab.object(1)}}


LAB = {"5.10", "6.1", "6.12", "7.3"}
"""Layouts with dumps of real kernels."""
RECORDED = {"el7-1160"}


def test_every_layout_without_a_dump_has_its_test_here() -> None:
    tested: List[str] = [name for name in globals() if name.startswith("test_")]
    for layout in sorted(set(LAYOUTS) - LAB - RECORDED):
        release = layout.split("-")[0].replace(".", "_")
        assert any(name.startswith(f"test_{release}_") for name in tested), layout
