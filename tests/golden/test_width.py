# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed for a reader fits into 80 columns, but for two kinds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden import for_each_golden

_WIDER = {
    "a row that a cache's name ends": r"(  )?[0-9a-f]{8,16}  .*",
    "an error": r"slab(dup|objs|why|lost): .*",
}
"""Kind -> its lines. Each stays one line: a row for awk and the eye that runs down its columns,
an error for the grep that looks for `command: `."""
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
