# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that objects are on: is there still somebody who can reach them?

A list's head lies in a variable, or in an object of another kind. A list_head ring without
such a head, or with one in a freed object, can't be found by anybody; nor can an hlist whose
first pointer lies in freed memory. rings.py tells what a list looks like; this tells what
that means for the objects on it.
"""

from __future__ import annotations

import re
from typing import Callable, Collection, Dict, List, NamedTuple, Optional, Set, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import (
    FREED_INIT,
    FREED_VMALLOC,
    MODULE,
    OBJECT,
    PAGE,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    UNNAMED,
    VMALLOC,
    Place,
    words_of,
)
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING

HEADED = "headed"
"""Something that lives on has the list's head."""
HEADLESS = "headless"
"""Nobody does: all are of the objects' own kind, or the head was freed."""
LEAKED = "leaked"
"""An object of a cache that was destroyed has the head: it is lost itself."""
OPEN = "open"
"""The list is broken, or its head is unknown."""
EITHER = "either"
"""One object and something in use are on it, and perhaps others: which of them has the head, the
ring itself doesn't tell."""
WAITED = "waited"
"""Tasks wait: the list is that of the object's own wait queue, mutex or semaphore."""

_POINTER = re.compile(r"[0-9a-f]+\Z")
"""How places name per-CPU memory that is no variable: by its per-CPU pointer."""
_NODES = 1 << 16
"""More of a list aren't walked."""

Name = Callable[[int], Optional[Place]]

Alive = Callable[[int], Optional[bool]]
"""Whether memory in use has an address and something leads to it; None: that wasn't asked."""

Waits = Callable[[int], bool]
"""Whether the list_head at an address is the entry of a task that sleeps."""


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
    head: str = ""
    """What has the head, in words, without the offset in it; of a headless one a variable."""
    lent: bool = False
    """The head lies inside of a variable, or in memory that others had before: an object, a
    page, a vmalloc area, alloc_percpu()'s, another function's stack frame. It may be left over
    from them, or be another kind of entry on the list."""
    stands: bool = False
    """Of a headless one: where the head was has not been freed, so far as is known. Then the
    objects may have been taken off, with their pointers left as they were."""
    local: bool = False
    """The head is, or was, on a stack."""
    freed: int = 0
    """A freed object whose node is still on it; 0 for none."""
    bare: bool = False
    """The head is a variable, and all of it: an entry would have more behind it."""


