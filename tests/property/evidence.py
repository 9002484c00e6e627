# SPDX-License-Identifier: GPL-3.0-or-later
"""What a damage has hit: whose words they are, by the model that the heap was built from.

Knows the model and addresses; neither the commands nor what they make of it.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, NamedTuple, Tuple

from mocks.damage import Damage
from mocks.heap import Heap
from mocks.model import Cache


class Hit(NamedTuple):
    """One thing that a damage has hit."""

    kind: str
    """cache, node, cpu, sheaf, barn, slab (its page structures), memory (of a slab), head (of
    slab_caches), and the kinds of heap.parts."""
    cache: int
    """Whose it is: address of the kmem_cache, 0 for what is no one cache's."""
    slab: int
    """The slab's page, for slab, memory and kfence, else 0."""
    start: int
    """Address of the thing."""
    first: int
    """The bytes that were hit, from its start: [first, end)."""
    end: int

    def overlaps(self, offset: int, size: int) -> bool:
        """Whether these bytes of it are among the hit ones."""
        return self.first < offset + size and offset < self.end


class Touched:
    """Everything that some damages have hit."""

    def __init__(self, heap: Heap, damages: Iterable[Damage]) -> None:
        self.heap = heap
        self.damages = list(damages)
        things = list(_things(heap))
        self.hits: List[Hit] = []
        for damage in self.damages:
            if damage.target != "page" and damage.before == damage.after:
                continue
            span = self.span(damage)
            for kind, cache, slab, start, length in things:
                first = max(span.start - start, 0)
                end = min(span.stop - start, length)
                if first < end:
                    self.hits.append(Hit(kind, cache, slab, start, first, end))

    def span(self, damage: Damage) -> range:
        """The addresses that a damage has changed, or taken away."""
        gone = damage.target == "page"
        size = self.heap.layout.page_size if gone else self.heap.layout.word
        return range(damage.address, damage.address + size)

    def cache(self, address: int) -> bool:
        """Anything that tells what the cache is and where its slabs and free objects are."""
        kinds = ("cache", "node", "cpu", "sheaf", "barn")
        if any(hit.cache == address and hit.kind in kinds for hit in self.hits):
            return True
        for owner, page in self._sheaf_slabs(address):
            # Without its struct it can't be told which of its objects are sheaves.
            if self.slab(page) or any(h.cache == owner and h.kind == "cache" for h in self.hits):
                return True
        return False

    def _sheaf_slabs(self, address: int) -> Iterator[Tuple[int, int]]:
        """(cache, page) of the slabs that the cache's sheaves are objects of."""
        for cache in self.heap.caches:
            if cache.address != address:
                continue
            for sheaf in cache.sheaves():
                for owner in self.heap.caches:
                    for slab in owner.slabs:
                        if sheaf.address in slab.memory:
                            yield owner.address, slab.page

    def slab(self, page: int) -> bool:
        """The slab's page structures or its memory."""
        return any(hit.slab == page for hit in self.hits)

    def deferred(self) -> List[int]:
        """What the links of CPUs' lists of put off frees have become: of all caches."""
        links = self.heap.deferred_links()
        heads = [hit.start + hit.first for hit in self.hits if hit.kind == "deferred"]
        return [
            damage.after
            for damage in self.damages
            if damage.target == "page" or damage.before != damage.after
            if any(at in self.span(damage) for at in (*links, *heads))
        ]

    def kfence(self) -> bool:
        """An object of the KFENCE pool: by its damaged metadata it may be any cache's."""
        return any(hit.kind == "kfence" for hit in self.hits)

    def unused(self, page: int) -> bool:
        """The metadata of the KFENCE object in that page has come to call it unused."""
        offset, size = self.heap.image.structs.get("kfence_metadata", (0, {}))[1].get(
            "state", (0, 0)
        )
        states = [part.address + offset for part in self.heap.parts if part.page == page]
        return any(
            at in self.span(damage) and self.heap.image.get(at, size) == 0
            for damage in self.damages
            for at in states
            if size and damage.target != "page"
        )

    def entries(self, cache: int) -> List[int]:
        """What entries of the cache's sheaves have become."""
        if not self.heap.layout.has("slab_sheaf", "objects"):
            return []
        first = self.heap.layout.structs["slab_sheaf"][1]["objects"][0]
        return [
            damage.after
            for damage in self.damages
            for hit in self.hits
            if hit.kind == "sheaf" and hit.cache == cache and hit.first >= first
            if damage.address == hit.start + hit.first
        ]

    def shrunk(self, cache: int) -> bool:
        """A sheaf of the cache has come to say that it holds less: behind that are old entries."""
        if not self.heap.layout.has("slab_sheaf", "size"):
            return False
        size = self.heap.layout.structs["slab_sheaf"][1]["size"][1]
        for owner in self.heap.caches:
            for sheaf in owner.sheaves() if owner.address == cache else ():
                at = self.heap.writer.member("slab_sheaf", sheaf.address, "size")
                hit = any(at in self.span(d) for d in self.damages if d.target != "page")
                if hit and self.heap.image.is_mapped(at, size):
                    return self.heap.image.get(at, size) < len(sheaf.objects)
        return False

    def uncalled(self, cache: int) -> bool:
        """The RCU callback of one of the cache's sheaves that is on no list."""
        heap, found = self.heap, False
        for owner in heap.caches:
            for sheaf in owner.loose if owner.address == cache else ():
                at = heap.writer.member("slab_sheaf", sheaf.address, "rcu_head")
                found = found or self.words([at + heap.layout.word])
        return found

    def chained(self, page: int) -> bool:
        """The slab is on a CPU's partial chain, and another slab of that chain was hit.

        Then it may have lost its CPU: frozen, and on no list.
        """
        chains = [
            [slab for slab in cache.slabs if slab.where == "cpu_partial" and slab.cpu == cpu]
            for cache in self.heap.caches
            for cpu in self.heap.cpus
        ]
        return any(
            any(slab.page == page for slab in chain)
            and any(slab.page != page and self.slab(slab.page) for slab in chain)
            for chain in chains
        )

    def member(self, kind: str, address: int, struct: str, *names: str) -> bool:
        """One of these members of a cache's struct, of its node's or of a slab's descriptor.

        address: of the kmem_cache, or of the slab's page.
        """
        members = self.heap.layout.structs[struct][1]
        return any(
            hit.overlaps(*members[name])
            for hit in self.hits
            if hit.kind == kind and address in (hit.cache, hit.slab)
            for name in names
            if name in members
        )

    def percpu(self, address: int, struct: str, name: str) -> bool:
        """This member of a cache's per-CPU struct, on any CPU."""
        if not self.heap.layout.has(struct, name):
            return False
        offset, size = self.heap.layout.structs[struct][1][name]
        return any(
            hit.overlaps(offset, size)
            for hit in self.hits
            if hit.kind == "cpu" and hit.cache == address
        )

    def words(self, addresses: Iterable[int]) -> bool:
        """Whether one of the words at these addresses was hit."""
        spans = [self.span(damage) for damage in self.damages]
        return any(address in span for address in addresses for span in spans)


