# SPDX-License-Identifier: GPL-3.0-or-later
"""Page structures, many at a time. Knows holes in what can be read; knows no member."""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from crash_ext.reader import Reader

CHUNK = 1 << 15
"""Page structures that are read at once."""
_SMALLEST = 64

Structures = Tuple[int, int, Optional[bytes]]
"""(number of the first, how many, their bytes): None where they can't be read."""


def for_each_chunk(reader: Reader, address: int, count: int, size: int) -> Iterator[Structures]:
    """The `count` page structures, `size` bytes each, from an address on, in ascending order."""
    for first in range(0, count, CHUNK):
        yield from _pieces(reader, address, first, min(CHUNK, count - first), size)


def _pieces(
    reader: Reader, address: int, first: int, count: int, size: int
) -> Iterator[Structures]:
    data = reader.try_read(address + first * size, count * size)
    if data is None:
        # A hole somewhere in the chunk: halve it, and cut what is small at the end of a page,
        # the smallest piece that memory comes or stays away in. What lies across that may be a
        # structure of some odd size.
        half = count // 2
        if count <= _SMALLEST:
            half = max(1, (reader.page_size - (address + first * size) % reader.page_size) // size)
        if half < count:
            yield from _pieces(reader, address, first, half, size)
            yield from _pieces(reader, address, first + half, count - half, size)
            return
    yield first, count, data
