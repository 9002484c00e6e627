# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a cache's structure, for the notes beside its objects' contents.

Asked once a cache, with the words of some allocated objects; contents/naming.py decides.
"""

from __future__ import annotations

from itertools import islice
from typing import Dict, Iterable, Iterator, List, Optional

from crash_ext.contents.naming import Naming, find_naming
from crash_ext.contents.words import Word, Words
from crash_ext.reader import ReadError
from crash_ext.slub.model import Cache

_SAMPLES = 8


class Members:
    """Of one cache."""

    def __init__(self, words: Words, cache: Cache) -> None:
        self._words = words
        self._cache = cache
        self._asked = False
        self._naming: Optional[Naming] = None

    def learn(self, addresses: Iterable[int], length: int) -> str:
        """Which structure it is, by allocated objects of so many bytes; later calls are idle.

        A line that says what the notes go by, once; empty where there's none.
        """
        if self._asked:
            return ""
        samples = list(islice(self._explained(addresses, length), _SAMPLES))
        if not samples:
            return ""
        self._asked = True
        self._naming = find_naming(self._words.places, self._cache, samples)
        if self._naming is None:
            return ""
        text = f"  members as in struct {self._naming.structure.text}"
        return text if self._naming.sure else f"{text}, a guess: slabwhy tells what speaks for it"

    def _explained(self, addresses: Iterable[int], length: int) -> Iterator[List[Word]]:
        for address in addresses:
            try:
                data = self._words.places.session.reader.read(address, length)
            except ReadError:
                continue
            yield self._words.explain(address, data)

    def named(self, words: List[Word]) -> List[Word]:
        """An allocated object's words, with their members where these are known."""
        return words if self._naming is None else self._naming.named(words)

    def fields(self) -> Dict[str, object]:
        """For a JSON record: what the words' members are of."""
        found = self._naming
        if found is None:
            return {}
        told = {
            "struct": found.structure.name,
            "module": found.structure.module or None,
            "sure": found.sure,
        }
        return {"members_of": told}
