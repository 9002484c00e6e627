# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's dumps: QEMU's ELF files are mended in either byte order."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.lab.elfcore import add_note, straighten

MEMORY = bytes(range(256)) * 16
PHYSICAL = 0x40000000


def _core(order: str, path: Path, memory: bytes = MEMORY) -> Path:
    """As QEMU lays it out: a section header first, then two program headers, notes, memory."""
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + bytes(10)
    notes = b"CPU notes "
    header = struct.pack(f"{order}HHIQQQIHHHHHH", 4, 22, 1, 0, 64 + 64, 64, 0, 128, 56, 2, 64, 1, 0)
    at = 64 + 64 + 2 * 56
    programs = struct.pack(f"{order}IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    programs += struct.pack(
        f"{order}IIQQQQQQ", 1, 0, at + len(notes), 0, PHYSICAL, len(memory), len(memory), 0
    )
    path.write_bytes(ident + header + bytes(64) + programs + notes + memory)
    return path


def _segments(order: str, path: Path) -> List[Tuple[int, bytes]]:
    """(p_type, bytes) of each segment."""
    data = path.read_bytes()
    (offset,) = struct.unpack_from(f"{order}Q", data, 0x20)
    size, count = struct.unpack_from(f"{order}2H", data, 0x36)
    found = []
    for at in range(offset, offset + size * count, size):
        kind, _, start, _, _, length = struct.unpack_from(f"{order}IIQQQQ", data, at)
        found.append((kind, data[start : start + length]))
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_program_headers_follow_the_elf_header(order: str, tmp_path: Path) -> None:
    path = _core(order, tmp_path / "core")
    before = _segments(order, path)
    straighten(path)
    assert _segments(order, path) == before
    assert struct.unpack_from(f"{order}Q", path.read_bytes(), 0x20) == (64,)
    assert struct.unpack_from(f"{order}H", path.read_bytes(), 0x34) == (64,)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_note_of_the_memory_is_put_behind_the_others(order: str, tmp_path: Path) -> None:
    note = struct.pack(f"{order}3I", 11, 6, 0) + b"VMCOREINFO\0\0" + b"A=10\n\0" + bytes(2)
    memory = MEMORY[:0x10] + note + bytes(0x100) + MEMORY
    path = _core(order, tmp_path / "core", memory)
    add_note(path, PHYSICAL + 0x10)
    assert _segments(order, path) == [(4, b"CPU notes " + note), (1, memory)]


def test_a_note_outside_of_the_dumped_memory_is_an_error(tmp_path: Path) -> None:
    path = _core(">", tmp_path / "core")
    whole = path.read_bytes()
    for physical in (PHYSICAL - 1, PHYSICAL + len(MEMORY)):
        with pytest.raises(ValueError, match="0 places of"):
            add_note(path, physical)
    assert path.read_bytes() == whole
