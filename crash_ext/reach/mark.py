# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks objects that pointers lead to: from roots, through objects, to objects.

Knows address ranges and bytes: which memory is a root, its caller says. A pointer into the
middle counts, low bits don't matter, and only aligned words are pointers. What was found
is kept as a byte and a parent for each object, and the edges between objects that were not
reached yet when they were seen.
"""

from __future__ import annotations

import sys
from array import array
from typing import List, Set, Tuple

from crash_ext.kernel.columns import Column, marked
from crash_ext.kernel.search import Targets, telling_columns
from crash_ext.reach.model import MAYBE, REACHED
from crash_ext.reader import Reader

_EDGES = 1 << 20
"""Edges that are kept before those that are known to be of no more use are dropped: 8 MB."""


class Marks:
    """The marks of a set of objects."""

    def __init__(self, reader: Reader, targets: Targets) -> None:
        self.targets = targets
        self.levels = bytearray(len(targets.starts))
        """UNREACHED, MAYBE or REACHED, by the object's number in targets."""
        self.parents = array("Q", bytes(8 * len(targets.starts)))
        """Address of the pointer that it was marked by, or the start of the object that has
        it; 0 where it isn't marked."""
        self._limit = 2 * _EDGES
        self._edges = array("I")
        """Pairs: an object, another one that it points into."""
        self._word, self._order = reader.word, reader.byteorder
        self._foreign = reader.byteorder != sys.byteorder
        self._native = reader.native
        self._columns: List[Column] = []
        if self._native is None:
            self._columns = telling_columns(reader, targets)

    def scan_root(self, address: int, data: bytes, level: int) -> None:
        """Mark what memory points into that is a root, or (MAYBE) may be one."""
        self._scan(address, data, level)

    def scan_objects(self, address: int, data: bytes) -> None:
        """Note what the objects in a piece of memory point into; other bytes don't count."""
        self._scan(address, data, 0)
        if len(self._edges) > self._limit:
            self._drop_edges()

    def _drop_edges(self) -> None:
        """Forget the edges to objects that are reached by now: nothing more can come of them."""
        self.spread()
        edges, levels = self._edges, self.levels
        kept = array("I")
        for at in range(0, len(edges), 2):
            if levels[edges[at + 1]] != REACHED:
                kept.extend(edges[at : at + 2])
        self._edges = kept
        # Where few can be dropped, asking again soon is in vain.
        self._limit = max(2 * _EDGES, 2 * len(kept))

    def _scan(self, address: int, data: bytes, level: int) -> None:
        targets = self.targets
        if not targets.starts:
            return
        if self._native is not None:
            self._edges.frombytes(
                self._native.mark(
                    *(data, address, self._word, self._foreign),
                    *(targets.starts, targets.ends, targets.blocks, targets.shift),
                    *(level, self.levels, self.parents),
                )
            )
            return
        word, order, index_of = self._word, self._order, targets.index
        levels, parents, edges = self.levels, self.parents, self._edges
        for number in marked(data, self._columns, word):
            at = number * word
            target = index_of(int.from_bytes(data[at : at + word], order))
            if target < 0 or levels[target] == REACHED:
                continue
            if level:
                if levels[target] < level:
                    levels[target] = level
                    parents[target] = address + at
                continue
            owner = index_of(address + at)
            if owner < 0 or owner == target:
                continue
            if levels[owner] == REACHED:
                levels[target] = REACHED
                parents[target] = address + at
            else:
                edges.extend((owner, target))

    def spread(self) -> None:
        """Follow the edges: what a reached object points into is reached, too.

        First from what is reached, then from what may be. The edges stay: more roots may
        come to light.
        """
        starts, edges = self.targets.starts, self._edges
        if self._native is not None:
            self._native.spread(edges, starts, self.levels, self.parents)
            return
        first = array("I", bytes(4 * (len(starts) + 1)))
        for at in range(0, len(edges), 2):
            first[edges[at] + 1] += 1
        for number in range(len(starts)):
            first[number + 1] += first[number]
        to = array("I", bytes(4 * (len(edges) // 2)))
        fill = array("I", first)
        for at in range(0, len(edges), 2):
            owner = edges[at]
            to[fill[owner]] = edges[at + 1]
            fill[owner] += 1
        levels, parents = self.levels, self.parents
        for level in (REACHED, MAYBE):
            front = [number for number, each in enumerate(levels) if each == level]
            while front:
                following: List[int] = []
                for owner in front:
                    for target in to[first[owner] : first[owner + 1]]:
                        if levels[target] < level:
                            levels[target] = level
                            parents[target] = starts[owner]
                            following.append(target)
                front = following

    def edges_among(self, wanted: Set[int]) -> List[Tuple[int, int]]:
        """The edges whose two objects are both among these numbers."""
        edges = self._edges
        return [
            (edges[at], edges[at + 1])
            for at in range(0, len(edges), 2)
            if edges[at] in wanted and edges[at + 1] in wanted
        ]
