# SPDX-License-Identifier: GPL-3.0-or-later
"""Built kernels whose allocator contradicts itself: one damage for each thing that is told of it.

A scene is a function of this file without its underscores; its folder beside it has the command
lines. The damage is a stray write, or memory that the dump lacks; what is damaged is called by
the name of its cache. Causes are scenes.py's.
"""

from __future__ import annotations

from typing import Callable, Dict, Optional

from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.kernfs import SlabDirectory
from mocks.kfence import KfencePool
from mocks.layouts import LAYOUTS
from mocks.model import Slab

NOWHERE = 0x1238
"""An address that nothing is at."""


class Damaged:
    """A kernel to damage. First everything is built, then written over."""

    def __init__(self, layout: str = "6.1") -> None:
        self.heap = Heap(LAYOUTS[layout], seed=5)
        self.image = self.heap.image

    def member(self, struct: str, address: int, name: str) -> int:
        return address + self.image.offset(struct, name)

    def set(self, struct: str, address: int, **values: int) -> None:
        """Overwrites members."""
        for name, value in values.items():
            offset, size = self.image.structs[struct][1][name]
            self.image.put(address + offset, size, value & (1 << 8 * size) - 1)

    def slab(self, slab: Slab, **values: int) -> None:
        """Overwrites members of a slab's descriptor."""
        self.set(self.heap.layout.descriptor, slab.page, **values)

    def counters(
        self, slab: Slab, inuse: Optional[int] = None, objects: Optional[int] = None
    ) -> None:
        """Overwrites a slab's counters."""
        at = self.member(self.heap.layout.descriptor, slab.page, "inuse")
        self.image.put(at, 2, slab.inuse if inuse is None else inuse)
        self.image.put(at + 2, 2, slab.objects if objects is None else objects)

    def link(self, slab: Slab, index: int, to: int) -> None:
        """Overwrites a free object's pointer to the next one."""
        at = slab.object(index) + slab.cache.offset
        self.image.pointer(at, self.heap.writer.encode(slab.cache, at, to))

    def percpu(self, pointer: int, cpu: int) -> int:
        return pointer + self.image.percpu_offsets[cpu]

    def lose(self, address: int, size: int = 8) -> None:
        """Bytes that the dump lacks."""
        self.image.unmap(address, size)

    def done(self) -> FakeCrash:
        return FakeCrash(self.image)


def freelists() -> FakeCrash:
    """Of each slab another counter, head or link of its freelists is overwritten."""
    made = Damaged()
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    slabs = [heap.slab(cache, {1, 2, 3}) for _ in range(8)]
    on_cpu = [
        heap.slab(cache, {1}, where="cpu", cpu=cpu, cpu_freelist=[5, 6, 7]) for cpu in heap.cpus
    ]
    behind = heap.cache("link_behind", 64)
    heap.slab(behind, {1})
    made.image = heap.image
    made.slab(slabs[0], freelist=0)
    made.counters(slabs[1], inuse=1 + cache.objects)
    made.counters(slabs[2], objects=1 + cache.objects)
    made.counters(slabs[3], objects=5)
    made.link(slabs[4], slabs[4].chain[7], slabs[4].object(slabs[4].chain[2]))
    made.counters(slabs[5], inuse=2)
    made.slab(slabs[6], freelist=NOWHERE)
    made.lose(slabs[7].va)
    made.link(on_cpu[0], 6, NOWHERE)
    made.link(on_cpu[1], 7, on_cpu[1].object(on_cpu[1].chain[-1]))
    made.set("kmem_cache", behind.address, offset=behind.size - 4)
    return made.done()


def lists() -> FakeCrash:
    """The nodes' lists of slabs, and the nodes themselves."""
    made = Damaged()
    heap = made.heap
    caches = [heap.cache(f"list_{number}", 84, store_user=number == 6) for number in range(8)]
    slabs = [[heap.slab(cache, {1, 2}, node=number % 2) for number in range(3)] for cache in caches]
    made.image = heap.image
    link = heap.layout.slab_list
    struct = heap.layout.descriptor

    def at(cache: int, number: int) -> int:
        return made.member(struct, slabs[cache][number].page, link)

    node = [cache.nodes for cache in caches]
    made.image.pointer(at(0, 0), at(0, 0) + 3)
    made.image.pointer(at(1, 2), at(1, 0))
    made.slab(slabs[2][1], slab_cache=caches[3].address)
    made.set("kmem_cache_node", node[4][0], nr_partial=7, nr_slabs=9, total_objects=11)
    made.lose(node[5][1])
    full = made.member("kmem_cache_node", node[6][0], "full")
    made.image.pointer(full, at(6, 0))
    made.image.pointer(at(6, 2), full)
    made.image.pointer(heap.writer.member("kmem_cache", caches[7].address, "node"), 0)
    made.set("page", slabs[7][1].page, flags=0)
    return made.done()


