# SPDX-License-Identifier: GPL-3.0-or-later
"""Which structure the objects may be, as evidence: proposals, best first, each said to be one.

contents/types.py compares structures with words; this puts what it finds into words.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Tuple

from crash_ext.contents.typehints import (
    Related,
    searched_modules,
    type_hints,
    unknown_modules,
)
from crash_ext.contents.types import Piece, Proposal, propose_types, same_name
from crash_ext.reader import Reader
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session
from crash_ext.why.case import Evidence

_REASONS = 5
_COUNTS = {"struct kref": "kref", "refcount_t": "refcount_t"}
"""Types of members that count references -> as they are told."""


def proposed(
    session: Session, cache: Cache, samples: List[List[Piece]], found: Related, search: bool
) -> Optional[List[Proposal]]:
    """Proposals for the cache's objects; None where none can be had. search: among all
    structures of that size.

    found: who has to do with the objects. Without a search those structures are proposed that
    have the cache's name, or that one of these knows.
    """
    types = session.types()
    hints = list(type_hints(types, cache, found))
    size = cache.object_size
    return propose_types(session.reader, cache.name, size, samples, search, types, hints)


def counts_in(
    reader: Reader, cache: Cache, proposals: Optional[List[Proposal]]
) -> Tuple[str, Dict[int, str]]:
    """(structure, offset -> "kref ref" of its counts of references); ("", {}) where unknown.

    Of the one that has the cache's name and size, and that no word speaks against.
    """
    fits = [each for each in proposals or [] if same_name(cache.name, each.struct)]
    if len(fits) != 1 or fits[0].size != cache.object_size or fits[0].against:
        return "", {}
    (only,) = fits
    members = only.structure.members() if only.structure else reader.members(only.struct)
    found: Dict[int, str] = {}
    # A kref is a refcount_t inside.
    for member in sorted(members, key=lambda member: member.type != "struct kref"):
        if member.type in _COUNTS:
            found.setdefault(member.offset, f"{_COUNTS[member.type]} {member.name}")
    return _name(only), found


def _name(found: Proposal) -> str:
    return found.struct if found.structure is None else found.structure.text


def type_evidence(
    session: Session,
    samples: List[List[Piece]],
    found: Related,
    search: bool,
    proposals: Optional[List[Proposal]],
) -> Iterator[Evidence]:
    """What was proposed(), and what could not be looked at."""
    types, reader = session.types(), session.reader
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
    text = f"maybe struct {_name(found)}: {', '.join(reasons)}"
    return f"{text}; but {', '.join(found.against)}" if found.against else text
