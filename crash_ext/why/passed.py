# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of lost objects that still point into a list, which leads past them.

list_replace(), __list_del() and a copy of an object leave that: the words of a node, whose
neighbours are on a list or lost themselves, and of which none leads back. Two pointers to what
begins with a list_head look alike; so both have to lead to one list.
"""

from __future__ import annotations

from typing import Iterator, List, Set, Tuple

from crash_ext.contents.rings import RING, Rings
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import words_of
from crash_ext.places.places import Places
from crash_ext.reach.model import UNREACHED
from crash_ext.why.case import Case, Subject


def find_passed(places: Places, cases: List[Case]) -> None:
    """Of lost objects: offset of such a node -> the head of the list in words; "" for unknown."""
    reader = places.session.reader
    memory = Memory(reader)
    rings = Rings(places, memory, reader.word)
    for case in cases:
        lost = [s for s in case.subjects if s.level == UNREACHED and not s.blank]
        peers = {s.address for s in lost}
        for subject in lost:
            subject.passed = {
                at: _head(rings, beside)
                for at, beside in _nodes(memory, case, subject, peers)
                if _on_one_list(rings, beside)
            }


def _nodes(
    memory: Memory, case: Case, subject: Subject, peers: Set[int]
) -> Iterator[Tuple[int, List[int]]]:
    """(offset, the neighbours that are on a list) of what may be a node."""
    word, values = case.word, subject.values
    own = range(subject.address, subject.address + case.cache.object_size)
    for at, following in values.items():
        before, here = values.get(at + word), subject.address + at
        if not following or not before or at in subject.lists:
            continue
        if following in own or before in own:
            continue
        if memory.word(following + word) == here or memory.word(before) == here:
            continue
        beside = [each for each in (following, before) if _is_linked(memory, each, word)]
        others = [each for each in (following, before) if each not in beside]
        if beside and all(each - at in peers for each in others):
            yield at, beside


def _is_linked(memory: Memory, node: int, word: int) -> bool:
    """Whether what a list_head at an address leads to leads back."""
    following, before = memory.word(node), memory.word(node + word)
    if not following or not before:
        return False
    return memory.word(following + word) == node and memory.word(before) == node


def _on_one_list(rings: Rings, beside: List[int]) -> bool:
    found = [rings.of(each) for each in beside]
    return found[0].kind == RING and all(ring is found[0] for ring in found)


def _head(rings: Rings, beside: List[int]) -> str:
    head = rings.of(beside[0]).head
    return "" if head is None else words_of(head)
