# SPDX-License-Identifier: GPL-3.0-or-later
"""Built heaps decode, by hand arithmetic on documented offsets, to what was asked for.

Nothing here goes through crash_ext: a mistake made twice the same way would not be seen.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Set, Tuple

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Slab


class Shape(NamedTuple):
    """Where a descriptor keeps things, in bytes; key: what encodes a free pointer."""

    slab_cache: int
    freelist: int
    counters: int
    link: int
    key: str


_OLD = Shape(48, 16, 24, 32, "")
_NEW = Shape(24, 32, 40, 8, "swab")
_NEWER = Shape(8, 32, 40, 16, "swab")
SHAPES: Dict[str, Shape] = {
    "3.10": _OLD,
    "el7-1160": _OLD,
    "4.4": _OLD,
    "4.9": _OLD,
    "4.12": _OLD,
    "4.14": _OLD._replace(key="addr"),
    "4.18": _NEW._replace(key="addr"),
    "4.19-plain": _NEW._replace(key=""),
    "5.7": _NEW,
    "5.10": _NEW,
    "5.10-i386": Shape(12, 16, 20, 4, ""),
    "5.15": _NEW,
    "5.17": _NEW,
    "5.19": _NEW,
    "6.1": _NEW,
    "6.1-s390x": _NEW,
    "6.2": _NEWER,
    "6.5": _NEWER,
    "6.6-tiny": _NEWER._replace(key=""),
    "6.9": _NEWER,
    "6.11": _NEWER,
    "6.12": _NEWER,
    "6.18": _NEWER,
    "7.0": _NEWER,
    "7.1": _NEWER,
    "7.3": _NEWER,
}

every_layout = pytest.mark.parametrize("name", list(LAYOUTS))
with_cpu_slabs = pytest.mark.parametrize(
    "name", [name for name, layout in LAYOUTS.items() if layout.has("kmem_cache_cpu")]
)
with_debugging = pytest.mark.parametrize(
    "name", [name for name, layout in LAYOUTS.items() if layout.has("kmem_cache_node", "full")]
)


def word(heap: Heap, address: int) -> int:
    form = {("little", 8): "<Q", ("big", 8): ">Q", ("little", 4): "<I"}
    size = heap.layout.word
    data = heap.image.read(address, size)
    value: int = struct.unpack(form[heap.layout.byteorder, size], data)[0]
    return value


def counters(heap: Heap, slab: Slab) -> Tuple[int, int, int]:
    """(inuse, objects, frozen) from the 32 bits."""
    data = heap.image.read(slab.page + SHAPES[heap.layout.name].counters, 4)
    if heap.layout.byteorder == "big":
        unit = struct.unpack(">I", data)[0]
        return unit >> 16, (unit & 0xFFFF) >> 1, unit & 1
    unit = struct.unpack("<I", data)[0]
    return unit & 0xFFFF, unit >> 16 & 0x7FFF, unit >> 31


def decode(heap: Heap, at: int, random: int) -> int:
    raw = word(heap, at)
    key = SHAPES[heap.layout.name].key
    if not key:
        return raw
    reverse = struct.unpack(">Q", struct.pack("<Q", at))[0]
    return raw ^ random ^ (at if key == "addr" else reverse)


def chain(heap: Heap, slab: Slab, first: int) -> List[int]:
    found: List[int] = []
    while first:
        assert len(found) < slab.objects
        found.append(first)
        first = decode(heap, first + slab.cache.offset, slab.cache.random)
    return found


def freelist(heap: Heap, slab: Slab) -> List[int]:
    return chain(heap, slab, word(heap, slab.page + SHAPES[heap.layout.name].freelist))


def listed(heap: Heap, head: int, backwards: bool = True) -> List[int]:
    """The list_heads of a circular list, checked in the other direction, too."""
    size = heap.layout.word
    found: List[int] = []
    here, before = word(heap, head), head
    while here != head:
        assert not backwards or word(heap, here + size) == before
        assert len(found) < 1000
        found.append(here)
        before, here = here, word(heap, here)
    assert word(heap, head + size) == before
    return found


def caches_on_list(heap: Heap, backwards: bool = True) -> List[int]:
    offset = heap.layout.structs["kmem_cache"][1]["list"][0]
    head = heap.image.symbols["slab_caches"]
    return [link - offset for link in listed(heap, head, backwards)]


def older_than(name: str, other: str) -> bool:
    names = list(LAYOUTS)
    return names.index(name) < names.index(other)


def member(heap: Heap, of: str, address: int, name: str) -> int:
    offset, size = heap.layout.structs[of][1][name]
    return heap.image.get(address + offset, size)


def test_every_layout_has_its_shape_here() -> None:
    assert set(SHAPES) == set(LAYOUTS)


@every_layout
def test_a_partial_slab(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=7)
    cache = heap.cache("slab_test", 84)
    node = heap.nodes - 1
    slab = heap.slab(cache, {3, 17}, node=node, content=lambda index: b"object %d" % index)
    shape = SHAPES[name]
    assert word(heap, slab.page + shape.slab_cache) == cache.address
    assert counters(heap, slab) == (2, 4096 // cache.size, 0)
    free = freelist(heap, slab)
    everything = {slab.va + index * cache.size for index in range(4096 // cache.size)}
    assert len(free) == len(set(free))
    assert everything - set(free) == {slab.object(3), slab.object(17)}
    assert heap.image.read(slab.object(17), 9) == b"object 17"
    partial = heap.layout.structs["kmem_cache_node"][1]["partial"][0]
    assert listed(heap, cache.nodes[node] + partial) == [slab.page + shape.link]
    assert member(heap, "kmem_cache_node", cache.nodes[node], "nr_partial") == 1
    truth = heap.truth()[cache.address]
    assert truth.slabs == {slab.page}
    assert truth.allocated == {slab.object(3), slab.object(17)}
    assert truth.free == set(free)
    assert not truth.rcu


@every_layout
def test_the_cache_itself(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=8)
    ctor = heap.function("slab_test_ctor", module=True)
    cache = heap.cache("slab_test", 84, refcount=2, ctor=ctor, order=1)
    assert heap.image.modules[0][1] < ctor < heap.image.modules[0][2]
    read = {
        one: member(heap, "kmem_cache", cache.address, one)
        for one in ("size", "object_size", "offset", "inuse", "refcount", "ctor")
    }
    word_size = heap.layout.word
    inuse = 88 if word_size == 8 else 84
    assert read == {
        "size": (inuse + word_size + 7) // 8 * 8,
        "object_size": 84,
        "offset": inuse,
        "inuse": inuse,
        "refcount": 2,
        "ctor": ctor,
    }
    assert member(heap, "kmem_cache", cache.address, "oo") == 1 << 16 | 8192 // cache.size
    text = member(heap, "kmem_cache", cache.address, "name")
    assert heap.image.read(text, 10) == b"slab_test\0"
    if "random" in heap.layout.structs["kmem_cache"][1]:
        assert member(heap, "kmem_cache", cache.address, "random") == cache.random != 0


@pytest.mark.parametrize(
    ("name", "object_size", "offset"),
    [
        ("3.10", 84, 0),
        ("4.14", 84, 0),
        ("5.7", 84, 48),
        ("5.7", 8, 0),
        ("5.10", 84, 40),
        ("5.10", 8, 0),
        ("5.10-i386", 84, 40),
        ("7.3", 100, 48),
    ],
)
def test_where_the_free_pointer_is(name: str, object_size: int, offset: int) -> None:
    assert Heap(LAYOUTS[name]).cache("plain", object_size).offset == offset


@every_layout
def test_the_list_of_caches_and_the_boot_caches(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=9)
    first, second = heap.cache("first"), heap.cache("second")
    hidden = heap.cache("hidden", listed=False)
    on_list = caches_on_list(heap)
    boot = [word(heap, heap.image.symbols[one]) for one in ("kmem_cache", "kmem_cache_node")]
    assert [one for one in on_list if one in (first.address, second.address)] == [
        second.address,
        first.address,
    ]
    assert sorted(on_list[-2:]) == sorted(boot)
    assert hidden.address not in on_list
    assert word(heap, hidden.address + heap.layout.structs["kmem_cache"][1]["list"][0]) == 0
    truth = heap.truth()
    assert {*on_list, hidden.address} == truth[boot[0]].allocated
    nodes = {address for cache in heap.caches for address in cache.nodes.values()}
    assert nodes == truth[boot[1]].allocated
    for cache in heap.caches[:2]:
        for slab in cache.slabs:
            assert set(freelist(heap, slab)).isdisjoint(truth[cache.address].allocated)


@every_layout
def test_full_slabs_and_counts(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=10)
    cache = heap.cache("slab_test", 200)
    full = heap.slab(cache, range(cache.objects), where="full-unlisted")
    short = heap.slab(cache, {0}, objects=5)
    assert counters(heap, full) == (cache.objects, cache.objects, 0)
    assert freelist(heap, full) == []
    assert counters(heap, short) == (1, 5, 0)
    partial = heap.layout.structs["kmem_cache_node"][1]["partial"][0]
    links = listed(heap, cache.nodes[0] + partial)
    assert links == [short.page + SHAPES[name].link]
    if heap.layout.has("kmem_cache_node", "nr_slabs"):
        node = cache.nodes[0]
        assert member(heap, "kmem_cache_node", node, "nr_slabs") == 2
        assert member(heap, "kmem_cache_node", node, "total_objects") == cache.objects + 5


@with_cpu_slabs
def test_cpu_slabs(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=11, cpus=(1, 2))
    cache = heap.cache("slab_test", 64)
    slab = heap.slab(cache, {0, 1}, where="cpu", cpu=2, cpu_freelist=[9, 4, 30])
    at = cache.cpu_slab + heap.image.percpu_offsets[2]
    pointer = "page" if older_than(name, "5.17") else "slab"
    assert member(heap, "kmem_cache_cpu", at, pointer) == slab.page
    first = member(heap, "kmem_cache_cpu", at, "freelist")
    assert chain(heap, slab, first) == [slab.object(9), slab.object(4), slab.object(30)]
    remote = freelist(heap, slab)
    assert len(remote) == slab.objects - 5
    assert counters(heap, slab) == (5, slab.objects, 1)
    other = cache.cpu_slab + heap.image.percpu_offsets[1]
    assert member(heap, "kmem_cache_cpu", other, pointer) == 0
    table = heap.image.symbols["__per_cpu_offset"]
    assert word(heap, table + 2 * heap.layout.word) == heap.image.percpu_offsets[2]
    assert not heap.image.is_mapped(heap.image.percpu_offsets[0], 1)
    possible = next(one for one in heap.image.symbols if "possible" in one)
    assert word(heap, heap.image.symbols[possible]) == 0b110
    truth = heap.truth()[cache.address]
    assert truth.allocated == {slab.object(0), slab.object(1)}
    assert len(truth.free) == slab.objects - 2


@with_cpu_slabs
def test_cpu_partial_slabs(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=12)
    cache = heap.cache("slab_test", 64)
    if name == "4.19-plain":
        with pytest.raises(ValueError, match="no per-CPU partial"):
            heap.slab(cache, {1}, where="cpu_partial")
        return
    slabs = [heap.slab(cache, {number}, where="cpu_partial", cpu=1) for number in range(3)]
    at = cache.cpu_slab + heap.image.percpu_offsets[1]
    here, found = member(heap, "kmem_cache_cpu", at, "partial"), []
    while here:
        found.append(here)
        here = member(heap, heap.layout.descriptor, here, "next")
    assert found == [slab.page for slab in slabs]
    frozen = int(older_than(name, "6.6-tiny"))
    assert {counters(heap, slab) for slab in slabs} == {(1, slabs[0].objects, frozen)}


@with_debugging
def test_debug_caches(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=13)
    cache = heap.cache("dbg", 96, red_zone=True, poison=True, store_user=True, order=1)
    size = heap.layout.word
    left = 0 if name in ("3.10", "4.4") else 8
    assert cache.red_left == left
    assert (cache.offset, cache.geometry.inuse) == (96 + size, 96 + size)
    slab = heap.slab(cache, {2}, content=lambda index: b"x" * 96)
    full = heap.slab(cache, range(cache.objects), where="full")
    used, free = slab.va + left + 2 * cache.size, slab.va + left + 3 * cache.size
    read = heap.image.read
    assert read(used, 96) == b"x" * 96
    assert read(used + 96, size) == b"\xcc" * size
    assert read(free, 96) == b"\x6b" * 95 + b"\xa5"
    assert read(free + 96, size) == b"\xbb" * size
    assert read(used - left, left) == b"\xcc" * left
    assert read(free - left, left) == b"\xbb" * left
    track = heap.layout.structs["track"][0]
    alloc, freed = used + 96 + 2 * size, used + 96 + 2 * size + track
    assert word(heap, alloc) == heap.image.symbols["kmem_cache_alloc"]
    assert word(heap, freed) == 0
    assert word(heap, free + 96 + 2 * size + track) != 0
    assert set(freelist(heap, slab)) == {
        slab.va + left + index * cache.size for index in range(cache.objects) if index != 2
    }
    head = cache.nodes[0] + heap.layout.structs["kmem_cache_node"][1]["full"][0]
    assert listed(heap, head) == [full.page + SHAPES[name].link]
    assert not cache.cpu_sheaves or cache.capacity == 0


@every_layout
def test_pages_are_slabs_by_the_layouts_own_test(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=14)
    cache = heap.cache("big", 3000, order=2)
    slab = heap.slab(cache, {1}, node=heap.nodes - 1)
    stride = heap.layout.structs["page"][0]
    flags = word(heap, slab.page)
    if name in ("6.12", "6.18", "7.0", "7.1", "7.3"):
        assert heap.image.get(slab.page + 48, 4) >> 24 == 0xF5
        assert heap.image.get(slab.page + stride + 48, 4) >> 24 != 0xF5
    elif name == "6.11":
        assert heap.image.get(slab.page + 48, 4) & 0x82000000 == 0x80000000
        assert heap.image.get(slab.page + stride + 48, 4) & 0x82000000 != 0x80000000
    else:
        bit = heap.image.enums["PG_slab"]
        assert flags >> bit & 1
        assert not word(heap, slab.page + stride) >> bit & 1
    assert slab.va % (4096 << 2) == heap.image.page_offset % (4096 << 2)
    width = {"3.10": 10, "el7-1160": 10, "5.10-i386": 0}.get(name, 6)
    assert flags >> (8 * heap.layout.word - width) == heap.nodes - 1


@pytest.mark.parametrize(("name", "bit"), [("6.9", 8), ("6.12", 9), ("7.3", 9)])
def test_slabs_on_a_nodes_list_are_marked_from_6_8_on(name: str, bit: int) -> None:
    heap = Heap(LAYOUTS[name], seed=24)
    cache = heap.cache("slab_test")
    partial = heap.slab(cache, {1})
    full = heap.slab(cache, range(cache.objects), where="full-unlisted")
    assert [word(heap, slab.page) >> bit & 1 for slab in (partial, full)] == [1, 0]


@every_layout
def test_tails_lead_to_their_head(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=15)
    slab = heap.slab(heap.cache("big", 3000, order=2), {1})
    stride = heap.layout.structs["page"][0]
    for number in (1, 2, 3):
        tail = slab.page + number * stride
        if name in ("3.10", "el7-1160"):
            assert word(heap, tail) >> 15 & 1
            assert word(heap, tail + 48) == slab.page
        elif name == "7.1":
            info = word(heap, tail + 8)
            assert info == 2**64 - 4 * 64 + 1
            assert tail & (info - 1) == slab.page
        else:
            offset = {"5.10-i386": 4, "4.4": 32, "4.9": 32, "4.12": 32, "4.14": 32}.get(name, 8)
            assert word(heap, tail + offset) == slab.page + 1


def test_a_failed_destroy_flushes_first() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=16)
    cache = heap.cache("slab_test", 84)
    busy = heap.slab(cache, {1}, where="cpu", cpu_freelist=[2, 3])
    empty = heap.slab(cache, node=0)
    behind = heap.slab(cache, node=1)
    heap.leave_behind(cache)
    assert heap.truth()[cache.address].slabs == {busy.page, behind.page}
    assert counters(heap, busy) == (1, busy.objects, 0)
    assert len(freelist(heap, busy)) == busy.objects - 1
    assert not word(heap, empty.page) >> heap.image.enums["PG_slab"] & 1
    assert word(heap, empty.page + 24) == cache.address
    assert member(heap, "kmem_cache", cache.address, "refcount") == 0
    cpu = cache.cpu_slab + heap.image.percpu_offsets[0]
    assert member(heap, "kmem_cache_cpu", cpu, "slab") == 0


@every_layout
def test_what_a_failed_destroy_leaves_on_the_list(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=17)
    cache = heap.cache("slab_test")
    heap.slab(cache, {1})
    newer = heap.cache("newer")
    heap.leave_behind(cache)
    # Where its struct was freed, a free pointer may lie on one of its links.
    on_list = caches_on_list(heap, backwards=name not in ("6.2", "6.5"))
    mine = [one for one in on_list if one in (cache.address, newer.address)]
    if name in ("3.10", "el7-1160"):
        assert mine == [cache.address, newer.address]
    elif older_than(name, "6.12"):
        assert mine == [newer.address, cache.address]
    else:
        assert mine == [newer.address]
        link = cache.address + heap.layout.structs["kmem_cache"][1]["list"][0]
        assert word(heap, link) == 0xDEAD000000000100
        assert word(heap, link + 8) == 0xDEAD000000000122
    boot = word(heap, heap.image.symbols["kmem_cache"])
    freed = cache.address in heap.truth()[boot].free
    assert freed == (name in ("6.2", "6.5"))


def test_a_freed_leftover_is_reused_and_makes_a_cycle() -> None:
    heap = Heap(LAYOUTS["6.5"], seed=18)
    older, cache, newer = heap.cache("older"), heap.cache("slab_test"), heap.cache("newer")
    lost = heap.slab(cache, {1})
    heap.leave_behind(cache)
    again = heap.cache("again", 200)
    assert again.address == cache.address
    offset = heap.layout.structs["kmem_cache"][1]["list"][0]
    steps, link = [], word(heap, heap.image.symbols["slab_caches"])
    for _ in range(3):
        steps.append(link - offset)
        link = word(heap, link)
    assert steps == [again.address, newer.address, again.address]
    back, link = [], word(heap, heap.image.symbols["slab_caches"] + 8)
    for _ in range(3):
        back.append(link - offset)
        link = word(heap, link + 8)
    assert back[2] == older.address
    assert word(heap, lost.page + 8) == again.address
    assert lost.page in heap.truth()[again.address].slabs


@pytest.mark.parametrize("name", ["6.18", "7.0", "7.1", "7.3"])
def test_sheaves(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=19)
    cache = heap.cache("slab_test", 84, sheaves=32 if name == "6.18" else None)
    assert member(heap, "kmem_cache", cache.address, "sheaf_capacity") == (
        32 if name == "6.18" else 60
    )
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    objects = [slab.object(index) for index in range(cache.objects)]
    main = heap.sheaf(cache, objects[:5], cpu=1)
    rcu = heap.sheaf(cache, objects[5:7], where="rcu_free", cpu=0)
    spare = heap.sheaf(cache, objects[7:9], where="spare", cpu=1)
    barn = heap.sheaf(cache, objects[9:12], where="barn", node=1)
    loose = heap.sheaf(cache, objects[12:13], where="loose")
    at = cache.cpu_sheaves + heap.image.percpu_offsets[1]
    assert [word(heap, at + offset) for offset in (8, 16, 24)] == [main.address, spare.address, 0]
    assert word(heap, cache.cpu_sheaves + heap.image.percpu_offsets[0] + 24) == rcu.address
    if name in ("6.18", "7.0"):
        node_barn = word(heap, cache.nodes[1] + 64)
    else:
        array = heap.layout.structs["kmem_cache"][1]["per_node"][0]
        node_barn = word(heap, cache.address + array + 16)
        assert word(heap, cache.address + array + 24) == cache.nodes[1]
    assert listed(heap, node_barn + 8) == [barn.address]
    for sheaf, expected in ((main, objects[:5]), (barn, objects[9:12]), (loose, objects[12:13])):
        assert word(heap, sheaf.address + 16) == cache.address
        assert heap.image.get(sheaf.address + 24, 4) == len(expected)
        assert [word(heap, sheaf.address + 32 + 8 * i) for i in range(len(expected))] == expected
    assert word(heap, loose.address + 8) == heap.image.symbols["rcu_free_sheaf"]
    assert counters(heap, slab) == (slab.objects, slab.objects, 0)
    truth = heap.truth()
    mine = truth[cache.address]
    assert mine.free == {*objects[:5], *objects[7:12]}
    assert mine.rcu == {*objects[5:7], objects[12]}
    assert mine.allocated == set(objects[13:])
    kmalloc = set().union(*(one.allocated for at, one in truth.items() if at != cache.address))
    assert {sheaf.address for sheaf in (main, rcu, spare, barn, loose)} <= kmalloc
    heap.leave_behind(cache)
    assert heap.truth()[cache.address].rcu == set()
    assert counters(heap, slab)[0] == slab.objects - 13


@pytest.mark.parametrize("name", ["6.18", "7.0", "7.1", "7.3"])
def test_deferred_frees(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=25)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    first, second, third = (slab.object(index) for index in (3, 4, 5))
    heap.defer(cache, [first, second], cpu=1)
    symbol = "deferred_percpu_work" if name == "7.3" else "defer_free_objects"
    base = heap.image.symbols[symbol] + heap.image.percpu_offsets[1]
    assert word(heap, base) == second + 40
    assert word(heap, second + 40) == first + 40
    assert word(heap, first + 40) == 0
    rcu = set()
    if name == "7.3":
        heap.defer(cache, [third], cpu=1, rcu=True)
        sheaf = heap.sheaf(cache, [slab.object(6)], where="deferred", cpu=1)
        assert word(heap, base + 8) == third + 8
        assert word(heap, base + 16) == sheaf.address
        rcu = {third, slab.object(6)}
    else:
        with pytest.raises(ValueError, match="no list of deferred"):
            heap.defer(cache, [third], rcu=True)
    truth = heap.truth()[cache.address]
    assert (truth.free, truth.rcu) == ({first, second}, rcu)
    assert counters(heap, slab) == (slab.objects, slab.objects, 0)
    heap.leave_behind(cache)
    assert word(heap, base) == 0
    assert heap.truth()[cache.address].rcu == set()
    assert len(freelist(heap, slab)) == 2 + len(rcu)


@every_layout
def test_nobody_holds_slab_mutex(name: str) -> None:
    heap = Heap(LAYOUTS[name])
    mutex = heap.image.symbols["slab_mutex"]
    unlocked = struct.pack("<I", 1) if older_than(name, "4.12") else bytes(4)
    assert heap.image.read(mutex, 4) == unlocked
    assert member(heap, "mutex", mutex, "owner") == 0


@pytest.mark.parametrize("name", ["7.0", "7.1", "7.3"])
def test_caches_without_sheaves_share_the_bootstrap_one(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=20)
    cache = heap.cache("dbg", store_user=True)
    assert member(heap, "kmem_cache", cache.address, "sheaf_capacity") == 0
    main = word(heap, cache.cpu_sheaves + heap.image.percpu_offsets[0] + 8)
    assert main == heap.image.symbols["bootstrap_sheaf"]
    assert word(heap, main + 16) == 0


@pytest.mark.parametrize("name", ["3.10", "4.4", "4.9", "4.12", "4.18", "5.7"])
def test_memcg_children(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=21)
    root = heap.cache("dentry")
    child = heap.cache("dentry(12:group)", root=root)
    params = heap.layout.structs["kmem_cache"][1]["memcg_params"][0]
    at = child.address + params
    if name == "3.10":
        assert word(heap, root.address + params) == 0
        assert heap.image.read(word(heap, at), 1) == b"\0"
        assert word(heap, word(heap, at) + 32) == root.address
    elif name in ("4.4", "4.9"):
        assert heap.image.read(root.address + params, 1) == b"\1"
        assert heap.image.read(at, 1) == b"\0"
        assert word(heap, at + 32) == root.address
    else:
        assert word(heap, root.address + params) == 0
        assert word(heap, at) == root.address


def test_the_same_seed_is_the_same_memory() -> None:
    def build(seed: int) -> List[Tuple[int, bytes]]:
        heap = Heap(LAYOUTS["6.12"], seed=seed)
        heap.slab(heap.cache("slab_test"), {1})
        return list(heap.image.extents())

    assert build(1) == build(1)
    assert build(1) != build(2)


def test_a_changed_heap_is_written_again() -> None:
    heap = Heap(LAYOUTS["5.10"], seed=22)
    cache = heap.cache("slab_test")
    assert member(heap, "kmem_cache_node", cache.nodes[0], "nr_slabs") == 0
    heap.slab(cache, {1})
    assert member(heap, "kmem_cache_node", cache.nodes[0], "nr_slabs") == 1
    assert heap.image is heap.image


def test_memory_has_an_absent_section_between_nodes() -> None:
    heap = Heap(LAYOUTS["6.1"])
    (_, end), (start, last) = heap.image.present
    assert end < start
    assert heap.image.phys_to_page(end * 4096) is None
    assert heap.image.phys_to_page(start * 4096) == heap.image.vmemmap + start * 64
    assert word(heap, heap.image.symbols["max_pfn"]) == last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"allocated": {0}, "where": "full"}, "no free object"),
        ({"allocated": range(46), "where": "full"}, "STORE_USER"),
        ({"allocated": range(46)}, "no partial list"),
        ({"allocated": {46}}, "no such index"),
        ({"where": "attic"}, "no such place"),
        ({"where": "cpu", "cpu": 9}, "no per-CPU slabs"),
        ({"cpu_freelist": [1]}, "only a cpu slab"),
        ({"node": 5}, "no node 5"),
    ],
)
def test_what_no_kernel_has_is_refused(arguments: Dict[str, object], message: str) -> None:
    heap = Heap(LAYOUTS["5.10"])
    cache = heap.cache("slab_test", 84)
    assert cache.objects == 46
    with pytest.raises(ValueError, match=message):
        heap.slab(cache, **arguments)  # type: ignore[arg-type]


def test_caches_that_no_kernel_has_are_refused() -> None:
    with pytest.raises(ValueError, match="whole kernel"):
        Heap(LAYOUTS["3.10"]).cache("c", hardened=True)
    with pytest.raises(ValueError, match="no slab debugging"):
        Heap(LAYOUTS["6.6-tiny"]).cache("c", poison=True)
    with pytest.raises(ValueError, match="no sheaves"):
        Heap(LAYOUTS["6.12"]).cache("c", sheaves=32)
    heap = Heap(LAYOUTS["6.12"])
    cache = heap.cache("c")
    with pytest.raises(ValueError, match="memcg"):
        heap.cache("child", root=cache)
    with pytest.raises(ValueError, match="empty cache"):
        heap.leave_behind(cache)


@every_layout
def test_nothing_is_in_two_states(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=23)
    for number in range(20):
        heap.slab(heap.cache(f"cache{number}", 64 + 40 * number), {0, 1})
    for truth in heap.truth().values():
        states: List[Set[int]] = [truth.allocated, truth.free, truth.rcu]
        assert sum(map(len, states)) == len(set().union(*states))
