# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of VMCOREINFO: what the kernel itself tells of constants that its
debug information lacks. Read from memory, not from the dump's header, so that a live
system answers, too."""

from __future__ import annotations

import re
from typing import Optional

from crash_ext.kernel.memory import read_symbol_number
from crash_ext.reader import Reader, ReadError

_BOUND = 1 << 16


def vmcoreinfo_number(reader: Reader, name: str) -> Optional[int]:
    """The value of NUMBER(name) (signed); None where the kernel doesn't tell it."""
    found = _find(reader, rb"^NUMBER\(" + name.encode() + rb"\)=(-?\d+)$")
    return int(found) if found is not None else None


def release(reader: Reader) -> Optional[bytes]:
    """The kernel's release, as `uname -r`; None where it doesn't tell it."""
    return _find(reader, rb"^OSRELEASE=(.+)$")


def _find(reader: Reader, line: bytes) -> Optional[bytes]:
    # vmcoreinfo_data is a pointer to a page since v4.13.
    data = read_symbol_number(reader, "vmcoreinfo_data", reader.word)
    size = read_symbol_number(reader, "vmcoreinfo_size", reader.word)
    if not data or not size or size > _BOUND:
        return None
    try:
        text = reader.read(data, size)
    except ReadError:
        return None
    found = re.search(line, text, re.MULTILINE)
    return found.group(1) if found else None
