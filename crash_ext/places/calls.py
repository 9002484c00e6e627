# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function a call went to, by its instruction: a trace shows only where it returns to.

A function that ends with a call may jump there instead, and so has no frame: the trace's caller is
then its caller. Knows x86_64's call and arm64's bl. An indirect call, a stub between, code that is
freed or changed: not known.
"""

from __future__ import annotations

from typing import Iterator, Optional

from crash_ext.places.callers import logged_address
from crash_ext.places.place import MODULE, SYMBOL
from crash_ext.places.places import Places
from crash_ext.reader import Reader

_PREFIX = 32
"""Bytes before a function that a call may go to instead (x86_64's call depth tracking)."""


def between(places: Places, frame: str, callee: str) -> Optional[str]:
    """The function without a frame by whose end the kernel's function was called.

    frame: the log's, to which that function returned. "" where the frame's own call goes there;
    None where that can't be told.
    """
    address, start = logged_address(places, frame), places.session.reader.symbol(callee)
    if address is None or start is None:
        return None
    for target in _targets(places.session.reader, address):
        if start - _PREFIX <= target <= start:
            return ""
        name = _function(places, target)
        if name:
            return name
    return None


def _targets(reader: Reader, address: int) -> Iterator[int]:
    """Where a call that returns to an address may go, each by another machine's instruction."""
    code = reader.try_read(address - 5, 5)
    if code is None:
        return
    if code[0] == 0xE8:
        yield address + int.from_bytes(code[1:], "little", signed=True)
    word = int.from_bytes(code[1:], "little")
    if word >> 26 == 0x25:
        offset = (word & 0x3FFFFFF) << 2
        yield address - 4 + (offset - (1 << 28) if offset >> 27 else offset)


def _function(places: Places, address: int) -> Optional[str]:
    """The function that begins at an address: "f [foo]"."""
    place = places.name(address)
    if place is None or place.kind not in (SYMBOL, MODULE):
        return None
    if "+" in place.text or place.text.startswith("__x86_indirect"):
        return None
    return place.text
