# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the objects of a cache, as counts: what will be called of them, the variable that
the way begins in, who has the memory that it begins in.

Of very many objects some are asked about, evenly spread, and the counts are of these.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from crash_ext.contents.callbacks import BY_RCU, Callbacks
from crash_ext.contents.rings import RING, Rings
from crash_ext.kernel.memory import try_number
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import (
    MODULE,
    OBJECT,
    PAGE,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    UNNAMED,
    VMALLOC,
    Place,
    plus,
)
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import MAYBE, Step, Way
from crash_ext.reach.reach import Reach
from crash_ext.why.containers import Containers

SHOWN = 5
"""Kinds of holders that are told; of more, like ones are told together."""
TO_CALL = "still to be called"
"""In the words for what the kernel will call a function of: told of few objects, too."""
_ASKED = 2000


class Users(NamedTuple):
    """Objects that one kind of holder has."""

    text: str
    """The holder in words."""
    number: int
    """Objects that it has, of those that were asked about."""
    of: int
    """Objects that were asked about and that something leads to."""
    example: int
    """Address of one of the objects."""


class Holder(NamedTuple):
    """Where the way to an object begins, and by which it enters the object's cache."""

    root: str
    """In words, without the offset."""
    at: Optional[int] = 0
    """The offset; None: several."""
    by: str = ""
    """Of objects of another cache: its name."""
    place: Optional[int] = 0
    """Where in these; None: several."""
    old: bool = False
    """The way begins in memory that may be old."""

    def text(self) -> str:
        """In words."""
        text = f"{self.root}{plus(self.at or 0)}"
        if self.by:
            text += f", by way of objects of {self.by}"
            text += "" if self.place is None else f" at {self.place:+#x}"
        return text + (" (may be old)" if self.old else "")


