# SPDX-License-Identifier: GPL-3.0-or-later
"""Freed objects that are on their way and hang on no freelist yet.

Those in KASAN's quarantine; from v6.18 on objects that kfree_nolock() and kvfree_rcu() have
put off, and sheaves full of freed objects that wait for an RCU grace period. The kernel's
lists name some; a sheaf that only call_rcu() knows is found among the objects of the cache
that sheaves come from.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Set, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import LIST_BOUND, read_word
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import CacheError, for_each_node, read_cache
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import FREE, RCU_PENDING, Cache, Slab
from crash_ext.slub.quarantine import for_each_queue, meta_offset
from crash_ext.slub.scan import PageIndex
from crash_ext.slub.sheaves import Freed, Sheaf

# Linux kernel commit af92793e52c3 ("slab: Introduce kmalloc_nolock() and
# kfree_nolock().") (in v6.18): (per-CPU variable, its struct), newest first.
_HEADS = (("deferred_percpu_work", "deferred_percpu_work"), ("defer_free_objects", "defer_free"))

_REST = "the objects in the rest of it are counted as allocated"

Pending = Dict[int, Dict[int, Freed]]
"""Slab's base address -> address inside an object of it -> how that object is freed."""


def find_deferred(slub: Slub, problems: List[str]) -> Pending:
    """The objects on the per-CPU lists of deferred frees and in KASAN's quarantine, of all caches.

    The list's link lies at kmem_cache.offset in objects of kfree_nolock() (a plain
    pointer, hardened kernels too), and in the rcu_head of those of kvfree_rcu().
    """
    reader = slub.reader
    found: Pending = {}
    for cpu, member, head in _heads(reader):
        state = FREE if member == "objects" else RCU_PENDING
        if member == "rcu_sheaves":
            continue
        known = len(problems)
        for node in _for_each_llist_node(reader, head, f"cpu {cpu} deferred", problems):
            try:
                slab = _slab_of(slub, node)
            except (ReadError, SlabError) as error:
                problems.append(f"cpu {cpu}: deferred free {hexa(node)}: {error}")
                continue
            found.setdefault(slab.base, {})[node] = Freed(state, f"cpu {cpu} deferred")
        if len(problems) > known:
            problems.append(f"cpu {cpu} deferred: list {hexa(head)}: {_REST}")
    _add_quarantined(slub, found, problems)
    return found


def _add_quarantined(slub: Slub, found: Pending, problems: List[str]) -> None:
    reader = slub.reader
    offsets: Dict[int, int] = {}
    for queue in for_each_queue(reader):
        known = len(problems)
        for node in _for_each_llist_node(reader, queue.address, queue.note, problems):
            try:
                slab = _slab_of(slub, node)
                if slab.cache not in offsets:
                    offsets[slab.cache] = meta_offset(reader, slab.cache)
            except (ReadError, SlabError) as error:
                problems.append(f"{queue.note}: {hexa(node)}: {error}")
                continue
            freed = Freed(FREE, queue.note, start=True)
            found.setdefault(slab.base, {})[node - offsets[slab.cache]] = freed
        if len(problems) > known:
            problems.append(f"{queue.note}: list {hexa(queue.address)}: {_REST}")


def for_each_pending_sheaf(
    slub: Slub, index: PageIndex, cache: Cache, known: Set[int], problems: List[str]
) -> Iterator[Sheaf]:
    """Sheaves of a cache that wait for RCU: those on per-CPU lists, then the others.

    known: the cache's other sheaves. They tell which caches sheaves are allocated from,
    and only the slabs of those are looked through.
    """
    reader, layout = slub.reader, slub.layout
    seen = set(known)
    for cpu, member, head in _heads(reader):
        if member == "rcu_sheaves":
            what = f"cpu {cpu} rcu sheaves"
            for address in _for_each_llist_node(reader, head, what, problems):
                if address not in seen and _owner(slub, address) == cache.address:
                    seen.add(address)
                    yield Sheaf(address, RCU_PENDING, f"cpu {cpu} rcu sheaf")
    word, order = reader.word, reader.byteorder
    needles = [address.to_bytes(word, order) for address in layout.sheaf_callbacks]
    for owner in _caches_of(slub, known, problems):
        try:
            source = read_cache(slub, owner, listed=True)
        except (ReadError, CacheError) as error:
            problems.append(f"the cache of sheaves {hexa(owner)}: {error}")
            continue
        for address in _called_back(slub, index, source, needles, problems):
            if address not in seen and _owner(slub, address) == cache.address:
                seen.add(address)
                yield Sheaf(address, RCU_PENDING, "rcu sheaf")


