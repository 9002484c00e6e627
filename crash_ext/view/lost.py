# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of one cache that nothing in use leads to, and how each is lost.

The words are memcheck's: definitely lost, indirectly lost (only lost objects lead to it),
possibly lost (only memory that may be old does, or a handle that is no pointer).
"""

from __future__ import annotations

from array import array
from typing import Dict, Iterable, Iterator, List, NamedTuple, Set, Tuple

from crash_ext.hexa import hexa
from crash_ext.leak.family import Families
from crash_ext.places.places import Places
from crash_ext.reach.hidden import find_hidden
from crash_ext.reach.known import Known
from crash_ext.reach.model import MAYBE, UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.kmalloc import kmalloc_size
from crash_ext.slub.model import ALLOCATED, FREE, ONLY_ALLOCATED, Cache, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.slub.slabs import for_each_slab
from crash_ext.why.chosen import Chosen
from crash_ext.why.owners import TracksOf

_NAMED = 1000
"""Of so many objects of a cache, which are perhaps lost, it is said where the way begins."""

_YOUNG = 0.1
"""Seconds: an object that was allocated so shortly before the dump may be on its way."""
_ON_ITS_WAY = "allocated less than 0.1 s before the dump: perhaps on its way to an owner"


class Lost(NamedTuple):
    """A cache with the objects that it has lost, by address."""

    cache: Cache
    allocated: int
    definitely: array[int]
    indirectly: array[int]
    possibly: Dict[int, str]
    """Why they may be held all the same."""
    known: Dict[int, str]
    """Lost at boot, and harmlessly: why. Counted nowhere else."""
    slabs: List[SlabObjects]
    """Those that hold lost objects, with only these called allocated."""
    doubtful: List[SlabObjects]
    """The same with those that are possibly lost."""
    problems: List[str]

    @property
    def number(self) -> int:
        """Objects that are definitely or indirectly lost."""
        return len(self.definitely) + len(self.indirectly)

    def lost(self) -> array[int]:
        """These objects' addresses, ascending."""
        if not self.indirectly:
            return self.definitely
        return array("Q", sorted([*self.definitely, *self.indirectly]))

    @property
    def bytes(self) -> int:
        """Memory that these take, with what the allocator puts around them."""
        return self.number * self.cache.size


class _Part(NamedTuple):
    """A slab with lost objects."""

    slab: SlabObjects
    """None of its objects is called allocated yet."""
    numbers: range
    """Of its allocated objects."""


class _Found(NamedTuple):
    """What one pass over a cache's slabs has found."""

    cache: Cache
    allocated: int
    possibly: Dict[int, str]
    known: Dict[int, str]
    parts: List[_Part]
    doubtful: List[SlabObjects]
    """Slabs with objects that are possibly lost, with only these called allocated."""
    problems: List[str]


def find_lost(
    session: Session, places: Places, reach: Reach, caches: Iterable[Cache], lists_only: bool
) -> List[Lost]:
    """What each of the caches has lost; most bytes first, caches without lost objects left out."""
    wanted = {cache.address for cache in caches}
    known = Known(places)
    parts = {
        owner: set(slabs)
        for owner, slabs in reach.not_reached().items()
        if reach.heap.caches[owner].address in wanted
    }
    found = []
    for number, (owner, slabs) in enumerate(parts.items()):
        session.progress(number, len(parts))
        found.append(_look(session, reach, known, owner, slabs, lists_only))
    session.progress(len(parts), len(parts))
    # One search of memory, however many caches have lost objects.
    lost = array("Q")
    for one in found:
        for part in one.parts:
            lost.extend(_unreached(reach, part.numbers, one.known))
    hidden = {
        each.address: f"{each.text} at {hexa(each.holder)}"
        for each in find_hidden(session, reach, array("Q", sorted(lost)))
    }
    for one in found:
        hidden.update(_young(session, reach, one))
    for address, holder in reach.led_to(list(hidden)):
        hidden[address] = f"only an object that is possibly lost leads to it: {hexa(holder)}"
    return most_bytes_first(_judge(one, reach, hidden) for one in found)


def _unreached(reach: Reach, numbers: range, known: Dict[int, str]) -> List[int]:
    """The addresses of those objects that nothing leads to, without the known ones."""
    levels = reach.levels(numbers)
    starts = reach.heap.starts(numbers)
    if not any(levels) and not known:
        return starts.tolist()
    return [
        address
        for address, level in zip(starts, levels)
        if level == UNREACHED and address not in known
    ]


def _look(
    session: Session,
    reach: Reach,
    known: Known,
    owner: int,
    slabs: Set[int],
    lists_only: bool,
) -> _Found:
    """Which allocated objects of a cache nothing leads to, or perhaps nothing.

    owner: the cache's number in the pass; slabs: the first objects of the slabs to look at.
    """
    cache = reach.heap.caches[owner]
    found = _Found(
        cache,
        reach.heap.allocated[owner],
        {},
        {},
        [],
        [],
        reach.heap.problems.get(owner, []),
    )
    harmless = kmalloc_size(cache) is not None
    for part in _parts(session, reach, cache, slabs, lists_only):
        numbers = part.numbers
        levels = reach.levels(numbers)
        if MAYBE in levels:
            starts = reach.heap.starts(numbers)
            perhaps = [address for address, level in zip(starts, levels) if level == MAYBE]
            for address in perhaps:
                found.possibly[address] = _maybe(reach, address, len(found.possibly))
            found.doubtful.append(_only(part.slab, perhaps))
        if UNREACHED not in levels:
            continue
        if harmless:
            for address in _unreached(reach, numbers, {}):
                data = session.reader.try_read(address, cache.object_size)
                reason = None if data is None else known.reason(data)
                if reason is not None:
                    found.known[address] = reason
        found.parts.append(part)
    return found


