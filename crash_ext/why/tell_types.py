# SPDX-License-Identifier: GPL-3.0-or-later
"""Which structure the objects may be, as evidence: proposals, best first, each said to be one.

contents/types.py compares structures with words; this puts what it finds into words.
"""

from __future__ import annotations

from typing import Iterator, List

from crash_ext.contents.typehints import (
    Related,
    searched_modules,
    type_hints,
    unknown_modules,
)
from crash_ext.contents.types import Piece, Proposal, propose_types
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session
from crash_ext.why.case import Evidence

_REASONS = 5


def type_evidence(
    session: Session, cache: Cache, samples: List[List[Piece]], found: Related, search: bool
) -> Iterator[Evidence]:
    """Proposals for the cache's objects. search: among all structures of that size.

    found: who has to do with the objects. Without a search those structures are proposed that
    have the cache's name, or that one of these knows.
    """
    types, reader = session.types(), session.reader
    hints = list(type_hints(types, cache, found))
    size = cache.object_size
    proposals = propose_types(reader, cache.name, size, samples, search, types, hints)
    for proposal in proposals or []:
        yield Evidence("type", _proposal(proposal))
    for problem in types.problems:
        yield Evidence("type", problem)
    files = reader.module_files()
    unknown = unknown_modules(types, files, found)
    for module in unknown:
        text = f"debug information of {module} isn't loaded: {reader.how_to_load(module)}"
        yield Evidence("type", text)
    if proposals or not samples:
        return
    if search:
        text = "no structure in the debug information fits"
        yield Evidence("type", "this host can't search for one" if proposals is None else text)
    elif not unknown:
        more = "".join(f", {each}'s too" for each in searched_modules(types, files, found))
        text = f"no structure named like the cache fits; -T searches all of its size{more}"
        yield Evidence("type", text)


def _proposal(found: Proposal) -> str:
    more = len(found.reasons) - _REASONS
    reasons = found.reasons[:_REASONS] + ([f"and {more} more"] if more > 0 else [])
    name = found.struct if found.structure is None else found.structure.text
    text = f"maybe struct {name}: {', '.join(reasons)}"
    return f"{text}; but {', '.join(found.against)}" if found.against else text