def cpus() -> FakeCrash:
    """What CPUs hold of a cache."""
    made = Damaged()
    heap = made.heap
    caches = [heap.cache(f"cpu_{number}", 84) for number in range(5)]
    for cache in caches:
        for _ in range(2):
            heap.slab(cache, {1, 2}, where="cpu_partial", cpu=1)
    made.image = heap.image
    first, second, third, fourth, fifth = caches
    made.set("kmem_cache", first.address, cpu_slab=0)
    made.lose(made.percpu(second.cpu_slab, 1), made.image.sizeof("kmem_cache_cpu"))
    made.set("kmem_cache_cpu", made.percpu(third.cpu_slab, 0), freelist=third.slabs[0].object(5))
    made.slab(fourth.slabs[1], next=fourth.slabs[0].page)
    made.slab(fifth.slabs[0], next=NOWHERE)
    return made.done()


def sheaves() -> FakeCrash:
    """Sheaves on CPUs, in barns and in flight."""
    made = Damaged("7.0")
    heap = made.heap
    caches = [heap.cache(f"sheaf_{number}", 96) for number in range(11)]
    slabs = [heap.slab(cache, set(range(12))) for cache in caches]
    held = [
        heap.sheaf(cache, [slab.object(n) for n in (1, 2, 3)]) for cache, slab in zip(caches, slabs)
    ]
    for cache, slab in zip(caches, slabs):
        heap.sheaf(cache, [slab.object(n) for n in (4, 5)], where="barn")
    made.image = heap.image
    made.set("slab_sheaf", held[0].address, cache=caches[1].address)
    made.set("slab_sheaf", held[1].address, size=4000)
    objects = made.member("slab_sheaf", held[2].address, "objects")
    made.image.pointer(objects, NOWHERE)
    made.image.pointer(objects + 8, slabs[2].object(4))
    made.image.pointer(
        made.member("slab_sheaf", held[3].address, "objects"), slabs[3].object(slabs[3].chain[3])
    )
    made.set("slub_percpu_sheaves", made.percpu(caches[4].cpu_sheaves, 1), main=0)
    made.lose(made.percpu(caches[5].cpu_sheaves, 0), 16)
    made.set("node_barn", caches[6].barns[0], nr_full=5)
    full = made.member("node_barn", caches[7].barns[0], "sheaves_full")
    made.image.pointer(full, full + 1)
    made.image.pointer(
        made.member("slab_sheaf", held[8].address, "rcu_head") + 8,
        made.image.symbols["rcu_free_sheaf"],
    )
    made.set("slub_percpu_sheaves", made.percpu(caches[9].cpu_sheaves, 0), main=NOWHERE)
    objects = made.member("slab_sheaf", held[10].address, "objects")
    made.image.pointer(objects, NOWHERE)
    made.image.pointer(objects + 8, NOWHERE + 8)
    return made.done()


def sheaves_in_flight() -> FakeCrash:
    """Sheaves that wait for RCU: on the CPUs' lists, and found among objects of kmalloc."""
    made = Damaged("7.3")
    heap = made.heap
    caches = [heap.cache(f"flight_{number}", 96) for number in range(4)]
    slabs = [heap.slab(cache, set(range(12))) for cache in caches]
    for where, cache, slab in zip(("deferred", "loose", "deferred", "main"), caches, slabs):
        heap.sheaf(cache, [slab.object(n) for n in (1, 2, 3)], where=where, cpu=1)
    made.image = heap.image
    for slab in slabs[:2]:
        # Free in the slab, too.
        made.image.pointer(
            made.member("slab_sheaf", slab.cache.loose[0].address, "objects"),
            slab.object(slab.chain[3]),
        )
    variable = made.image.symbols["deferred_percpu_work"]
    head = made.member("deferred_percpu_work", made.percpu(variable, 1), "rcu_sheaves")
    last = made.image.get(head, 8)
    made.image.pointer(made.image.get(last, 8), NOWHERE)
    return made.done()


