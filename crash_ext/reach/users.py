# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the objects of a cache, as counts: by the last pointer, and by the root of the way.

Of very many objects some are asked about, evenly spread, and the counts are of these.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, List, NamedTuple, Optional

from crash_ext.places.place import OBJECT, Place, plus
from crash_ext.reach.reach import Reach

_ASKED = 2000


class Users(NamedTuple):
    """Objects that one kind of holder has."""

    text: str
    """The holder in words."""
    number: int
    """Objects that it has, of those that were asked about."""
    of: int
    """Objects that were asked about and that something leads to."""
    example: int
    """Address of one of the objects."""


def users_of(reach: Reach, addresses: List[int]) -> List[Users]:
    """Who has these objects, most first; nothing of objects that nothing leads to."""
    step = max(1, -(-len(addresses) // _ASKED))
    counts: Counter[str] = Counter()
    first: Dict[str, int] = {}
    for address in addresses[::step]:
        found = _holder(reach, address)
        if found is not None:
            counts[found] += 1
            first.setdefault(found, address)
    total = sum(counts.values())
    return [Users(text, number, total, first[text]) for text, number in counts.most_common()]


def _holder(reach: Reach, address: int) -> Optional[str]:
    """The root of the way to an object, and what has the last pointer."""
    path = reach.path(address)
    if not path:
        return None
    root, last = path[0].place, path[-1].place
    text = _what(root)
    if len(path) > 1:
        text += f", by way of {_what(last)}"
    return text


def _what(place: Optional[Place]) -> str:
    """The same words for like places: an object by its cache and the offset in it."""
    if place is None:
        return "memory that can't be named"
    if place.kind == OBJECT:
        return f"objects of {place.label} at {place.offset:+#x}"
    return f"{place.label}{plus(place.offset)}" if place.label else place.kind
