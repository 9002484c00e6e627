# SPDX-License-Identifier: GPL-3.0-or-later
"""slab_mutex: whether a cache is being created or destroyed at this moment."""

from __future__ import annotations

from typing import Optional

from crash_ext.kernel.memory import read_number
from crash_ext.reader import Reader, ReadError

_FLAGS = 7
"""Low bits of mutex.owner (kernel/locking/mutex.h, MUTEX_FLAGS)."""


def slab_mutex_owner(reader: Reader) -> Optional[int]:
    """The struct task_struct * that holds slab_mutex; 0: nobody; None: the kernel does not show.

    Linux kernel commit 3ca0ff571b09 ("locking/mutex: Rework mutex::owner") (in v4.10).
    """
    mutex, offset = reader.symbol("slab_mutex"), reader.offset("mutex", "owner")
    if mutex is None or offset is None or reader.offset("mutex", "count") is not None:
        return None
    try:
        return read_number(reader, mutex + offset, reader.word) & ~_FLAGS
    except ReadError:
        return None


def slab_mutex_held(reader: Reader) -> Optional[bool]:
    """Whether somebody holds slab_mutex; None where the kernel doesn't show it.

    kmem_cache_destroy() drops the last reference, and takes the cache off the list or
    leaves it there, under this mutex in every kernel from v3.10 on.
    """
    mutex = reader.symbol("slab_mutex")
    if mutex is None:
        return None
    # Linux kernel commit 3ca0ff571b09 ("locking/mutex: Rework mutex::owner") (in v4.10):
    # before, a counter that is 1 while nobody has it.
    for member, free in (("count", 1), ("owner", 0)):
        offset = reader.offset("mutex", member)
        if offset is not None:
            size = min(reader.size("mutex", member) or reader.word, reader.word)
            try:
                value = read_number(reader, mutex + offset, size)
            except ReadError:
                return None
            # The low bits of the owner are flags; a waiter's flag alone is nobody.
            return value & ~7 != 0 if member == "owner" else value != free
    return None
