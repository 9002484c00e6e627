# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that `make sentences` finds held by no test, each with the reason."""

from __future__ import annotations

from typing import Dict, Tuple

_LETTERS = (
    "all caches",
    "dump BYTES bytes",
    "free objects",
    "groups of like objects",
    "this page",
    "JSON lines",
    "at most COUNT",
    "the kernel log from a file",
    "slabs of this NUMA node",
    "write to FILE",
    "walk the lists only",
    "addresses only",
    "below each object, the pointers to it",
    "as this structure",
    "look for structures",
    "the version",
    "that fit FILTER",
)

EXPLAINED: Dict[Tuple[str, str], str] = {
    ("crash_ext/command.py", text): (
        "a constant, which can't be changed while tests run; test_command.py holds each letter's"
        " words against the help pages"
    )
    for text in _LETTERS
}
"""(file, text) -> why."""
