# SPDX-License-Identifier: GPL-3.0-or-later
"""Timers and work items in an object that nobody will call: what became of them?

What a structure says itself when it is over. A timer that was armed keeps the poison of
detach_timer(), and the time that it was due; a work item the number of the pool that called it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Iterator, List, NamedTuple, Optional

from crash_ext.contents.callbacks import DELAYED_WORK, HRTIMER, TIMER, WORK, Callbacks
from crash_ext.contents.words import second_poisons
from crash_ext.kernel.clock import Clock
from crash_ext.places.place import PERCPU
from crash_ext.places.places import Places

OVER = "over"
"""It was called, or taken out of its queue; a timer: it expired, or was deleted before."""
DELETED = "deleted"
"""A timer that was armed, and deleted: it would be due later."""
NEVER = "never"
"""Never queued, or cancelled by who waits for it, which clears what the work item says; of a timer:
set up and never armed."""

_LATER = "delayed_work_timer_fn"
"""The function of a delayed_work's timer."""
_FAR = 1 << 31
"""Ticks from the dump's jiffies: no timer's time is farther away."""
_PENDING, _QUEUED = 1, 4
"""include/linux/workqueue.h: WORK_STRUCT_PENDING, WORK_STRUCT_PWQ."""
_ARMED = 1 << 22
"""include/linux/timer.h, TIMER_ARRAYSHIFT: flags from here on are the wheel's, of one armed."""
_POOLS = 1 << 16
"""More workers' pools there are not."""


class Idle(NamedTuple):
    """A structure that isn't pending."""

    kind: str
    """TIMER, HRTIMER, WORK or DELAYED_WORK."""
    offset: int
    """Of the structure, in the object."""
    link: int
    """Of its list node, in the object."""
    function: str
    """In words, with its module."""
    state: str
    """One of the constants above."""
    seconds: Optional[float] = None
    """Of a timer that was armed: when it would be due, from the dump on."""
    sure: bool = True
    """It is no other structure with a number, an empty list and a function in the same places."""


