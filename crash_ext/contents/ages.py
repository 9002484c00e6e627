# SPDX-License-Identifier: GPL-3.0-or-later
"""How old objects are: from moments that were noted, or from words that may be jiffies.

A word that is between the boot and now in nearly every object, and differs from object to
object, is likely a moment; of what (allocated, last used, to be sent), nothing tells. Knows
the clock and bytes.
"""

from __future__ import annotations

from collections import Counter
from typing import Iterable, Iterator, List, Literal, NamedTuple, Optional

from crash_ext.kernel.clock import Clock

_ENOUGH = 8
"""Objects at the least, for a word to mean anything."""
_IN_TIME = 0.95
"""Of the objects whose word must be a moment between the boot and now."""
_SAME = 0.5
"""Of the objects that may have the same word: -1 and the like are moments, too."""


class Ages(NamedTuple):
    """The ages of some objects, in seconds."""

    objects: int
    half: float
    """Half of them are older."""
    oldest: float


class TimeWord(NamedTuple):
    """A word of objects that may be a moment."""

    offset: int
    ages: Ages
    looked_at: int
    """Objects that were looked at."""


def ages_of(seconds: Iterable[float]) -> Optional[Ages]:
    """Of no objects: None."""
    found = sorted(seconds)
    if not found:
        return None
    # The lower of the two in the middle: at least half are as old.
    return Ages(len(found), found[(len(found) - 1) // 2], found[-1])


def time_words(
    clock: Clock, contents: Iterable[bytes], word: int, byteorder: Literal["little", "big"]
) -> Iterator[TimeWord]:
    """The words that are likely jiffies, by offset. contents: of objects of one cache.

    On 32 bits a moment looks like any number: none. word: bytes.
    """
    if word < 8 or not clock.hz or not clock.runs:
        return
    objects = list(contents)
    if len(objects) < _ENOUGH:
        return
    for offset in range(0, min(map(len, objects)) - word + 1, word):
        ages = _in_time(clock, [data[offset : offset + word] for data in objects], byteorder)
        if ages is not None:
            yield TimeWord(offset, ages, len(objects))


def _in_time(
    clock: Clock, words: List[bytes], byteorder: Literal["little", "big"]
) -> Optional[Ages]:
    """The ages of these words, if they are likely moments."""
    values = Counter(words)
    if values.most_common(1)[0][1] > _SAME * len(words):
        return None
    late = (1 - _IN_TIME) * len(words)
    seconds: List[float] = []
    for value, number in values.items():
        age = clock.seconds(clock.age(int.from_bytes(value, byteorder)))
        if age is None:
            late -= number
            if late < 0:
                return None
        else:
            seconds += [age] * number
    return ages_of(seconds)
