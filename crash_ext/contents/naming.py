# SPDX-License-Identifier: GPL-3.0-or-later
"""The members that an object's words are, where the structure is known, or a good guess.

Sure is only a structure with the cache's name and just its size, as KMEM_CACHE() makes it, where
no other cache was merged into it.
A guess is marked, and made only where one structure alone fits by more than its size: by a
like name, or as a declaration of the module that all objects point into or whose constructor the
cache has. Needs the kernel's own types.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

from crash_ext.contents.pieces import pieces
from crash_ext.contents.typehints import related, type_hints
from crash_ext.contents.types import Proposal, propose_types, same_name
from crash_ext.contents.words import ZERO, Word
from crash_ext.kernel.declared import Structure
from crash_ext.places.places import Places
from crash_ext.slub.model import Cache


class Naming(NamedTuple):
    """The structure that a cache's objects are named by."""

    structure: Structure
    sure: bool

    def named(self, words: Sequence[Word]) -> List[Word]:
        """The words with their members, a guess with "?"; of zeroes nothing is worth saying."""
        return [word._replace(member=self._member(word)) for word in words]

    def _member(self, word: Word) -> str:
        path = "" if word.kind == ZERO else self.structure.path(word.offset, word.size)
        return path if self.sure or not path else f"{path}?"


def find_naming(
    places: Places, cache: Cache, samples: Sequence[Sequence[Word]]
) -> Optional[Naming]:
    """By the words of some of its allocated objects; None where nothing, or too much, fits."""
    types = places.session.types()
    if not types:
        return None
    found = propose_types(
        places.session.reader,
        cache.name,
        cache.object_size,
        [pieces(words) for words in samples],
        False,
        types,
        list(type_hints(types, cache, related(places, cache, samples))),
    )
    exact = [each for each in found or [] if each.size == cache.object_size]
    same = [each for each in exact if same_name(cache.name, each.struct)]
    if len(same) == 1:
        # An alias has its own objects there, of the same size and another type.
        return _naming(same[0], cache.refcount <= 1)
    guesses = [each for each in exact if not each.against]
    return _naming(guesses[0], False) if len(guesses) == 1 and not same else None


def _naming(found: Proposal, sure: bool) -> Optional[Naming]:
    return None if found.structure is None else Naming(found.structure, sure)
