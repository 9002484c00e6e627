# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that are alike: the same list states, pointers to the same things, the same poison.

Numbers and text differ from object to object and count for nothing, nor does it count
which object of a cache is pointed to, or where in it.
"""

from __future__ import annotations

from itertools import compress
from operator import ne
from struct import Struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from crash_ext.contents.words import LIST_LINKED, POINTER, Words
from crash_ext.places.place import MODULE, OBJECT, PERCPU, SYMBOL, VMALLOC
from crash_ext.slub.model import ALLOCATED, STATE_NAMES

_GROUPS = 1 << 16
"""This many patterns are kept apart; objects of others are counted together."""
_TOKENS = 1 << 18
_LABELLED = (SYMBOL, MODULE, PERCPU, VMALLOC)
"""Whose name tells what is pointed to; a task's stack is one as the other."""


class Mark(NamedTuple):
    """What is the same in all objects of a group, in one place."""

    offset: int
    kind: str
    """One of words.py's kinds."""
    target: str
    """What is pointed to: a cache's or symbol's name, a kind of memory; may be empty."""


class Group(NamedTuple):
    """Objects of one pattern."""

    objects: int
    """How many."""
    example: int
    """Address of the one that came first."""
    length: int
    """Bytes of it that were looked at."""
    marks: List[Mark]


Objects = Tuple[int, int, int]
"""(offset of the first in a piece of memory, bytes from one to the next, bytes of each)"""

_Token = Tuple[str, str, int]
"""(kind, target's name, target's kmem_cache or 0)"""
_Pattern = Tuple[Tuple[int, _Token], ...]


class _Count:
    """A group in the making."""

    __slots__ = ("count", "example", "length")

    def __init__(self, example: int, length: int) -> None:
        self.count = 0
        self.example = example
        self.length = length


class Groups:
    """Sorts objects into groups."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._counts: Dict[_Pattern, _Count] = {}
        self._tokens: Dict[int, Optional[_Token]] = {}
        self._forms: Dict[int, Struct] = {}
        self.total = 0
        self.other = 0
        """Objects that came when there were too many groups, and are in none."""

    def add(self, address: int, data: bytes) -> None:
        """Count an object with these contents."""
        self._count(self._pattern(address, data), address, len(data), 1)

    def add_all(self, base: int, memory: bytes, objects: Objects, chosen: bytes) -> None:
        """Count those objects of a piece of memory whose byte isn't 0."""
        shift, stride, length = objects
        plain = self._plain(memory, objects, chosen)
        first = plain.find(1)
        if first >= 0:
            self._count((), base + shift + first * stride, length, plain.count(1))
        for index in compress(range(len(chosen)), map(ne, chosen, plain)):
            start = shift + index * stride
            self.add(base + start, memory[start : start + length])

    def _plain(self, memory: bytes, objects: Objects, chosen: bytes) -> bytes:
        """1 for each chosen object that has nothing but numbers and text: no pattern.

        So are most objects of a lost cache, and of most caches some.
        """
        shift, stride, length = objects
        words = self._words
        if words.native is not None:
            return words.native.plain(
                *(memory, shift, stride, length, chosen, words.word, words.foreign),
                *(words.lowest, words.telling),
            )
        whole = length // words.word
        unpack, lowest, telling = self._form(whole).unpack_from, words.lowest, set(words.telling)
        found = bytearray(len(chosen))
        for index in compress(range(len(chosen)), chosen):
            values = unpack(memory, shift + index * stride)
            found[index] = max(values, default=0) < lowest and telling.isdisjoint(values)
        return bytes(found)

    def _count(self, pattern: _Pattern, example: int, length: int, number: int) -> None:
        self.total += number
        found = self._counts.get(pattern)
        if found is None:
            if len(self._counts) >= _GROUPS:
                self.other += number
                return
            found = self._counts[pattern] = _Count(example, length)
        found.count += number

    def groups(self) -> List[Group]:
        """The groups, largest first."""
        size = self._words.word
        found = [
            Group(
                each.count,
                each.example,
                each.length,
                [Mark(at * size, kind, name) for at, (kind, name, _) in pattern],
            )
            for pattern, each in self._counts.items()
        ]
        return sorted(found, key=lambda group: (-group.objects, group.example))

    def _pattern(self, address: int, data: bytes) -> _Pattern:
        words, size = self._words, self._words.word
        whole = len(data) // size
        values = self._form(whole).unpack_from(data)
        pattern: List[Tuple[int, _Token]] = []
        for at, _, kind in words.shapes(address, values, whole):
            if kind == POINTER:
                token = self._target(values[at])
                if token is not None:
                    pattern.append((at, token))
            elif kind == LIST_LINKED:
                pattern.append((at, self._list(address + at * size)))
            else:
                pattern.append((at, (kind, "", 0)))
        return tuple(pattern)

    def _form(self, whole: int) -> Struct:
        """Of so many words."""
        form = self._forms.get(whole)
        if form is None:
            words = self._words
            order = "<" if words.byteorder == "little" else ">"
            form = Struct(f"{order}{whole}{'Q' if words.word == 8 else 'I'}")
            self._forms[whole] = form
        return form

    def _target(self, value: int) -> Optional[_Token]:
        """What a pointer points to; None where it's no pointer."""
        decoded = self._words.places.decoded(value)
        if decoded is None:
            return self._named(value)
        number = decoded.number_of(value)
        state = ALLOCATED if number is None else decoded.states[number]
        name = decoded.label if state == ALLOCATED else f"{decoded.label}, {STATE_NAMES[state]}"
        return POINTER, name, decoded.cache.address

    def _named(self, value: int) -> Optional[_Token]:
        try:
            return self._tokens[value]
        except KeyError:
            pass
        place = self._words.target(value)
        token: Optional[_Token] = None
        if place is not None:
            name = place.label if place.kind in _LABELLED and place.label else place.kind
            token = (POINTER, name, 0)
        if len(self._tokens) >= _TOKENS:
            self._tokens.clear()
        self._tokens[value] = token
        return token

    def _list(self, node: int) -> _Token:
        """A linked list_head: it counts what heads the list."""
        head = self._words.rings.of(node).head
        if head is None:
            return LIST_LINKED, "", 0
        # Objects that head lists of their own are one kind of head.
        cache = head.cache.address if head.kind == OBJECT and head.cache is not None else 0
        return LIST_LINKED, head.label, cache
