# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed for a reader fits into 80 columns, but for what is told here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden import for_each_golden

_WIDER = {
    "contents with what their words are": r"[0-9a-f]{8,16}:  [0-9a-f ]+   .{1,16} {2,}\+0x.*",
    "what a cache is and why, a line each": r"[0-9a-f]{8,16} \S+: .*",
    "the sum of a table": r"\d+ .*",
    "a row that a cache's name ends": r"(  )?[0-9a-f]{8,16}  .*",
    "caches or slabs side by side": r"[* ]  .*",
    "an object that an address is in": r"  \[[0-9a-f]{8,16}\]  .*",
    "an error": r"slab(dup|objs|why|lost): .*",
    "a usage message": r"  slab(dup|objs|why|lost) \[.*",
}
"""Kind -> its lines: one record each, for grep, awk and the eye that compares."""
_FILES = [
    pytest.param(Path(__file__).parent / folder / file.name, id=f"{folder}/{file.name}")
    for folder, file in for_each_golden()
]


@pytest.mark.parametrize("file", _FILES)
def test_lines_fit_into_80_columns(file: Path) -> None:
    # What stands behind is a file that it wrote.
    said = re.split("(?m)^==> ", file.read_text(encoding="ascii"))[0]
    wide = [
        line
        for line in said.splitlines()
        if len(line) > 80
        and not line.startswith("{")
        and not any(re.fullmatch(kind, line) for kind in _WIDER.values())
    ]
    assert wide == []
