# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an allocated object still have the free pointer of when it was free?

An allocation takes the object off the freelist and leaves its free pointer where it is, unless
it clears the object. Where it stands, nobody has written that word since the allocation; where
it doesn't, the owner has. Told only where the pointer lies inside the object and is hardened: a
plain one is like any other pointer, or like zero. Behind sheaves an object comes back without a
free pointer: then only one that stands tells something.
"""

from __future__ import annotations

from typing import Optional, Sequence

from crash_ext.slub.freelist import Coding, decoded
from crash_ext.slub.model import Cache
from crash_ext.slub.objects import key_forms
from crash_ext.slub.session import Session


class FreePointers:
    """Of the objects of a cache and its memcg children."""

    def __init__(self, session: Session, family: Sequence[Cache]) -> None:
        cache, reader = family[0], session.reader
        self._cache = cache
        self._order = reader.byteorder
        self._end = cache.offset + reader.word
        self._codings = []
        if cache.random is not None and self._end <= cache.object_size:
            self._codings = [
                Coding(form, each.random or 0, reader.word, reader.byteorder)
                for each in family
                for form in key_forms(session)
            ]
        self._guarded = {
            guarded.address for each in family for guarded in session.kfence().of(each.address)
        }

    def stand(self, address: int, data: bytes) -> Optional[bool]:
        """Whether an object's stands; None where that can't be told. data: its bytes."""
        cache = self._cache
        if not self._codings or address in self._guarded:
            return None
        hidden = int.from_bytes(data[cache.offset : self._end], self._order)
        for coding in self._codings:
            pointer = decoded(hidden, address + cache.offset, coding)
            away = pointer - address
            if not pointer or (away % cache.size == 0 and abs(away) < cache.size * cache.objects):
                return True
        return None if cache.cpu_sheaves else False
