# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user has chosen: crash's own `set`, and a dump or the running system."""

from __future__ import annotations

from typing import Any

_LIVE_SOURCES = (["/proc/kcore"], ["/dev/mem"], ["/dev/crash"])
"""pc->live_memsrc, in crash's main.c."""


def redzone_on(crash: Any) -> bool:
    """Whether `set redzone` is on (crash's default): kmem then shows red zones' addresses."""
    return _is_on(crash, "redzone")


def zero_excluded_on(crash: Any) -> bool:
    """Whether `set zero_excluded` is on: pages that aren't in the dump read as zeroes."""
    return _is_on(crash, "zero_excluded")


def is_live(crash: Any) -> bool:
    """Whether crash reads the memory of the running system, or of another one that runs.

    False where `sys` doesn't tell. A dump that was made of a running system is a dump.
    """
    source = memory_source(crash)
    return source.split()[:1] in _LIVE_SOURCES or "(remote live system)" in source


def memory_source(crash: Any) -> str:
    """The dump as the host names it; "" if unknown. "(remote live system)" is part of it."""
    try:
        answer: str = crash.exec_crash_command("sys")
    except crash.error:
        return ""
    for line in answer.splitlines():
        label, _, source = line.strip().partition(": ")
        if label == "DUMPFILE":
            # crash tells behind the path what it thinks of the dump: it isn't part of its name.
            return source.strip().partition("  [")[0]
    return ""


def _is_on(crash: Any, setting: str) -> bool:
    """False where this crash has no such setting."""
    try:
        answer: str = crash.exec_crash_command(f"set {setting}")
    except crash.error:
        return False
    return answer.split() == [f"{setting}:", "on"]
