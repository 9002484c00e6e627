# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a cache's objects are, as evidence."""

from __future__ import annotations

from typing import Iterator, List, Optional

from crash_ext.contents.ages import Ages, time_words
from crash_ext.kernel.clock import Clock
from crash_ext.kernel.say import count, duration
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache
from crash_ext.why.case import Evidence
from crash_ext.why.gather import contents

_ASKED = 2000
"""Objects that are looked at, evenly spread."""
_WORDS = 3


def noted_ages(ages: Optional[Ages], allocated: int) -> Iterator[Evidence]:
    """By the moments that the kernel noted with the allocations."""
    if ages is None or duration(ages.half) == duration(ages.oldest):
        # All of an age: the line about who allocated them says when.
        return
    of = count(ages.objects, "object")
    if ages.objects < allocated:
        of += f" with a time noted (of {allocated})"
    yield Evidence("age", f"of {of} {_halves(ages)}")


def likely_ages(slub: Slub, cache: Cache, addresses: List[int]) -> Iterator[Evidence]:
    """By words of the objects that may be jiffies. addresses: ascending."""
    step = max(1, -(-len(addresses) // _ASKED))
    reader = slub.reader
    data = (each for _, each in contents(slub, cache, addresses[::step]) if each is not None)
    found = list(time_words(Clock(reader), data, reader.word, reader.byteorder))
    for one in found[:_WORDS]:
        text = (
            f"+{one.offset:#x} is perhaps a time: by it, of {one.looked_at} objects"
            f" {_halves(one.ages)}"
        )
        yield Evidence("age", text)


def _halves(ages: Ages) -> str:
    return f"half are older than {duration(ages.half)}, the oldest {duration(ages.oldest)}"
