# SPDX-License-Identifier: GPL-3.0-or-later
"""What an address is: the value that places.py answers with. Knows no kernel."""

from __future__ import annotations

from typing import NamedTuple, Optional

from crash_ext.slub.model import Cache

OBJECT = "object"
"""In a slab."""
SYMBOL = "symbol"
"""In the kernel's image."""
MODULE = "module"
"""In a loaded module."""
UNLOADED = "unloaded module"
"""Where modules lie, but no loaded module does."""
FREED_INIT = "freed init code"
"""Where a loaded module's init code was, which is freed when it has run."""
FREED_VMALLOC = "vfreed"
"""Among the areas of vmalloc(), and in none: vfree() gave it back. Or in a stack that no task has:
then with a label."""
STACK = "stack"
"""A task's kernel stack."""
PERCPU = "per-CPU"
VMALLOC = "vmalloc"
"""In an area of vmalloc(), ioremap() or vmap() that is none of the above."""
PAGE_STRUCT = "struct page"
"""In the array of page structures."""
REGISTER = "register"
"""Of a CPU, as the dump's notes have it: its address is 0."""
PAGE = "page"
"""In the direct map, and none of the above."""


class Place(NamedTuple):
    """An address and what it lies in."""

    kind: str
    """One of the constants above."""
    text: str
    """In words, with the offset. Names in it are the dump's: report/text.visible() them."""
    address: int
    label: str
    """What it lies in without the offset: a cache's or symbol's name; the same for all
    addresses of one thing. May be empty."""
    cache: Optional[Cache] = None
    """Of an OBJECT."""
    object: Optional[int] = None
    """Start of an OBJECT, None behind the last object of its slab; of a PAGE_STRUCT the page."""
    offset: int = 0
    """From the start of what it lies in; negative in an object's left red zone."""
    state: Optional[int] = None
    """Of an OBJECT: slub.model's ALLOCATED, FREE, UNKNOWN or RCU_PENDING."""


UNNAMED = "memory that can't be named"


def words_of(place: Optional[Place]) -> str:
    """A place in words; None is memory that can't be named."""
    return UNNAMED if place is None else place.text


def plus(offset: int) -> str:
    """ "+0x10", "-0x8", or nothing for 0."""
    return f"{offset:+#x}" if offset else ""
