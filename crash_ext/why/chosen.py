# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a cache's objects fit the user's filter (-w): asks memory and the noted tracks.

Counts as it goes: how many fit, of how many, and what could not be known of the others.
"""

from __future__ import annotations

from collections import Counter
from itertools import compress
from typing import Dict, FrozenSet, Iterable, Iterator, List, Optional

from crash_ext.contents.filters import NOTHING, Facts, Filter, forms_of
from crash_ext.kernel.say import count
from crash_ext.places.place import MODULE, SYMBOL
from crash_ext.places.places import Places
from crash_ext.reader import ReadError
from crash_ext.slub.model import Cache, SlabObjects
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.why.owners import TracksOf


class Asked:
    """What -w asks, of one kernel."""

    def __init__(self, places: Places, what: Filter) -> None:
        self.what = what
        self.places = places
        self._forms: Dict[int, Optional[FrozenSet[str]]] = {}

    def forms(self, address: int) -> Optional[FrozenSet[str]]:
        """The function at an address as a user may name it; None where it has no name."""
        if address not in self._forms:
            place = self.places.name(address)
            named = place is not None and place.kind in (SYMBOL, MODULE)
            self._forms[address] = forms_of(place.text) if place is not None and named else None
        return self._forms[address]


class Chosen:
    """The objects of one cache that fit; counts them."""

    def __init__(self, asked: Asked, cache: Cache, data: Optional[SlabBytes] = None) -> None:
        """data: of whoever looks at the same objects afterwards."""
        self.fit = 0
        self.of = 0
        """Objects that were judged, or were to be."""
        self.unknown: Counter[str] = Counter()
        """Why it can't be known of an object whether it fits -> of how many."""
        self._asked = asked
        self._cache = cache
        self._reader = asked.places.session.reader
        self._data = data or SlabBytes(self._reader, cache.size)
        self._tracks = TracksOf(asked.places.session, cache)

    def among(self, slab: SlabObjects, objects: bytes) -> bytes:
        """1 for each of these objects of a slab that fits."""
        fits = bytearray(len(objects))
        what = self._asked.what
        looks = what.contents or what.owner
        memory = self._data.whole(slab, objects.count(1)) if looks else None
        for index in compress(range(len(objects)), objects):
            facts = self._facts(slab, slab.address(index), memory)
            verdict = what.judge(facts, self._reader.byteorder)
            self.of += 1
            if verdict is True:
                self.fit += 1
                fits[index] = 1
            elif isinstance(verdict, str):
                self.unknown[verdict] += 1
        return bytes(fits)

    def _facts(self, slab: SlabObjects, address: int, memory: Optional[bytes]) -> Facts:
        what = self._asked.what
        facts = NOTHING._replace(node=slab.slab.node)
        if what.contents:
            facts = facts._replace(data=self._contents(slab, address, memory))
        track = self._tracks.of(slab, address, memory).alloc if what.owner else None
        if track is None:
            return facts
        forms: List[Optional[FrozenSet[str]]] = []
        if what.functions:
            every = dict.fromkeys((track.caller, *track.frames) if track.caller else track.frames)
            forms = [self._asked.forms(frame) for frame in every]
        return facts._replace(
            noted=True,
            functions=frozenset().union(*(each for each in forms if each is not None)),
            unnamed=None in forms,
            seconds=track.seconds,
            cpu=track.cpu,
            pid=track.pid,
        )

    def _contents(
        self, slab: SlabObjects, address: int, memory: Optional[bytes]
    ) -> Optional[bytes]:
        length = self._cache.object_size if slab.length is None else slab.length
        try:
            return self._data.of(slab, address, length, memory)
        except ReadError:
            return None


def doubts(found: Iterable[Chosen]) -> Iterator[str]:
    """What could not be judged in several caches, a text for each reason."""
    unknown: Counter[str] = Counter()
    for each in found:
        unknown.update(each.unknown)
    for reason, number in sorted(unknown.items()):
        yield f"{reason} for {count(number, 'object')}: left out (-w)"


def fit_counts(found: Iterable[Chosen]) -> Dict[str, int]:
    """What -w has chosen in several caches, for the last record."""
    several = list(found)
    return {
        "fit": sum(each.fit for each in several),
        "of": sum(each.of for each in several),
        "not_judged": sum(sum(each.unknown.values()) for each in several),
    }
