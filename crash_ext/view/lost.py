# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of one cache that nothing in use leads to, and how each is lost.

The words are memcheck's: definitely lost, indirectly lost (only lost objects lead to it),
possibly lost (only memory that may be old does, or a handle that is no pointer).
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Set

from crash_ext.leak.family import Families
from crash_ext.places.places import Places
from crash_ext.reach.hidden import find_hidden
from crash_ext.reach.known import known_reason
from crash_ext.reach.reach import Reach
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import ALLOCATED, FREE, Cache, SlabObjects
from crash_ext.slub.objects import for_each_decoded_slab


class Lost(NamedTuple):
    """A cache with the objects that it has lost, by address."""

    cache: Cache
    allocated: int
    definitely: List[int]
    indirectly: List[int]
    possibly: Dict[int, str]
    """Why they may be held all the same."""
    known: Dict[int, str]
    """Lost at boot, and harmlessly: why. Counted nowhere else."""
    slabs: List[SlabObjects]
    """Those that hold lost objects, with only these called allocated."""
    problems: List[str]

    @property
    def number(self) -> int:
        """Objects that are definitely or indirectly lost."""
        return len(self.definitely) + len(self.indirectly)

    @property
    def bytes(self) -> int:
        """Memory that these take, with what the allocator puts around them."""
        return self.number * self.cache.size


def find_lost(
    slub: Slub, places: Places, reach: Reach, caches: Iterable[Cache], lists_only: bool
) -> List[Lost]:
    """What each of the caches has lost; most bytes first, caches without lost objects left out."""
    unreached, maybe = set(reach.unreached()), set(reach.maybe())
    found = [_of(slub, places, reach, cache, unreached, maybe, lists_only) for cache in caches]
    told = [one for one in found if one.number or one.possibly or one.known]
    return sorted(told, key=lambda one: (-one.bytes, one.cache.address))


def _of(
    slub: Slub,
    places: Places,
    reach: Reach,
    cache: Cache,
    unreached: Set[int],
    maybe: Set[int],
    lists_only: bool,
) -> Lost:
    problems: List[str] = []
    allocated = 0
    lost: List[int] = []
    possibly: Dict[int, str] = {}
    kept: List[SlabObjects] = []
    for decoded in for_each_decoded_slab(slub, cache, problems, lists_only):
        allocated += decoded.count(ALLOCATED)
        own = bytearray(decoded.states)
        for index, state in enumerate(decoded.states):
            address = decoded.first + index * cache.size
            if state != ALLOCATED or address not in unreached:
                own[index] = FREE
            if state == ALLOCATED and address in unreached:
                lost.append(address)
            elif state == ALLOCATED and address in maybe:
                possibly[address] = "only memory that may be old leads to it"
        if ALLOCATED in own:
            kept.append(decoded._replace(states=bytes(own), memory=None))
    known: Dict[int, str] = {}
    for address in lost:
        reason = known_reason(places, address)
        if reason is not None:
            known[address] = reason
    held = {address: cache.object_size for address in lost if address not in known}
    possibly.update(find_hidden(slub, reach, held))
    inner = reach.inner()
    rest = [address for address in held if address not in possibly]
    return Lost(
        cache,
        allocated,
        [address for address in rest if address not in inner],
        [address for address in rest if address in inner],
        possibly,
        known,
        [_only(decoded, cache, set(rest)) for decoded in kept],
        problems,
    )


def _only(decoded: SlabObjects, cache: Cache, wanted: Set[int]) -> SlabObjects:
    """A slab with only the wanted objects called allocated."""
    states = bytes(
        ALLOCATED if decoded.first + index * cache.size in wanted else FREE
        for index in range(len(decoded.states))
    )
    return decoded._replace(states=states)


def chosen_caches(caches: Iterable[Cache], named: Iterable[Cache]) -> List[Cache]:
    """The named caches with their memcg children, each once; all where none is named."""
    everything = list(caches)
    families = Families(everything)
    found: Dict[int, Cache] = {}
    for cache in named:
        for member in families.with_children(cache):
            found[member.address] = member
    return list(found.values()) or everything
