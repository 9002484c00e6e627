# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own per-CPU variables by their pointers, where these are offsets.

drgn's host has a function `percpu_symbol`. Up to v6.14 x86_64 counts them from 0, and crash names
no address that low. gdb does, under the address to which it has moved the section with the rest
of the image. Since Linux kernel commit 9d7de2aa8b41 ("x86/percpu/64: Use relative percpu
offsets") (in v6.15) they are symbols as others.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Optional, Tuple

_MOVED = re.compile(r"\$\d+ = .*\b0x([0-9a-f]+)\b")
_SYMBOL = re.compile(r"([\w.]+)(?: \+ (\d+))? in section ")


class PercpuSymbols:
    """Names per-CPU pointers of one kernel."""

    def __init__(self, crash: Any) -> None:
        self._crash = crash
        self._known: Dict[int, Optional[Tuple[str, int]]] = {}
        self._shift: Optional[int] = None
        self._end = -1

    def at(self, pointer: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the variable that a pointer lies in, else None."""
        if hasattr(self._crash, "percpu_symbol"):
            own: Optional[Tuple[str, int]] = self._crash.percpu_symbol(pointer)
            return own
        if self._end < 0:
            self._end = self._ask_end()
        if not 0 <= pointer < self._end:
            return None
        if pointer not in self._known:
            self._known[pointer] = self._ask(pointer)
        return self._known[pointer]

    def _ask_end(self) -> int:
        """Where the offsets end; 0 where they are none."""
        start = self._crash.sym2addr("__per_cpu_start")
        return 0 if start else self._crash.sym2addr("__per_cpu_end") or 0

    def _ask(self, pointer: int) -> Optional[Tuple[str, int]]:
        if self._shift is None:
            told = _MOVED.match(self._crash.get_GDB_output("print &__per_cpu_start") or "")
            self._shift = int(told.group(1), 16) if told else 0
        moved = pointer + self._shift
        found = _SYMBOL.match(self._crash.get_GDB_output(f"info symbol 0x{moved:x}") or "")
        return (found.group(1), int(found.group(2) or 0)) if found else None