def sheaves_lost() -> FakeCrash:
    """The slabs that sheaves come from are damaged."""
    made = Damaged("7.3")
    heap = made.heap
    caches = [heap.cache(f"lost_{number}", 96) for number in range(8)]
    slabs = [heap.slab(cache, set(range(12))) for cache in caches]
    for cache, slab in zip(caches, slabs):
        heap.sheaf(cache, [slab.object(n) for n in (1, 2, 3)])
    made.image = heap.image
    home = next(cache for cache in heap.caches if cache.name == b"kmalloc-512")
    made.counters(home.slabs[0], objects=0)
    made.set("page", home.slabs[-1].page, page_type=0)
    return made.done()


def sheaves_of_nothing() -> FakeCrash:
    """The struct of the cache that sheaves come from is overwritten."""
    made = Damaged("7.3")
    heap = made.heap
    cache = heap.cache("slab_test", 96)
    slab = heap.slab(cache, set(range(12)))
    heap.sheaf(cache, [slab.object(n) for n in (1, 2, 3)])
    made.image = heap.image
    home = next(each for each in heap.caches if each.name == b"kmalloc-512")
    made.set("kmem_cache", home.address, size=0)
    return made.done()


def no_nodes() -> FakeCrash:
    """The end of a cache's struct is not in the dump: where its nodes and barns would be told."""
    made = Damaged("7.0")
    heap = made.heap
    cache = heap.cache("slab_test", 96)
    heap.slab(cache, {1})
    made.image = heap.image
    made.lose(made.member("kmem_cache", cache.address, "node"), 16)
    return made.done()


def deferred() -> FakeCrash:
    """Frees that were put off, on lists of the CPUs."""
    made = Damaged("7.3")
    heap = made.heap
    cache = heap.cache("slab_test", 96)
    slab = heap.slab(cache, set(range(20)))
    heap.defer(cache, [slab.object(n) for n in (1, 2)], cpu=0)
    heap.defer(cache, [slab.object(n) for n in (3, 4)], cpu=1)
    heap.defer(cache, [slab.object(n) for n in (5, 6)], cpu=1, rcu=True)
    made.image = heap.image
    variable = made.image.symbols["deferred_percpu_work"]

    def head(cpu: int, member: str) -> int:
        return made.member("deferred_percpu_work", made.percpu(variable, cpu), member)

    first = made.image.get(head(0, "objects"), 8)
    made.image.pointer(made.image.get(first, 8), first)
    last = made.image.get(made.image.get(head(1, "objects"), 8), 8)
    made.image.pointer(last, slab.object(9) + 3)
    made.image.pointer(made.image.get(head(1, "objects_by_rcu"), 8), NOWHERE)
    return made.done()


def structs() -> FakeCrash:
    """Of each cache's struct other sizes are overwritten; the list of caches is cut."""
    made = Damaged()
    heap = made.heap
    caches = [heap.cache(f"struct_{number}", 84, red_zone=number == 2) for number in range(6)]
    for cache in caches:
        heap.slab(cache, {1})
    made.image = heap.image
    made.set("kmem_cache", caches[0].address, size=0)
    made.set("kmem_cache", caches[1].address, oo=15 << 16 | 9)
    made.set("kmem_cache", caches[2].address, red_left_pad=caches[2].size)
    made.lose(caches[3].address)
    made.set("kmem_cache", caches[4].address, name=NOWHERE)
    return made.done()


def broken_caches() -> FakeCrash:
    """slab_caches leads nowhere, forward and backward; the boot cache's struct is overwritten."""
    made = Damaged()
    heap = made.heap
    caches = [heap.cache(f"cache_{number}", 84) for number in range(4)]
    for cache in caches:
        heap.slab(cache, {1})
    made.image = heap.image
    links = [made.member("kmem_cache", cache.address, "list") for cache in caches]
    made.image.pointer(links[2], NOWHERE)
    made.image.pointer(links[1] + 8, links[2] + 1)
    made.set("kmem_cache", made.image.get(made.image.symbols["kmem_cache"], 8), size=0)
    return made.done()


