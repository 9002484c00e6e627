# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a cache's destroy still running? With panic_on_warn the kernel dies in the middle of it.

kmem_cache_destroy() has slab_mutex, and the cache's address on its task's stack. The mutex
alone tells nothing: another cache may be created or destroyed. Nor does an address farther up on
the stack than another one's: that of a cache that the same task has tried to destroy before.
"""

from __future__ import annotations

from typing import Iterable

from crash_ext.kernel.stacks import for_each_live_stack
from crash_ext.leak.state import unlinked
from crash_ext.places.places import Places
from crash_ext.slub.model import Cache
from crash_ext.slub.mutex import slab_mutex_owner

UNFINISHED = "the destroy is still running: its report is not finished"
"""Why the log does not list an object."""


def who_destroys(places: Places, cache: Cache, caches: Iterable[Cache]) -> str:
    """The task that is destroying the cache, as "pid 95 insmod"; "" for nobody.

    caches: all. What is unlinked was given up behind its shutdown: that destroy is over.
    """
    reader = places.session.reader
    owner = slab_mutex_owner(reader)
    if not cache.destroyed or unlinked(cache) or not owner:
        return ""
    dropped = {each.address for each in caches if each.destroyed} | {cache.address}
    for stack in for_each_live_stack(reader, places.tasks):
        if stack.task.address != owner:
            continue
        data = reader.try_read(stack.start, stack.end - stack.start) or b""
        words = (
            int.from_bytes(data[at : at + reader.word], reader.byteorder)
            for at in range(0, len(data), reader.word)
        )
        # Innermost functions first.
        if next((each for each in words if each in dropped), 0) == cache.address:
            return f"pid {stack.task.text}"
    return ""
