# SPDX-License-Identifier: GPL-3.0-or-later
"""Slabs of a running kernel: what is read at two moments may fit no one moment.

A slab is believed if its descriptor, and what a CPU has of it, were the same before its
memory was read and after. Else it is read again, some times, and then is unknown.
"""

from __future__ import annotations

from typing import Callable, List, Optional

from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import UNKNOWN, Cache, Slab, SlabObjects
from crash_ext.slub.percpu import read_cpu_slab
from crash_ext.slub.session import Session

_ATTEMPTS = 4
CHANGED = "changed while it was read"

Decode = Callable[[Slab], SlabObjects]


def settling(session: Session, cache: Cache, decode: Decode, problems: List[str]) -> Decode:
    """decode(), of a moment at which the slab stood still; in a dump it always does.

    What attempts that don't count have added to `problems` is taken out.
    """
    if not session.live:
        return decode

    def settled(slab: Slab) -> SlabObjects:
        known = len(problems)
        for _ in range(_ATTEMPTS):
            found = decode(slab)
            now = _again(session, cache, slab)
            if now == slab:
                return found
            del problems[known:]
            if now is None:
                break
            slab = now
        states = bytes([UNKNOWN]) * len(found.states)
        return SlabObjects(slab, found.first, found.stride, states, CHANGED, {}, found.memory)

    return settled


def _again(slub: Slub, cache: Cache, slab: Slab) -> Optional[Slab]:
    """The same slab as it is now; None where it isn't the cache's any more, or the CPU's."""
    try:
        now = slub.descriptors.read(slab.address, slab.place, slab.node)
        if slab.cpu is not None:
            held = read_cpu_slab(slub, cache, slab.cpu)
            if held is None or held.slab != slab.address:
                return None
            now = now._replace(cpu=slab.cpu, cpu_freelist=held.freelist)
    except (ReadError, SlabError):
        return None
    return now._replace(doubt=slab.doubt) if now.cache == slab.cache else None
