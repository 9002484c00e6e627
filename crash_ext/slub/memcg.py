# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-memcg child caches (v3.10 to v5.8): which cache a cache is a child of.

The kernel names a child ROOT(id:cgroup) and keeps it on slab_caches like any other.
Linux kernel commit 9855609bde03 ("mm: memcg/slab: use a single set of kmem_caches for
all accounted allocations") (in v5.9) did away with them.
"""

from __future__ import annotations

from crash_ext.kernel.memory import read_number, read_word
from crash_ext.reader import Reader, ReadError

_MEMBER = "memcg_params"
_PARAMS = "memcg_cache_params"


def root_cache(reader: Reader, cache: int) -> int:
    """The struct kmem_cache * that a cache is a memcg child of; 0 for a root cache.

    0, too, where the record can't be read: then its name decides.
    """
    offset = reader.offset("kmem_cache", _MEMBER)
    root = reader.offset(_PARAMS, "root_cache")
    if offset is None or root is None:
        return 0
    params = cache + offset
    try:
        # A pointer in v3.10 and el7, embedded from the 4.4 tree on.
        if reader.size("kmem_cache", _MEMBER) == reader.word:
            params = read_word(reader, params)
            if not params:
                return 0
        # A flag up to the 4.9 tree; later root_cache is NULL in a root.
        flag = reader.offset(_PARAMS, "is_root_cache")
        if flag is not None and read_number(reader, params + flag, 1):
            return 0
        return read_word(reader, params + root)
    except ReadError:
        return 0
