# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user has chosen with crash's own `set`."""

from __future__ import annotations

from typing import Any


def redzone_on(crash: Any) -> bool:
    """Whether `set redzone` is on (crash's default): kmem then shows red zones' addresses."""
    return _is_on(crash, "redzone")


def zero_excluded_on(crash: Any) -> bool:
    """Whether `set zero_excluded` is on: pages that aren't in the dump read as zeroes."""
    return _is_on(crash, "zero_excluded")


def _is_on(crash: Any, setting: str) -> bool:
    """False where this crash has no such setting."""
    try:
        answer: str = crash.exec_crash_command(f"set {setting}")
    except crash.error:
        return False
    return answer.split() == [f"{setting}:", "on"]