def _slab_of(slub: Slub, address: int) -> Slab:
    """The slab that an address lies in. Raises ReadError, SlabError."""
    page = slub.reader.virt_to_page(address)
    if page is None:
        raise SlabError("not in the direct map")
    return slub.descriptors.read(slub.descriptors.head(page), "-")


def _heads(reader: Reader) -> Iterator[Tuple[int, str, int]]:
    """(CPU, member, address of the struct llist_head) of each list of deferred frees."""
    for variable, struct in _HEADS:
        symbol = reader.symbol(variable)
        if symbol is None:
            continue
        for cpu in reader.possible_cpus():
            base = reader.percpu(symbol, cpu)
            for member in ("objects", "objects_by_rcu", "rcu_sheaves"):
                offset = reader.offset(struct, member)
                if base is not None and offset is not None:
                    yield cpu, member, base + offset
        return


def _for_each_llist_node(
    reader: Reader, head: int, what: str, problems: List[str]
) -> Iterator[int]:
    seen: Set[int] = set()
    at = head
    while True:
        try:
            at = read_word(reader, at)
        except ReadError as error:
            problems.append(f"{what}: {error}")
            return
        if not at:
            return
        if at in seen or len(seen) >= LIST_BOUND:
            problems.append(f"{what}: cycle at {hexa(at)}")
            return
        seen.add(at)
        yield at


def _owner(slub: Slub, sheaf: int) -> int:
    """slab_sheaf.cache of a sheaf that holds something, 0 for anything else."""
    cache, size = _head(slub, sheaf)
    return cache if size else 0


def _head(slub: Slub, sheaf: int) -> Tuple[int, int]:
    """(slab_sheaf.cache, size); zeroes where it can't be read."""
    struct = slub.layout.sheaf
    try:
        head = slub.reader.read(sheaf, struct.span("cache", "size"))
    except ReadError:
        return 0, 0
    return struct.pointer(head, "cache"), struct.value(head, "size")


def _caches_of(slub: Slub, sheaves: Set[int], problems: List[str]) -> Set[int]:
    """The caches that these sheaves are objects of."""
    descriptors = slub.descriptors
    caches: Set[int] = set()
    for address in sheaves:
        page = slub.reader.virt_to_page(address)
        try:
            if page is not None:
                caches.add(descriptors.read(descriptors.head(page), "-").cache)
        except (ReadError, SlabError) as error:
            # The static bootstrap_sheaf lies in no slab, and is no cache's.
            if _head(slub, address)[0]:
                problems.append(f"sheaf {hexa(address)}: {error}")
    return caches


def _called_back(
    slub: Slub, index: PageIndex, source: Cache, needles: List[bytes], problems: List[str]
) -> Iterator[int]:
    """Objects of a cache whose rcu_head is one that call_rcu() has for a sheaf."""
    lost: List[str] = []
    slabs = index.of(source.address)
    for address in slabs:
        try:
            slab = slub.descriptors.read(address, "-")
            size = min(slab.objects, source.max_objects) * source.size
            if not size:
                raise SlabError(f"slab {hexa(address)}: 0 objects")
            memory = slub.reader.read(slab.base, size)
        except (ReadError, SlabError) as error:
            lost.append(str(error))
            continue
        for needle in needles:
            at = memory.find(needle)
            while at >= 0:
                start = at - slub.layout.sheaf_rcu_func
                if (start - source.red_left) % source.size == 0:
                    yield slab.base + start
                at = memory.find(needle, at + 1)
    what = f"sheaves waiting for RCU, in cache {hexa(source.address)}"
    if lost:
        problems.append(f"{what}: {lost[0]} ({len(lost)} of {len(slabs)} slabs not searched)")
    counts = [n.nr_slabs for n in for_each_node(slub, source, problems)]
    if None not in counts:
        counted = sum(count or 0 for count in counts)
        if counted != len(slabs):
            problems.append(f"{what}: {len(slabs)} slabs searched, nr_slabs says {counted}")
