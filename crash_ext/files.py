# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the user has named: the one place where commands open any.

Their paths are typed, never out of a dump. Each function raises OSError.
"""

from __future__ import annotations

import os
from typing import Iterable


def read_text(name: str) -> str:
    """What is in a file; bytes that are no UTF-8 are replaced."""
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read()


def check_writable(name: str) -> None:
    """Whether a file can be written, asked before a long search; what is in it stays."""
    new = not os.path.exists(name)
    with open(name, "a", encoding="utf-8"):
        pass
    if new:
        os.unlink(name)


def write_lines(name: str, lines: Iterable[str]) -> None:
    """The lines take the place of what was in the file."""
    with open(name, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")
