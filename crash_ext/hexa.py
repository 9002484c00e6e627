# SPDX-License-Identifier: GPL-3.0-or-later
"""How an address is written, in every form of output: bare lower-case hex, the same length each.

All digits of a pointer: 16 on a 64-bit kernel, 8 on a 32-bit one. It lies below everything, for
everybody has addresses to tell of; which kernel it is the host says once.
"""

from __future__ import annotations

from typing import List, Sequence

_digits: List[int] = [16]


def use_word(word: int) -> None:
    """From now on addresses are of a kernel with pointers of that many bytes."""
    _digits[:] = [2 * word]


def hexa(address: int) -> str:
    """The address with all of its digits; NULL is none, and stays 0."""
    return f"{address:0{_digits[0]}x}" if address else "0"


def hexa_lines(addresses: Sequence[int]) -> str:
    """Each of very many addresses on a line of its own; none of them is NULL."""
    return f"%0{_digits[0]}x\n" * len(addresses) % tuple(addresses)
