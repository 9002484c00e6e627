# SPDX-License-Identifier: GPL-3.0-or-later
"""struct kmem_cache: reading one, and walking slab_caches.

Knows the caches that are on the list. Those that a failed destroy has unlinked
(v6.12 and later) are not here: unlisted.py finds them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Container, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_string, read_symbol_number, read_word, walk_both_ways
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.memcg import root_cache
from crash_ext.slub.model import Cache, Node

_OO_SHIFT = 16
_OO_MASK = (1 << _OO_SHIFT) - 1
_NODES_BOUND = 1 << 10
_SIZE_BOUND = 1 << 26
_ORDER_BOUND = 13
"""No architecture's page allocator hands out larger pieces (CONFIG_ARCH_FORCE_MAX_ORDER)."""


class CacheError(Exception):
    """What should be a struct kmem_cache can't be one; the text tells why."""


class CacheList(NamedTuple):
    """The caches of slab_caches, newest first, and what was wrong with the list."""

    caches: List[Cache]
    problems: List[str]


def read_cache(slub: Slub, address: int, listed: bool) -> Cache:
    """The struct kmem_cache at an address.

    Raises ReadError where it can't be read and CacheError where its sizes contradict
    each other (object_size and inuse within size, objects and order a slab's).
    """
    reader, layout = slub.reader, slub.layout
    struct = layout.cache
    data = reader.read(address, struct.span())
    size = struct.value(data, "size")
    object_size = struct.value(data, layout.object_size)
    offset = struct.value(data, "offset")
    inuse = struct.value(data, "inuse")
    order, objects = _split_oo(struct.value(data, "oo"))
    # kmem_cache.max: in the 5.17 tree, no more in 6.0. There sysfs may change the order, and
    # slabs made before may have more objects than oo says.
    most = _split_oo(struct.value(data, "max"))[1] if "max" in struct else objects
    if not (0 < object_size <= size <= _SIZE_BOUND and offset < size and inuse <= size):
        raise CacheError(
            f"{hexa(address)}: no struct kmem_cache: size {size}, object_size {object_size},"
            f" inuse {inuse}, offset {offset}"
        )
    if not (0 < objects and order <= _ORDER_BOUND and objects * size <= reader.page_size << order):
        raise CacheError(
            f"{hexa(address)}: no struct kmem_cache: {objects} objects of {size} bytes in a slab"
            f" of order {order}"
        )
    flags = struct.value(data, "flags")
    red_left = struct.value(data, "red_left_pad") if "red_left_pad" in struct else 0
    # Ask the flag, not the pad: with slub_debug=O sizes are computed twice, and the pad of
    # the first time stays.
    if not flags & layout.flags.mask("RED_ZONE"):
        red_left = 0
    if red_left + inuse > size:
        raise CacheError(
            f"{hexa(address)}: no struct kmem_cache: size {size}, red_left_pad {red_left},"
            f" inuse {inuse}"
        )
    links = struct.offset("list")
    word = reader.word
    root = root_cache(reader, address)
    return Cache(
        address=address,
        name=read_string(reader, struct.pointer(data, "name")),
        listed=listed,
        refcount=struct.signed(data, "refcount"),
        flags=flags,
        object_size=object_size,
        size=size,
        inuse=inuse,
        align=struct.value(data, "align") if "align" in struct else None,
        offset=offset,
        red_left=red_left,
        ctor=struct.pointer(data, "ctor") if "ctor" in struct else 0,
        random=struct.value(data, "random") if "random" in struct else None,
        order=order,
        objects=objects,
        max_objects=max(objects, most),
        list_next=struct.pointer(data, "list"),
        list_prev=int.from_bytes(data[links + word : links + 2 * word], reader.byteorder),
        root=root,
        cpu_slab=struct.pointer(data, "cpu_slab") if "cpu_slab" in struct else None,
        cpu_sheaves=struct.pointer(data, "cpu_sheaves") if "cpu_sheaves" in struct else None,
        sheaf_capacity=(
            struct.value(data, "sheaf_capacity") if "sheaf_capacity" in struct else None
        ),
        root_refcount=_refcount(slub, root) if root else None,
    )


