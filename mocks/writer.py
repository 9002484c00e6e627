# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a cache with its slabs into memory the way a kernel of the layout has it there.

Idempotent: writing a changed model again gives what the kernel would have. The links of
slab_caches are not its business: those are kept by real list operations.
"""

from __future__ import annotations

from typing import List, Sequence

from mocks.image import Image
from mocks.layouts import KernelLayout
from mocks.model import Cache, Sheaf, Slab


class Writer:
    """Over one image of one layout."""

    def __init__(self, image: Image, layout: KernelLayout, bootstrap_sheaf: int) -> None:
        self.image = image
        self.layout = layout
        self.bootstrap_sheaf = bootstrap_sheaf

    def member(self, struct: str, address: int, name: str) -> int:
        """The address of a member."""
        return address + self.layout.structs[struct][1][name][0]

    def set(self, struct: str, address: int, **values: int) -> None:
        """Writes members, each in its own width; those that the layout lacks are left out."""
        members = self.layout.structs[struct][1]
        for name, value in values.items():
            if name in members:
                offset, size = members[name]
                self.image.put(address + offset, size, value)

    def ring(self, head: int, links: Sequence[int]) -> None:
        """A circular list: the head and these list_heads, in order."""
        ring = [head, *links]
        for here, after in zip(ring, [*ring[1:], head]):
            self.set("list_head", here, next=after)
            self.set("list_head", after, prev=here)

    # caches ---------------------------------------------------------------------------

    def cache(self, cache: Cache) -> None:
        """The struct with its nodes, per-CPU parts, sheaves and slabs; not `list`."""
        at, geometry = cache.address, cache.geometry
        self.set(
            "kmem_cache",
            at,
            cpu_slab=cache.cpu_slab,
            cpu_sheaves=cache.cpu_sheaves,
            sheaf_capacity=cache.capacity,
            flags=cache.flags,
            min_partial=5,
            size=geometry.size,
            object_size=geometry.object_size,
            offset=geometry.offset,
            cpu_partial=0 if cache.debug else 30,
            cpu_partial_slabs=0 if cache.debug else 4,
            oo=geometry.order << 16 | geometry.objects,
            max=geometry.order << 16 | geometry.objects,
            min=self._smallest(cache),
            refcount=cache.refcount,
            ctor=cache.ctor,
            inuse=geometry.inuse,
            align=cache.align,
            red_left_pad=geometry.red_left,
            name=cache.name_address,
            random=cache.random,
            remote_node_defrag_ratio=1000,
            useroffset=0,
            usersize=0,
        )
        self._memcg(cache)
        self.node_array(cache)
        for node in cache.nodes:
            self._node(cache, node)
        for node, barn in cache.barns.items():
            self._barn(barn, cache.full_sheaves.get(node, []))
        for cpu, offset in enumerate(self.image.percpu_offsets):
            if self.image.is_mapped(offset, 1):
                self._cpu(cache, cpu, offset)
        for sheaf in cache.sheaves():
            self._sheaf(cache, sheaf)
        for slab in cache.slabs:
            self.slab(slab)

    def _smallest(self, cache: Cache) -> int:
        order = 0
        while self.layout.page_size << order < cache.size:
            order += 1
        return order << 16 | (self.layout.page_size << order) // cache.size

    def _memcg(self, cache: Cache) -> None:
        if self.layout.memcg == "none":
            return
        if self.layout.memcg == "pointer":
            self.set("kmem_cache", cache.address, memcg_params=cache.memcg_params)
            params = cache.memcg_params
        else:
            params = self.member("kmem_cache", cache.address, "memcg_params")
        if params:
            root = cache.root.address if cache.root else 0
            if self.layout.memcg == "root_cache" or root:
                self.set("memcg_cache_params", params, root_cache=root)
            self.set("memcg_cache_params", params, is_root_cache=int(not root))

    def node_array(self, cache: Cache) -> None:
        """The pointers to the cache's nodes."""
        word = self.layout.word
        per_node = self.layout.has("kmem_cache", "per_node")
        array = self.member("kmem_cache", cache.address, "per_node" if per_node else "node")
        for node in range(len(self.image.present)):
            address = cache.nodes.get(node, 0)
            if per_node:
                entry = array + 2 * word * node
                barn = cache.barns.get(node, 0)
                self.set("kmem_cache_per_node_ptrs", entry, barn=barn, node=address)
            else:
                self.image.pointer(array + word * node, address)

    def _node(self, cache: Cache, node: int) -> None:
        slabs = [slab for slab in cache.slabs if slab.node == node]
        partial = [slab for slab in slabs if place(slab) == "partial"]
        at = cache.nodes[node]
        self.set(
            "kmem_cache_node",
            at,
            nr_partial=len(partial),
            nr_slabs=len(slabs),
            total_objects=sum(slab.objects for slab in slabs),
            barn=cache.barns.get(node, 0),
        )
        self.ring(self.member("kmem_cache_node", at, "partial"), self._links(partial))
        if self.layout.has("kmem_cache_node", "full"):
            full = [slab for slab in slabs if place(slab) == "full"]
            self.ring(self.member("kmem_cache_node", at, "full"), self._links(full))

    def _links(self, slabs: List[Slab]) -> List[int]:
        link = self.layout.slab_list
        return [self.member(self.layout.descriptor, slab.page, link) for slab in slabs]

    def _barn(self, barn: int, full: List[Sheaf]) -> None:
        links = [self.member("slab_sheaf", sheaf.address, "barn_list") for sheaf in full]
        self.ring(self.member("node_barn", barn, "sheaves_full"), links)
        self.ring(self.member("node_barn", barn, "sheaves_empty"), [])
        self.set("node_barn", barn, nr_full=len(full), nr_empty=0)

    def _cpu(self, cache: Cache, cpu: int, offset: int) -> None:
        if cache.cpu_slab:
            at = cache.cpu_slab + offset
            mine = [slab for slab in cache.slabs if slab.cpu == cpu]
            current = [slab for slab in mine if slab.where == "cpu"]
            chain = [slab for slab in mine if slab.where == "cpu_partial"]
            page = current[0].page if current else 0
            first = current[0].cpu_chain[:1] if current else []
            self.set(
                "kmem_cache_cpu",
                at,
                freelist=current[0].object(first[0]) if first else 0,
                tid=cpu,
                page=page,
                slab=page,
                partial=chain[0].page if chain else 0,
            )
            for number, slab in enumerate(chain):
                after = chain[number + 1].page if number + 1 < len(chain) else 0
                left = len(chain) - number
                self.set(self.layout.descriptor, slab.page, next=after, slabs=left, pages=left)
        if cache.cpu_sheaves:
            sheaves = {
                name: kind[cpu].address if cpu in kind else 0
                for name, kind in (("spare", cache.spare), ("rcu_free", cache.rcu_free))
            }
            main = cache.main[cpu].address if cpu in cache.main else self.bootstrap_sheaf
            self.set("slub_percpu_sheaves", cache.cpu_sheaves + offset, main=main, **sheaves)

    def _sheaf(self, cache: Cache, sheaf: Sheaf) -> None:
        word = self.layout.word
        if not sheaf.in_barn:
            # One union holds the capacity, the barn's links and the RCU head.
            self.set("slab_sheaf", sheaf.address, rcu_head=0)
            self.set("slab_sheaf", sheaf.address, capacity=sheaf.capacity)
        if sheaf.rcu_func:
            head = self.member("slab_sheaf", sheaf.address, "rcu_head")
            self.image.pointer(head, 0)
            self.image.pointer(head + word, sheaf.rcu_func)
        at = sheaf.address
        self.set("slab_sheaf", at, cache=cache.address, size=len(sheaf.objects), node=0)
        objects = self.member("slab_sheaf", sheaf.address, "objects")
        for number, address in enumerate(sheaf.objects):
            self.image.pointer(objects + number * word, address)

    # slabs ----------------------------------------------------------------------------

    def slab(self, slab: Slab) -> None:
        """The descriptor with its tail pages, and the freelists in the objects."""
        struct = self.layout.descriptor
        if place(slab) in ("full-unlisted", "cpu"):
            self._poison_link(slab)
        first = slab.object(slab.chain[0]) if slab.chain else 0
        self.set(struct, slab.page, slab_cache=slab.cache.address, freelist=first)
        self._counters(slab)
        self._mark(slab)
        self._tails(slab)
        self._encode(slab.cache, [slab.object(index) for index in slab.chain])
        self._encode(slab.cache, [slab.object(index) for index in slab.cpu_chain])

    def _poison_link(self, slab: Slab) -> None:
        link = self.member(self.layout.descriptor, slab.page, self.layout.slab_list)
        after, before = self.layout.place.poison
        self.set("list_head", link, next=after, prev=before)

    def _counters(self, slab: Slab) -> None:
        frozen = int(
            (slab.where == "cpu" and self.layout.frozen != "none")
            or (slab.where == "cpu_partial" and self.layout.frozen == "cpu+partial")
        )
        if self.layout.byteorder == "little":
            unit = slab.inuse | slab.objects << 16 | frozen << 31
        else:
            unit = slab.inuse << 16 | slab.objects << 1 | frozen
        self.image.u32(self.member(self.layout.descriptor, slab.page, "inuse"), unit)

    def _mark(self, slab: Slab) -> None:
        layout = self.layout
        flags = slab.node << layout.node_shift
        if layout.slab_test == "flag":
            flags |= 1 << layout.enums["PG_slab"]
        elif layout.slab_test == "mask":
            self.set("page", slab.page, page_type=~layout.enums["PG_slab"])
        else:
            self.set("page", slab.page, page_type=layout.enums["PGTY_slab"] << 24)
        if slab.order:
            flags |= 1 << layout.enums["PG_head"]
        if layout.frozen != "cpu+partial" and place(slab) == "partial":
            # Linux kernel commit 8a399e2f6003 ("slub: Keep track of whether slub is on the
            # per-node partial list") (in v6.8).
            flags |= 1 << layout.enums["PG_workingset"]
        self.set("page", slab.page, flags=flags)

    def _tails(self, slab: Slab) -> None:
        layout = self.layout
        size = layout.structs["page"][0]
        whole = size << slab.order
        for number in range(1, 1 << slab.order):
            tail = slab.page + number * size
            if layout.tail == "first_page":
                flags = slab.node << layout.node_shift | 1 << layout.enums["PG_tail"]
                self.set("page", tail, flags=flags, first_page=slab.page)
            elif layout.tail == "compound_head":
                self.set("page", tail, compound_head=slab.page + 1)
            elif layout.tail == "compound_info":
                self.set("page", tail, compound_info=slab.page + 1)
            else:
                self.set("page", tail, compound_info=-whole | 1)

    def _encode(self, cache: Cache, chain: List[int]) -> None:
        for here, after in zip(chain, [*chain[1:], 0]):
            at = here + cache.offset
            self.image.pointer(at, self.encode(cache, at, after))

    def encode(self, cache: Cache, at: int, pointer: int) -> int:
        """The word that a freelist pointer is stored as at an address."""
        if self.layout.hardened is None:
            return pointer
        key = at
        if self.layout.hardened == "swab":
            key = int.from_bytes(at.to_bytes(self.layout.word, "big"), "little")
        return pointer ^ cache.random ^ key

    def release(self, slab: Slab) -> None:
        """The pages of a slab that was freed: no slab any more, but its stale words stay."""
        self.slab(slab)
        layout = self.layout
        size = layout.structs["page"][0]
        for number in range(1 << slab.order):
            page = slab.page + number * size
            self.set("page", page, flags=slab.node << layout.node_shift)
            for name in ("compound_head", "compound_info"):
                if number and layout.has("page", name):
                    self.set("page", page, **{name: 0})
            if layout.slab_test != "flag":
                buddy = layout.enums.get("PGTY_buddy")
                self.set("page", page, page_type=-1 if buddy is None else buddy << 24)


def place(slab: Slab) -> str:
    """Which list holds a slab; one that grows moves between partial and no list by itself."""
    if slab.where == "growing":
        return "partial" if slab.chain else "full-unlisted"
    return slab.where
