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
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache
from crash_ext.why.case import Evidence
from crash_ext.why.typehints import Related, type_hints, unknown_modules

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
    slub: Slub, cache: Cache, samples: List[List[Piece]], found: Related, search: bool
) -> Iterator[Evidence]:
    """Proposals for the cache's objects. search: among all structures of that size.

    found: who has to do with the objects. Without a search those structures are proposed that
    have the cache's name, or that one of these knows.
    """
    types, reader = slub.types(), slub.reader
    hints = list(type_hints(types, cache, found))
    size = cache.object_size
    proposals = propose_types(reader, cache.name, size, samples, search, types, hints)
    for proposal in proposals or []:
        yield Evidence("type", _proposal(proposal))
    for problem in types.problems:
        yield Evidence("type", problem)
    unknown = unknown_modules(types, reader.module_files(), found)
    for module in unknown:
        text = f"debug information of {module} isn't loaded: mod -s {module} FILE"
        yield Evidence("type", text)
    if proposals or not samples:
        return
    if search:
        text = "no structure in the debug information fits"
        yield Evidence("type", "this host can't search for one" if proposals is None else text)
    elif not unknown:
        yield Evidence("type", "no structure is named like the cache; -T searches all of its size")


def _proposal(found: Proposal) -> str:
    more = len(found.reasons) - _REASONS
    reasons = found.reasons[:_REASONS] + ([f"and {more} more"] if more > 0 else [])
    module = f" [{found.module}]" if found.module else ""
    text = f"maybe struct {found.struct}{module}: {', '.join(reasons)}"
    return f"{text}; but {', '.join(found.against)}" if found.against else text
