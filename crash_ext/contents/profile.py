# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of a cache's objects usually are, and where some objects differ.

A profile counts, for each offset, what the word there is in every object ("list_head,
linked", "pointer to kmalloc-64"). Two profiles of one layout, the leaked objects' and the
living ones', differ where the leak happened. Knows patterns as text, no kernel and no memory.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

USUAL = 0.9
"""Of the objects that must agree for a pattern to be what the word usually is."""
ENOUGH = 3
"""Objects at the least, for "usually" to mean anything."""


class Cell(NamedTuple):
    """One word, or one structure of several, of one object."""

    offset: int
    size: int
    kind: str
    """Of a list_head: linked, empty; of a word: pointer, number."""
    pattern: str
    """The kind with what doesn't change from object to object: pointer to kmalloc-64."""


class Usual(NamedTuple):
    """The pattern that most objects have at an offset."""

    pattern: str
    number: int
    """Objects that have it."""
    total: int
    """Objects that were looked at."""

    @property
    def clear(self) -> bool:
        """Whether enough objects agree to speak of a rule."""
        return self.total >= ENOUGH and self.number >= USUAL * self.total


class Profile:
    """Counts of patterns by offset."""

    def __init__(self) -> None:
        self.objects = 0
        self._patterns: Dict[int, Counter[str]] = {}
        self._kinds: Counter[Tuple[int, str]] = Counter()
        self._sizes: Dict[int, int] = {}

    @classmethod
    def of(cls, objects: Iterable[List[Cell]]) -> Profile:
        """The profile of these objects."""
        profile = cls()
        for cells in objects:
            profile.add(cells)
        return profile

    def add(self, cells: List[Cell]) -> None:
        """Count one object."""
        self.objects += 1
        for offset, size, kind, pattern in cells:
            self._kinds[offset, kind] += 1
            self._patterns.setdefault(offset, Counter())[pattern] += 1
            self._sizes[offset] = max(size, self._sizes.get(offset, 0))

    def offsets(self) -> List[int]:
        """Where a structure or word starts in at least one object, ascending."""
        return sorted(self._patterns)

    def size(self, offset: int) -> int:
        """Bytes of the largest structure that starts there."""
        return self._sizes.get(offset, 0)

    def usual(self, offset: int) -> Optional[Usual]:
        """The most frequent pattern at an offset; None where nothing starts."""
        counts = self._patterns.get(offset)
        if not counts:
            return None
        pattern, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        return Usual(pattern, count, self.objects)

    def count(self, offset: int, pattern: str) -> int:
        """Objects with that pattern there."""
        return self._patterns.get(offset, Counter())[pattern]

    def count_kind(self, offset: int, kind: str) -> int:
        """Objects with that kind of word there."""
        return self._kinds[offset, kind]


class Difference(NamedTuple):
    """An offset at which the leaked objects aren't what living ones are."""

    offset: int
    size: int
    live: Usual
    leaked: Usual


def differences(live: Profile, leaked: Profile) -> Iterator[Difference]:
    """Where nearly all living objects agree, and most leaked ones are something else."""
    for offset in live.offsets():
        usual = live.usual(offset)
        found = leaked.usual(offset)
        if usual is None or found is None or not usual.clear:
            continue
        apart = leaked.objects - leaked.count(offset, usual.pattern)
        if found.pattern != usual.pattern and 2 * apart > leaked.objects:
            yield Difference(offset, max(live.size(offset), leaked.size(offset)), usual, found)


class Run(NamedTuple):
    """Neighbouring offsets with the same pattern: one line."""

    start: int
    end: int
    """Of the last structure's last byte, exclusive."""
    pattern: str
    number: int
    """Objects that have it, at the offset where the fewest have."""
    total: int


def runs(profile: Profile) -> List[Run]:
    """The profile's usual patterns, neighbours of one pattern joined."""
    found: List[Run] = []
    for offset in profile.offsets():
        usual = profile.usual(offset)
        if usual is None or (found and offset < found[-1].end):
            continue
        end = offset + profile.size(offset)
        last = found[-1] if found else None
        if last is not None and (last.end, last.pattern) == (offset, usual.pattern):
            found[-1] = last._replace(end=end, number=min(last.number, usual.number))
        else:
            found.append(Run(offset, end, usual.pattern, usual.number, usual.total))
    return found


def spread(total: int, limit: int) -> Tuple[int, int]:
    """(step, number) to take every step-th of that many objects, `limit` of them at most."""
    step = max(1, -(-total // limit))
    return step, -(-total // step)
