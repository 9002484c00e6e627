# SPDX-License-Identifier: GPL-3.0-or-later
"""What slabobjs is to show: the user's options, and which slabs and objects they choose.

Which objects are allocated slub/ knows; how they look is not decided here.
"""

from __future__ import annotations

from itertools import compress
from typing import Iterable, Iterator, List, NamedTuple, Optional

from crash_ext.contents.words import Words
from crash_ext.host.structs import StructForm
from crash_ext.leak.select import Selection
from crash_ext.slub.model import ONLY_ALLOCATED, SlabObjects
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.why.chosen import Asked, Chosen
from crash_ext.why.log.reports import ObjectReports


class Wanted(NamedTuple):
    """What of a cache is to be shown."""

    quiet: bool
    """Addresses alone."""
    lists_only: bool
    """Only slabs that lists hold (-p)."""
    free: bool
    """Free objects, too."""
    node: Optional[int]
    """Slabs of this NUMA node only; None for all."""
    limit: Optional[int]
    """Most objects of a cache."""
    bytes: Optional[int]
    """Of each object's contents; None for object_size."""
    slots: bool
    """Where a red zone comes first, its address, too."""
    words: Optional[Words]
    """Says beneath the contents what they are; None where that isn't asked for."""
    groups: Optional[Words]
    """Tells groups of like objects, in place of slabs; None where slabs are asked for."""
    references: bool
    """Beneath each object, who points to it."""
    struct: Optional[StructForm]
    """Show contents as this structure."""
    log: ObjectReports
    """What the kernel log says of an object that is asked for by address."""
    asked: Optional[Asked]
    """What objects have to fit (-w); None for all."""


class Choice:
    """The slabs and objects of one selection that are wanted; counts them as it goes."""

    def __init__(self, wanted: Wanted, selection: Selection, data: SlabBytes) -> None:
        self.shown = 0
        """Objects chosen so far."""
        self.left_out = 0
        """Objects beyond the limit, of the slabs asked about."""
        self.fitting = None if wanted.asked is None else Chosen(wanted.asked, selection.cache, data)
        """The objects that -w has chosen so far; None without it."""
        self._wanted = wanted
        self._slab = selection.slab

    @property
    def everything(self) -> bool:
        """Whether it is simply the allocated objects of all slabs."""
        wanted = self._wanted
        some = self._slab is not None or wanted.node is not None or wanted.limit is not None
        return not (some or wanted.free or wanted.asked)

    @property
    def enough(self) -> bool:
        """Whether -l allows no more objects, and the others are counted without a look at each."""
        limit = self._wanted.limit
        return self.fitting is None and limit is not None and self.shown >= limit

    def slabs(self, decoded_slabs: Iterable[SlabObjects]) -> List[SlabObjects]:
        """Those to show of all slabs of the cache."""
        if self._slab is not None:
            return [self._slab.objects]
        return [decoded for decoded in decoded_slabs if self.on_node(decoded.slab.node)]

    def on_node(self, node: Optional[int]) -> bool:
        """Whether the slabs of a node are wanted; None: of an unknown node."""
        return self._wanted.node is None or node == self._wanted.node

    def objects(self, decoded: SlabObjects) -> bytes:
        """1 for each object of a slab to show: what was asked for, cut to the limit."""
        limit = self._wanted.limit
        chosen = self._fitting(decoded, self._of(decoded.states))
        if limit is not None and (self._slab is None or self._slab.number is None):
            room = max(0, limit - self.shown)
            cut = list(compress(range(len(chosen)), chosen))[room:]
            if cut:
                self.left_out += len(cut)
                chosen = chosen[: cut[0]] + bytes(len(chosen) - cut[0])
        self.shown += chosen.count(1)
        return chosen

    def allocated(self, slabs: Iterable[SlabObjects]) -> Iterator[SlabObjects]:
        """The same slabs with only the allocated objects that -w chooses, each when its turn comes.

        The limit is no matter.
        """
        return map(self._only_fitting, slabs)

    def _only_fitting(self, decoded: SlabObjects) -> SlabObjects:
        if self.fitting is None:
            return decoded
        only = decoded.states.translate(ONLY_ALLOCATED)
        if self._slab is not None and self._slab.number is not None:
            only = bytes(map(min, only, self._of(decoded.states)))
        return decoded.only(self._fitting(decoded, only))

    def _of(self, states: bytes) -> bytes:
        """1 for each object that is asked about, whether it fits or not."""
        if self._slab is not None and self._slab.number is not None:
            return bytes(index == self._slab.number for index in range(len(states)))
        return b"\1" * len(states) if self._wanted.free else states.translate(ONLY_ALLOCATED)

    def _fitting(self, decoded: SlabObjects, chosen: bytes) -> bytes:
        """Those of the chosen that -w leaves."""
        return chosen if self.fitting is None else self.fitting.among(decoded, chosen)
