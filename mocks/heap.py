# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the memory of a kernel of any layout, with caches and slabs as a test wants them.

    heap = Heap(LAYOUTS["6.12"], seed=1)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, allocated={3}, node=1)
    heap.leave_behind(cache)
    FakeCrash(heap.image), heap.truth()

It knows SLUB's rules for what may be where. Changes to the image made by a test or by
mocks.damage last until the heap is changed again: then everything is written anew.
"""

from __future__ import annotations

from random import Random
from typing import Callable, Collection, Dict, List, NamedTuple, Optional, Sequence, Set, Union

from mocks.arena import Arena
from mocks.deferred import Deferred
from mocks.filling import Filler
from mocks.flags import debug_flags, flag
from mocks.geometry import measure_cache, sheaf_capacity
from mocks.image import Image
from mocks.layouts import KernelLayout
from mocks.model import Cache, Part, Sheaf, Slab
from mocks.writer import Writer

Content = Callable[[int], bytes]
"""Index of an object -> its bytes, at most object_size."""


class Truth(NamedTuple):
    """What is so in a cache. Addresses: slabs are struct page *, the others objects."""

    slabs: Set[int]
    allocated: Set[int]
    free: Set[int]
    """On a freelist, in a sheaf that isn't waiting for RCU, or put off by kfree_nolock()."""
    rcu: Set[int]
    """Freed through kfree_rcu, in a sheaf or on a list until the grace period is over."""


