# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers in words: the function, and file and line of its call where the host can tell.

A caller is known by the address that the call returns to, or by the log's name of it. Its line is
that of the byte before, for behind a call may lie another statement, and even another function.
Code that was inlined from a header tells nothing of its caller: it gets no line.
"""

from __future__ import annotations

import re
from typing import Optional

from crash_ext.hexa import hexa
from crash_ext.places.place import MODULE, SYMBOL
from crash_ext.places.places import Places
from crash_ext.reader import Reader

_LOGGED = re.compile(r"([\w.]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[(\w+)(?: \w+)?\])?", re.ASCII)
_PADDING = 64
"""Bytes: the log counts what fills up between two functions as the first one's."""


def caller_text(places: Places, address: int) -> str:
    """The caller that a call returns to at an address: "alloc+0x15 [foo] (foo.c:12)"."""
    place = places.name(address)
    if place is None:
        return hexa(address)
    if place.kind not in (SYMBOL, MODULE):
        # Freed code may be anything's by now.
        return place.text
    return place.text + _line(places.session.reader, address)


def logged_caller_text(places: Places, frame: str) -> str:
    """A frame of the log's ("alloc+0x15/0x40 [foo]") with its line, where that code is loaded."""
    address = logged_address(places, frame)
    return frame if address is None else frame + _line(places.session.reader, address)


def _line(reader: Reader, address: int) -> str:
    found = reader.source_line(address - 1)
    if found is None or found.file.endswith((".h", ".inc")):
        return ""
    # A module that was built on its own has the path of that machine.
    file = found.file.rpartition("/")[2] if found.file.startswith("/") else found.file
    return f" ({file}:{found.line})"


def logged_address(places: Places, frame: str) -> Optional[int]:
    """The address that the log means; None where the kernel has no such function, or several."""
    parts = _LOGGED.fullmatch(frame)
    if not parts:
        return None
    name, module = parts.group(1), parts.group(4)
    offset, size = int(parts.group(2), 16), int(parts.group(3), 16)
    if not 0 < offset <= size:
        return None
    if module:
        found = [
            symbol.address
            for symbol in places.modules.symbols_named(module.encode(), name.encode())
            if symbol.size <= size < symbol.size + _PADDING
        ]
        return found[0] + offset if len(found) == 1 else None
    reader = places.session.reader
    start = reader.symbol(name)
    if start is None or not places.image.holds(start):
        return None
    # Static functions may share a name: this one has to end where the log says.
    last, behind = reader.symbol_at(start + size - 1), reader.symbol_at(start + size)
    ends = last is not None and last[1] == size - 1 and behind is not None and behind[1] == 0
    return start + offset if ends else None
