# SPDX-License-Identifier: GPL-3.0-or-later
"""Who points to an object: every pointer in dumped memory, kept by object and named.

search.py finds them in one pass over memory; this keeps them within bounds and says where
each lies. The mark pass (reach.py) can't answer this: it knows one pointer of each object, and
none in memory that isn't in use. Whether a pointer holds the object is not judged: gather.py
and rules.py do.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import Place
from crash_ext.places.places import Places
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache

EACH = 32
"""Pointers to one object that are kept."""
ALL = 1 << 19
"""Pointers that are kept in all: some 100 MB."""


class Reference(NamedTuple):
    """A pointer to an object."""

    holder: int
    """Its own address: the one under which what holds it is known."""
    value: int
    """What it points to: the object's start, or a byte inside."""
    place: Optional[Place]
    """Where it lies; None where that can't be named."""
    sheaf: bool
    """It's an entry of a sheaf of the object's cache: if the object is allocated, an old one."""


class References:
    """The pointers to a set of objects.

    ranges: (address, bytes) of each object. One pass over memory, on creation.
    """

    def __init__(
        self,
        places: Places,
        ranges: Iterable[Tuple[int, int]],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._places = places
        self._found: Dict[int, List[Tuple[int, int]]] = {}
        self._more: Dict[int, int] = {}
        self.summary = Summary()
        self.dropped = 0
        """Pointers that were found when there was no room for more."""
        kept = 0
        targets = Targets(ranges)
        for hit in find_pointers(
            places.session.reader, targets, self.summary, cap=1 << 30, progress=progress
        ):
            if hit.start <= hit.holder < targets.end(targets.index(hit.start)):
                # Lists that are empty, and the like.
                continue
            found = self._found.setdefault(hit.start, [])
            if len(found) < EACH and kept < ALL:
                found.append((hit.holder, hit.value))
                kept += 1
            else:
                self._more[hit.start] = self._more.get(hit.start, 0) + 1
                self.dropped += kept >= ALL

    def of(self, address: int, cache: Cache) -> List[Reference]:
        """The pointers to the object of a cache at an address, those in itself left out."""
        found = []
        for holder, value in self._found.get(address, []):
            place = self._places.name(holder)
            sheaf = is_sheaf(self._places.session, cache, place)
            found.append(Reference(self._places.own_address(holder), value, place, sheaf))
        return found

    def more(self, address: int) -> int:
        """Pointers to it that were found and aren't kept."""
        return self._more.get(address, 0)

    @property
    def searched(self) -> str:
        """How much memory was looked at, in words."""
        return f"{self.summary.bytes >> 20} MB of dumped memory"


def is_sheaf(slub: Slub, cache: Cache, place: Optional[Place]) -> bool:
    """Whether a place lies in a struct slab_sheaf of the cache, one in use or a freed one.

    Behind the entries in use there are old ones; and a sheaf is freed with all of them in it.
    """
    if slub.layout.sheaves is None or place is None or place.object is None:
        return False
    try:
        data = slub.reader.read(place.object, slub.layout.sheaf.span("cache"))
    except ReadError:
        return False
    return slub.layout.sheaf.pointer(data, "cache") == cache.address
