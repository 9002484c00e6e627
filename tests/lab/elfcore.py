# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the headers of QEMU's ELF dumps where makedumpfile looks for them.

QEMU since 7.2 writes the section headers between the ELF header and the program
headers, and an e_ehsize that isn't one; makedumpfile (to 1.7.8) knows only program
headers that follow the ELF header. ELF-64, little endian, as x86-64 writes it.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = 64
_E_PHOFF, _E_SHOFF, _E_EHSIZE = 0x20, 0x28, 0x34


def straighten(path: Path) -> None:
    """Moves the program headers over the section headers, in place."""
    with path.open("r+b") as file:
        header = bytearray(file.read(_HEADER))
        (offset,) = struct.unpack_from("<Q", header, _E_PHOFF)
        _, size, count = struct.unpack_from("<3H", header, _E_EHSIZE)
        file.seek(offset)
        programs = file.read(size * count)
        struct.pack_into("<QQ", header, _E_PHOFF, _HEADER, 0)
        struct.pack_into("<6H", header, _E_EHSIZE, _HEADER, size, count, 0, 0, 0)
        file.seek(0)
        file.write(header + programs)
