# SPDX-License-Identifier: GPL-3.0-or-later
"""Text between two marks of a Markdown file, written by a program."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Tuple


def marks(name: str) -> Tuple[str, str]:
    """The lines that open and close what `name` writes."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def read_marked(file: Path, name: str) -> str:
    """What is between the marks; empty where the file lacks them."""
    begin, end = marks(name)
    return file.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]


def write_marked(file: Path, name: str, lines: Iterable[str]) -> None:
    """Replace what is between the marks. ValueError if the file lacks them."""
    first, last = marks(name)
    before, begin, rest = file.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"{file} lacks the marks of {name}")
    text = "\n".join(lines)
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
