# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that objects are on: is there still somebody who can reach them?

A list's head lies in a variable, or in an object of another kind. A list_head ring without
such a head, or with one in a freed object, can't be found by anybody; nor can an hlist whose
first pointer lies in freed memory. rings.py says what a list looks like; this says what
that means for the objects on it.
"""

from __future__ import annotations

from typing import Callable, Collection, Dict, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.pages import Memory
from crash_ext.places.place import MODULE, OBJECT, SYMBOL, Place
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING

HEADED = "headed"
"""Something that lives on has the list's head."""
HEADLESS = "headless"
"""Nobody does: all are of the objects' own kind, or the head was freed."""
LEAKED = "leaked"
"""An object of a cache that was destroyed has the head: it is lost itself."""
OPEN = "open"
"""The list is broken, or its head can't be told."""

_NODES = 1 << 16
"""More of a list aren't walked."""

Name = Callable[[int], Optional[Place]]


class Membership(NamedTuple):
    """A list that some of the objects are on."""

    verdict: str
    nodes: int
    """That were walked."""
    members: List[int]
    """The objects on it, by address."""
    at: int
    """Address of the head; where the list breaks, of what it breaks at; 0 for none."""
    text: str
    """The evidence in words."""


class Lists:
    """Finds the lists of one cache's objects.

    objects: addresses of those that are asked for. peers: the caches whose objects are on
    lists by the same member, and so head none.
    """

    def __init__(
        self,
        memory: Memory,
        word: int,
        name: Name,
        objects: Collection[int],
        peers: Collection[int],
    ) -> None:
        self._memory = memory
        self._word = word
        self._name = name
        self._objects = objects
        self._peers = peers

    def rings(self, offset: int, starts: Collection[int]) -> Dict[int, Membership]:
        """Object -> the ring that its struct list_head at `offset` is on.

        starts: those of the objects whose list_head is linked, or broken.
        """
        found: Dict[int, Membership] = {}
        for start in starts:
            if start not in found:
                ring = self._ring(start + offset, offset)
                found.update(dict.fromkeys(ring.members, ring))
        return found

    def chains(self, offset: int, starts: Collection[int]) -> Dict[int, Membership]:
        """Object -> the hlist that its struct hlist_node at `offset` is on."""
        return {start: self._chain(start + offset, offset) for start in starts}

    def _ring(self, start: int, offset: int) -> Membership:
        nodes: List[int] = []
        ends = [self._follow(start, 0, nodes)]
        if ends[0] is not None:
            ends.append(self._follow(start, self._word, nodes))
        members = [start - offset]
        strangers: Dict[str, Tuple[int, Optional[Place]]] = {}
        for node in nodes:
            if node - offset in self._objects:
                members.append(node - offset)
                continue
            place = self._name(node)
            if not self._is_peer(place, offset):
                # One of each kind says enough: a list of other objects may be long.
                strangers.setdefault(_kind(place), (node, place))
        count = len(nodes) + 1
        broken = [end for end in ends if end]
        if len(ends) > 1:
            return self._broken(count, members, broken)
        if not strangers:
            text = f"{count} list_heads in a ring, each in an object of this kind: no head"
            return Membership(HEADLESS, count, members, 0, text)
        at, head = min(strangers.values(), key=lambda stranger: _rank(stranger[1]))
        return Membership(_VERDICTS[_rank(head)], count, members, at, f"head {at:x}: {_text(head)}")

    def _follow(self, start: int, way: int, nodes: List[int]) -> Optional[int]:
        """Collect the nodes from start on: by next (way 0), or prev (way: a word).

        None where the ring comes home; else the address that it breaks at, 0 where there
        are too many.
        """
        read, other = self._memory.word, self._word - way
        seen: Set[int] = set(nodes)
        at = start
        while len(nodes) < _NODES:
            following = read(at + way)
            if following == start:
                return None
            if following is None:
                return at
            if following in seen or read(following + other) != at:
                return following
            seen.add(following)
            nodes.append(following)
            at = following
        return 0

    def _broken(self, count: int, members: List[int], ends: List[int]) -> Membership:
        if not ends:
            text = f"a ring of more than {_NODES} list_heads"
            return Membership(OPEN, count, members, 0, text)
        places = [self._name(end) for end in ends]
        verdict = HEADLESS if all(map(_freed, places)) else OPEN
        text = f"broken at {ends[0]:x}, which doesn't point back: {_text(places[0])}"
        return Membership(verdict, count, members, ends[0], text)

    def _chain(self, start: int, offset: int) -> Membership:
        """An hlist back to its first pointer: the one that lies in no node's `next`."""
        at, count = start, 1
        seen = {start}
        while len(seen) < _NODES:
            pprev = self._memory.word(at + self._word)
            if not pprev or self._memory.word(pprev) != at or pprev in seen:
                break
            place = self._name(pprev)
            if pprev - offset not in self._objects and not self._is_peer(place, offset):
                verdict = _VERDICTS[_rank(place)]
                text = f"hlist headed by {pprev:x}: {_text(place)}"
                return Membership(verdict, count, [start - offset], pprev, text)
            seen.add(pprev)
            at, count = pprev, count + 1
        text = f"hlist without a first pointer, broken at {at:x}"
        return Membership(OPEN, count, [start - offset], at, text)

    def _is_peer(self, place: Optional[Place], offset: int) -> bool:
        return (
            place is not None
            and place.kind == OBJECT
            and place.cache is not None
            and place.cache.address in self._peers
            and place.offset == offset
            and place.state == ALLOCATED
        )


_VERDICTS = (HEADED, HEADED, LEAKED, OPEN, HEADLESS)


def _rank(place: Optional[Place]) -> int:
    """How good a head it is, as an index of _VERDICTS.

    0 a variable, 1 an object in use, 2 one of a destroyed cache, 3 untold, 4 a freed object.
    """
    if place is None:
        return 3
    if place.kind in (SYMBOL, MODULE):
        return 0
    if place.kind == OBJECT and place.state == ALLOCATED:
        return 2 if place.cache is None or place.cache.refcount == 0 else 1
    return 4 if _freed(place) else 3


def _freed(place: Optional[Place]) -> bool:
    return place is not None and place.kind == OBJECT and place.state in (FREE, RCU_PENDING)


def _kind(place: Optional[Place]) -> str:
    if place is None:
        return ""
    if place.kind == OBJECT and place.cache is not None:
        return f"{place.cache.address:x} {place.offset} {place.state}"
    return f"{place.kind} {place.text}"


def _text(place: Optional[Place]) -> str:
    return place.text if place is not None else "memory that can't be named"
