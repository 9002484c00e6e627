# SPDX-License-Identifier: GPL-3.0-or-later
"""One kernel's SLUB as its debug information describes it: how to read what it has.

Nothing that was found in memory is kept here: session.py remembers. Knows no cache.
"""

from __future__ import annotations

from crash_ext.reader import Reader
from crash_ext.slub.descriptor import Descriptors
from crash_ext.slub.layout import Layout


class Slub:
    """A kernel's SLUB. Raises UnsupportedAllocator where the kernel has another one."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.layout = Layout(reader)
        self.descriptors = Descriptors(reader, self.layout)
