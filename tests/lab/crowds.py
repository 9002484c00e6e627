# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps with very many objects in caches that are in use, and the module's account of them.

dump = crowded("6.1", "held")
for batch in for_each_batch(dump): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, NamedTuple

from .dumps import Dump
from .guest import Setup
from .plants import make_dump

SOURCE = Path(__file__).with_name("crowd")
SCENARIOS = {
    "held": Setup(("held",), arguments="slub_debug=U,crowd_held"),
    "unnoted": Setup(("held",)),
    "young": Setup(("young",), arguments="slub_debug=U,crowd_young"),
    "large": Setup(("large",), memory=12288),
}
"""held: 30,000 objects of one cache with four owners, each allocation noted; unnoted: without
these notes. young: objects that are on their way between owners. large: 10^7 in 12 GB."""


class Batch(NamedTuple):
    """Objects that were allocated one after the other for one owner."""

    cache: str
    owner: str
    """The variable that leads to them; "lost": none does."""
    objects: int
    sum: int
    """Of their addresses, modulo 2^64."""
    xor: int
    begin: float
    """Seconds since boot."""
    end: float


def crowded(kernel: str, scenario: str) -> Dump:
    """The dump; made if the cache doesn't have it. Raises Unavailable, GuestFailed."""
    return make_dump(kernel, scenario, SCENARIOS[scenario], SOURCE, "crowd")


def for_each_batch(dump: Dump) -> Iterator[Batch]:
    """The batches by the module's own account, in the order of their allocation."""
    for line in (dump.folder / "truth").read_text().splitlines():
        words = line.split()
        if words[:2] == ["T", "crowd"]:
            number, total, xor = int(words[4]), int(words[5], 16), int(words[6], 16)
            begin, end = (int(word) / 1000 for word in words[7:9])
            yield Batch(words[2], words[3], number, total, xor, begin, end)


def for_each_young(dump: Dump) -> Iterator[str]:
    """Addresses of the objects that are handed around; some have been freed since."""
    for line in (dump.folder / "truth").read_text().splitlines():
        if line.startswith("T young "):
            yield line.split()[2]
