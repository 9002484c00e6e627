# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the objects of a cache, as counts: by the last pointer, and by the root of the way.

Of very many objects some are asked about, evenly spread, and the counts are of these.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, List, NamedTuple, Optional

from crash_ext.places.place import OBJECT, PAGE, STACK, UNNAMED, VMALLOC, Place, plus
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
    counts: Counter[str] = Counter()
    first: Dict[str, int] = {}
    for address, root, last in reach.ways(sample(addresses)):
        text = _what(root.place)
        if last != root:
            text += f", by way of {_what(last.place)}"
        counts[text] += 1
        first.setdefault(text, address)
    total = sum(counts.values())
    return [Users(text, number, total, first[text]) for text, number in counts.most_common()]


def sample(addresses: List[int]) -> List[int]:
    """Those of the addresses that are asked about."""
    return addresses[:: max(1, -(-len(addresses) // _ASKED))]


def _what(place: Optional[Place]) -> str:
    """The same words for like places: an object by its cache and the offset in it, an array or
    a stack as a whole."""
    if place is None:
        return UNNAMED
    if place.kind == OBJECT:
        return f"objects of {place.label} at {place.offset:+#x}"
    if place.kind == VMALLOC:
        return f"vmalloc area made by {place.label}" if place.label else "a vmalloc area"
    if place.kind == STACK:
        return f"stack of {place.label}"
    if place.kind == PAGE:
        return "a page of no slab"
    return f"{place.label}{plus(place.offset)}" if place.label else place.kind
