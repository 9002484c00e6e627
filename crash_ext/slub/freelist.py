# SPDX-License-Identifier: GPL-3.0-or-later
"""Freelists: which objects of a slab hang on one, decoded in the slab's own bytes.

A freelist is trusted as far as the kernel's own check (on_freelist() in mm/slub.c)
trusts it: each entry is an object boundary inside the slab, none comes twice, the
last is NULL. Knows bytes and numbers only.
"""

from __future__ import annotations

from struct import Struct
from typing import Callable, List, NamedTuple, Optional

from crash_ext.slub.model import Chain

Key = Callable[[int], int]
"""Address of a free pointer -> what it is XORed with."""


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
    """How a hardened kernel hides free pointers; `name` is for messages."""

    name: str
    swab: bool


PLAIN_ADDRESS = KeyForm("address", swab=False)
"""CONFIG_SLAB_FREELIST_HARDENED of v4.14 to v5.6: pointer ^ random ^ its address."""
SWAPPED_ADDRESS = KeyForm("byte-swapped address", swab=True)
"""Linux kernel commit 1ad53d9fa3f6 ("slub: improve bit diffusion for freelist ptr
obfuscation") (in v5.7 and many stable kernels): the address is byte-swapped. No member
tells which of the two it is."""
KEY_FORMS = (SWAPPED_ADDRESS, PLAIN_ADDRESS)


def key_of(form: Optional[KeyForm], random: Optional[int], word: int) -> Key:
    """The key function of a cache: random is kmem_cache.random, None for plain pointers."""
    if random is None or form is None:
        return lambda address: 0
    value = random
    if form.swab:
        return lambda address: value ^ int.from_bytes(address.to_bytes(word, "little"), "big")
    return lambda address: value ^ address


def word_reader(word: int, byteorder: str) -> Struct:
    """A struct.Struct for one unsigned long of the kernel."""
    return Struct(("<" if byteorder == "little" else ">") + ("Q" if word == 8 else "I"))


def follow(memory: bytes, where: Geometry, head: int, key: Key, words: Struct) -> Chain:
    """The indices of the objects on the freelist that starts at `head`.

    memory: the slab's bytes. Ends at NULL, or at the first entry that can't be one; the
    second part of the result then says which.
    """
    found: List[int] = []
    seen = bytearray(where.objects)
    first, size, objects = where.first, where.size, where.objects
    to_link = where.shift + where.link
    unpack = words.unpack_from
    entry = head
    while entry:
        index, rest = divmod(entry - first, size)
        if rest or not 0 <= index < objects:
            return found, f"{entry:x} is no object of the slab"
        if seen[index]:
            return found, f"cycle: {entry:x} comes twice"
        seen[index] = 1
        found.append(index)
        (hidden,) = unpack(memory, index * size + to_link)
        entry = hidden ^ key(entry + where.link)
    return found, None