def boot_cache() -> FakeCrash:
    """A slab of the boot cache has lost its freelist; a page names no cache."""
    made = Damaged("6.12")
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    slabs = [heap.slab(cache, {1, 2}, where="partial") for _ in range(2)]
    heap.leave_behind(cache)
    made.image = heap.image
    boot = heap.caches[0].slabs[0]
    made.counters(boot, inuse=boot.inuse + 1)
    made.slab(slabs[1], slab_cache=slabs[0].va)
    return made.done()


def no_caches() -> FakeCrash:
    """Not one struct of a cache is in order."""
    made = Damaged()
    for cache in made.heap.caches:
        made.set("kmem_cache", cache.address, size=0)
    return made.done()


def no_symbols() -> FakeCrash:
    """A kernel whose symbols slab_caches and kmem_cache are not to be had."""
    made = Damaged()
    cache = made.heap.cache("slab_test", 84)
    made.heap.slab(cache, {1})
    made.image = made.heap.image
    for name in ("slab_caches", "kmem_cache"):
        del made.image.symbols[name]
    return made.done()


def sysfs() -> FakeCrash:
    """/sys/kernel/slab has a cycle, and an entry that leads nowhere."""
    made = Damaged()
    heap = made.heap
    cache = heap.cache("slab_test", 84, refcount=3)
    heap.slab(cache, {1})
    made.image = heap.image
    directory = SlabDirectory(heap)
    target = directory.directory(cache, b":0000088")
    names = (b"one", b"slab_test", b"two", b"three", b"four")
    entries = [directory.link(target, name) for name in names]
    made.set("kernfs_node", entries[1], symlink=NOWHERE)
    directory.cycle(entries[3])
    made.set("rb_node", directory.rb_node(entries[4]), rb_right=NOWHERE)
    return made.done()


def no_sysfs() -> FakeCrash:
    """slab_kset leads nowhere."""
    made = Damaged()
    heap = made.heap
    cache = heap.cache("slab_test", 84, refcount=3)
    heap.slab(cache, {1})
    made.image = heap.image
    SlabDirectory(heap)
    made.image.pointer(made.image.symbols["slab_kset"], NOWHERE)
    return made.done()


def freed_struct() -> FakeCrash:
    """v6.0 to v6.5 free the struct of a leftover; slabs that name it may be of a later one."""
    made = Damaged("6.1")
    heap = made.heap
    cache = heap.cache("slab_test", 2000, order=1)
    slabs = [heap.slab(cache, {1, 2}, where="partial") for _ in range(3)]
    heap.leave_behind(cache, "freed")
    made.image = heap.image
    made.counters(slabs[0], objects=cache.objects - 1)
    made.set("page", slabs[1].page + made.image.sizeof("page"), compound_head=0)
    return made.done()


def unknown_nodes() -> FakeCrash:
    """A kernel that keeps the nodes of its pages elsewhere."""
    made = Damaged()
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, set(range(cache.objects)), where="full-unlisted")
    made.image = heap.image
    made.image.symbols["section_to_node_table"] = made.image.symbols["slab_caches"]
    return made.done()


def counts() -> FakeCrash:
    """Slabs on no list that by the node's counts can't all be the cache's."""
    made = Damaged()
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    for _ in range(3):
        heap.slab(cache, set(range(cache.objects)), where="full-unlisted")
    made.image = heap.image
    made.set("kmem_cache_node", cache.nodes[0], nr_slabs=9, total_objects=2 * cache.objects)
    return made.done()


def uncounted() -> FakeCrash:
    """A kernel that counts no slabs, and a dump that lacks some page structures."""
    made = Damaged("6.6-tiny")
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1})
    made.image = heap.image
    made.lose(slab.page & -4096, 4096)
    return made.done()


def unlisted() -> FakeCrash:
    """The struct of an unlinked leftover is overwritten."""
    made = Damaged("6.12")
    heap = made.heap
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, {1, 2})
    heap.leave_behind(cache)
    made.image = heap.image
    made.set("kmem_cache", cache.address, size=0)
    return made.done()


class _Pool(Damaged):
    """Two caches, and a KFENCE pool with an object of each."""

    def __init__(self, objects: int = 4) -> None:
        super().__init__()
        self.caches = [self.heap.cache(name, 84) for name in ("slab_test", "other")]
        for cache in self.caches:
            self.heap.slab(cache, {1})
        self.image = self.heap.image
        self.pool = KfencePool(self.heap, objects)
        self.pool.put(0, self.caches[0], 84)
        self.pool.put(1, self.caches[1], 80, right=True)

    def entry(self, number: int) -> int:
        """The struct kfence_metadata of an object."""
        return self.pool.metadata + number * self.image.sizeof("kfence_metadata")


