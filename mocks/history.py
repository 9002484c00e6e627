# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated what, beside a heap: the kernel's clock, the stack depot, tracks.

It writes what kernel/time, lib/stackdepot.c and mm/slub.c write, and knows no decoder.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Sequence

from mocks.annex import Annex, take_pages
from mocks.heap import Heap
from mocks.model import Slab
from mocks.structs import parse

HZ = 250
UPTIME = 1000 * HZ
"""Jiffies since boot."""


class DepotForm(NamedTuple):
    """A layout of lib/stackdepot.c. Bits of a handle's parts, the lowest first."""

    member: str
    """Of union handle_parts, for the pool."""
    index_bits: int
    first: int
    """The index of pool 0."""
    valid: bool
    extra: bool
    table: str
    pointer: bool
    """The table is a pointer to the array."""
    record: str


_RECORD_5_10 = "next:p hash:4 size:4 handle:4 entries:0"
_RECORD_6_8 = "hash_list:2p hash:4 size:4 handle:4 count:4 entries:64p"

DEPOTS: Dict[str, DepotForm] = {
    "5.10": DepotForm("slabindex", 21, 0, True, False, "stack_slabs", False, _RECORD_5_10),
    "6.1": DepotForm("slabindex", 16, 0, True, True, "stack_slabs", False, _RECORD_5_10),
    "6.3": DepotForm("pool_index", 16, 0, True, True, "stack_pools", False, _RECORD_5_10),
    "6.8": DepotForm("pool_index", 17, 0, False, True, "stack_pools", False, _RECORD_6_8),
    "6.9": DepotForm("pool_index_plus_1", 17, 1, False, True, "stack_pools", False, _RECORD_6_8),
    "6.17": DepotForm("pool_index_plus_1", 17, 1, False, True, "stack_pools", True, _RECORD_6_8),
}
_OFFSET_BITS = 10
_POOLS = 8


class Clock:
    """jiffies, and the clock source that counts them."""

    def __init__(self, heap: Heap, annex: Annex) -> None:
        image = heap.image
        image.structs["clocksource"] = parse("read:p mask:8 mult:4 shift:4 max_idle_ns:8", 8)
        self.now = ((1 << 32) - 300 * HZ + UPTIME) % (1 << 8 * image.word)
        self.uptime = UPTIME
        self.jiffies = annex.variable("jiffies")
        image.pointer(self.jiffies, self.now)
        source = annex.variable("clocksource_jiffies", image.sizeof("clocksource"))
        nanoseconds = 1_000_000_000 // HZ
        image.u32(source + image.structs["clocksource"][1]["mult"][0], nanoseconds << 8)
        image.u32(source + image.structs["clocksource"][1]["shift"][0], 8)


class StackDepot:
    """A depot of any form, with two pools, the second in use."""

    def __init__(self, heap: Heap, annex: Annex, form: DepotForm) -> None:
        self._image, self._form = heap.image, form
        word = self._image.word
        parts = f"handle@0:4 {form.member}@0:4 offset@2:4"
        parts += " valid@3:4" if form.valid else ""
        parts += " extra@3:4" if form.extra else ""
        self._image.structs["handle_parts"] = parse(parts, word)
        self._image.structs["stack_record"] = parse(form.record, word)
        self.pools = [take_pages(self._image, 4) for _ in range(2)]
        if form.pointer:
            self.table = annex.take(_POOLS * word)
            self._image.pointer(annex.variable(form.table), self.table)
        else:
            self.table = annex.variable(form.table, _POOLS * word)
        for number, pool in enumerate(self.pools):
            self._image.pointer(self.table + number * word, pool)
        self._next = 0x40

    def add(self, frames: Sequence[int], *, extra: int = 0) -> int:
        """The handle of a stack; extra: its user's bits."""
        offset, self._next = self._next, self._next + 0x400
        record = self.pools[1] + offset
        handle = self._handle(1, offset)
        self._set(record, hash=0x1234567, size=len(frames), handle=handle)
        entries = record + self._image.structs["stack_record"][1]["entries"][0]
        for number, frame in enumerate(frames):
            self._image.pointer(entries + number * self._image.word, frame)
        return handle | self._place(extra, 27, 5)

    def record(self, handle: int) -> int:
        """The address of a handle's struct stack_record."""
        for offset in range(0x40, self._next, 0x400):
            if self._handle(1, offset) == handle:
                return self.pools[1] + offset
        raise ValueError(f"no stack has the handle {handle:x}")

    def _handle(self, pool: int, offset: int) -> int:
        form = self._form
        handle = self._place(pool + form.first, 0, form.index_bits)
        handle |= self._place(offset >> 4, form.index_bits, _OFFSET_BITS)
        return handle | self._place(int(form.valid), form.index_bits + _OFFSET_BITS, 1)

    def _place(self, value: int, start: int, width: int) -> int:
        """A bit field: from the lowest bit on, or on a big-endian machine from the highest."""
        big = self._image.byteorder == "big"
        return value << (32 - start - width if big else start)

    def _set(self, address: int, **values: int) -> None:
        for name, value in values.items():
            offset, size = self._image.structs["stack_record"][1][name]
            self._image.put(address + offset, size, value)


class History:
    """Tracks of a heap's objects. form: of the depot, for layouts whose tracks keep a handle."""

    def __init__(self, heap: Heap, form: str = "6.9") -> None:
        self.heap = heap
        annex = Annex(heap.image)
        self.clock = Clock(heap, annex)
        self.depot = StackDepot(heap, annex, DEPOTS[form])
        self.by_handle = heap.layout.has("track", "handle")

    def at(self, slab: Slab, index: int, free: bool = False) -> int:
        """The address of an object's struct track."""
        size = self.heap.layout.structs["track"][0]
        return slab.object(index) + slab.cache.geometry.info + (size if free else 0)

    def track(
        self,
        slab: Slab,
        index: int,
        frames: Sequence[int],
        *,
        caller: int = 0,
        cpu: int = 0,
        pid: int = 80,
        ago: int = 100,
        free: bool = False,
        handle: int = 0,
    ) -> None:
        """Notes an allocation, or a free. caller: the first frame unless given; ago: jiffies.

        handle: of a stack that is in the depot already.
        """
        image, at = self.heap.image, self.at(slab, index, free)
        image.write(at, bytes(self.heap.layout.structs["track"][0]))
        values = {
            "addr": caller or frames[0],
            "cpu": cpu,
            "pid": pid,
            "when": self.clock.now - ago,
        }
        if self.by_handle:
            values["handle"] = handle or (self.depot.add(frames) if frames else 0)
        self.heap.writer.set("track", at, **values)
        if not self.by_handle:
            start = at + self.heap.layout.structs["track"][1]["addrs"][0]
            for number, frame in enumerate(frames[:16]):
                image.pointer(start + number * image.word, frame)
