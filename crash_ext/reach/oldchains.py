# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a cache that only old links lead to, which nobody cleared when they were over.

RCU leaves in an rcu_head the address of the next one's when both have run: kernel/rcu/tree.c,
rcu_do_batch() clears the function, SRCU doesn't. A living object that was once given to RCU then
still leads to another one, which was lost since. A chain that is in use has a head: something
else has the very address of its first link. Where nobody has, its links are of no use to anyone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel import pageuse
from crash_ext.kernel.pages import Memory
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.reach.model import REACHED
from crash_ext.reach.reach import Reach
from crash_ext.reader import Reader

OLD_LINK = "in a chain whose head nobody has, as callbacks that RCU has run leave it"
"""Why such a pointer may be old."""
_MOST = 1 << 16
"""Objects of a cache that are looked at, at most: so many pointers are kept of them, too."""
_EACH = 64
"""Pointers to one object that are looked at."""


class _Link(NamedTuple):
    """A pointer from an object to the same place of another one of its kind."""

    holder: int
    owner: int
    """Start of the object that has it."""
    target: int
    """Start of the object that it points into."""
    offset: int
    """Where it lies in the one, and points to in the other."""


class OldChains:
    """Finds old links in the objects of caches of one kernel."""

    def __init__(self, reader: Reader, reach: Reach, is_function: Callable[[int], bool]) -> None:
        self._reader = reader
        self._reach = reach
        self._is_function = is_function
        self._memory = Memory(reader)
        self._word = reader.word
        self._above: Dict[int, int] = {}
        """Of objects of other kinds: the one of the kind in question by which they were reached."""

    def age(self, objects: List[int], size: int) -> None:
        """Tell the reach which of a cache's objects old links alone lead to.

        objects: all allocated ones, ascending; size: of each.
        """
        self._above.clear()
        own = set(objects)
        if len(objects) > _MOST or not any(self._suspects(own)):
            return
        links, others = self._pointers(own, size)
        used = _in_use(links, {(other.target, other.offset) for other in others})
        first = {each: 0 for each in objects if self._is_led_to_from_outside(each, own)}
        for other in others:
            if not other.owner:
                first.setdefault(other.target, other.holder)
        kept = _reached(first, [*(other for other in others if other.owner), *used])
        aged = {each for each in own - kept.keys() if self._reach.level(each) == REACHED}
        self._reach.age(aged, {link.holder for link in links if link not in used}, OLD_LINK)
        for each, holder in kept.items():
            if holder:
                # The way that was met first may be by an old link.
                self._reach.lead(each, holder)

    def _is_led_to_from_outside(self, address: int, own: Set[int]) -> bool:
        """Whether the first pointer to an object that was seen lies in no object of its kind, nor
        in another one that those lead to: a child that points back."""
        if self._reach.level(address) != REACHED:
            return False
        return not self._own_above(self._reach.reached_from(address), own)

    def _own_above(self, start: int, own: Set[int]) -> int:
        """The object of the kind by which another one was reached, or which it is; 0: by none."""
        passed: List[int] = []
        while start and start not in own and start not in self._above:
            passed.append(start)
            start = self._reach.reached_from(start)
        found = start if start in own else self._above.get(start, 0)
        self._above.update(dict.fromkeys(passed, found))
        return found

    def _suspects(self, own: Set[int]) -> Iterator[_Link]:
        """The links by which objects were reached for the first time."""
        for address in own:
            owner = self._reach.reached_from(address)
            for holder in self._reach.pointers(owner, address) if owner in own else ():
                value = self._memory.word(holder) or 0
                found = self._link(holder, owner, address, value)
                if found is not None:
                    yield found

    def _link(self, holder: int, owner: int, target: int, value: int) -> Optional[_Link]:
        """A pointer as a link of a chain, with no function or the same one behind both."""
        offset = holder - owner
        if value - target != offset or owner == target:
            return None
        behind = self._memory.word(holder + self._word)
        if behind is None or behind != self._memory.word(value + self._word):
            return None
        # The first word with nothing behind it may be anything: a parent, an owner.
        known = self._is_function(behind) if behind else offset > 0
        return _Link(holder, owner, target, offset) if known else None

    def _pointers(self, own: Set[int], size: int) -> Tuple[List[_Link], List[_Link]]:
        """(links, other pointers) to the objects, in memory that is in use.

        Of others the offset is where they point to, and the owner 0 that is no such object.
        """
        links: List[_Link] = []
        others: List[_Link] = []
        targets = Targets((address, size) for address in own)
        pieces = self._reach.used()
        for hit in find_pointers(self._reader, targets, Summary(), cap=_EACH, pieces=pieces):
            owner = self._reach.object_at(hit.holder)
            if owner is None and self._reach.use.of(hit.holder) == pageuse.SLAB:
                continue
            if owner == hit.start or (owner and self._reach.level(owner) != REACHED):
                continue
            link = None
            if owner in own:
                link = self._link(hit.holder, owner or 0, hit.start, hit.value)
            elif owner:
                owner = self._own_above(owner, own)
            if link is not None:
                links.append(link)
            else:
                others.append(_Link(hit.holder, owner or 0, hit.start, hit.value - hit.start))
        return links, others


def _in_use(links: List[_Link], heads: Set[Tuple[int, int]]) -> Set[_Link]:
    """The links of chains that have a head, or that are none: RCU's has one behind another.

    heads: (object, where in it) that something else points to.
    """
    by_owner: Dict[Tuple[int, int], List[_Link]] = defaultdict(list)
    by_target: Dict[Tuple[int, int], int] = defaultdict(int)
    for link in links:
        by_owner[link.owner, link.offset].append(link)
        by_target[link.target, link.offset] += 1
    front = [link for link in links if (link.owner, link.offset) in heads]
    front += [link for link in links if by_target[link.target, link.offset] > 1]
    found = set(front)
    while front:
        link = front.pop()
        for following in by_owner[link.target, link.offset]:
            if following not in found:
                found.add(following)
                front.append(following)
    return found


def _reached(first: Dict[int, int], edges: List[_Link]) -> Dict[int, int]:
    """What the first ones lead to by the edges, and they themselves -> the pointer to each."""
    leads: Dict[int, List[_Link]] = defaultdict(list)
    for edge in edges:
        leads[edge.owner].append(edge)
    found, front = dict(first), list(first)
    for owner in front:
        for edge in leads[owner]:
            if edge.target not in found:
                found[edge.target] = edge.holder
                front.append(edge.target)
    return found
