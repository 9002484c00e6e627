# SPDX-License-Identifier: GPL-3.0-or-later
"""Many ranges of addresses in two columns: 12 bytes each. Knows numbers only."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Iterable, List, Tuple


class Extents:
    """Ranges that don't overlap; they are asked about when they are in order."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._sizes = array("I")

    @classmethod
    def made_of(cls, ranges: Iterable[Tuple[int, int]]) -> Extents:
        """Of (start, bytes) of each, in any order."""
        made = cls()
        for start, size in ranges:
            made.add(start, size)
        made.sort()
        return made

    def add(self, start: int, size: int) -> None:
        """Put one behind the others."""
        self._starts.append(start)
        self._sizes.append(size)

    def sort(self) -> None:
        """Bring them in order, where they weren't added so."""
        pairs = sorted(zip(self._starts, self._sizes))
        self._starts = array("Q", [start for start, _ in pairs])
        self._sizes = array("I", [size for _, size in pairs])

    def of(self, start: int, end: int) -> List[Tuple[int, int]]:
        """(start, end) of those that have a byte between two addresses, ascending."""
        at = bisect_left(self._starts, start)
        if at and self._starts[at - 1] + self._sizes[at - 1] > start:
            at -= 1
        found = []
        while at < len(self._starts) and self._starts[at] < end:
            found.append((self._starts[at], self._starts[at] + self._sizes[at]))
            at += 1
        return found
