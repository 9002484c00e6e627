# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache as a plain value, for tests of what reads no memory."""

from __future__ import annotations

from crash_ext.slub.model import Cache

CACHE = Cache(
    address=0xFFFF888000010000,
    name=b"slab_test",
    listed=True,
    refcount=1,
    flags=0,
    object_size=84,
    size=128,
    inuse=88,
    align=64,
    offset=88,
    red_left=0,
    ctor=0,
    random=None,
    order=0,
    objects=32,
    max_objects=32,
    list_next=0xFFFF888000020068,
    list_prev=0xFFFF888000030068,
    root=0,
    cpu_slab=None,
    cpu_sheaves=None,
)
