# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages a built heap's memory: one word overwritten, or one page made unreadable.

Each damage is named by what it hits and by what it puts there, and repeatable by its seed.
It changes the image only: the heap's truth() stays what it was before.
"""

from __future__ import annotations

from random import Random
from typing import Callable, Dict, List, NamedTuple, Tuple

from mocks.heap import Heap
from mocks.model import Cache, Slab

TARGETS = (
    *("cache", "node", "slab", "link", "head", "cpu", "name", "list", "page"),
    *("sheaf", "barn", "deferred", "kfence", "alias"),
)
"""A word of: kmem_cache, kmem_cache_node, the slab's descriptor, a freelist pointer in a free
object, the slab's freelist head, kmem_cache_cpu or the per-CPU sheaves, kmem_cache.name, a link
of slab_caches or of a node's list. page: one page of memory or of page structures is gone.
slab_sheaf, node_barn, a CPU's lists of put off frees, KFENCE's metadata or its pages'
structures, kernfs' entries of /sys/kernel/slab."""

VALUES = ("random", "zero", "ones", "self", "other-slab", "misaligned", "unmapped", "huge")
"""self: the word's own address, for a freelist pointer the object's. huge: an absurd count."""


class Damage(NamedTuple):
    """What was done."""

    target: str
    value: str
    address: int
    before: int
    after: int
    text: str


class Plan(NamedTuple):
    """A damage to come."""

    target: str
    value: str
    seed: int

    def apply(self, heap: Heap) -> Damage:
        """Does it. A target that the layout or the heap doesn't have falls back to `cache`."""
        rng = Random(self.seed)
        if self.target == "page":
            return _unreadable(heap, rng)
        places = _PLACES[self.target](heap, rng) or _cache_words(heap, rng)
        address, what = rng.choice(places)
        return _overwrite(heap, rng, self, address, what)


_Places = List[Tuple[int, str]]
"""(address of a word, what it is)."""


def _overwrite(heap: Heap, rng: Random, plan: Plan, address: int, what: str) -> Damage:
    word = heap.layout.word
    before = heap.image.get(address, word)
    after = _value(heap, rng, plan.value, address)
    if plan.target == "link" and plan.value not in ("random", "zero", "ones", "huge"):
        after = _encoded(heap, address, after)
    heap.image.pointer(address, after)
    text = f"{what} at {address:x}: {before:x} -> {after:x} ({plan.value})"
    return Damage(plan.target, plan.value, address, before, after, text)


def _value(heap: Heap, rng: Random, kind: str, address: int) -> int:
    bits = 8 * heap.layout.word
    slab = rng.choice(_slabs(heap))
    if kind == "random":
        return rng.getrandbits(bits)
    if kind == "ones":
        return (1 << bits) - 1
    if kind == "self":
        return address
    if kind == "other-slab":
        return rng.choice((slab.page, slab.object(rng.randrange(slab.objects))))
    if kind == "misaligned":
        return slab.object(0) + rng.randrange(1, heap.layout.word)
    if kind == "unmapped":
        # The absent section behind node 0's.
        return heap.image.page_offset + heap.image.present[0][1] * heap.layout.page_size + 0x1230
    if kind == "huge":
        return (1 << (bits - 1)) - 1
    return 0


def _encoded(heap: Heap, address: int, pointer: int) -> int:
    """A pointer as a free object holds it; the object's own address where it is the word's."""
    for slab in _slabs(heap):
        if address in slab.memory:
            target = address - slab.cache.offset if pointer == address else pointer
            return heap.writer.encode(slab.cache, address, target)
    return pointer


def _unreadable(heap: Heap, rng: Random) -> Damage:
    slab = rng.choice(_slabs(heap))
    size = heap.layout.page_size
    homes = [slab.va, slab.page, slab.cache.address]
    homes += [rng.choice(heap.parts).address] if heap.parts else []
    address = rng.choice(homes) // size * size
    heap.image.unmap(address, size)
    return Damage("page", "unreadable", address, 0, 0, f"page at {address:x}: unreadable")


def _caches(heap: Heap) -> List[Cache]:
    return [cache for cache in heap.caches if not cache.frozen]


def _slabs(heap: Heap) -> List[Slab]:
    return [slab for cache in heap.caches for slab in cache.slabs]


def _words(heap: Heap, start: int, size: int, what: str) -> _Places:
    word = heap.layout.word
    return [(start + at, f"{what}+{at:#x}") for at in range(0, size - word + 1, word)]


