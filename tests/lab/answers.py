# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tests ask of one dump, asked once: it is opened and searched a single time."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, List

from tests.batch import offences

from .dumps import dump
from .often import quick_host
from .session import Record, records, run_lines

WHY, LOST, ALL = "slabwhy -j", "slablost -j", "slabdup -a -j"
POINTERS = "slabobjs -r -j -b 0 slab_held slab_never"
_LINES = {
    "leak": [LOST, ALL],
    "causes": [WHY, LOST, POINTERS],
    "whys": [WHY],
    "kfence": [ALL],
    "merge": [WHY],
}
"""Scenario -> the lines that are asked of its dumps."""


@lru_cache(maxsize=None)
def _said(kernel: str, scenario: str) -> Dict[str, str]:
    lines = _LINES[scenario]
    return dict(zip(lines, run_lines(dump(kernel, scenario), quick_host(kernel), lines)))


def answer(kernel: str, scenario: str, line: str) -> List[Record]:
    """The records that a line prints; each fits the schema."""
    rows = records(_said(kernel, scenario)[line])
    assert [text for row in rows for text in offences(row)] == []
    return rows
