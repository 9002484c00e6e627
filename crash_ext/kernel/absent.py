# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that can't be read, page by page, and said by ranges: a dump may lack thousands.

Knows pages and what was wanted of them; which slabs and objects those were, its callers do.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Sequence, Set

from crash_ext.hexa import hexa
from crash_ext.kernel.say import count
from crash_ext.reader import Reader, ReadError

_LINES = 16
"""Ranges that get a line of their own; the others are summed up in one."""

NOT_IN_DUMP = "not in the dump"


class Range(NamedTuple):
    """Pages in a row."""

    start: int
    """Virtual address of the first byte."""
    end: int
    """Behind the last."""
    users: int
    """How many slabs, or whatever else add() was given, lie in it in part or whole."""

    def text(self) -> str:
        """first-last (4k)"""
        return f"{hexa(self.start)}-{hexa(self.end - 1)} ({(self.end - self.start) >> 10}k)"


class Absent:
    """Collects pages that can't be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pages: Dict[int, Set[int]] = {}

    def add(self, address: int, size: int, user: int) -> bool:
        """Look which pages of a range can't be read; False where all can.

        user: whose they are, a number that stands for a slab. size: bytes, at least 1.
        """
        found = False
        for page in pages(self._reader.page_size, address, size):
            if page in self._pages or not self._readable(page):
                self._pages.setdefault(page, set()).add(user)
                found = True
        return found

    def _readable(self, page: int) -> bool:
        try:
            self._reader.read(page, self._reader.page_size)
        except ReadError:
            return False
        return True

    def ranges(self) -> List[Range]:
        """The pages, ascending, neighbours in one range."""
        size = self._reader.page_size
        found: List[Range] = []
        users: Set[int] = set()
        for page in sorted(self._pages):
            if found and found[-1].end == page:
                users |= self._pages[page]
                found[-1] = Range(found[-1].start, page + size, len(users))
            else:
                users = set(self._pages[page])
                found.append(Range(page, page + size, len(users)))
        return found

    def lines(self, lost: str) -> List[str]:
        """What to say of slabs' pages; lost: what is unknown for that reason."""
        return range_lines(self.ranges(), "slab", lost)

    def summary(self, lost: str) -> List[str]:
        """The same in one line, or none."""
        ranges = self.ranges()
        if not ranges:
            return []
        users = len(set().union(*self._pages.values()))
        text = f"{NOT_IN_DUMP}: {ranges[0].text()}"
        if len(ranges) > 1:
            text += f" and {_more(ranges[1:])}"
        return [f"{text}: {count(users, 'slab')}: {lost}"]


def range_lines(ranges: Sequence[Range], noun: str, lost: str) -> List[str]:
    """A line for each range, and from the 17th on one for all.

    noun: of a user ("slab"); lost: what is unknown for that reason.
    """
    said = [
        f"{NOT_IN_DUMP}: {one.text()}: {count(one.users, noun)}: {lost}" for one in ranges[:_LINES]
    ]
    rest = ranges[_LINES:]
    if rest:
        users = sum(one.users for one in rest)
        said.append(
            f"{NOT_IN_DUMP}: {_more(rest)} up to {hexa(rest[-1].end - 1)}:"
            f" {count(users, noun)}: {lost}"
        )
    return said


def _more(ranges: Sequence[Range]) -> str:
    size = sum(one.end - one.start for one in ranges) >> 10
    return f"{count(len(ranges), 'more range')} ({size}k)"


def pages(page_size: int, address: int, size: int) -> Iterator[int]:
    """The addresses of the pages that a range lies in."""
    return iter(range(address // page_size * page_size, address + size, page_size))
