# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lost object is with which others were lost, and what it still has the address of.

A node of an xarray has its array's, a socket buffer its queue's: who lost it is named so. Knows
caches' names, variables, and the members of struct mempool_s.
"""

from __future__ import annotations

from typing import List, Optional

from crash_ext.places.place import MODULE, OBJECT, SYMBOL, words_of
from crash_ext.places.places import Places
from crash_ext.reach.model import LOST
from crash_ext.why.case import Case, Subject

_LOOKED_AT = 1 << 12
"""Bytes of such an object."""


def name_leaders(places: Places, cases: List[Case]) -> None:
    """Of the objects that subjects were lost with: what they are, in words."""
    for case in cases:
        for subject in case.subjects:
            leader = subject.leader or (subject.inner and lost_holder(subject))
            if leader and leader not in case.leaders:
                case.leaders[leader] = _what(places, case, leader)


def lost_holder(subject: Subject) -> int:
    """The first lost object that leads to one; 0 where none is known."""
    found = (h.place.object for h in subject.held if h.worth == LOST and h.place is not None)
    return next((address for address in found if address), 0)


def _what(places: Places, case: Case, leader: int) -> str:
    place = places.name(leader)
    if place is None or place.kind != OBJECT or place.cache is None:
        return ""
    own = case.cache.address == place.cache.address or place.cache.address in case.kin
    reader, word = places.session.reader, places.session.reader.word
    data = reader.try_read(leader, min(place.cache.object_size, _LOOKED_AT)) or b""
    words = {
        at: int.from_bytes(data[at : at + word], reader.byteorder)
        for at in range(0, len(data) - word + 1, word)
    }
    pool = reader.offset("mempool_s", "pool_data")
    if pool is not None and words.get(pool) == case.cache.address:
        return "a mempool of this cache, with its reserve"
    text = "" if own else f"an object of {place.label}"
    for at, value in words.items():
        name = variable(places, value)
        if name:
            return f"{text or 'an object'} that has the address of {name}, at +{at:#x}"
    return text


def variable(places: Places, value: int) -> Optional[str]:
    """The variable that an address lies in; None for code, constants, and what has no name."""
    if places.image.holds(value):
        if value < (places.session.reader.symbol("_sdata") or 0):
            return None
    elif places.modules.regions.at(value) is None:
        return None
    else:
        start, end = places.module_text(value)
        if start is None or end is None or start <= value < end:
            return None
    place = places.name(value)
    named = place is not None and place.kind in (SYMBOL, MODULE) and place.label[:1] != "["
    return words_of(place) if named else None
