# SPDX-License-Identifier: GPL-3.0-or-later
"""Many addresses at an equal distance, one a line, each with all digits of a pointer."""

from __future__ import annotations

from itertools import compress
from typing import Dict, List, Sequence

_ONES = bytes(value == 1 for value in range(256))
"""Makes 0 of every byte that isn't 1."""
_TABLES = 64
"""So many tables are kept."""


class AddressLines:
    """The lines of the objects of a cache's slabs.

    Objects of one slab share their upper digits, and the lower ones are the same in every
    slab: they are put together from texts made once.
    """

    def __init__(self, size: int, digits: int) -> None:
        """size: from one object to the next, bytes; digits: of an address."""
        self._size = size
        self._digits = digits
        self._count = -1
        self._bits = self._width = 0
        self._tables: Dict[int, List[str]] = {}
        """The lower digits of object 0 -> those of all objects."""

    def text(self, firsts: Sequence[int], states: Sequence[bytes]) -> str:
        """A line for each object whose byte in its slab's `states` is 1.

        firsts: of each slab, the address of object 0.
        """
        return "".join(map(self._slab, firsts, states))

    def _slab(self, first: int, states: bytes) -> str:
        chosen = states.translate(_ONES)
        if len(chosen) != self._count:
            self._set_count(len(chosen))
        bits = self._bits
        upper = first >> bits
        low = first - (upper << bits)
        table = self._tables.get(low)
        if table is None:
            table = self._add_table(low)
        if not table:
            # The objects cross a border at which the upper digits change.
            addresses = range(first, first + self._count * self._size, self._size)
            form = f"{{:0{self._digits}x}}\n".format
            return "".join(map(form, compress(addresses, chosen)))
        begin = f"\n{upper:0{self._width}x}"
        lowers = begin.join(compress(table, chosen))
        return f"{begin[1:]}{lowers}\n" if lowers else ""

    def _set_count(self, count: int) -> None:
        self._count = count
        digits = (count * self._size).bit_length() // 4 + 1
        self._bits = 4 * digits
        self._width = self._digits - digits
        self._tables.clear()

    def _add_table(self, low: int) -> List[str]:
        if len(self._tables) >= _TABLES:
            self._tables.clear()
        table: List[str] = []
        end = low + self._count * self._size
        if end <= 1 << self._bits:
            digits = self._bits // 4
            table = [f"{address:0{digits}x}" for address in range(low, end, self._size)]
        self._tables[low] = table
        return table
