# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes on an object's words, each beneath the line of contents that it belongs to."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Tuple

from crash_ext.report.text import WIDTH, visible, wrapped

_LINE = 16


def annotated(text: str, notes: Iterable[Tuple[int, str]]) -> Iterator[str]:
    """The lines of RdForm.text(), each followed by its notes, which begin where its words do.

    notes: (offset from the first byte, what is said). The names in them may be the dump's.
    """
    by_line: Dict[int, List[Tuple[str, str]]] = {}
    for offset, note in notes:
        by_line.setdefault(offset // _LINE, []).append((f"+{offset:#x} ", visible(note)))
    for number, line in enumerate(text.split("\n")):
        yield line
        indent = " " * (line.find(":") + 3)
        said = by_line.get(number, [])
        together = indent + "; ".join(where + note for where, note in said)
        if said and len(together) <= WIDTH:
            yield together
            continue
        for where, note in said:
            yield from wrapped(note, len(indent + where), indent + where)
