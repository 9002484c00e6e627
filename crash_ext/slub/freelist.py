# SPDX-License-Identifier: GPL-3.0-or-later
"""Freelists: which objects of a slab hang on one, decoded in the slab's own bytes.

A freelist is trusted as far as the kernel's own check (on_freelist() in mm/slub.c)
trusts it: each entry is an object boundary inside the slab, none comes twice, the
last is NULL. Knows bytes and numbers only.
"""

from __future__ import annotations

from typing import Callable, List, Literal, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.slub.model import Chain

ByteOrder = Literal["little", "big"]

LinkOf = Callable[[int], int]
"""Index of an object -> what its free pointer points to."""


class Geometry(NamedTuple):
    """Where the objects of one slab are."""

    first: int
    """Address of object 0, behind its left red zone."""
    size: int
    """From one object to the next, bytes."""
    objects: int
    shift: int
    """Offset of object 0 in the slab's bytes: the left red zone."""
    link: int
    """kmem_cache.offset: of the free pointer from its object's start."""


class KeyForm(NamedTuple):
    """How a hardened kernel hides free pointers."""

    swab: bool


PLAIN_ADDRESS = KeyForm(swab=False)
"""CONFIG_SLAB_FREELIST_HARDENED of v4.14 to v5.6: pointer ^ random ^ its address."""
SWAPPED_ADDRESS = KeyForm(swab=True)
"""Linux kernel commit 1ad53d9fa3f6 ("slub: improve bit diffusion for freelist ptr
obfuscation") (in v5.7 and many stable kernels): the address is byte-swapped. No member
tells which of the two it is."""
KEY_FORMS = (SWAPPED_ADDRESS, PLAIN_ADDRESS)


class Coding(NamedTuple):
    """How a kernel stores the free pointers of one cache."""

    form: Optional[KeyForm]
    """None where they are plain."""
    random: int
    """kmem_cache.random."""
    word: int
    byteorder: ByteOrder


def follow(where: Geometry, head: int, link_of: LinkOf) -> Chain:
    """The indices of the objects on the freelist that starts at `head`.

    Ends at NULL, or at the first entry that can't be one; the second part of the result
    then says which.
    """
    found: List[int] = []
    seen = bytearray(where.objects)
    first, size, objects = where.first, where.size, where.objects
    entry = head
    while entry:
        index, rest = divmod(entry - first, size)
        if rest or not 0 <= index < objects:
            return found, f"{hexa(entry)} is no object of the slab"
        if seen[index]:
            return found, f"cycle: {hexa(entry)} comes twice"
        seen[index] = 1
        found.append(index)
        entry = link_of(index)
    return found, None


def links(memory: bytes, where: Geometry, coding: Coding) -> LinkOf:
    """A function from an object's index to its decoded free pointer. memory: the slab's bytes."""
    word, order = coding.word, coding.byteorder
    to_link = where.shift + where.link

    def link_of(index: int) -> int:
        at = index * where.size + to_link
        hidden = int.from_bytes(memory[at : at + word], order)
        return decoded(hidden, where.first + index * where.size + where.link, coding)

    return link_of


def decoded(hidden: int, address: int, coding: Coding) -> int:
    """The free pointer that is stored at an address."""
    if coding.form is None:
        return hidden
    if coding.form.swab:
        address = int.from_bytes(address.to_bytes(coding.word, "little"), "big")
    return hidden ^ coding.random ^ address
