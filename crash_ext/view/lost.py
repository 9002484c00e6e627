# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of one cache that nothing in use leads to, and how each is lost.

The words are memcheck's: definitely lost, indirectly lost (only lost objects lead to it),
possibly lost (only memory that may be old does, or a handle that is no pointer).
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Set, Tuple

from crash_ext.leak.family import Families
from crash_ext.places.places import Places
from crash_ext.reach.hidden import find_hidden
from crash_ext.reach.known import Known
from crash_ext.reach.reach import Reach
from crash_ext.slub.decoded import for_each_slab_decoded_once
from crash_ext.slub.kmalloc import kmalloc_size
from crash_ext.slub.model import ALLOCATED, FREE, Cache, SlabObjects
from crash_ext.slub.session import Session


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


class _Found(NamedTuple):
    """What one pass over a cache's slabs has found."""

    cache: Cache
    allocated: int
    lost: List[int]
    """Objects that nothing leads to, without the known ones."""
    possibly: Dict[int, str]
    known: Dict[int, str]
    slabs: List[SlabObjects]
    """That hold some of the lost objects."""
    problems: List[str]


def find_lost(
    session: Session, places: Places, reach: Reach, caches: Iterable[Cache], lists_only: bool
) -> List[Lost]:
    """What each of the caches has lost; most bytes first, caches without lost objects left out."""
    unreached, maybe, known = set(reach.unreached()), set(reach.maybe()), Known(places)
    every = list(caches)
    found = []
    for number, cache in enumerate(every):
        session.progress(number, len(every))
        found.append(_look(session, known, cache, unreached, maybe, lists_only))
    # One search of memory, however many caches have lost objects.
    lost = (address for one in found for address in one.lost)
    hidden = {
        each.address: f"{each.text} at {each.holder:x}"
        for each in find_hidden(session, reach, lost)
        if not each.round
    }
    inner = reach.inner()
    told = [_judge(one, hidden, inner) for one in found if one.lost or one.possibly or one.known]
    return sorted(told, key=lambda one: (-one.bytes, one.cache.address))


def _look(
    session: Session,
    known: Known,
    cache: Cache,
    unreached: Set[int],
    maybe: Set[int],
    lists_only: bool,
) -> _Found:
    """Which allocated objects of a cache nothing leads to, or perhaps nothing."""
    found = _Found(cache, 0, [], {}, {}, [], [])
    allocated = 0
    for decoded in for_each_slab_decoded_once(session, cache, found.problems, lists_only):
        allocated += decoded.count(ALLOCATED)
        before = len(found.lost)
        for address in decoded.allocated():
            if address in maybe:
                found.possibly[address] = "only memory that may be old leads to it"
            if address not in unreached:
                continue
            reason = known.reason(address, cache.object_size)
            if reason is None:
                found.lost.append(address)
            else:
                found.known[address] = reason
        if len(found.lost) > before:
            found.slabs.append(decoded)
    return found._replace(allocated=allocated)


def _judge(found: _Found, hidden: Dict[int, str], inner: Set[int]) -> Lost:
    """How each of the lost objects is lost."""
    possibly = dict(found.possibly)
    possibly.update((address, hidden[address]) for address in found.lost if address in hidden)
    rest = [address for address in found.lost if address not in hidden]
    wanted = set(rest)
    return Lost(
        found.cache,
        found.allocated,
        [address for address in rest if address not in inner],
        [address for address in rest if address in inner],
        possibly,
        found.known,
        [_only(decoded, found.cache, wanted) for decoded in found.slabs],
        found.problems,
    )


def by_size(found: Iterable[Lost]) -> List[List[Lost]]:
    """The caches, those that are kmalloc caches of one size together; most bytes first."""
    sets: Dict[Tuple[object, ...], List[Lost]] = {}
    for one in found:
        size = kmalloc_size(one.cache)
        key = (one.cache.address,) if size is None else (size, one.cache.object_size)
        sets.setdefault(key, []).append(one)
    return sorted(sets.values(), key=lambda each: -sum(one.bytes for one in each))


def _only(decoded: SlabObjects, cache: Cache, wanted: Set[int]) -> SlabObjects:
    """A slab with only the wanted objects called allocated."""
    states = bytes(
        ALLOCATED if decoded.address(index) in wanted else FREE
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
