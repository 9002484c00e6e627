# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a cache's destroy still running? With panic_on_warn the kernel dies in the middle of it.

kmem_cache_destroy() has slab_mutex, and the cache's address somewhere on its task's stack.
The mutex alone tells nothing: another cache may be created or destroyed.
"""

from __future__ import annotations

from crash_ext.places.places import Places
from crash_ext.report.text import text_of
from crash_ext.slub.model import Cache
from crash_ext.slub.mutex import slab_mutex_owner

UNFINISHED = "the destroy is still running: its report is not finished"
"""Why the log does not list an object."""


def who_destroys(places: Places, cache: Cache) -> str:
    """The task that is destroying the cache, as "pid 95 insmod"; "" for nobody."""
    reader = places.session.reader
    owner = slab_mutex_owner(reader)
    if not cache.destroyed or not owner:
        return ""
    wanted = cache.address.to_bytes(reader.word, reader.byteorder)
    for stack, task in places.tasks.by_stack.items():
        if task.address != owner:
            continue
        data = reader.try_read(stack, places.tasks.stack_size) or b""
        words = range(0, len(data), reader.word)
        if any(data[at : at + reader.word] == wanted for at in words):
            return f"pid {task.pid} {text_of(task.comm)}"
    return ""