def _young(session: Session, reach: Reach, found: _Found) -> Iterator[Tuple[int, str]]:
    """Objects that nothing leads to, but which were allocated just before the dump, and why
    they may be held: a CPU may have the address in a form that can't be seen, on the way from
    kmalloc() to where it is kept.
    """
    tracks = TracksOf(session, found.cache)
    young: List[int] = []
    for part in found.parts:
        if not tracks.noted(part.slab):
            continue
        memory = tracks.memory(part.slab)
        for address in _unreached(reach, part.numbers, found.known):
            seconds = tracks.seconds(part.slab, address, memory)
            if seconds is not None and seconds < _YOUNG:
                young.append(address)
    # More than the CPUs have in hand were lost as fast as they were allocated.
    if len(young) <= len(session.reader.possible_cpus()):
        yield from ((address, _ON_ITS_WAY) for address in young)


def _maybe(reach: Reach, address: int, told: int) -> str:
    """Why an object is only perhaps lost; told: others of the cache that were."""
    text = "only memory that may be old leads to it"
    path = reach.path(address) if told < _NAMED else []
    if path and path[0].place is not None:
        text += f": {path[0].place.text} at {hexa(path[0].holder)}"
    return text


def _parts(
    session: Session, reach: Reach, cache: Cache, slabs: Set[int], lists_only: bool
) -> Iterator[_Part]:
    """The slabs with these first objects. Which are allocated, the pass has decoded already."""
    for slab in for_each_slab(session, cache, [], lists_only):
        first = slab.base + cache.red_left
        if first in slabs:
            free = bytes([FREE]) * slab.objects
            objects = SlabObjects(slab, first, cache.size, free, None, {}, None)
            # Without the red zone: behind the slab another one may begin.
            end = slab.base + slab.objects * cache.size
            yield _Part(objects, reach.heap.numbers(first, end))
    for guarded in session.kfence().of(cache.address):
        if guarded.address in slabs:
            objects = guarded.as_slab()
            yield _Part(objects, reach.heap.numbers(guarded.address, guarded.address + 1))


def _judge(found: _Found, reach: Reach, hidden: Dict[int, str]) -> Lost:
    """How each of the lost objects is lost."""
    possibly = dict(found.possibly)
    definitely, indirectly = array("Q"), array("Q")
    slabs, doubtful = [], list(found.doubtful)
    for slab, numbers in found.parts:
        inner = reach.inner(numbers)
        lost = _unreached(reach, numbers, found.known)
        some = [address for address in lost if address in hidden] if hidden else []
        possibly.update((address, hidden[address]) for address in some)
        if some:
            doubtful.append(_only(slab, some))
            lost = [address for address in lost if address not in hidden]
        if any(inner):
            first = numbers.start
            of = {a: inner[n - first] for a, n in zip(reach.heap.starts(numbers), numbers)}
            definitely.extend(address for address in lost if not of[address])
            indirectly.extend(address for address in lost if of[address])
        else:
            definitely.extend(lost)
        if lost:
            slabs.append(_only(slab, lost))
    return Lost(
        found.cache,
        found.allocated,
        array("Q", sorted(definitely)),
        array("Q", sorted(indirectly)),
        possibly,
        found.known,
        slabs,
        doubtful,
        found.problems,
    )


def only_fitting(one: Lost, chosen: Chosen) -> Lost:
    """The same with only the objects that -w chooses, of the possibly lost ones, too."""
    slabs = list(_fitting(one.slabs, chosen))
    doubtful = list(_fitting(one.doubtful, chosen))
    kept = {address for slab in slabs for address in slab.allocated()}
    perhaps = {address for slab in doubtful for address in slab.allocated()}
    return one._replace(
        definitely=array("Q", (address for address in one.definitely if address in kept)),
        indirectly=array("Q", (address for address in one.indirectly if address in kept)),
        possibly={address: why for address, why in one.possibly.items() if address in perhaps},
        slabs=slabs,
        doubtful=doubtful,
    )


def _fitting(slabs: Iterable[SlabObjects], chosen: Chosen) -> Iterator[SlabObjects]:
    for slab in slabs:
        fits = chosen.among(slab, slab.states.translate(ONLY_ALLOCATED))
        if 1 in fits:
            yield slab.only(fits)


def most_bytes_first(found: Iterable[Lost]) -> List[Lost]:
    """Those of the caches that have something to tell."""
    told = [one for one in found if one.number or one.possibly or one.known]
    return sorted(told, key=lambda one: (-one.bytes, one.cache.address))


def by_size(found: Iterable[Lost]) -> List[List[Lost]]:
    """The caches, those that are kmalloc caches of one size together; most bytes first."""
    sets: Dict[Tuple[object, ...], List[Lost]] = {}
    for one in found:
        size = kmalloc_size(one.cache)
        key = (one.cache.address,) if size is None else (size, one.cache.object_size)
        sets.setdefault(key, []).append(one)
    return sorted(sets.values(), key=lambda each: -sum(one.bytes for one in each))


def _only(slab: SlabObjects, wanted: List[int]) -> SlabObjects:
    """A slab with only the wanted objects called allocated."""
    states = bytearray([FREE]) * len(slab.states)
    first, stride = slab.first, slab.stride
    for address in wanted:
        states[(address - first) // stride] = ALLOCATED
    return slab._replace(states=bytes(states))


def chosen_caches(caches: Iterable[Cache], named: Iterable[Cache]) -> List[Cache]:
    """The named caches with their memcg children, each once; all where none is named."""
    everything = list(caches)
    families = Families(everything)
    found: Dict[int, Cache] = {}
    for cache in named:
        for member in families.with_children(cache):
            found[member.address] = member
    return list(found.values()) or everything
