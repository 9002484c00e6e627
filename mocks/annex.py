# SPDX-License-Identifier: GPL-3.0-or-later
"""Page frames beside a heap's own, for what a test puts into memory that is no SLUB.

It takes them from the end of node 0, where a heap gets to last. It knows no struct.
"""

from __future__ import annotations

from mocks.image import Image


def take_pages(image: Image, count: int) -> int:
    """The virtual address of `count` page frames in a row, mapped and zero."""
    size = image.page_size
    start, end = (image.page_offset + frame * size for frame in image.present[0])
    address = end - count * size
    while address >= start and not _all_absent(image, address, count):
        address -= size
    if address < start:
        raise MemoryError(f"node 0 has no {count} pages left: raise Heap(pages=…)")
    image.map(address, bytes(count * size))
    return address


def _all_absent(image: Image, address: int, count: int) -> bool:
    size = image.page_size
    return not any(image.is_mapped(address + number * size, 1) for number in range(count))


class Annex:
    """Hands out zeroed bytes of such pages, 16-aligned."""

    def __init__(self, image: Image, pages: int = 4) -> None:
        self._image = image
        self._next = take_pages(image, pages)
        self._end = self._next + pages * image.page_size

    def take(self, size: int) -> int:
        """The address of `size` bytes."""
        address = self._next
        self._next += (size + 15) // 16 * 16
        if self._next > self._end:
            raise MemoryError("the annex is full")
        return address

    def variable(self, name: str, size: int = 0) -> int:
        """The address of a variable with that symbol, a word unless a size is given."""
        address = self.take(size or self._image.word)
        self._image.symbols[name] = address
        return address

    def string(self, text: bytes) -> int:
        """The address of a C string."""
        address = self.take(len(text) + 1)
        self._image.write(address, text + b"\0")
        return address
