# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names somebody may have meant who typed one that isn't there.

Knows letters only: one left out, one too many, a wrong one, or two in the wrong order.
"""

from __future__ import annotations

from typing import Iterable, List

_MOST = 3
"""Names to propose."""
_LETTERS = 3
"""One mistake in so many letters is believed."""


def nearest(typed: str, names: Iterable[str]) -> List[str]:
    """The names with fewest mistakes, at most three; else those that contain what was typed."""
    known = sorted(set(names))
    least = len(typed) // _LETTERS
    found: List[str] = []
    for name in known:
        mistakes = distance(typed.lower(), name.lower(), least)
        if mistakes < least:
            least, found = mistakes, []
        if mistakes == least:
            found.append(name)
    if not found and len(typed) >= _LETTERS:
        found = [name for name in known if typed.lower() in name.lower()]
    return found[:_MOST]


def distance(one: str, other: str, most: int) -> int:
    """How many mistakes lie between two words; more than `most` may be any number above it."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: List[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, second in enumerate(other, 1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != second))
            if before and column > 1 and letter == other[column - 2] and one[row - 2] == second:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        before, last = last, now
    return last[-1]