class IdleFinder:
    """Finds such structures in the bytes of one kernel's objects."""

    def __init__(self, places: Places, callbacks: Callbacks) -> None:
        self._places = places
        self._reader = places.session.reader
        self._callbacks = callbacks
        self._poisons = second_poisons(self._reader.word)
        self._clock = Clock(self._reader)

    def of(self, start: int, data: bytes) -> List[Idle]:
        """All of an object."""
        word = self._reader.word
        found: List[Idle] = []
        for at in range(0, len(data) - word + 1, word):
            value = self._word(data, at)
            name = self._callbacks.function(value) if value else None
            if name is not None:
                found += self._timer(data, at, name)
                found += self._hrtimer(start, data, at, name)
                found += self._work(start, data, at, name)
        return found

    def _timer(self, data: bytes, at: int, name: str) -> Iterator[Idle]:
        base = self._base("timer_list", "function", data, at)
        if base is None or name.split(" ")[0] == _LATER:
            return
        if not self._was_armed(data, base):
            if self._is_new(data, base):
                link = base + (self._reader.offset("timer_list", "entry") or 0)
                yield Idle(TIMER, base, link, name, NEVER, sure=False)
            return
        due = self._callbacks.due(data, base)
        state = DELETED if due is not None and due > 0 else OVER
        link = base + (self._reader.offset("timer_list", "entry") or 0)
        yield Idle(TIMER, base, link, name, state, self._clock.seconds(due))

    def _is_new(self, data: bytes, base: int) -> bool:
        """Whether only timer_setup() has written there, and who set its time perhaps."""
        reader = self._reader
        flags = reader.offset("timer_list", "flags")
        if flags is None or base + flags + 4 > len(data):
            return False
        shown = int.from_bytes(data[base + flags : base + flags + 4], reader.byteorder)
        entry = base + (reader.offset("timer_list", "entry") or 0)
        expires = base + (reader.offset("timer_list", "expires") or 0)
        if shown >= _ARMED or any(data[entry : entry + 2 * reader.word]):
            return False
        due = self._callbacks.due(data, base)
        return not self._word(data, expires) or (due is not None and abs(due) < _FAR)

    def _hrtimer(self, start: int, data: bytes, at: int, name: str) -> Iterator[Idle]:
        """One that says that it is in no queue, and has a CPU's clock."""
        reader, base = self._reader, self._base("hrtimer", "function", data, at)
        members = ("node", "_softexpires", "base")
        offsets = [reader.offset("hrtimer", member) for member in members]
        if base is None or None in offsets:
            return
        node, soft, clock = (base + (offset or 0) for offset in offsets)
        if self._word(data, node) != start + node:
            return  # include/linux/timerqueue.h: taken out with RB_CLEAR_NODE()
        place = self._places.name(self._word(data, clock))
        if place is not None and place.kind == PERCPU:
            state = OVER if self._word(data, soft) else NEVER
            yield Idle(HRTIMER, base, node, name, state)

    def _work(self, start: int, data: bytes, at: int, name: str) -> Iterator[Idle]:
        reader = self._reader
        base, entry = self._base("work_struct", "func", data, at), self._entry
        if base is None or entry is None or self._word(data, base + entry) != start + base + entry:
            return
        says = self._word(data, base + (reader.offset("work_struct", "data") or 0))
        pool = None if self._pool_shift is None else says >> self._pool_shift
        if says & (_PENDING | _QUEUED) or pool is None:
            return
        never = pool == self._no_pool
        if not never and says and not 0 < pool < _POOLS:
            return
        state = NEVER if never else OVER
        timer = reader.offset("delayed_work", "timer")
        called = reader.offset("timer_list", "function")
        later = None if timer is None or called is None else base + timer + called
        if timer is not None and later is not None and later + reader.word <= len(data):
            function = self._callbacks.function(self._word(data, later)) or ""
            if function.split(" ")[0] == _LATER:
                due = (
                    self._callbacks.due(data, base + timer)
                    if self._was_armed(data, base + timer)
                    else None
                )
                if due is not None and due > 0:
                    state = DELETED
                seconds = self._clock.seconds(due)
                yield Idle(DELAYED_WORK, base, base + entry, name, state, seconds)
                return
        yield Idle(WORK, base, base + entry, name, state, sure=never)

    def _base(self, struct: str, function: str, data: bytes, at: int) -> Optional[int]:
        """Where a structure begins whose function stands at an offset; None if it can't be one."""
        own, size = self._reader.offset(struct, function), self._reader.struct_size(struct)
        if own is None or not size or at < own or at - own + size > len(data):
            return None
        return at - own

    def _was_armed(self, data: bytes, base: int) -> bool:
        """kernel/time/timer.c, detach_timer(): NULL and poison; up to v4.1 the other way round."""
        at = base + (self._reader.offset("timer_list", "entry") or 0)
        words = {self._word(data, at), self._word(data, at + self._reader.word)}
        if 0 not in words or words.isdisjoint(self._poisons):
            return False
        # A deleted hlist_node before NULL, a number and a function looks so, too.
        due = self._callbacks.due(data, base)
        return due is None or abs(due) < _FAR

    @cached_property
    def _entry(self) -> Optional[int]:
        return self._reader.offset("work_struct", "entry")

    @cached_property
    def _pool_shift(self) -> Optional[int]:
        return self._reader.enumerator("WORK_OFFQ_POOL_SHIFT")

    @cached_property
    def _no_pool(self) -> Optional[int]:
        bits = self._reader.enumerator("WORK_OFFQ_POOL_BITS")
        return None if bits is None else (1 << bits) - 1

    def _word(self, data: bytes, at: int) -> int:
        return int.from_bytes(data[at : at + self._reader.word], self._reader.byteorder)
