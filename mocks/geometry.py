# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel lays out a cache's objects: the arithmetic of calculate_sizes() in mm/slub.c.

It knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from mocks.flags import flag
from mocks.layouts import KernelLayout

MAX_OBJECTS = 32767
"""`objects` of a slab has 15 bits."""


class Geometry(NamedTuple):
    """All in bytes, but order and objects."""

    object_size: int
    size: int
    inuse: int
    offset: int
    info: int
    """Where the tracks start, from the object's start."""
    red_left: int
    """What kmem_cache.red_left_pad holds."""
    order: int
    objects: int


def round_up(value: int, step: int) -> int:
    return (value + step - 1) // step * step


def measure_cache(
    layout: KernelLayout,
    object_size: int,
    flags: int,
    ctor: int,
    align: int,
    order: int = 0,
    objects: Optional[int] = None,
    offset: Optional[int] = None,
) -> Geometry:
    """offset: a free pointer inside the object, where the caller wants it (6.12+)."""
    word = layout.word

    def has(*names: str) -> bool:
        return bool(flags & sum(flag(layout, name) for name in names))

    size = round_up(object_size, word)
    if has("RED_ZONE") and size == object_size:
        size += word
    inuse = size
    outside = bool(ctor) or has("TYPESAFE_BY_RCU", "POISON")
    if layout.freeptr != "start" and has("RED_ZONE") and object_size < word:
        outside = True
    if offset is None:
        offset = size if outside else _inside(layout, object_size, word)
    if offset >= inuse:
        size += word
    info = size
    if has("STORE_USER"):
        size += 2 * layout.structs["track"][0]
    red_left = 0
    if has("RED_ZONE"):
        size += word
        if layout.has("kmem_cache", "red_left_pad"):
            red_left = round_up(word, align)
            size += red_left
    size = round_up(size, align)
    while layout.page_size << order < size:
        order += 1
    fit = (layout.page_size << order) // size
    if objects is not None and objects > fit:
        raise ValueError(f"{objects} objects of {size} bytes don't fit into order {order}")
    count = min(fit, MAX_OBJECTS) if objects is None else objects
    return Geometry(object_size, size, inuse, offset, info, red_left, order, count)


def _inside(layout: KernelLayout, object_size: int, word: int) -> int:
    if layout.freeptr == "start" or object_size <= word:
        return 0
    if layout.freeptr == "middle-up":
        # Linux kernel commit 3202fa62fb43 ("slub: relocate freelist pointer to middle of
        # object") (in v5.7).
        return round_up(round_up(object_size, word) // 2, word)
    return object_size // 2 // word * word


def sheaf_capacity(layout: KernelLayout, size: int) -> int:
    """How many objects a 7.x cache's sheaves hold: calculate_sheaf_capacity()."""
    if size >= layout.page_size:
        return 4
    if size >= 1024:
        return 12
    return 28 if size >= 256 else 60
