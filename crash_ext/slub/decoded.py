# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoded slabs that one command asks for more than once, as many as fit.

The search for leftovers, the mark pass and the diagnosis each go through slabs of the same
caches. Without the slabs' memory; what is to be read of an object is read again.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Tuple

from crash_ext.slub.model import Cache, SlabObjects
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session

_ROOM = 32 << 20
"""Bytes for all that is kept: some 60,000 slabs. The others are decoded at each question."""
_SLAB = 500
"""Bytes that a decoded slab takes, beside one for each object."""


def for_each_slab_decoded_once(
    session: Session, cache: Cache, problems: List[str], lists_only: bool = False
) -> Iterator[SlabObjects]:
    """for_each_decoded_slab(), without the slabs' memory: kept until the next command.

    What is wrong with the cache goes to `problems` each time.
    """
    kept = session.keep_for_command(_Kept, _Kept)
    return kept.for_each(session, cache, problems, lists_only)


def decoded_before(session: Session, cache: Cache, lists_only: bool) -> List[SlabObjects]:
    """What the other function has kept of a cache: all of its slabs, or none."""
    kept = session.keep_for_command(_Kept, _Kept)
    return kept.of(cache, lists_only)


class _Decoded(NamedTuple):
    slabs: List[SlabObjects]
    problems: List[str]


class _Kept:
    def __init__(self) -> None:
        self._room = _ROOM
        self._known: Dict[Tuple[int, bool], _Decoded] = {}

    def of(self, cache: Cache, lists_only: bool) -> List[SlabObjects]:
        known = self._known.get((cache.address, lists_only))
        return [] if known is None else known.slabs

    def for_each(
        self, session: Session, cache: Cache, problems: List[str], lists_only: bool
    ) -> Iterator[SlabObjects]:
        key = (cache.address, lists_only)
        known = self._known.get(key)
        if known is not None:
            problems += known.problems
            yield from known.slabs
            return
        new = _Decoded([], [])
        told, room = 0, self._room
        for decoded in for_each_decoded_slab(session, cache, new.problems, lists_only):
            plain = decoded.without_memory()
            room -= _SLAB + len(plain.states)
            if room >= 0:
                new.slabs.append(plain)
            else:
                new.slabs.clear()
            problems += new.problems[told:]
            told = len(new.problems)
            yield plain
        problems += new.problems[told:]
        if room >= 0:
            self._room = room
            self._known[key] = new
