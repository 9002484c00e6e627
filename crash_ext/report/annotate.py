# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes on an object's words, behind the lines of its contents."""

from __future__ import annotations

from typing import Dict, Iterable, List, Tuple

from crash_ext.report.text import visible

_LINE = 16


def annotated(text: str, notes: Iterable[Tuple[int, str]]) -> str:
    """The lines of RdForm.text() with notes behind them, all in one column.

    notes: (offset from the first byte, what is said). The names in them may be the dump's.
    """
    by_line: Dict[int, List[str]] = {}
    for offset, note in notes:
        by_line.setdefault(offset // _LINE, []).append(f"+{offset:#x} {visible(note)}")
    lines = text.split("\n")
    width = max(map(len, lines))
    for number, said in by_line.items():
        if number < len(lines):
            lines[number] = f"{lines[number]:{width}}  {'; '.join(said)}"
    return "\n".join(lines)
