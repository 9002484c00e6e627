# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache's slabs and objects in numbers, for its summary line."""

from __future__ import annotations

from typing import Iterable

from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, UNKNOWN, SlabObjects


class Tally:
    """A cache's slabs and objects, counted."""

    def __init__(self) -> None:
        self.slabs = self.objects = self.allocated = self.unknown = 0

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
    def of(cls, decoded_slabs: Iterable[SlabObjects]) -> Tally:
        """All of these slabs."""
        tally = cls()
        for decoded in decoded_slabs:
            tally.add(decoded)
        return tally


def free(decoded: SlabObjects) -> int:
    """As crash counts: what isn't allocated, be it usable yet or not."""
    return decoded.count(FREE) + decoded.count(RCU_PENDING)
