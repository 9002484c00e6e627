# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of one object that is to be shown: contents, words, structure, log.

Reads; what of it is printed, text.py and records.py decide.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from crash_ext.contents.words import Word
from crash_ext.host.structs import StructError
from crash_ext.kernel.absent import Absent
from crash_ext.leak.select import Selection
from crash_ext.reader import ReadError
from crash_ext.report.text import visible
from crash_ext.slub.model import ALLOCATED, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.view.choice import Wanted
from crash_ext.view.members import Members
from crash_ext.why.log.reports import lines_of


class Detail(NamedTuple):
    """One object."""

    address: int
    data: Optional[bytes]
    """Its contents; None where they can't be read."""
    words: Optional[List[Word]]
    """What the contents are; None where that isn't asked for."""
    members: Dict[str, object]
    """For a record: the structure that the words' members are of."""
    struct: Optional[str]
    """The contents as the structure that is asked for; empty: can't be read."""
    log: List[str]
    """What the kernel log says of it."""
    problem: str
    """Why something of it is missing; empty where nothing is, or ranges will tell."""


class Details:
    """Of the objects of one selection."""

    def __init__(
        self, session: Session, wanted: Wanted, selection: Selection, data: SlabBytes
    ) -> None:
        self._data = data
        self._wanted = wanted
        self._cache = selection.cache
        self._one = selection.slab is not None and selection.slab.number is not None
        self._absent = Absent(session.reader)
        self._members = None if wanted.words is None else Members(wanted.words, selection.cache)

    def learn_members(self, decoded: SlabObjects) -> str:
        """With -e: what the objects' words are called, by the first slab that has some.

        The line that says so, where there is one.
        """
        if self._members is None:
            return ""
        return self._members.learn(list(decoded.allocated()), self._cache.object_size)

    def length(self, decoded: SlabObjects) -> int:
        """Bytes of contents to show of each of the slab's objects."""
        if self._wanted.bytes is not None:
            return self._wanted.bytes
        return decoded.length or self._cache.object_size

    def memory(self, decoded: SlabObjects, objects: int) -> Optional[bytes]:
        """The slab's memory in one read; None where it can't be had, or isn't needed whole."""
        return self._data.whole(decoded, objects)

    def of(self, decoded: SlabObjects, index: int, length: int, memory: Optional[bytes]) -> Detail:
        """One object, its contents out of the slab's memory or read by themselves."""
        address = decoded.address(index)
        data: Optional[bytes] = None
        problem = ""
        try:
            data = self._data.of(decoded, address, length, memory)
        except ReadError as error:
            if not self._absent.add(address, length, decoded.slab.address):
                problem = str(error)
        words = self._explain(decoded, index, data)
        struct: Optional[str] = None
        if self._wanted.struct is not None:
            try:
                struct = self._wanted.struct.text(address)
            except StructError as error:
                struct, problem = "", str(error)
        named = self._members is not None and decoded.states[index] == ALLOCATED
        members = self._members.fields() if named and self._members is not None else {}
        return Detail(address, data, words, members, struct, self._log(address), problem)

    def absent_lines(self) -> List[str]:
        """Which memory with contents was missing."""
        return self._absent.lines("contents of objects are missing")

    def _explain(
        self, decoded: SlabObjects, index: int, data: Optional[bytes]
    ) -> Optional[List[Word]]:
        if self._wanted.words is None:
            return None
        if not data:
            return []
        words = self._wanted.words.explain(decoded.address(index), data)
        # A free object's contents are what its last user, or the allocator, has left.
        if self._members is None or decoded.states[index] != ALLOCATED:
            return words
        return self._members.named(words)

    def _log(self, address: int) -> List[str]:
        """The log is asked only about an object that is shown alone."""
        if not self._one:
            return []
        found = self._wanted.log.about(self._cache.size, address)
        return [visible(text) for report in found for text in lines_of(report)]
