# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that `make sentences` finds held by no test, each with the reason."""

from __future__ import annotations

from typing import Dict, Tuple

_REPLACED = (
    "str.replace() puts it into a page, which doesn't see that a constant is another text; the"
    " page of crash and that of drgn's program are golden files, and test_drgnprogram.py asks the"
    " pages of drgn's other voices"
)

EXPLAINED: Dict[Tuple[str, str], str] = {
    ("crash_ext/why/conclusion.py", " not explained: the evidence fits no rule."): (
        "only of a running kernel: an object that was allocated after the pass over memory, of"
        " which it isn't known what leads to it; every other object fits a rule"
    ),
    ("crash_ext/command.py", "mod -s slabtest FILE"): _REPLACED,
    ("crash_ext/command.py", "-s FILE"): _REPLACED,
}
"""(file, text) -> why."""
