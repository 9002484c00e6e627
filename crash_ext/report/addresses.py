# SPDX-License-Identifier: GPL-3.0-or-later
"""Many addresses at an equal distance, one of 16 digits a line."""

from __future__ import annotations

from itertools import compress
from typing import Dict, List, Tuple

_TABLES = 64
"""So many tables are kept."""


class AddressLines:
    """The lines of the objects of a cache's slabs.

    Objects of one slab share their upper digits, and the lower ones are the same in every
    slab: they are put together from texts made once.
    """

    def __init__(self, size: int) -> None:
        """size: from one object to the next, bytes."""
        self._size = size
        self._tables: Dict[Tuple[int, int], List[str]] = {}

    def text(self, first: int, chosen: bytes) -> str:
        """A line for each object whose byte in `chosen` isn't 0; first: address of object 0."""
        count = len(chosen)
        digits = (count * self._size).bit_length() // 4 + 1
        low = first & ((1 << 4 * digits) - 1)
        if low + (count - 1) * self._size >> 4 * digits:
            # The objects cross a border at which the upper digits change.
            found = compress(range(first, first + count * self._size, self._size), chosen)
            return "".join(f"{address:016x}\n" for address in found)
        upper = f"{first >> 4 * digits:0{16 - digits}x}"
        lowers = f"\n{upper}".join(compress(self._lowers(low, count, digits), chosen))
        return f"{upper}{lowers}\n" if lowers else ""

    def _lowers(self, low: int, count: int, digits: int) -> List[str]:
        table = self._tables.get((low, digits))
        if table is None or len(table) < count:
            if len(self._tables) >= _TABLES:
                self._tables.clear()
            addresses = range(low, low + count * self._size, self._size)
            table = self._tables[low, digits] = [f"{address:0{digits}x}" for address in addresses]
        return table
