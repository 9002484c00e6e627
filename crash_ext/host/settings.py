# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user has chosen with crash's own `set`."""

from __future__ import annotations

from typing import Any


def redzone_on(crash: Any) -> bool:
    """Whether `set redzone` is on (crash's default): kmem then shows red zones' addresses.

    False where this crash has no such setting.
    """
    try:
        words: str = crash.exec_crash_command("set redzone")
    except crash.error:
        return False
    return words.split() == ["redzone:", "on"]
