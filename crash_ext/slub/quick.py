# SPDX-License-Identifier: GPL-3.0-or-later
"""The usual slab of a cache, decoded with constants that are worked out once.

Most slabs have the usual number of objects, begin at a multiple of their length, and one
whole freelist. For those a free pointer is its object's offset in the slab once constants
are taken off; the result is that of freelist.py or None: then freelist.py says why. Knows
bytes and numbers only.
"""

from __future__ import annotations

import sys
from array import array
from functools import partial
from itertools import repeat
from struct import pack
from typing import Callable, Optional

from crash_ext.reader import Native
from crash_ext.slub.freelist import Coding, Geometry
from crash_ext.slub.model import ALLOCATED, FREE

_WORTH = 16
"""All pointers are decoded at once: that pays if one in this many is on the list."""


class UsualSlab:
    """States of the objects in a cache's usual slabs."""

    def __init__(self, where: Geometry, coding: Coding) -> None:
        """where: of a slab that begins at 0."""
        count = where.objects
        self._aligned = (1 << (count * where.size - 1).bit_length()) - 1
        offsets = range(where.shift, where.shift + count * where.size, where.size)
        self._index = dict(zip(offsets, range(count)))
        order = ">" if coding.form is not None and coding.form.swab else "<"
        keys = [offset + where.link for offset in offsets] if coding.form else [0] * count
        self._keys = int.from_bytes(pack(f"{order}{count}Q", *keys), "little")
        self._lanes = int.from_bytes((1).to_bytes(8, "little") * count, "little")
        self._start, self._step = (where.shift + where.link) // 8, where.size // 8
        self._bytes = 8 * count
        self._coding = coding
        self._allocated = bytearray([ALLOCATED]) * count
        self._fewest = count // _WORTH

    def states(self, memory: bytes, base: int, head: int, expected: int) -> Optional[bytes]:
        """FREE or ALLOCATED for each object; None where this can't tell.

        base: where the slab begins; head: its freelist's first object; expected: how many
        the list must have.
        """
        if base & self._aligned or expected < self._fewest:
            return None
        # Addresses begin with the slab's: it is taken off together with the key.
        rest = base
        form = self._coding.form
        if form is not None:
            rest = self._coding.random
            if form.swab:
                rest ^= base ^ int.from_bytes(base.to_bytes(8, "little"), "big")
        hidden = array("Q", memory)[self._start :: self._step]
        plain = int.from_bytes(hidden, "little") ^ self._keys ^ rest * self._lanes
        following = array("Q", plain.to_bytes(self._bytes, "little"))
        states = self._allocated[:]
        index_of = self._index
        offset = head ^ base
        try:
            for _ in repeat(None, expected):
                index = index_of[offset]
                states[index] = FREE
                offset = following[index]
        except KeyError:
            return None
        # NULL without the slab's address. A list that gets there in `expected` steps has
        # been nowhere twice.
        return bytes(states) if offset == base else None


States = Callable[[bytes, int, int, int], Optional[bytes]]
"""UsualSlab.states()."""


def usual_states(where: Geometry, coding: Coding, native: Optional[Native]) -> Optional[States]:
    """What tells the states in slabs of this shape; None where theirs isn't a usual one."""
    at_once = coding.word == 8 and coding.byteorder == sys.byteorder == "little"
    inside = where.shift + where.link + 8 <= where.size
    if not (at_once and inside):
        return None
    if native is not None:
        form = 0 if coding.form is None else 2 if coding.form.swab else 1
        shape = (where.size, where.objects, where.shift, where.link)
        return partial(native.states, *shape, form, coding.random)
    aligned = where.size % 8 == 0 and (where.shift + where.link) % 8 == 0
    return UsualSlab(where, coding).states if aligned else None
