# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaves (v6.18 and later): arrays of free objects in front of the slabs.

A slab counts an object that lies in a sheaf as used, and no freelist has it. Knows the
sheaves that something points to: a CPU's main, spare and rcu_free, and a node's barn.
Those that wait for an RCU grace period on no list are pending.py's.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_number, read_word, walk_list
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import node_count
from crash_ext.slub.model import FREE, RCU_PENDING, Cache

SHEAF_BOUND = 1 << 12
"""No sheaf has more objects: capacities end at 60, larger ones are asked for by a user."""


class Freed(NamedTuple):
    """How an object is free though its slab counts it as used."""

    state: int
    """FREE or RCU_PENDING."""
    note: str
    """What holds it."""
    start: bool = False
    """Its address is the object's own, not its free pointer's."""


class Sheaf(NamedTuple):
    """A struct slab_sheaf and what it is at the moment."""

    address: int
    state: int
    note: str


def for_each_sheaf(slub: Slub, cache: Cache, problems: List[str]) -> Iterator[Sheaf]:
    """The sheaves of a cache: each possible CPU's, then the full ones in the barns.

    What can't be read goes to `problems`.
    """
    reader, struct = slub.reader, slub.layout.sheaves
    if struct is None or not cache.cpu_sheaves:
        return
    for cpu in reader.possible_cpus():
        address = reader.percpu(cache.cpu_sheaves, cpu)
        if address is None:
            continue
        try:
            data = reader.read(address, struct.span())
        except ReadError as error:
            problems.append(f"cpu {cpu}: struct slub_percpu_sheaves: {error}")
            continue
        for member, state in (("main", FREE), ("spare", FREE), ("rcu_free", RCU_PENDING)):
            sheaf = struct.pointer(data, member) if member in struct else 0
            if member == "main" and not sheaf:
                # A CPU always has one, be it the static bootstrap_sheaf.
                problems.append(f"cpu {cpu}: no main sheaf")
            if sheaf:
                yield Sheaf(sheaf, state, f"cpu {cpu} sheaf")
    yield from _barns(slub, cache, problems)


def read_sheaf(slub: Slub, cache: Cache, sheaf: Sheaf, problems: List[str]) -> Dict[int, Freed]:
    """The objects in a sheaf. What can't be one is a problem and has no objects."""
    reader, layout = slub.reader, slub.layout
    struct = layout.sheaf
    what = f"{sheaf.note} {hexa(sheaf.address)}"
    try:
        head = reader.read(sheaf.address, struct.span("cache", "size"))
        size = struct.value(head, "size")
        owner = struct.pointer(head, "cache")
        # The one static bootstrap_sheaf of all caches without sheaves is empty, and names none.
        bootstrap = not owner and not cache.sheaf_capacity
        if size == 0 and (bootstrap or owner == cache.address):
            return {}
        if owner != cache.address:
            problems.append(f"{what}: of cache {hexa(owner)}")
            return {}
        at = sheaf.address + layout.sheaf_rcu_func
        if sheaf.state == FREE and read_word(reader, at) in layout.sheaf_callbacks:
            # Its links in a barn would lie there; a new one is zeroed.
            problems.append(f"{what}: waits for RCU")
            return {}
        most = SHEAF_BOUND if cache.sheaf_capacity is None else cache.sheaf_capacity
        if size > min(most, SHEAF_BOUND):
            problems.append(f"{what}: size {size}, sheaf_capacity {cache.sheaf_capacity}")
            return {}
        start = sheaf.address + struct.offset("objects")
        data = reader.read(start, size * reader.word)
    except ReadError as error:
        problems.append(f"{what}: {error}")
        return {}
    word, order = reader.word, reader.byteorder
    freed = Freed(sheaf.state, sheaf.note)
    return {int.from_bytes(data[i : i + word], order): freed for i in range(0, len(data), word)}


def _barns(slub: Slub, cache: Cache, problems: List[str]) -> Iterator[Sheaf]:
    """A node may have a barn where it has no memory: every slot is looked at."""
    reader, layout = slub.reader, slub.layout
    for number in range(node_count(slub)):
        slot = cache.address + layout.node_array + number * layout.node_stride
        try:
            if layout.barn_beside_node is not None:
                barn = read_word(reader, slot + layout.barn_beside_node)
            else:
                node = read_word(reader, slot + layout.node_pointer)
                offset = layout.barn_in_node
                barn = read_word(reader, node + offset) if node and offset is not None else 0
        except ReadError as error:
            problems.append(f"node {number}: barn: {error}")
            continue
        if not barn:
            continue
        walk = walk_list(reader, barn + layout.barn.offset("sheaves_full"))
        problems.extend(f"node {number}: barn: {text}" for text in walk.problems)
        counted = _nr_full(slub, barn)
        if not walk.problems and counted not in (None, len(walk.addresses)):
            problems.append(
                f"node {number}: barn: {len(walk.addresses)} full sheaves, nr_full says {counted}"
            )
        for link in walk.addresses:
            yield Sheaf(link - layout.sheaf_link, FREE, f"node {number} barn")


def _nr_full(slub: Slub, barn: int) -> Optional[int]:
    """The barn's own count; None where it can't be read: a witness less, no contradiction."""
    barn_struct = slub.layout.barn
    at = barn + barn_struct.offset("nr_full")
    try:
        return read_number(slub.reader, at, barn_struct.size("nr_full"))
    except ReadError:
        return None