class Lists:
    """Finds the lists of one cache's objects.

    objects: addresses of those that are asked for. peers: the caches whose objects are on
    lists by the same member, and so head none. lowest: the kernel's lowest address.
    """

    def __init__(
        self,
        memory: Memory,
        word: int,
        name: Name,
        objects: Collection[int],
        peers: Collection[int],
        alive: Alive = lambda address: None,
        waits: Waits = lambda address: False,
        lowest: int = 1,
    ) -> None:
        self._waits = waits
        self._lowest = lowest
        self._memory = memory
        self._word = word
        self._name = name
        self._objects = objects
        self._peers = peers
        self._alive = alive

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
        found: Dict[int, Membership] = {}
        for start in starts:
            found[start] = self._chain(start + offset, offset)
            # Without a head the first node doesn't look like one.
            found.update(dict.fromkeys(found[start].members, found[start]))
        return found

    def _ring(self, start: int, offset: int) -> Membership:
        nodes: List[int] = []
        ends = [self._follow(start, 0, nodes)]
        if ends[0] is not None:
            ends.append(self._follow(start, self._word, nodes))
        members = [start - offset]
        strangers: Dict[str, Tuple[int, Optional[Place]]] = {}
        often: Dict[str, int] = {}
        alone, freed = True, 0
        for node in nodes:
            if node - offset in self._objects:
                members.append(node - offset)
                continue
            place = self._name(node)
            if place is not None and place.offset == offset and _freed(place):
                freed = freed or node - offset
            if self._is_peer(place, offset):
                alone = False
            else:
                # One of each kind says enough: a list of other objects may be long.
                strangers.setdefault(_kind(place), (node, place))
                often[_kind(place)] = often.get(_kind(place), 0) + 1
        count = len(nodes) + 1
        broken = [end for end in ends if end]
        if len(ends) > 1:
            return self._broken(count, members, broken)
        if not strangers:
            text = f"{count} list_heads in a ring, each in an object of this kind: no head"
            return Membership(HEADLESS, count, members, 0, text)
        alone = alone and len(members) == 1
        if len(members) == 1:
            # A list has one head: several of a kind are entries of the object's own list, and
            # of two nodes in objects either may be the other's.
            kept = {
                kind: found
                for kind, found in strangers.items()
                if found[1] is None or found[1].kind != OBJECT
            }
            if not kept:
                each = next(iter(strangers.values()))
                text = f"{count} list_heads in a ring, perhaps headed by the object's own"
                return Membership(OPEN, count, members, each[0], text)
            strangers = kept
            waiting = [node for node, _ in strangers.values() if self._waits(node)]
            if waiting:
                place = self._name(waiting[0])
                text = f"its own list: a task waits with {hexa(waiting[0])}: {words_of(place)}"
                return Membership(WAITED, count, members, waiting[0], text, _label(place))
        single = {kind: found for kind, found in strangers.items() if often[kind] == 1}
        strangers = single or strangers
        at, head = min(strangers.values(), key=lambda stranger: self._rank(*stranger))
        rank = self._rank(at, head)
        if len(strangers) > 1 and rank in (_VARIABLE, _OBJECT):
            # A kset has kobjects of many kinds, and is an object like them; of variables some
            # may be entries, too. The head of its own is named like the variable.
            heads = [
                found
                for found in strangers.values()
                if _rank(found[1]) == _VARIABLE and found[1] is not None and not found[1].offset
            ]
            if len(heads) != 1:
                text = f"{count} list_heads in a ring, one of several has the head"
                return Membership(OPEN, count, members, at, text)
            at, head = heads[0]
        verdict, text = _VERDICTS[rank], f"head {hexa(at)}: {words_of(head)}"
        if verdict == HEADED and alone:
            beside = f"{count} list_heads in a ring, perhaps headed by"
            beside = "one other list_head beside it," if count == 2 else beside
            verdict, text = EITHER, f"{beside} {hexa(at)}: {words_of(head)}"
        # A list_head inside of a variable may be an entry, of a list whose own head is gone.
        lent = _is_lent(head) or _is_inside(head)
        bare = rank == _VARIABLE and not lent and self._ends(head, at + 2 * self._word)
        return Membership(
            *(verdict, count, members, at, text, _label(head), lent),
            local=_is_local(head),
            bare=bare,
            freed=freed,
        )

    def _ends(self, head: Optional[Place], behind: int) -> bool:
        """Whether a variable ends before an address: another one begins there."""
        place = self._name(behind)
        return (
            head is not None
            and place is not None
            and (place.kind, place.offset) == (head.kind, 0)
            and place.label not in ("", head.label)
        )

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
        gone = all(_rank(place) == _GONE for place in places)
        text = f"broken at {hexa(ends[0])}, which doesn't point back: {words_of(places[0])}"
        if len(ends) == 2 and ends[0] == ends[1]:
            # Both ways lead to where the head was: a variable was set anew, or is of a module
            # that was loaded into the memory of another.
            gone = True
            at, place = hexa(ends[0]), words_of(places[0])
            text = f"the head was at {at}, which doesn't lead back: {place}"
        verdict = HEADLESS if gone else OPEN
        return self._headless(Membership(verdict, count, members, ends[0], text), places[0])

    @staticmethod
    def _headless(ring: Membership, head: Optional[Place]) -> Membership:
        """A list with what is known of where its head was."""
        named = head is not None and head.kind in (SYMBOL, MODULE, PERCPU)
        return ring._replace(
            head=_label(head) if named else "",
            stands=_rank(head) != _GONE,
            local=_is_local(head),
        )

    def _chain(self, start: int, offset: int) -> Membership:
        """An hlist back to its first pointer: the one that lies in no node's `next`."""
        at, count = start, 1
        seen = {start}
        while len(seen) < _NODES:
            pprev = self._memory.word(at + self._word)
            if not pprev or pprev in seen:
                break
            if self._memory.word(pprev) != at:
                return self._first_without_head(at, pprev, count, [start - offset, at - offset])
            place = self._name(pprev)
            own = pprev - offset in self._objects or self._is_peer(place, offset)
            if not own and not self._is_node(pprev):
                verdict = _VERDICTS[self._rank(pprev, place)]
                text = f"hlist headed by {hexa(pprev)}: {words_of(place)}"
                return Membership(
                    *(verdict, count, [start - offset], pprev, text, _label(place)),
                    lent=_is_lent(place) or self._may_be_node(pprev),
                )
            seen.add(pprev)
            at, count = pprev, count + 1
        text = f"hlist without a first pointer, broken at {hexa(at)}"
        return Membership(OPEN, count, [start - offset], at, text)

    def _first_without_head(
        self, at: int, pprev: int, count: int, members: List[int]
    ) -> Membership:
        """An hlist whose first node leads to where no pointer to it is any more."""
        if members[-1] not in self._objects or not self._in_kernel(pprev):
            text = f"hlist without a first pointer, broken at {hexa(at)}"
            return Membership(OPEN, count, members[:1], at, text)
        place = self._name(pprev)
        text = f"the hlist's head was at {hexa(pprev)}, which doesn't lead back: {words_of(place)}"
        return self._headless(Membership(HEADLESS, count, members, pprev, text), place)

    def _in_kernel(self, address: int) -> bool:
        """Whether it may be a pointer to a hlist_head or hlist_node, and no poison."""
        return address % self._word == 0 and self._lowest <= address

    def _is_node(self, at: int) -> bool:
        """Whether an hlist_node is there and no head: a neighbour of another kind."""
        before = self._memory.word(at + self._word)
        return bool(before) and self._memory.word(before or 0) == at

    def _may_be_node(self, at: int) -> bool:
        """Whether what looks like an hlist_head may be an hlist_node that has lost its own.

        Behind it is a pointer then, and to no node: that of a next bucket leads back.
        """
        behind = self._memory.word(at + self._word)
        if not behind or not self._in_kernel(behind):
            return False
        return self._memory.word(behind + self._word) != at + self._word

    def _rank(self, address: int, place: Optional[Place]) -> int:
        """_rank(), with what reach knows of the head: one that nothing leads to is lost."""
        rank = _rank(place)
        alive = self._alive(address)
        if alive is None or rank == _GONE:
            return rank
        if alive:
            return min(rank, _OBJECT)
        return _LOST if place is not None and place.kind == OBJECT else _UNTOLD

    def _is_peer(self, place: Optional[Place], offset: int) -> bool:
        return (
            place is not None
            and place.kind == OBJECT
            and place.cache is not None
            and place.cache.address in self._peers
            and place.offset == offset
            and place.state == ALLOCATED
        )


