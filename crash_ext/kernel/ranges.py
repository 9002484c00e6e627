# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of addresses that lie apart: which one is an address in? Knows no memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Generic, Iterable, Iterator, List, Optional, Protocol, Tuple, TypeVar


class Spanned(Protocol):
    """Something that lies in start <= address < end."""

    @property
    def start(self) -> int:
        """Its first address."""

    @property
    def end(self) -> int:
        """The address behind its last."""


T = TypeVar("T", bound=Spanned)


class Ranges(Generic[T]):
    """A table of ranges, ascending by start.

    Of ranges that overlap (only damage makes them) the one that starts last is asked.
    """

    def __init__(self, ranges: Iterable[T] = ()) -> None:
        self._ranges: List[T] = sorted(ranges, key=lambda each: (each.start, each.end))
        self._starts = [each.start for each in self._ranges]

    def __iter__(self) -> Iterator[T]:
        return iter(self._ranges)

    @property
    def span(self) -> Tuple[int, int]:
        """From the first range's start to the last one's end; (0, 0) where there's none."""
        return (self._starts[0], self._ranges[-1].end) if self._ranges else (0, 0)

    def at(self, address: int) -> Optional[T]:
        """The range that an address lies in."""
        number = bisect_right(self._starts, address) - 1
        if number < 0 or address >= self._ranges[number].end:
            return None
        return self._ranges[number]

    def any_start_in(self, start: int, end: int) -> bool:
        """Whether a range starts at start <= address < end."""
        number = bisect_left(self._starts, start)
        return number < len(self._starts) and self._starts[number] < end