def _refcount(slub: Slub, cache: int) -> Optional[int]:
    struct = slub.layout.cache
    try:
        return struct.signed(slub.reader.read(cache, struct.span()), "refcount")
    except ReadError:
        return None


def list_caches(slub: Slub) -> CacheList:
    """The caches on slab_caches, newest first (kmem_cache_create() adds at the head).

    Walked both ways where the list doesn't come home: a kernel of v6.0 to v6.5 frees
    the struct of a cache whose destroy failed and leaves it linked (fixed by Linux
    kernel commit 46a9ea668190).
    """
    head = slub.reader.symbol("slab_caches")
    if head is None:
        return CacheList([], ["the kernel has no symbol slab_caches"])
    walk = walk_both_ways(slub.reader, head)
    problems = [f"slab_caches: {text}" for text in walk.problems]
    caches = []
    for link in walk.addresses:
        address = link - slub.layout.cache.offset("list")
        try:
            caches.append(read_cache(slub, address, listed=True))
        except (ReadError, CacheError) as error:
            problems.append(f"slab_caches: {hexa(address)}: {error}")
    return CacheList(caches, problems)


def node_count(slub: Slub) -> int:
    """nr_node_ids; 1 where the kernel has no such variable (no CONFIG_NUMA)."""
    count = read_symbol_number(slub.reader, "nr_node_ids", 4)
    slots = slub.layout.node_array_size // slub.layout.node_stride
    if not count:
        return max(1, min(slots, 1))
    return min(count, slots or _NODES_BOUND, _NODES_BOUND)


def for_each_node(
    slub: Slub, cache: Cache, problems: List[str], usual: Container[int] = ()
) -> Iterator[Node]:
    """The cache's struct kmem_cache_node of each node that has one.

    What can't be read goes to `problems`, and which of the `usual` nodes (usual_nodes())
    are missing. A struct that v6.0 to v6.5 have freed has none: see list_caches().
    """
    try:
        addresses = _node_pointers(slub, cache.address)
    except ReadError as error:
        problems.append(f"node pointers: {error}")
        return
    freed = cache.destroyed and not any(addresses)
    for number, address in enumerate(addresses):
        if address:
            node = _read_node(slub, number, address, problems)
            if node is not None:
                yield node
        elif number in usual and not freed:
            problems.append(f"node {number}: no struct kmem_cache_node, as other caches have")


def usual_nodes(slub: Slub) -> Set[int]:
    """The nodes for which the allocator's own two caches have a struct kmem_cache_node.

    Every cache gets one for each node with memory (init_kmem_cache_nodes() in mm/slub.c, and
    slab_mem_going_online_callback() for nodes that come later).
    """
    found: Set[int] = set()
    for name in ("kmem_cache", "kmem_cache_node"):
        symbol = slub.reader.symbol(name)
        if symbol is not None:
            with suppress(ReadError):
                pointers = _node_pointers(slub, read_word(slub.reader, symbol))
                found.update(number for number, pointer in enumerate(pointers) if pointer)
    return found


def _node_pointers(slub: Slub, cache: int) -> List[int]:
    """kmem_cache.node[], 0 for a node without. Raises ReadError.

    The array in the struct is longer than what is allocated: only nr_node_ids entries are read.
    """
    reader, layout = slub.reader, slub.layout
    stride, first = layout.node_stride, layout.node_pointer
    data = reader.read(cache + layout.node_array, node_count(slub) * stride)
    starts = range(first, len(data), stride)
    return [int.from_bytes(data[at : at + reader.word], reader.byteorder) for at in starts]


def _read_node(slub: Slub, number: int, address: int, problems: List[str]) -> Optional[Node]:
    struct = slub.layout.node
    try:
        data = slub.reader.read(address, struct.span())
    except ReadError as error:
        problems.append(f"node {number}: struct kmem_cache_node: {error}")
        return None
    return Node(
        number=number,
        address=address,
        nr_partial=struct.value(data, "nr_partial"),
        nr_slabs=struct.pointer(data, "nr_slabs") if "nr_slabs" in struct else None,
        total_objects=struct.pointer(data, "total_objects") if "total_objects" in struct else None,
    )


def _split_oo(oo: int) -> Tuple[int, int]:
    return oo >> _OO_SHIFT, oo & _OO_MASK
