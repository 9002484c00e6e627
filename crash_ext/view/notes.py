# SPDX-License-Identifier: GPL-3.0-or-later
"""Explained words and named places, as notes beside contents and as JSON fields.

Every command words them the same way. Reads nothing.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from crash_ext.contents.words import NUMBER, ZERO, Word
from crash_ext.hexa import hexa
from crash_ext.places.place import Place, words_of
from crash_ext.reach.references import References
from crash_ext.report.text import plural, visible, wrapped
from crash_ext.slub.model import STATE_NAMES, Cache


def notes(words: Iterable[Word]) -> List[Tuple[int, str]]:
    """(offset, text) of what is worth a note, with the member's name where that is known.

    Zeroes tell themselves, and so do small numbers without a name.
    """
    return [
        (word.offset, f"{word.member}: {word.text}" if word.member else word.text)
        for word in words
        if word.member or word.kind not in (ZERO, NUMBER)
    ]


def word_fields(words: Iterable[Word]) -> List[Dict[str, object]]:
    """A JSON object for each word."""
    return [
        {
            "offset": word.offset,
            "size": word.size,
            "kind": word.kind,
            "text": visible(word.text),
            "value": f"{word.value:x}",
            "target": place_fields(word.target),
            **({"member": word.member} if word.member else {}),
        }
        for word in words
    ]


def reference_lines(references: References, cache: Cache, address: int) -> Iterator[str]:
    """Beneath an object: a line for each pointer to it, or that there is none."""
    found = references.of(address, cache)
    for each in found:
        where = words_of(each.place)
        to = f"{each.value - address:+#x}" if each.value != address else "+0"
        old = ", an entry of a sheaf" if each.sheaf else ""
        yield from wrapped(f"   {hexa(each.holder)} points to {to}: {visible(where)}{old}", 5)
    more = references.more(address)
    if more:
        yield f"   {plural(more, 'more pointer')} to it"
    elif not found:
        yield f"   no pointer to it in {references.searched}"


def reference_fields(
    references: Optional[References], cache: Cache, address: int
) -> Dict[str, object]:
    """The fields of an object's record; none where nobody asked."""
    if references is None:
        return {}
    return {
        "references": [
            {
                "holder": hexa(each.holder),
                "offset": each.value - address,
                "place": place_fields(each.place),
                "sheaf": each.sheaf,
            }
            for each in references.of(address, cache)
        ],
        "more_references": references.more(address),
    }


def place_fields(place: Optional[Place]) -> Optional[Dict[str, object]]:
    """The JSON object of a place, null for none."""
    if place is None:
        return None
    return {
        "kind": place.kind,
        "name": visible(place.label),
        "cache": None if place.cache is None else hexa(place.cache.address),
        "object": None if place.object is None else hexa(place.object),
        "offset": place.offset,
        "state": None if place.state is None else STATE_NAMES[place.state],
    }
