# SPDX-License-Identifier: GPL-3.0-or-later
"""Slabs and objects as JSON records."""

from __future__ import annotations

from typing import Optional

from crash_ext.hexa import hexa
from crash_ext.output import Output
from crash_ext.reach.references import References
from crash_ext.slub.model import ALLOCATED, STATE_NAMES, Cache, SlabObjects
from crash_ext.view.details import Detail
from crash_ext.view.notes import reference_fields, word_fields
from crash_ext.view.tally import free


class RecordSink:
    """Takes the slabs of one cache."""

    def __init__(self, out: Output, cache: Cache, references: Optional[References]) -> None:
        self._out = out
        self._cache = cache
        self._references = references

    def slab(self, decoded: SlabObjects) -> None:
        """What comes before a slab's objects."""
        slab, damaged = decoded.slab, decoded.problem is not None
        self._out.record(
            "slab",
            cache=hexa(self._cache.address),
            address=hexa(slab.address),
            memory=hexa(slab.base),
            node=slab.node,
            objects=len(decoded.states),
            allocated=None if damaged else decoded.count(ALLOCATED),
            free=None if damaged else free(decoded),
            list=slab.place,
        )

    def takes_all(
        self, decoded: SlabObjects, chosen: bytes, length: int, memory: Optional[bytes]
    ) -> bool:
        """Each object is a record of its own."""
        return False

    def object(self, decoded: SlabObjects, index: int, detail: Detail) -> None:
        """One object."""
        self._out.record(
            "object",
            cache=hexa(self._cache.address),
            slab=hexa(decoded.slab.address),
            address=hexa(detail.address),
            index=index,
            state=STATE_NAMES[decoded.states[index]],
            held_by=decoded.notes.get(index),
            slot=hexa(detail.address - self._cache.red_left),
            data=None if detail.data is None else detail.data.hex(),
            **({} if detail.words is None else {"words": word_fields(detail.words)}),
            **detail.members,
            **reference_fields(self._references, self._cache, detail.address),
            **({} if detail.struct is None else {"struct": detail.struct or None}),
            **({"log": detail.log} if detail.log else {}),
        )

    def flush(self) -> None:
        """Nothing is put off."""
