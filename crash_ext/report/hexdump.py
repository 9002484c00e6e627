# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw memory in the form of crash's `rd`: address, two words a line, ASCII."""

from __future__ import annotations

from typing import Iterator, Literal

_LINE = 16
_ASCII = bytes(byte if 0x20 <= byte < 0x7F else 0x2E for byte in range(256))


def rd_lines(
    address: int, data: bytes, word: int, byteorder: Literal["little", "big"]
) -> Iterator[str]:
    """The lines for `data` that lies at `address`; word: bytes of an unsigned long.

    A last word of which only some bytes belong to the data has only their digits.
    """
    digits = 2 * word
    width = (_LINE // word) * (digits + 1)
    for at in range(0, len(data), _LINE):
        piece = data[at : at + _LINE]
        words = (piece[i : i + word] for i in range(0, len(piece), word))
        numbers = " ".join(f"{int.from_bytes(w, byteorder):0{2 * len(w)}x}" for w in words)
        text = piece.translate(_ASCII).decode("ascii")
        yield f"{address + at:0{digits}x}:  {numbers:<{width}}  {text}"