def sample(addresses: List[int]) -> List[int]:
    """Those of the addresses that are asked about."""
    return addresses[:: max(1, -(-len(addresses) // _ASKED))]


class UserNames:
    """Names those who have the objects of caches of one kernel."""

    def __init__(self, places: Places, reach: Reach, callbacks: Callbacks, blocks: Blocks) -> None:
        self._places = places
        self._reach = reach
        self._reader = places.session.reader
        self._callbacks = callbacks
        self._blocks = blocks
        self._containers = Containers(places, self._callbacks, self._blocks)
        self._rings = Rings(places, Memory(self._reader), self._reader.word)

    def users_of(self, addresses: List[int], size: int) -> List[Users]:
        """Who has these objects, most first; nothing of objects that nothing leads to.

        size: of each object.
        """
        found = []
        ways = list(self._reach.ways(sample(addresses)))
        self._blocks.look_for((way.root.holder, way.root.place) for way in ways)
        for way in ways:
            old = self._reach.level(way.address) == MAYBE
            found.append((way.address, self._holder(way, size)._replace(old=old)))
        return told_together(found)

    def _holder(self, way: Way, size: int) -> Holder:
        called = self._called_back(way, size)
        if called:
            return Holder(called)
        kset = self._containers.kset_of(way.address, way.last.offset)
        if kset:
            # The way to a kobject is by its neighbours, in objects of any kind.
            return Holder(kset)
        folder = self._containers.kernfs_folder(way.entry)
        if folder:
            # The way to a node is by any of those below or beside it.
            return Holder(folder)
        listed = self._on_list(way)
        if listed is not None:
            return listed
        root = self._headed(way.root)
        if root is not way.root.place and root is not None:
            way = way._replace(root=way.root._replace(holder=root.address, place=root))
        text = self._containers.areas.owner_of(way.root) or _what(root)
        at = self._named_at(way.root)
        by = way.entry.place
        if way.entry == way.root or by is None or by.kind != OBJECT:
            return Holder(text, at)
        return Holder(text, at, by.label, self._offset(way.entry))

    def _on_list(self, way: Way) -> Optional[Holder]:
        """The list by which the way goes from a neighbour on it to the object.

        Who else has one of them, as a variable that points to the first one, has not the others;
        and what leads to a neighbour has nothing to do with this one.
        """
        owner, word = self._reach.object_at(way.last.holder), self._reader.word
        node = way.address + way.last.offset
        if owner is not None:
            inside = way.last.holder - owner
            if way.entry == way.last or way.last.offset not in (inside, inside - word):
                return None
        elif not self._is_entry(way.last):
            return None
        ring = self._rings.of(node)
        if ring.kind != RING:
            return None
        head = ring.head
        if head is None:
            linked = owner is None or self._is_link(way.entry)
            return None if linked else Holder("a list of theirs, its head unknown")
        if head.kind in (SYMBOL, MODULE, PERCPU):
            return Holder(_what(head), head.offset)
        entry = way.entry.place
        if head.object is None or (entry is not None and entry.object == head.object):
            return None
        path = self._reach.path(head.object)
        if not path:
            return None
        return Holder(_what(path[0].place), self._named_at(path[0]), head.label, head.offset)

    def _is_link(self, step: Step) -> bool:
        """Whether a pointer is a link of a list: what it points to leads back."""
        own, node, word = self._places.own_address(step.holder), step.target, self._reader.word
        node += step.offset
        return self._word(node) == own - word or self._word(node + word) == own

    def _is_entry(self, step: Step) -> bool:
        """Whether a pointer lies within a variable, and is a link of a list that is in use."""
        place = step.place
        if place is None or not place.offset or place.kind not in (SYMBOL, MODULE):
            return False
        return self._is_link(step)

    def _named_at(self, step: Step) -> int:
        """The offset in the variable that a way begins in; 0 where that has no name."""
        root = step.place
        named = root is not None and root.label and root.kind in (SYMBOL, MODULE, PERCPU)
        return self._offset(step) if named else 0

    def _headed(self, step: Step) -> Optional[Place]:
        """What a way begins in; where that is a neighbour on a list, the variable that heads it."""
        if self._is_entry(step):
            head = self._rings.of(step.target + step.offset).head
            if head is not None and head.kind in (SYMBOL, MODULE, PERCPU):
                return head
        return step.place

    def _offset(self, step: Step) -> int:
        """Of a pointer in what it lies in; of both words of a list_head the first one's."""
        offset, word = 0 if step.place is None else step.place.offset, self._reader.word
        at = self._places.own_address(step.holder) - word
        # A node in use, whose prev is the pointer: who has next and prev has both of them.
        following, previous = self._word(at), self._word(at + word)
        if following and previous and self._word(following + word) == self._word(previous) == at:
            return offset - word
        return offset

    def _word(self, address: int) -> int:
        return try_number(self._reader, address, self._reader.word) or 0

    def _called_back(self, way: Way, size: int) -> str:
        """The function that is still to be called of an object, by what leads to its link."""
        data = self._reader.try_read(way.address, size)
        if data is None or not way.last.holder:
            return ""
        # A child in an rb tree has its parent's address with its own colour in the lowest bit.
        link = way.last.offset & -self._reader.word
        found = self._callbacks.at(way.address, data, link)
        if found is not None and found.kind in BY_RCU and not self._in_chain(way, link):
            found = None
        if found is None or not found.sure:
            queued = self._callbacks.queued(way.address, size)
            if queued is None:
                return ""
            found = queued[1]
        queue = f" in workqueue {found.queue}" if found.queue else ""
        when = "being called" if found.running else TO_CALL
        return f"{found.kind}, {when}: {found.function}{queue}"

    def _in_chain(self, way: Way, link: int) -> bool:
        """Whether RCU's chain of callbacks has the object: any two words look like its link."""
        if not self._callbacks.rcu_root(way.root):
            return False
        return self._callbacks.in_rcu_chain(self._reach.path(way.address), way.address + link)


def told_together(found: List[Tuple[int, Holder]]) -> List[Users]:
    """Counts of the holders of objects, most first; of many kinds, like ones together."""
    if len({holder for _, holder in found}) > SHOWN:
        found = _by_name(found)
    counts: Counter[str] = Counter()
    first: Dict[str, int] = {}
    for address, holder in found:
        text = holder.text()
        counts[text] += 1
        first.setdefault(text, address)
    return [Users(text, number, len(found), first[text]) for text, number in counts.most_common()]


def _by_name(found: List[Tuple[int, Holder]]) -> List[Tuple[int, Holder]]:
    """Without the offsets in which holders of one name differ: buckets, slots of an array."""
    like: Dict[Holder, List[Holder]] = {}
    for _, holder in found:
        like.setdefault(holder._replace(at=None, place=None), []).append(holder)
    together = {
        name: name._replace(
            at=_one(each.at for each in alike), place=_one(each.place for each in alike)
        )
        for name, alike in like.items()
    }
    return [(address, together[holder._replace(at=None, place=None)]) for address, holder in found]


def _one(offsets: Iterable[Optional[int]]) -> Optional[int]:
    """The offset that all have; None where they differ."""
    different = set(offsets)
    return different.pop() if len(different) == 1 else None


def _what(place: Optional[Place]) -> str:
    """The same words for like places: an array or a stack as a whole."""
    if place is None:
        return UNNAMED
    if place.kind == VMALLOC:
        return f"vmalloc area made by {place.label}" if place.label else "a vmalloc area"
    if place.kind == STACK:
        return f"stack of {place.label}"
    if place.kind == PAGE:
        return "a page of no slab"
    if place.kind == PERCPU:
        return f"per-CPU {place.label}"
    if place.kind == PAGE_STRUCT:
        return "struct pages"
    return place.label or place.kind
