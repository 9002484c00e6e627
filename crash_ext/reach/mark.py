# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks objects that pointers lead to: from roots, through objects, to objects.

Knows address ranges and bytes: which memory is a root, its caller says. A pointer into the
middle counts, low bits don't matter, and only aligned words are pointers.

What is kept: a byte and 8 bytes for each object. While an object isn't marked, the 8 bytes
are up to two objects that it points into and that weren't reached when that was seen (a list's
node has no more); when it is marked, they are where it was marked from. What finds no place
there goes into a window of edges, and what finds none in that is read once more.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Tuple, Union

from crash_ext.kernel.columns import Column, marked
from crash_ext.kernel.search import Targets, telling_columns
from crash_ext.reach.model import MAYBE, REACHED, UNREACHED
from crash_ext.reader import Reader

_EDGES = 1 << 20
"""Edges in the window: 8 MB, and twice that when they are sorted."""
_HALF = 0xFFFFFFFF

Read = Callable[[int, int], Optional[bytes]]
"""(address, bytes) -> memory, None where it can't be read."""


class Marks:
    """The marks of a set of objects."""

    def __init__(self, reader: Reader, targets: Targets) -> None:
        self.targets = targets
        self.levels = bytearray(len(targets.starts))
        """UNREACHED, MAYBE or REACHED, by the object's number in targets."""
        self._parents = array("Q", bytes(8)) * len(targets.starts)
        self._edges = array("I")
        """The window. Pairs: an object, another one that it points into."""
        self._forgotten: Optional[bytearray] = None
        """1 for each object that had edges when the window was too full; None for none."""
        self._word, self._order = reader.word, reader.byteorder
        self._foreign = reader.byteorder != sys.byteorder
        self._native = reader.native
        self._columns: List[Column] = []
        if self._native is None:
            self._columns = telling_columns(reader, targets)

    def parent(self, number: int) -> int:
        """Address of the pointer that a marked object was marked by, or the start of the object
        that has it; 0 where it was marked by hand, or isn't marked."""
        return self._parents[number] if self.levels[number] else 0

    def scan_root(self, address: int, data: bytes, level: int) -> None:
        """Mark what memory points into that is a root, or (MAYBE) may be one."""
        self._scan(address, data, level)

    def scan_objects(self, address: int, data: bytes) -> None:
        """Note what the objects in a piece of memory point into; other bytes don't count."""
        self._scan(address, data, UNREACHED)
        if len(self._edges) > 2 * _EDGES:
            self._make_room()

    def mark(self, number: int, level: int) -> None:
        """Mark an object by hand."""
        to = self._inside(number)
        self.levels[number] = level
        self._parents[number] = 0
        for target in to:
            self._edges.extend((number, target))

    def lead(self, number: int, holder: int) -> None:
        """Take this pointer for the one that an object was marked by. After finish()."""
        self._parents[number] = holder

    def finish(self, read: Read) -> None:
        """Follow what is left, after the last scan or mark by hand."""
        self._spread()
        for level in (REACHED, MAYBE):
            while self._forgotten is not None:
                due = [number for number in _ones(self._forgotten) if self.levels[number] == level]
                if not due:
                    break
                for number in due:
                    self._forgotten[number] = 0
                    address, data = self._of(number, read)
                    self._scan(address, data, level)
                self._spread()

    def lost_edges(self, read: Read) -> array[int]:
        """The edges between objects that aren't marked: pairs of numbers. After finish()."""
        levels, found = self.levels, array("I")
        if self._native is not None:
            found.frombytes(self._native.lost(self._edges, levels, self._parents))
        else:
            at = levels.find(UNREACHED)
            while at >= 0:
                for target in self._inside(at):
                    if levels[target] == UNREACHED:
                        found.extend((at, target))
                at = levels.find(UNREACHED, at + 1)
            for one, other in _pairs(self._edges):
                if levels[one] == levels[other] == UNREACHED:
                    found.extend((one, other))
        for number in _ones(self._forgotten or b""):
            data = self._of(number, read)[1] if levels[number] == UNREACHED else b""
            for target in self._pointed_into(data):
                if target != number and levels[target] == UNREACHED:
                    found.extend((number, target))
        return found

    def _of(self, number: int, read: Read) -> Tuple[int, bytes]:
        """The address of an object's first aligned word, and its memory from there on."""
        start, size = self.targets.starts[number], self.targets.sizes[number]
        skipped = -start % self._word
        return start + skipped, (read(start, size) or b"")[skipped:]

    def _pointed_into(self, data: bytes) -> List[int]:
        word, order, index_of = self._word, self._order, self.targets.index
        found = (
            index_of(int.from_bytes(data[at : at + word], order))
            for at in range(0, len(data) - word + 1, word)
        )
        return [target for target in found if target >= 0]

    def _make_room(self) -> None:
        """Drop the edges of no more use; if most are of use, remember whose they are instead."""
        self._spread()
        edges, levels = self._edges, self.levels
        kept = array("I")
        for at in range(0, len(edges), 2):
            if levels[edges[at + 1]] != REACHED:
                kept.extend(edges[at : at + 2])
        if len(kept) > _EDGES:
            if self._forgotten is None:
                self._forgotten = bytearray(len(levels))
            for at in range(0, len(kept), 2):
                self._forgotten[kept[at]] = 1
            kept = array("I")
        self._edges = kept

    def _scan(self, address: int, data: bytes, level: int) -> None:
        targets = self.targets
        if not targets.starts:
            return
        if self._native is not None:
            self._edges.frombytes(
                self._native.mark(
                    *(data, address, self._word, self._foreign),
                    *(targets.starts, targets.sizes, targets.blocks, targets.shift),
                    *(level, self.levels, self._parents),
                )
            )
            return
        word, order, index_of = self._word, self._order, targets.index
        levels = self.levels
        for number in marked(data, self._columns, word):
            at = number * word
            target = index_of(int.from_bytes(data[at : at + word], order))
            if target < 0 or levels[target] == REACHED:
                continue
            if level:
                if levels[target] < level:
                    self._mark_with_others(target, level, address + at, {})
                continue
            owner = index_of(address + at)
            if owner < 0 or owner == target:
                continue
            if levels[owner] == REACHED:
                self._mark_with_others(target, REACHED, address + at, {})
            else:
                self._note(owner, target)

    # What native.c does, too ----------------------------------------------------------

    def _inside(self, number: int) -> Tuple[int, ...]:
        """The objects that an unmarked one points into, as far as they are kept beside it."""
        both = 0 if self.levels[number] else self._parents[number]
        return tuple(half - 1 for half in (both & _HALF, both >> 32) if half)

    def _note(self, owner: int, target: int) -> None:
        if self.levels[owner] == UNREACHED:
            both = self._parents[owner]
            if target + 1 in (both & _HALF, both >> 32):
                return
            if not both >> 32:
                self._parents[owner] = both | target + 1 << 32 if both else target + 1
                return
        self._edges.extend((owner, target))

    def _mark_with_others(
        self, number: int, level: int, parent: int, edges: Dict[int, List[int]]
    ) -> None:
        levels, starts = self.levels, self.targets.starts
        queue: Deque[Tuple[int, int]] = deque([(number, parent)])
        while queue:
            each, holder = queue.popleft()
            if levels[each] >= level:
                continue
            to = self._inside(each)
            levels[each] = level
            self._parents[each] = holder
            if level < REACHED:
                # It may get a higher level later, and they with it.
                for target in to:
                    self._edges.extend((each, target))
            queue.extend((target, starts[each]) for target in (*to, *edges.get(each, ())))

    def _spread(self) -> None:
        """Follow the edges: what a reached object points into is reached, too.

        First from what is reached, then from what may be. The edges stay: more roots may
        come to light.
        """
        starts, edges, levels = self.targets.starts, self._edges, self.levels
        if self._native is not None:
            edges.frombytes(self._native.spread(edges, starts, levels, self._parents))
            return
        targets_of: Dict[int, List[int]] = {}
        known = list(_pairs(edges))
        for owner, target in known:
            targets_of.setdefault(owner, []).append(target)
        for level in (REACHED, MAYBE):
            for owner, target in known:
                if levels[owner] >= level > levels[target]:
                    self._mark_with_others(target, level, starts[owner], targets_of)


def _pairs(edges: array[int]) -> List[Tuple[int, int]]:
    return list(zip(edges[::2], edges[1::2]))


def _ones(flags: Union[bytes, bytearray]) -> List[int]:
    found = []
    at = flags.find(1)
    while at >= 0:
        found.append(at)
        at = flags.find(1, at + 1)
    return found
