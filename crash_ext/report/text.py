# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings out of a dump as text for a terminal: data, never control characters."""

from __future__ import annotations

import textwrap
from typing import List, Optional

UNREADABLE = "(unreadable)"
WIDTH = 80
"""Columns of a line for a reader. Only records that stay whole for grep and awk are wider."""


def printable(name: Optional[bytes]) -> str:
    r"""Bytes as printable ASCII; anything else, and the backslash, as \xNN.

    None is a string that couldn't be read.
    """
    if name is None:
        return UNREADABLE
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in name
    )


def visible(text: str) -> str:
    r"""A message that quotes a user's argument, which may be a name out of the dump.

    Printable ASCII stays as it is, the backslash too; anything else becomes \xNN.
    """
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def counted(number: int, more: bool) -> str:
    """A count, with + where what can't be read may add to it."""
    return f"{number}+" if more else str(number)


def plural(count: int, noun: str, more: bool = False) -> str:
    """ "1 slab", "2 slabs"; more: there may be others that can't be read: "1+ slabs" """
    return f"{counted(count, more)} {noun}{'' if count == 1 and not more else 's'}"


def wrapped(text: str, further: int = 2, first: str = "") -> List[str]:
    """Lines of at most 80 columns, broken at blanks.

    first: what the first one begins with; further: blanks before each of the others.
    """
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def text_of(name: Optional[bytes]) -> str:
    """A name out of the dump as a str that visible() gives back byte by byte."""
    return UNREADABLE if name is None else name.decode("utf-8", "surrogateescape")
