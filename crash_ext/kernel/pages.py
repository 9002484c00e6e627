# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of memory by the page: for who reads many of them, a page is read once."""

from __future__ import annotations

from struct import Struct
from typing import Dict, Optional

from crash_ext.reader import Reader, ReadError

_PAGES = 1 << 12
"""16 MB in pages of 4k."""


class Memory:
    """A kernel's words. What can't be read is None, and stays so as long as this lives."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._size = reader.page_size
        order = "<" if reader.byteorder == "little" else ">"
        self._word = reader.word
        self._unpack = Struct(order + ("Q" if reader.word == 8 else "I")).unpack_from
        self._last = (1 << 8 * reader.word) - reader.word
        self._pages: Dict[int, Optional[bytes]] = {}

    def word(self, address: int) -> Optional[int]:
        """The unsigned long at an address; None where it can't be read, or isn't aligned."""
        if address % self._word or not 0 < address <= self._last:
            return None
        number, offset = divmod(address, self._size)
        try:
            page = self._pages[number]
        except KeyError:
            page = self._fetch(number)
        if page is None:
            return None
        value: int = self._unpack(page, offset)[0]
        return value

    def _fetch(self, number: int) -> Optional[bytes]:
        if len(self._pages) >= _PAGES:
            self._pages.clear()
        try:
            page: Optional[bytes] = self._reader.read(number * self._size, self._size)
        except ReadError:
            page = None
        self._pages[number] = page
        return page
