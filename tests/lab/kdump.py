# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes an uncompressed kdump file in place: memory overwritten, pages taken out.

The form is makedumpfile's (diskdump_mod.h): a header, a sub-header, two bitmaps (present
pages, dumped pages), a descriptor for each dumped page, the pages. x86-64.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import Optional, Tuple, Type

PAGE = 4096
_SIGNATURE = b"KDUMP   "
_SIZES = 428
"""Offset of block_size, sub_hdr_size, bitmap_blocks, max_mapnr in disk_dump_header."""
_DESCRIPTOR = struct.Struct("<QIIQ")
"""page_desc: offset in the file, size, flags (0: as it is), page flags."""


class Kdump:
    """A file of that form, opened to be changed. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        header = self._file.read(PAGE)
        if header[: len(_SIGNATURE)] != _SIGNATURE:
            raise ValueError(f"{path}: no kdump file")
        block, sub_header, blocks, self._pages = struct.unpack_from("<4I", header, _SIZES)
        bitmaps = (1 + sub_header) * block
        self._dumped = bitmaps + blocks * block // 2
        self._descriptors = bitmaps + blocks * block
        self._bitmap = bytearray(self._at(self._dumped, blocks * block // 2))

    def __enter__(self) -> Kdump:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._file.close()

    def overwrite(self, physical: int, data: bytes) -> bytes:
        """Puts bytes at a physical address, within a page; what was there."""
        number, inside = divmod(physical, PAGE)
        offset, size, flags, _ = self._descriptor(self._position(number))
        if flags or size != PAGE:
            raise ValueError(f"page {number:x} is compressed")
        if inside + len(data) > PAGE:
            raise ValueError(f"{len(data)} bytes at {physical:x} cross a page")
        before = self._at(offset + inside, len(data))
        self._file.seek(offset + inside)
        self._file.write(data)
        return before

    def take_out(self, physical: int) -> None:
        """As if makedumpfile had excluded that page."""
        number = physical // PAGE
        position = self._position(number)
        end = self._position(self._pages)
        at = self._descriptors + position * _DESCRIPTOR.size
        rest = self._at(at + _DESCRIPTOR.size, (end - position - 1) * _DESCRIPTOR.size)
        self._file.seek(at)
        self._file.write(rest)
        self._bitmap[number >> 3] &= ~(1 << (number & 7))
        self._file.seek(self._dumped + (number >> 3))
        self._file.write(self._bitmap[number >> 3 : (number >> 3) + 1])

    def _position(self, number: int) -> int:
        """How many dumped pages come before a page frame, which must be one itself.

        The frame behind the last one is allowed: it tells how many there are.
        """
        if number < self._pages and not self._bitmap[number >> 3] >> (number & 7) & 1:
            raise ValueError(f"page {number:x} is not in the dump")
        whole = sum(bin(byte).count("1") for byte in self._bitmap[: number >> 3])
        rest = self._bitmap[number >> 3] if number & 7 else 0
        return whole + bin(rest & ((1 << (number & 7)) - 1)).count("1")

    def _descriptor(self, position: int) -> Tuple[int, int, int, int]:
        at = self._descriptors + position * _DESCRIPTOR.size
        offset, size, flags, more = _DESCRIPTOR.unpack(self._at(at, _DESCRIPTOR.size))
        return offset, size, flags, more

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)
