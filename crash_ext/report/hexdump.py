# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw memory in the form of crash's `rd`: address, two words a line, ASCII."""

from __future__ import annotations

from operator import itemgetter
from struct import Struct
from typing import Callable, List, Literal, Tuple

LINE = 16
PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else 0x2E for byte in range(256))


def rows(
    data: bytes, word: int, byteorder: Literal["little", "big"]
) -> List[Tuple[int, List[str], str]]:
    """Data by lines: offset, its words' digits, its characters."""
    found = []
    for start in range(0, len(data), LINE):
        line = data[start : start + LINE]
        words = [line[at : at + word] for at in range(0, len(line), word)]
        digits = [f"{int.from_bytes(each, byteorder):0{2 * len(each)}x}" for each in words]
        found.append((start, digits, line.translate(PRINTABLE).decode("ascii")))
    return found


class RdForm:
    """The form of `length` bytes: made once for a cache, as its objects are all alike.

    word: bytes of an unsigned long. A last word of which only some bytes belong to the
    data has only their digits. One % operation an object: a million of them are printed.
    """

    def __init__(self, length: int, word: int, byteorder: Literal["little", "big"]) -> None:
        self.length = length
        self._byteorder = byteorder
        order = "<" if byteorder == "little" else ">"
        whole, self._rest = divmod(length, word)
        self._numbers = Struct(f"{order}{whole}{'Q' if word == 8 else 'I'}").unpack_from
        self._whole = whole * word
        self._span = range(0, length, LINE)
        texts = [min(LINE, length - start) for start in self._span]
        self._texts = Struct("".join(f"{size}s" for size in texts)).unpack
        self._format = "\n".join(_line_form(size, word) for size in texts).encode("ascii")
        self._arrange = _arrangement(texts, word)

    def text(self, address: int, data: bytes) -> str:
        """The lines for data (of this length) that lies at an address; no newline at the end."""
        numbers = self._numbers(data)
        if self._rest:
            numbers += (int.from_bytes(data[self._whole :], self._byteorder),)
        addresses = range(address, address + self.length, LINE)
        values = (*addresses, *numbers, *self._texts(data.translate(PRINTABLE)))
        return (self._format % self._arrange(values)).decode("ascii")


def _line_form(size: int, word: int) -> str:
    """The format of a line of this many bytes."""
    whole, rest = divmod(size, word)
    sizes = [word] * whole + ([rest] if rest else [])
    numbers = " ".join(f"%0{2 * size}x" for size in sizes)
    shown = sum(2 * size for size in sizes) + len(sizes) - 1
    width = 2 * LINE + LINE // word - 1
    return f"%0{2 * word}x:  {numbers}{' ' * (width - shown)}   %s"


def _arrangement(texts: List[int], word: int) -> Callable[[Tuple[object, ...]], object]:
    """Puts (addresses, numbers, texts) into the order in which the lines have them."""
    order: List[int] = []
    number = len(texts)
    first_text = number + sum(-(-size // word) for size in texts)
    for line, size in enumerate(texts):
        cells = -(-size // word)
        order += [line, *range(number, number + cells), first_text + line]
        number += cells
    return itemgetter(*order) if order else lambda values: values
