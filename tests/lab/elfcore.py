# SPDX-License-Identifier: GPL-3.0-or-later
"""Mends QEMU's ELF dumps: headers where makedumpfile looks for them, and VMCOREINFO.

QEMU since 7.2 writes the section headers between the ELF header and the program
headers, and an e_ehsize that isn't one; makedumpfile (to 1.7.8) knows only program
headers that follow the ELF header. ELF-64, of either byte order.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, List, Sequence, Tuple

_HEADER = 64
_NOTE_HEADER = 12
_E_PHOFF, _E_SHOFF, _E_EHSIZE = 0x20, 0x28, 0x34
_PT_LOAD, _PT_NOTE = 1, 4


def _order(header: Sequence[int]) -> str:
    """struct's letter for the byte order, from EI_DATA."""
    return "<" if header[5] == 1 else ">"


def straighten(path: Path) -> None:
    """Moves the program headers over the section headers, in place."""
    with path.open("r+b") as file:
        header = bytearray(file.read(_HEADER))
        order = _order(header)
        (offset,) = struct.unpack_from(f"{order}Q", header, _E_PHOFF)
        _, size, count = struct.unpack_from(f"{order}3H", header, _E_EHSIZE)
        file.seek(offset)
        programs = file.read(size * count)
        struct.pack_into(f"{order}QQ", header, _E_PHOFF, _HEADER, 0)
        struct.pack_into(f"{order}6H", header, _E_EHSIZE, _HEADER, size, count, 0, 0, 0)
        file.seek(0)
        file.write(header + programs)


def add_note(path: Path, physical: int) -> None:
    """Puts a note that lies in the dumped memory among the dump's own, in place.

    physical: its address. The notes move to the end of the file. ValueError where the dump
    has no such memory, or not one note segment.
    """
    with path.open("r+b") as file:
        order, programs = _programs(file)
        # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
        loads = [row for _, row in programs if row[0] == _PT_LOAD]
        where = [
            row[2] + physical - row[4] for row in loads if row[4] <= physical < row[4] + row[5]
        ]
        notes = [(at, row) for at, row in programs if row[0] == _PT_NOTE]
        if len(where) != 1 or len(notes) != 1:
            raise ValueError(f"{path}: {len(where)} places of {physical:x}, {len(notes)} notes")
        at, row = notes[0]
        file.seek(row[2])
        data = file.read(row[5]) + _note(file, order, where[0])
        end = (file.seek(0, 2) + 7) & ~7
        file.seek(end)
        file.write(data)
        file.seek(at)
        file.write(
            struct.pack(f"{order}IIQQQQQQ", *row[:2], end, *row[3:5], len(data), len(data), row[7])
        )


def _note(file: BinaryIO, order: str, offset: int) -> bytes:
    """The note at an offset of the file, as long as its header says."""
    file.seek(offset)
    header = file.read(_NOTE_HEADER)
    name, text, _ = struct.unpack(f"{order}3I", header)
    return header + file.read((name + 3 & ~3) + (text + 3 & ~3))


def _programs(file: BinaryIO) -> Tuple[str, List[Tuple[int, Tuple[int, ...]]]]:
    """The byte order, and (offset in the file, fields) of each program header."""
    header = file.read(_HEADER)
    order = _order(header)
    (offset,) = struct.unpack_from(f"{order}Q", header, _E_PHOFF)
    _, size, count = struct.unpack_from(f"{order}3H", header, _E_EHSIZE)
    found = []
    for at in range(offset, offset + size * count, size):
        file.seek(at)
        found.append((at, struct.unpack(f"{order}IIQQQQQQ", file.read(56))))
    return order, found
