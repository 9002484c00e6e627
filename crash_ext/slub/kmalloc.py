# SPDX-License-Identifier: GPL-3.0-or-later
"""Which caches are copies of one kmalloc cache: for cgroups, for DMA, the random ones.

Which copy a caller gets depends on its flags, and of the random ones on its address
and on the boot. Knows names only: nothing else tells what a kmalloc cache is for. Also: which
caches have objects of several types.
"""

from __future__ import annotations

import re
from typing import Optional

from crash_ext.slub.model import Cache

# create_kmalloc_caches() in mm/slab_common.c: kmalloc-64, kmalloc-rcl-64, kmalloc-cg-64,
# kmalloc-rnd-01-64, dma-kmalloc-64.
_NAME = re.compile(rb"(?:dma-)?kmalloc-(?:[a-z]+-(?:\d+-)?)?(\d+[kM]?)")


def kmalloc_size(cache: Cache) -> Optional[str]:
    """The size in the name of a kmalloc cache, as "64" or "2k"; None for other caches."""
    found = _NAME.fullmatch(cache.name or b"")
    return found.group(1).decode("ascii") if found else None


def several_types(cache: Cache) -> str:
    """Why the objects of a cache are of several types, or may be; "" if they are of one."""
    if kmalloc_size(cache) is not None:
        return "a kmalloc cache has objects of many types"
    if cache.refcount > 1:
        return (
            f"{cache.refcount} caches were merged into this one: its objects may be of many types"
        )
    return ""