def _cache_words(heap: Heap, rng: Random) -> _Places:
    # As much as is allocated: up to node[nr_node_ids].
    cache = rng.choice(_caches(heap))
    return _words(heap, cache.address, heap.caches[0].object_size, "kmem_cache")


def _node_words(heap: Heap, rng: Random) -> _Places:
    nodes = [node for cache in _caches(heap) for node in cache.nodes.values()]
    size = heap.layout.structs["kmem_cache_node"][0]
    return _words(heap, rng.choice(nodes), size, "kmem_cache_node")


def _slab_words(heap: Heap, rng: Random) -> _Places:
    size = heap.layout.structs[heap.layout.descriptor][0]
    return _words(heap, rng.choice(_slabs(heap)).page, size, heap.layout.descriptor)


def _links(heap: Heap, rng: Random) -> _Places:
    slabs = [slab for slab in _slabs(heap) if slab.chain or slab.cpu_chain]
    if not slabs:
        return []
    slab = rng.choice(slabs)
    free = map(slab.object, [*slab.chain, *slab.cpu_chain])
    return [(address + slab.cache.offset, "free pointer") for address in free]


def _heads(heap: Heap, rng: Random) -> _Places:
    page = rng.choice(_slabs(heap)).page
    return [(heap.writer.member(heap.layout.descriptor, page, "freelist"), "slab's freelist")]


def _cpu_words(heap: Heap, rng: Random) -> _Places:
    offset = heap.image.percpu_offsets[rng.choice(heap.cpus)]
    cache = rng.choice(_caches(heap))
    places: _Places = []
    kinds = (("kmem_cache_cpu", cache.cpu_slab), ("slub_percpu_sheaves", cache.cpu_sheaves))
    for struct, pointer in kinds:
        if pointer:
            size = heap.layout.structs[struct][0]
            places += _words(heap, pointer + offset, size, struct)
    return places


def _names(heap: Heap, rng: Random) -> _Places:
    cache = rng.choice(_caches(heap))
    return [(heap.writer.member("kmem_cache", cache.address, "name"), "kmem_cache.name")]


def _list_links(heap: Heap, rng: Random) -> _Places:
    cache, slab = rng.choice(_caches(heap)), rng.choice(_slabs(heap))
    layout = heap.layout
    heads = [
        (heap.image.symbols["slab_caches"], "slab_caches"),
        (heap.writer.member("kmem_cache", cache.address, "list"), "kmem_cache.list"),
        (heap.writer.member(layout.descriptor, slab.page, layout.slab_list), layout.slab_list),
    ]
    for node in cache.nodes.values():
        heads.append((heap.writer.member("kmem_cache_node", node, "partial"), "node.partial"))
    links = (("next", 0), ("prev", layout.word))
    return [(at + skip, f"{what}.{name}") for at, what in heads for name, skip in links]


def _sheaf_words(heap: Heap, rng: Random) -> _Places:
    sheaves = [sheaf for cache in _caches(heap) for sheaf in cache.sheaves()]
    if not sheaves:
        return []
    sheaf = rng.choice(sheaves)
    used = heap.layout.structs["slab_sheaf"][0] + len(sheaf.objects) * heap.layout.word
    return _words(heap, sheaf.address, used, "slab_sheaf")


def _barn_words(heap: Heap, rng: Random) -> _Places:
    barns = [barn for cache in _caches(heap) for barn in cache.barns.values()]
    if not barns:
        return []
    return _words(heap, rng.choice(barns), heap.layout.structs["node_barn"][0], "node_barn")


def _part_words(kind: str) -> Callable[[Heap, Random], _Places]:
    def words(heap: Heap, rng: Random) -> _Places:
        parts = [part for part in heap.parts if part.kind == kind]
        if not parts:
            return []
        part = rng.choice(parts)
        return _words(heap, part.address, part.size, kind)

    return words


_PLACES: Dict[str, Callable[[Heap, Random], _Places]] = {
    "cache": _cache_words,
    "node": _node_words,
    "slab": _slab_words,
    "link": _links,
    "head": _heads,
    "cpu": _cpu_words,
    "name": _names,
    "list": _list_links,
    "sheaf": _sheaf_words,
    "barn": _barn_words,
    "deferred": _part_words("deferred"),
    "kfence": _part_words("kfence"),
    "alias": _part_words("alias"),
}


def damage(heap: Heap, target: str, value: str = "random", seed: int = 0) -> Damage:
    """Damages the heap's image once; see TARGETS and VALUES."""
    if target not in TARGETS or value not in VALUES:
        raise ValueError(f"no such damage: {target}, {value}")
    return Plan(target, value, seed).apply(heap)
