# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that `make sentences` finds held by no test, each with the reason."""

from __future__ import annotations

from typing import Dict, Tuple

EXPLAINED: Dict[Tuple[str, str], str] = {
    ("crash_ext/why/diagnose.py", " not explained: the evidence fits no rule."): (
        "only of a running kernel: an object that was allocated after the pass over memory, of"
        " which it isn't known what leads to it; every other object fits a rule"
    ),
}
"""(file, text) -> why."""
