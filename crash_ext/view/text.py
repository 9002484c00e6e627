# SPDX-License-Identifier: GPL-3.0-or-later
"""Slabs and objects as text: the lines of `kmem -S`, and contents as `rd` shows them.

Knows how to make much text in little time: slabs whose objects need nothing but their
contents are put off, and become text some at once.
"""

from __future__ import annotations

import sys
from itertools import compress
from typing import List, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.leak.select import Selection
from crash_ext.output import Output
from crash_ext.reach.references import References
from crash_ext.reader import Reader
from crash_ext.report.annotate import annotated
from crash_ext.report.caches import SLAB_HEAD, object_line, slab_line
from crash_ext.report.contents import Records, Whole
from crash_ext.report.hexdump import RdForm
from crash_ext.report.text import WIDTH, wrapped
from crash_ext.slub.model import ALLOCATED, STATE_NAMES, SlabObjects
from crash_ext.view.choice import Wanted
from crash_ext.view.details import Detail
from crash_ext.view.notes import notes, reference_lines
from crash_ext.view.tally import free

_TOGETHER = 16
"""The objects of this many slabs become text at once."""


class TextSink:
    """Takes the slabs of one selection."""

    def __init__(
        self,
        reader: Reader,
        out: Output,
        wanted: Wanted,
        selection: Selection,
        references: Optional[References],
    ) -> None:
        self._reader = reader
        self._out = out
        self._cache = selection.cache
        self._selected = selection.slab
        self._references = references
        self._slots = wanted.slots and self._cache.red_left > 0
        one = selection.slab is not None and selection.slab.number is not None
        told = wanted.words is not None or wanted.references or wanted.struct is not None
        self._each = one or told
        """Whether each object is a matter of its own, written by object()."""
        self._plain = not (told or wanted.free or self._slots or selection.slab)
        """Whether nothing but allocated objects is shown, each by its address alone."""
        self._head = ""
        """Of the slab that has begun, not yet written."""
        self._together: List[Tuple[str, SlabObjects, Whole]] = []
        """Slabs that are still to be written, with their heads; of each object so many bytes:"""
        self._length = 0
        self._records: Optional[Records] = None
        self._rd: Optional[RdForm] = None

    def slab(self, decoded: SlabObjects) -> None:
        """What comes before a slab's objects."""
        slab, damaged = decoded.slab, decoded.problem is not None
        line = slab_line(
            slab.address,
            slab.base,
            slab.node,
            len(decoded.states),
            None if damaged else decoded.count(ALLOCATED),
            None if damaged else free(decoded),
            slab.place,
        )
        self._head = f"{SLAB_HEAD}\n{line}\n"

    def takes_all(
        self, decoded: SlabObjects, chosen: bytes, length: int, memory: Optional[bytes]
    ) -> bool:
        """Write the slab's chosen objects out of its memory; False: they want to be told singly."""
        if self._each or memory is None or length > self._cache.size - self._cache.red_left:
            return False
        if self._plain and decoded.problem is None and not decoded.notes:
            self._length = length
            self._together.append((self._head, decoded, Whole(memory, decoded.first, chosen)))
            self._head = ""
            if len(self._together) >= _TOGETHER:
                self.flush()
        else:
            self.flush()
            sys.stdout.write(self._lines(decoded, chosen, memory, length))
        return True

    def object(self, decoded: SlabObjects, index: int, detail: Detail) -> None:
        """One object."""
        self.flush()
        out = self._out
        out.text(self._object_line(decoded, index))
        if detail.struct:
            out.text(detail.struct)
        elif detail.data and detail.struct is None:
            text = self._form(len(detail.data)).text(detail.address, detail.data)
            out.lines([text] if detail.words is None else annotated(text, notes(detail.words)))
        if self._references is not None:
            out.lines(reference_lines(self._references, self._cache, detail.address))
        for text in detail.log:
            out.text(*wrapped(f"   log: {text}", 8))

    def flush(self) -> None:
        """Write what was put off: of some slabs at once the text is made in less time."""
        waiting, self._together = self._together, []
        if waiting:
            wholes = [whole for _, _, whole in waiting]
            texts = self._records_of(self._length).texts(wholes, self._cache.red_left)
            for (head, decoded, whole), made in zip(waiting, texts):
                text = made
                if text is None:
                    text = self._lines(decoded, whole.chosen, whole.memory, self._length)
                sys.stdout.write(head + text)
        if self._head:
            sys.stdout.write(self._head)
            self._head = ""

    def _lines(self, decoded: SlabObjects, chosen: bytes, memory: bytes, length: int) -> str:
        """The objects as text, out of the slab's memory."""
        first, size, shift = decoded.first, self._cache.size, decoded.first - decoded.slab.base
        form = self._form(length)
        parts: List[str] = []
        for index in compress(range(len(chosen)), chosen):
            start = index * size
            parts.append(self._object_line(decoded, index))
            if length:
                parts.append(
                    form.text(first + start, memory[shift + start : shift + start + length])
                )
        return "\n".join([*parts, ""])

    def _object_line(self, decoded: SlabObjects, index: int) -> str:
        """The object's own line, before its contents."""
        address = decoded.address(index)
        state = STATE_NAMES[decoded.states[index]]
        line = object_line(address, state, decoded.notes.get(index))
        more = ""
        if self._slots:
            # What kmem shows as its address with `set redzone on`.
            line += f"  red zone from {hexa(address - self._cache.red_left)}"
        if self._selected is not None and self._selected.offset:
            offset = self._selected.offset
            more = f"  {hexa(address + offset)} is at {offset:+#x}"
        return line + more if len(line + more) <= WIDTH else f"{line}\n   {more}"

    def _records_of(self, length: int) -> Records:
        if self._records is None or self._records.length != length:
            reader = self._reader
            native = reader.native
            self._records = Records(
                *(length, self._cache.size, reader.word, reader.byteorder),
                native.contents if native else None,
            )
        return self._records

    def _form(self, length: int) -> RdForm:
        if self._rd is None or self._rd.length != length:
            self._rd = RdForm(length, self._reader.word, self._reader.byteorder)
        return self._rd