def _things(heap: Heap) -> Iterator[Tuple[str, int, int, int, int]]:
    """(kind, cache, slab, address, bytes) of all that the heap consists of."""
    structs, layout = heap.layout.structs, heap.layout
    yield "head", 0, 0, heap.image.symbols["slab_caches"], 2 * layout.word
    for part in heap.parts:
        yield part.kind, 0, part.page, part.address, part.size
    for cache in heap.caches:
        at = cache.address
        yield "cache", at, 0, at, heap.caches[0].object_size
        for node in cache.nodes.values():
            yield "node", at, 0, node, structs["kmem_cache_node"][0]
        yield from _percpu(heap, cache)
        for barn in cache.barns.values():
            yield "barn", at, 0, barn, structs["node_barn"][0]
        for sheaf in cache.sheaves():
            size = structs["slab_sheaf"][0] + sheaf.capacity * layout.word
            yield "sheaf", at, 0, sheaf.address, size
        for slab in cache.slabs:
            yield "slab", at, slab.page, slab.page, structs["page"][0] << slab.order
            yield "memory", at, slab.page, slab.va, layout.page_size << slab.order


def _percpu(heap: Heap, cache: Cache) -> Iterator[Tuple[str, int, int, int, int]]:
    kinds = (("kmem_cache_cpu", cache.cpu_slab), ("slub_percpu_sheaves", cache.cpu_sheaves))
    for cpu in heap.cpus:
        for struct, pointer in kinds:
            if pointer:
                address = pointer + heap.image.percpu_offsets[cpu]
                yield "cpu", cache.address, 0, address, heap.layout.structs[struct][0]
