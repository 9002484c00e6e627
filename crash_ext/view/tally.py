# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache's slabs and objects in numbers, for its summary line."""

from __future__ import annotations

from typing import Iterable

from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, UNKNOWN, SlabObjects


class Tally:
    """A cache's slabs and objects, counted."""

    def __init__(self) -> None:
        self.slabs = self.objects = self.allocated = self.unknown = 0
        self.lacking = False
        """Not all slabs of the cache were found."""

    @property
    def more(self) -> bool:
        """Whether there may be more allocated objects."""
        return bool(self.unknown) or self.lacking

    def agrees_with(self, other: Tally) -> bool:
        """Whether all numbers are the same."""
        return vars(self) == vars(other)

    def add(self, decoded: SlabObjects) -> None:
        """One more slab."""
        self.slabs += 1
        self.objects += len(decoded.states)
        self.allocated += decoded.count(ALLOCATED)
        self.unknown += decoded.count(UNKNOWN)

    @classmethod
    def of(cls, decoded_slabs: Iterable[SlabObjects], lacking: bool) -> Tally:
        """All of these slabs; lacking: which are not all of the cache's."""
        tally = cls()
        for decoded in decoded_slabs:
            tally.add(decoded)
        tally.lacking = lacking
        return tally


def free(decoded: SlabObjects) -> int:
    """As crash counts: what isn't allocated, be it usable yet or not."""
    return decoded.count(FREE) + decoded.count(RCU_PENDING)