_VARIABLE, _OBJECT, _LOST, _UNTOLD, _GONE = range(5)
"""What a head lies in: a variable, an object in use, one that is lost itself, what can't be
told, memory that was freed: a free object, or the area of a module that was unloaded."""
_VERDICTS = (HEADED, HEADED, LEAKED, OPEN, HEADLESS)


def _rank(place: Optional[Place]) -> int:
    """How good a head it is, by its place alone."""
    if place is None:
        return _UNTOLD
    if place.kind in (SYMBOL, MODULE):
        return _VARIABLE
    if place.kind in (UNLOADED, FREED_INIT, FREED_VMALLOC):
        return _GONE
    if place.kind == OBJECT and place.state == ALLOCATED:
        return _LOST if place.cache is None or place.cache.dropped else _OBJECT
    return _GONE if _freed(place) else _UNTOLD


def _is_lent(place: Optional[Place]) -> bool:
    if place is not None and place.kind == PERCPU:
        # alloc_percpu() gave it out: no variable's name, only the per-CPU pointer.
        return _POINTER.match(place.label) is not None
    return place is not None and place.kind in (OBJECT, PAGE, VMALLOC, STACK)


def _is_local(place: Optional[Place]) -> bool:
    if place is None:
        return False
    return place.kind == STACK or (place.kind == FREED_VMALLOC and bool(place.label))


def _is_inside(place: Optional[Place]) -> bool:
    """Whether a place lies behind the start of a variable, or may do: its name isn't known."""
    if place is None or place.kind not in (SYMBOL, MODULE, PERCPU):
        return False
    return place.offset > 0 or not place.label or place.label.startswith("[")


def is_gone(place: Optional[Place]) -> bool:
    """Whether what was there has been given back."""
    return _rank(place) == _GONE


def _freed(place: Place) -> bool:
    return place.kind == OBJECT and place.state in (FREE, RCU_PENDING)


def _kind(place: Optional[Place]) -> str:
    if place is None:
        return ""
    if place.kind == OBJECT and place.cache is not None:
        return f"{place.cache.address:x} {place.offset} {place.state}"
    return f"{place.kind} {place.text}"


def _label(place: Optional[Place]) -> str:
    if place is None:
        return UNNAMED
    if place.kind == OBJECT:
        return f"an object of {place.label}"
    if place.kind == VMALLOC:
        return place.text.partition("+")[0]
    if place.kind == PERCPU:
        return place.text
    return place.label if place.label and place.kind != STACK else place.text
