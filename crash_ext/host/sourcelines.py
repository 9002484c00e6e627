# SPDX-License-Identifier: GPL-3.0-or-later
"""File and line of code: asked of the host.

drgn's host has a function `source_line`. On crash gdb is asked by `info line`, which looks at the
line table: of inlined code it knows the inlined function's own lines, and nothing of the place
where that stands in its caller. Where several rows of the table begin at one address gdb takes
one that begins a statement, drgn the last: in one call of forty the two name different lines.
"""

from __future__ import annotations

import re
from typing import Any, Optional

from crash_ext.reader import SourceLine

_LINE = re.compile(r'Line ([1-9]\d*) of "([^"\n]+)" (?:starts|is) at address ')


def source_line(crash: Any, address: int) -> Optional[SourceLine]:
    """Where the code at an address comes from; None where no debug information tells."""
    if hasattr(crash, "source_line"):
        own: Optional[SourceLine] = crash.source_line(address)
        return own
    text: Optional[str] = crash.get_GDB_output(f"info line *0x{address:x}")
    found = _LINE.match(text or "")
    return SourceLine(found.group(2), int(found.group(1))) if found else None
