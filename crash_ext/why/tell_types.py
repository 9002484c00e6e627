# SPDX-License-Identifier: GPL-3.0-or-later
"""Which structure the objects may be, as evidence: proposals, best first, each said to be one.

types.py compares structures with words; this hands it the words and puts it into words.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List

from crash_ext.contents.types import (
    HLIST,
    LIST,
    NUMBER,
    POINTER,
    TEXT,
    TREE,
    ZERO,
    Piece,
    Proposal,
    propose_types,
)
from crash_ext.contents.words import (
    ERROR,
    HLIST_LINKED,
    JIFFIES,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    OWN,
    RB_CLEAR,
    RB_LINKED,
    Word,
)
from crash_ext.contents.words import NUMBER as SMALL
from crash_ext.contents.words import POINTER as TO
from crash_ext.contents.words import TEXT as CHARACTERS
from crash_ext.contents.words import ZERO as NOTHING
from crash_ext.reader import Reader
from crash_ext.slub.model import Cache
from crash_ext.why.case import Evidence

_REASONS = 5
_KINDS = {
    **dict.fromkeys((LIST_BROKEN, LIST_DELETED, LIST_EMPTY, LIST_LINKED), LIST),
    HLIST_LINKED: HLIST,
    **dict.fromkeys((RB_CLEAR, RB_LINKED), TREE),
    **dict.fromkeys((OWN, TO), POINTER),
    **dict.fromkeys((ERROR, JIFFIES, SMALL), NUMBER),
    CHARACTERS: TEXT,
    NOTHING: ZERO,
}


def pieces(words: Iterable[Word]) -> List[Piece]:
    """An object's explained words, in the kinds that a declaration is compared with."""
    return [
        Piece(word.offset, word.size, _KINDS[word.kind]) for word in words if word.kind in _KINDS
    ]


def type_evidence(
    reader: Reader, cache: Cache, samples: List[List[Piece]], search: bool
) -> Iterator[Evidence]:
    """Proposals for the cache's objects. search: among all structures of that size."""
    found = propose_types(reader, cache.name, cache.object_size, samples, search)
    for proposal in found or []:
        yield Evidence("type", _proposal(proposal))
    if found or not samples:
        return
    if search:
        text = "no structure in the debug information fits"
        yield Evidence("type", "this host can't search for one" if found is None else text)
    else:
        yield Evidence("type", "no structure is named like the cache; -T searches all of its size")


def _proposal(found: Proposal) -> str:
    more = len(found.reasons) - _REASONS
    reasons = found.reasons[:_REASONS] + ([f"and {more} more"] if more > 0 else [])
    text = f"maybe struct {found.struct}: {', '.join(reasons)}"
    return f"{text}; but {', '.join(found.against)}" if found.against else text
