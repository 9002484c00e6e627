# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is: on a terminal only, and only once it has taken a second.

crash shows its output through a pager by default (`set scroll on`): a pipe, with the terminal
behind it. There progress is shown until the first output, for then the pager has the
screen. What was shown is cleared before anything else is written. Nothing of it ever
goes into a pipe or a file, and a session without a terminal is silent.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import Any, NamedTuple, Optional, TextIO, cast

_QUIET_SECONDS = 1.0
_IN, _OUT, _ERRORS = 0, 1, 2
"""File descriptors."""
_WIDTH = len(": 100%")


class _Screen(NamedTuple):
    """Where progress can be shown."""

    terminal: int
    """File descriptor."""
    shared: bool
    """A pager may take it over with the first output."""


class Progress:
    """Writes "command: 42%" over itself on a terminal; a context manager around the command.

    Inside, sys.stdout and sys.stderr clear it before they write.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._screen = _find_screen(sys.stdout, sys.stderr)
        self._streams = sys.stdout, sys.stderr
        self._next = time.monotonic() + _QUIET_SECONDS
        self._text = ""
        """What is shown."""

    def __enter__(self) -> Progress:
        if self._screen is not None:
            # Not taken back before the end: print() keeps no reference to the stream it uses.
            out, errors = (_Watched(stream, self) for stream in self._streams)
            sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, errors)
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()
        sys.stdout, sys.stderr = self._streams

    def tell(self, done: int, total: int) -> None:
        """So much of so much is done. The end of it is shown only where the way there was."""
        if self._screen is None:
            return
        now = time.monotonic()
        ended = done >= total
        if (ended and not self._text) or (not ended and now < self._next):
            return
        text = f"{self._name}: {100 if ended else 100 * done // total}%"
        if text == self._text:
            return
        self._next = now + _QUIET_SECONDS / 4
        self._show(self._screen, f"\r{text:{len(self._text)}}")
        self._text = text

    def clear(self) -> None:
        """Leave an empty line behind, for what comes next."""
        if self._text and self._screen is not None:
            self._show(self._screen, f"\r{'':{_WIDTH + len(self._name)}}\r")
        self._text = ""

    def give_way(self) -> None:
        """Something is about to be written."""
        self.clear()
        if self._screen is not None and self._screen.shared:
            self._screen = None

    def _show(self, screen: _Screen, text: str) -> None:
        try:
            os.write(screen.terminal, text.encode("ascii"))
        except OSError:
            # A terminal that is gone is no reason to stop.
            self._screen = None


class _Watched:
    """A stream whose output makes progress give way."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def write(self, text: str) -> int:
        """As the stream's."""
        self._progress.give_way()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _find_screen(out: TextIO, errors: TextIO) -> Optional[_Screen]:
    """None where nobody looks at a terminal."""
    if errors.isatty():
        terminal = _descriptor(errors)
        return None if terminal is None else _Screen(terminal, _is_pipe(_descriptor(out)))
    if _descriptor(errors) == _ERRORS:
        # A program with its own standard streams, and the user sent errors elsewhere.
        return None
    # crash's output goes elsewhere than to its own terminal: to a pager, a pipe, a file.
    if os.isatty(_IN) and os.isatty(_OUT):
        return _Screen(_OUT, not _is_file(_descriptor(out)))
    return None


def _descriptor(stream: TextIO) -> Optional[int]:
    """None where a stream has none."""
    try:
        return stream.fileno()
    except (OSError, AttributeError):
        return None


def _is_pipe(descriptor: Optional[int]) -> bool:
    return descriptor is not None and stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _is_file(descriptor: Optional[int]) -> bool:
    return descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode)