class Heap:
    """cpus: how many, or which CPUs are possible. pages: page frames of each node."""

    def __init__(
        self,
        layout: KernelLayout,
        seed: int = 0,
        *,
        cpus: Union[int, Sequence[int]] = 2,
        nodes: int = 2,
        pages: int = 4096,
    ) -> None:
        self.layout = layout
        self.nodes = nodes if layout.nodes_shift else 1
        self.cpus = list(range(cpus)) if isinstance(cpus, int) else list(cpus)
        self.rng = Random(seed)
        self.caches: List[Cache] = []
        """In order of creation, the two boot caches first."""
        self._arena = Arena(layout, self.rng, self.cpus, self.nodes, pages)
        self._head = self._arena.variable("slab_caches", 2 * layout.word)
        bootstrap = 0
        if layout.sheaves != "none":
            bootstrap = self._arena.variable("bootstrap_sheaf", layout.structs["slab_sheaf"][0])
            self._rcu_free_sheaf = self._arena.function("rcu_free_sheaf")
        self.writer = Writer(self._arena.image, layout, bootstrap)
        self._filler = Filler(self.writer, self.rng, self._arena.function("kmem_cache_alloc"))
        self.writer.ring(self._head, [])
        self._deferred = Deferred(self._arena, self.writer, self.cpus)
        self.parts: List[Part] = self._deferred.parts()
        """What lies beside caches and slabs; mocks.kfence and mocks.kernfs add theirs."""
        mutex = self._arena.variable("slab_mutex", layout.structs["mutex"][0])
        self.writer.set("mutex", mutex, count=1, owner=0)
        self._kmalloc_caches: Dict[int, Cache] = {}
        self._dirty = True
        self._boot()

    def __repr__(self) -> str:
        caches = ", ".join(
            f"{cache.name!r}@{cache.address:x} ({cache.object_size} bytes, "
            f"slabs: {' '.join(slab.where for slab in cache.slabs)})"
            for cache in self.caches
        )
        return f"Heap({self.layout.name}, cpus={self.cpus}, nodes={self.nodes}: {caches})"

    @property
    def image(self) -> Image:
        """The memory, with everything that was asked for written into it."""
        if self._dirty:
            for cache in self.caches:
                if not cache.frozen:
                    self.writer.cache(cache)
            self._deferred.write()
            self._dirty = False
        return self._arena.image

    def flag(self, name: str) -> int:
        """The mask of SLAB_<name> in this layout, 0 where it has none."""
        return flag(self.layout, name)

    def function(self, name: str, module: bool = False) -> int:
        """The address of a function of the kernel, or of a module: a ctor, say."""
        return self._arena.function(name, module)

    def truth(self) -> Dict[int, Truth]:
        """cache address -> what is so. Two caches at one address (reused) are one entry."""
        found: Dict[int, Truth] = {}
        for cache in self.caches:
            truth = found.setdefault(cache.address, Truth(set(), set(), set(), set()))
            for slab in cache.slabs:
                truth.slabs.add(slab.page)
                truth.allocated.update(map(slab.object, slab.allocated))
                truth.free.update(map(slab.object, [*slab.chain, *slab.cpu_chain]))
            for sheaf in cache.sheaves():
                pending = sheaf in cache.rcu_free.values() or sheaf in cache.loose
                (truth.rcu if pending else truth.free).update(sheaf.objects)
            truth.free.update(self._deferred.free(cache))
            truth.rcu.update(self._deferred.pending(cache))
        return found

    # caches ---------------------------------------------------------------------------

    def cache(
        self,
        name: Union[str, bytes],
        object_size: int = 84,
        *,
        refcount: int = 1,
        flags: int = 0,
        ctor: int = 0,
        order: int = 0,
        objects: Optional[int] = None,
        align: int = 8,
        red_zone: bool = False,
        poison: bool = False,
        store_user: bool = False,
        hardened: Optional[bool] = None,
        listed: bool = True,
        offset: Optional[int] = None,
        nodes: Optional[int] = None,
        sheaves: Optional[int] = None,
        root: Optional[Cache] = None,
    ) -> Cache:
        """A new cache, at the head of slab_caches.

        order: at least; raised until an object fits. nodes: how many have a kmem_cache_node;
        None: all.
        sheaves: their capacity; None: what the kernel gives such a cache, 0: none.
        root: makes it a memcg child of that cache (layouts up to 5.8).
        """
        if hardened not in (None, self.layout.hardened is not None):
            raise ValueError(f"{self.layout.name}: hardening is a matter of the whole kernel")
        if root and self.layout.memcg == "none":
            raise ValueError(f"{self.layout.name} has no memcg children")
        debugging = {"RED_ZONE": red_zone, "POISON": poison, "STORE_USER": store_user}
        flags |= sum(self.flag(key) for key, wanted in debugging.items() if wanted)
        if any(debugging.values()) and not self.layout.has("kmem_cache_node", "nr_slabs"):
            raise ValueError(f"{self.layout.name} has no slab debugging")
        new = self._create(
            name, object_size, flags, ctor, order, objects, max(align, self.layout.word), offset
        )
        new.refcount = refcount
        new.root = root
        self._equip(new, self.nodes if nodes is None else min(nodes, self.nodes), sheaves)
        if listed:
            self._list_add(new)
        return new

    def _create(
        self,
        name: Union[str, bytes],
        object_size: int,
        flags: int,
        ctor: int = 0,
        order: int = 0,
        objects: Optional[int] = None,
        align: int = 8,
        offset: Optional[int] = None,
    ) -> Cache:
        debug = bool(flags & debug_flags(self.layout))
        if flags & self.flag("POISON") and not ctor and not flags & self.flag("TYPESAFE_BY_RCU"):
            flags |= self.flag("OBJECT_POISON")
        if not debug:
            flags |= self.flag("CMPXCHG_DOUBLE")
        geometry = measure_cache(
            self.layout, object_size, flags, ctor, align, order, objects, offset
        )
        red_left = geometry.red_left if flags & self.flag("RED_ZONE") else 0
        random = 0
        if self.layout.hardened:
            random = self.rng.getrandbits(8 * self.layout.word) | 1
        text = name.encode() if isinstance(name, str) else name
        self._dirty = True
        return Cache(text, geometry, flags, ctor, align, 1, random, red_left, debug)

    def _equip(self, cache: Cache, nodes: int, sheaves: Optional[int]) -> None:
        """Everything that a cache's struct points to."""
        structs = self.layout.structs
        if not cache.address:
            cache.address = self._take(self._boot_cache)
            self._arena.image.write(cache.address, bytes(self._boot_cache.object_size))
        cache.name_address = self._arena.string(cache.name)
        self.caches.append(cache)
        for node in range(nodes):
            cache.nodes[node] = self._take(self._boot_nodes)
        if cache.root and self.layout.memcg == "pointer":
            params = bytes(structs["memcg_cache_params"][0])
            cache.memcg_params = self._arena.bytes_copy(params)
        if self.layout.has("kmem_cache_cpu"):
            cache.cpu_slab = self._arena.percpu(structs["kmem_cache_cpu"][0])
        cache.capacity = self._capacity(cache) if sheaves is None else sheaves
        if cache.capacity and self.layout.sheaves == "none":
            raise ValueError(f"{self.layout.name} has no sheaves")
        if cache.capacity or self.layout.sheaves == "most":
            cache.cpu_sheaves = self._arena.percpu(structs["slub_percpu_sheaves"][0])
        if cache.capacity:
            for node in range(nodes):
                cache.barns[node] = self._kmalloc(structs["node_barn"][0])
            for cpu in self.cpus:
                cache.main[cpu] = self._new_sheaf(cache)

    def _capacity(self, cache: Cache) -> int:
        without = sum(map(self.flag, ("NO_OBJ_EXT", "NO_SHEAVES", "NOLEAKTRACE")))
        if self.layout.sheaves != "most" or cache.debug or cache.flags & without:
            return 0
        return sheaf_capacity(self.layout, cache.size)

    def _boot(self) -> None:
        """kmem_cache and kmem_cache_node: each lies, with all others, in a slab of the first."""
        word = self.layout.word
        per_node = self.layout.has("kmem_cache", "per_node")
        array = self.layout.structs["kmem_cache"][1]["per_node" if per_node else "node"][0]
        trimmed = array + self.nodes * (2 * word if per_node else word)
        flags = self.flag("HWCACHE_ALIGN") | self.flag("PANIC")
        flags |= self.flag("NO_SHEAVES") or self.flag("NO_OBJ_EXT")
        node_size = self.layout.structs["kmem_cache_node"][0]
        self._boot_nodes = self._create("kmem_cache_node", node_size, flags, align=64)
        self._boot_cache = self._create("kmem_cache", trimmed, flags, align=64)
        for cache in (self._boot_cache, self._boot_nodes):
            self._equip(cache, self.nodes, 0)
            self._list_add(cache)
            symbol = self._arena.variable(cache.name.decode())
            self._arena.image.pointer(symbol, cache.address)

    def _list_add(self, cache: Cache) -> None:
        """list_add(&cache->list, &slab_caches), on memory."""
        image, word = self._arena.image, self.layout.word
        link = self.writer.member("kmem_cache", cache.address, "list")
        after = image.get(self._head, word)
        self.writer.set("list_head", after, prev=link)
        self.writer.set("list_head", link, next=after, prev=self._head)
        self.writer.set("list_head", self._head, next=link)

    def _list_del(self, cache: Cache) -> None:
        """list_del(&cache->list), on memory, poison included."""
        image, word = self._arena.image, self.layout.word
        link = self.writer.member("kmem_cache", cache.address, "list")
        after, before = image.get(link, word), image.get(link + word, word)
        self.writer.set("list_head", after, prev=before)
        self.writer.set("list_head", before, next=after)
        poison = self.layout.place.poison
        self.writer.set("list_head", link, next=poison[0], prev=poison[1])

    # slabs ----------------------------------------------------------------------------

    def slab(
        self,
        cache: Cache,
        allocated: Collection[int] = (),
        *,
        node: int = 0,
        where: str = "partial",
        cpu: int = 0,
        cpu_freelist: Sequence[int] = (),
        content: Optional[Content] = None,
        objects: Optional[int] = None,
        order: Optional[int] = None,
    ) -> Slab:
        """A new slab of a cache with these objects in use.

        where: partial, full (the node's full list), full-unlisted, cpu or cpu_partial.
        cpu_freelist: for a cpu slab, the objects on the CPU's own freelist, in its order;
        the rest of the free ones is on the slab's. objects: fewer than the cache's slabs have.
        """
        order = cache.order if order is None else order
        if objects is None:
            fit = (self.layout.page_size << order) // cache.size
            objects = cache.objects if order == cache.order else fit
        free = set(range(objects)) - set(allocated) - set(cpu_freelist)
        self._check_place(cache, where, node, cpu, bool(free), bool(cpu_freelist))
        if not set(allocated) | set(cpu_freelist) <= set(range(objects)):
            raise ValueError(f"a slab of {objects} objects has no such index")
        chain = sorted(free)
        self.rng.shuffle(chain)
        return self._add_slab(
            cache, set(allocated), chain, list(cpu_freelist), node, order, where, cpu, content
        )

    def _add_slab(
        self,
        cache: Cache,
        allocated: Set[int],
        chain: List[int],
        cpu_chain: List[int],
        node: int,
        order: int,
        where: str,
        cpu: int = -1,
        content: Optional[Content] = None,
    ) -> Slab:
        frame = self._arena.frames(node, order)
        page = self._arena.page_of(frame)
        va = self._arena.image.page_to_virt(page)
        objects = len(allocated) + len(chain) + len(cpu_chain)
        cpu = cpu if where in ("cpu", "cpu_partial") else -1
        slab = Slab(cache, page, va, node, order, objects, where, cpu, allocated, chain, cpu_chain)
        cache.slabs.append(slab)
        self._filler.fill(slab, content)
        self._dirty = True
        return slab

    def _check_place(
        self, cache: Cache, where: str, node: int, cpu: int, free: bool, cpu_free: bool
    ) -> None:
        if node not in cache.nodes:
            raise ValueError(f"the cache has no node {node}")
        if where not in ("partial", "full", "full-unlisted", "cpu", "cpu_partial"):
            raise ValueError(f"no such place: {where}")
        if where.startswith("full") and free:
            raise ValueError("a full slab has no free object")
        if where.endswith("partial") and not free:
            raise ValueError("a slab without a free object is on no partial list")
        if where == "full" and not cache.flags & self.flag("STORE_USER"):
            raise ValueError("only caches with SLAB_STORE_USER have a full list")
        if where.startswith("cpu"):
            if not cache.cpu_slab or cpu not in self.cpus or cache.debug:
                raise ValueError(f"{self.layout.name}: no per-CPU slabs of this cache there")
            if where == "cpu" and any(s.where == "cpu" and s.cpu == cpu for s in cache.slabs):
                raise ValueError(f"CPU {cpu} has a slab already")
            if where == "cpu_partial" and not self.layout.has("kmem_cache_cpu", "partial"):
                raise ValueError(f"{self.layout.name} has no per-CPU partial slabs")
        if cpu_free and where != "cpu":
            raise ValueError("only a cpu slab has objects on a CPU's freelist")

    def _take(self, cache: Cache) -> int:
        """Allocates an object for the heap's own use, from a new slab where there's none."""
        for slab in cache.slabs:
            if slab.where == "growing" and slab.chain:
                break
        else:
            chain = list(range(cache.objects))
            self.rng.shuffle(chain)
            slab = self._add_slab(cache, set(), chain, [], 0, cache.order, "growing")
        index = slab.chain.pop(0)
        slab.allocated.add(index)
        self._dirty = True
        return slab.object(index)

    def _give_back(self, cache: Cache, address: int) -> None:
        """Frees an object: it's the next one to be handed out."""
        slab = cache.slab_of(address)
        index = slab.index(address)
        slab.allocated.remove(index)
        slab.chain.insert(0, index)
        self._dirty = True

    def _kmalloc_cache(self, size: int) -> Cache:
        size = max(64, 1 << (size - 1).bit_length())
        if size not in self._kmalloc_caches:
            flags = self.flag("KMALLOC")
            cache = self._create(f"kmalloc-{size}", size, flags, align=size)
            # Known before it has what it needs: its sheaves may come out of itself.
            self._kmalloc_caches[size] = cache
            self._equip(cache, self.nodes, None)
            self._list_add(cache)
        return self._kmalloc_caches[size]

    def _kmalloc(self, size: int) -> int:
        address = self._take(self._kmalloc_cache(size))
        self._arena.image.write(address, bytes(size))
        return address

    # sheaves --------------------------------------------------------------------------

    def sheaf(
        self,
        cache: Cache,
        objects: Sequence[int],
        *,
        where: str = "main",
        cpu: int = 0,
        node: int = 0,
    ) -> Sheaf:
        """Moves allocated objects (addresses) into a sheaf.

        where: main, spare, rcu_free, barn, loose (handed to call_rcu(), found only through the
        kmalloc object that it is) or deferred (7.3: on the CPU's list of RCU sheaves).
        """
        if not cache.capacity:
            raise ValueError("the cache has no sheaves")
        if len(objects) > cache.capacity:
            raise ValueError(f"a sheaf holds {cache.capacity} objects")
        self._use_up(cache, objects)
        if where == "main":
            sheaf = cache.main[cpu]
            if sheaf.objects:
                raise ValueError(f"CPU {cpu} has a main sheaf already")
        else:
            sheaf = self._new_sheaf(cache)
        sheaf.objects.extend(objects)
        if where in ("spare", "rcu_free"):
            percpu = cache.spare if where == "spare" else cache.rcu_free
            if cpu in percpu:
                raise ValueError(f"CPU {cpu} has a {where} sheaf already")
            percpu[cpu] = sheaf
        elif where == "barn":
            sheaf.in_barn = True
            cache.full_sheaves.setdefault(node, []).append(sheaf)
        elif where == "loose":
            sheaf.rcu_func = self._rcu_free_sheaf
            cache.loose.append(sheaf)
        elif where == "deferred":
            cache.loose.append(sheaf)
            self._deferred.add_sheaf(cache, sheaf, cpu)
        elif where != "main":
            raise ValueError(f"no such place: {where}")
        self._dirty = True
        return sheaf

    def defer(
        self, cache: Cache, objects: Sequence[int], *, cpu: int = 0, rcu: bool = False
    ) -> None:
        """Frees allocated objects (addresses) with kfree_nolock(), to be done later by a CPU.

        rcu: with kvfree_rcu() instead (7.3).
        """
        if rcu and cache.object_size < 3 * self.layout.word:
            raise ValueError("no room for an rcu_head behind the first word")
        for address in objects:
            self._deferred.add_object(cache, address, cpu, rcu)
        self._use_up(cache, objects)
        self._dirty = True

    def can_defer(self, rcu: bool = False) -> bool:
        """Whether defer() knows such frees in this layout."""
        return self._deferred.has("objects_by_rcu" if rcu else "objects")

    def deferred_links(self) -> Dict[int, int]:
        """The address of each link in an object that defer() has freed -> the object's."""
        return self._deferred.links()

    def _use_up(self, cache: Cache, objects: Sequence[int]) -> None:
        """From now on they are allocated for their slab only."""
        for address in objects:
            slab = cache.slab_of(address)
            slab.allocated.remove(slab.index(address))
            slab.sheaved.add(slab.index(address))

    def _new_sheaf(self, cache: Cache) -> Sheaf:
        return Sheaf(self._kmalloc(self._sheaf_bytes(cache.capacity)), cache.capacity)

    # a failed destroy -----------------------------------------------------------------

    def leave_behind(self, cache: Cache, how: Optional[str] = None) -> None:
        """Destroys a cache that still has objects, as far as this layout's kernel gets.

        how: another state than the layout's (readded, in-place, freed or unlinked).
        Objects in its memcg children count: a busy child keeps its root.
        """
        family = [each for each in self.caches if cache in (each, each.root)]
        if not any(slab.allocated for each in family for slab in each.slabs):
            raise ValueError("destroying an empty cache succeeds")
        how = how or self.layout.leftover
        self._flush(cache)
        cache.refcount = 0
        if how == "readded":
            self._list_del(cache)
            self._list_add(cache)
        elif how == "unlinked":
            self._list_del(cache)
        elif how == "freed" and not cache.flags & self.flag("TYPESAFE_BY_RCU"):
            self._free_struct(cache)
        elif how not in ("in-place", "freed"):
            raise ValueError(f"no such state: {how}")
        self._dirty = True

    def _flush(self, cache: Cache) -> None:
        """What is done before the check for remaining objects fails."""
        self._deferred.drop(cache)
        for slab in cache.slabs:
            slab.chain = [*sorted(slab.sheaved), *slab.chain]
            slab.sheaved.clear()
        for sheaf in cache.sheaves():
            if sheaf not in cache.main.values():
                self._give_back(
                    self._kmalloc_cache(self._sheaf_bytes(sheaf.capacity)), sheaf.address
                )
            sheaf.objects.clear()
        cache.spare.clear()
        cache.rcu_free.clear()
        cache.full_sheaves.clear()
        cache.loose.clear()
        for slab in cache.slabs:
            slab.chain = [*slab.cpu_chain, *slab.chain]
            slab.cpu_chain = []
            slab.cpu = -1
            if slab.chain:
                slab.where = "partial"
            elif slab.where != "full":
                slab.where = "full-unlisted"
        # The first node that is still busy ends it: empty slabs stay on the nodes behind.
        busy = [slab.node for slab in cache.slabs if slab.allocated]
        behind = min(busy, default=self.nodes)
        for slab in [s for s in cache.slabs if s.node <= behind and not s.allocated]:
            cache.slabs.remove(slab)
            self.writer.release(slab)

    def _sheaf_bytes(self, capacity: int) -> int:
        return self.layout.structs["slab_sheaf"][0] + capacity * self.layout.word

    def _free_struct(self, cache: Cache) -> None:
        """The bug of 6.0 to 6.5: everything is freed though it failed, and stays on the list.

        Linux kernel commit 46a9ea668190 ("mm/slab_common: fix slab_caches list corruption
        after kmem_cache_destroy()") (in v6.6).
        """
        self.writer.cache(cache)
        for node in sorted(cache.nodes):
            self._give_back(self._boot_nodes, cache.nodes[node])
        cache.nodes = {}
        self.writer.node_array(cache)
        cache.frozen = True
        self._give_back(self._boot_cache, cache.address)
