# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is: on a terminal only, and only once it has taken a second."""

from __future__ import annotations

import time
from typing import TextIO

_QUIET_SECONDS = 1.0


class Progress:
    """Writes "command: 42%" over itself on a terminal."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = time.monotonic() + _QUIET_SECONDS
        self._shown = 0

    def tell(self, done: int, total: int) -> None:
        """So much of so much is done; all of it: the line is cleared for what comes next."""
        if done >= total:
            self.clear()
            return
        now = time.monotonic()
        if not self._terminal or now < self._next:
            return
        self._next = now + _QUIET_SECONDS / 4
        text = f"{self._name}: {100 * done // max(total, 1)}%"
        self._stream.write("\r" + text)
        self._stream.flush()
        self._shown = len(text)

    def clear(self) -> None:
        """Leave an empty line behind, for what comes next."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0