def kfence_metadata() -> FakeCrash:
    """Entries of it are overwritten, and pages of the pool."""
    made = _Pool(8)
    made.pool.put(2, made.caches[0], 84)
    made.pool.put(3, made.caches[0], 84)
    made.set("kfence_metadata", made.entry(4), addr=NOWHERE)
    made.set("kfence_metadata", made.entry(5), state=9)
    made.set("kfence_metadata", made.entry(1), cache=NOWHERE)
    made.set("page", made.pool.descriptor(2), flags=0)
    made.set(
        made.heap.layout.descriptor, made.pool.descriptor(3), slab_cache=made.caches[1].address
    )
    made.pool.put(6, made.caches[1], 84)
    made.set("kfence_metadata", made.entry(6), cache=NOWHERE)
    return made.done()


def kfence_cut() -> FakeCrash:
    """The dump lacks the end of it."""
    made = _Pool(8)
    made.lose(made.entry(5), 3 * made.image.sizeof("kfence_metadata"))
    return made.done()


def kfence_unread() -> FakeCrash:
    """The dump lacks the variable that has the pool's address."""
    made = _Pool()
    made.lose(made.image.symbols["__kfence_pool"])
    return made.done()


def kfence_unknown() -> FakeCrash:
    """The symbols don't have it."""
    made = _Pool()
    del made.image.symbols["kfence_metadata"]
    return made.done()


def kfence_members() -> FakeCrash:
    """The debug information lacks a member of it."""
    made = _Pool()
    del made.image.structs["kfence_metadata"][1]["state"]
    return made.done()


def kfence_none() -> FakeCrash:
    """There is none where the pool's objects would be."""
    made = _Pool()
    for number in range(4):
        made.set("kfence_metadata", made.entry(number), addr=NOWHERE)
    return made.done()


def kfence_elsewhere() -> FakeCrash:
    """The variable leads out of the direct map, and the metadata follow it."""
    made = _Pool()
    pool = 0x10000000
    made.image.pointer(made.image.symbols["__kfence_pool"], pool)
    for number in range(4):
        made.set("kfence_metadata", made.entry(number), addr=pool + 8192 * (number + 1))
    return made.done()


def kfence_page() -> FakeCrash:
    """There is no metadata; a slab of one object on no list is as a page of the pool is."""
    made = Damaged("6.12")
    heap = made.heap
    cache = heap.cache("large", 3000)
    lost = heap.slab(cache, {0}, where="full-unlisted")
    pool = KfencePool(heap)
    pool.put(0, cache, 3000, state="FREED")
    made.image = heap.image
    made.set("page", lost.page, page_type=0)
    made.image.pointer(made.image.symbols["kfence_metadata"], NOWHERE)
    return made.done()


def red_zones() -> FakeCrash:
    """Written over, or contradicted by the freelist."""
    made = Damaged()
    cache = made.heap.cache("slab_test", 84, red_zone=True)
    slab = made.heap.slab(cache, {1, 2, 3})
    made.image = made.heap.image
    made.image.write(slab.object(1) - 8, b"\xde\xad\xbe\xef")
    made.image.write(slab.object(2) - cache.red_left, b"\xbb" * cache.red_left)
    made.image.write(slab.object(5) - cache.red_left, b"\xcc" * cache.red_left)
    return made.done()


DAMAGES: Dict[str, Callable[[], FakeCrash]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        freelists,
        lists,
        cpus,
        sheaves,
        sheaves_in_flight,
        sheaves_lost,
        sheaves_of_nothing,
        no_nodes,
        deferred,
        structs,
        broken_caches,
        boot_cache,
        no_caches,
        no_symbols,
        sysfs,
        no_sysfs,
        freed_struct,
        counts,
        unknown_nodes,
        uncounted,
        unlisted,
        kfence_metadata,
        kfence_cut,
        kfence_unread,
        kfence_unknown,
        kfence_members,
        kfence_none,
        kfence_elsewhere,
        kfence_page,
        red_zones,
    )
}
"""Folder -> what builds its kernel."""
