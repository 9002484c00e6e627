# SPDX-License-Identifier: GPL-3.0-or-later
"""A diagnosis as text: evidence in columns, causes as a table, the conclusion as a paragraph."""

from __future__ import annotations

from typing import List, Optional

from crash_ext.hexa import hexa
from crash_ext.report.text import wrapped

EVIDENCE_HEAD = "  EVIDENCE    ADDRESS           STATEMENT"
CAUSE_HEAD = "  CAUSE             OBJECTS  STRENGTH  EXAMPLE"
_STATEMENT = EVIDENCE_HEAD.index("STATEMENT")


def evidence_lines(topic: str, address: int, text: str) -> List[str]:
    """A statement under EVIDENCE_HEAD, wrapped in its column; address 0: it rests on none alone."""
    where = hexa(address) if address else "-"
    return wrapped(text, _STATEMENT, f"  {topic:<10}  {where:<16}  ")


def cause_line(cause: str, objects: int, strength: str, example: Optional[int]) -> str:
    """A cause under CAUSE_HEAD."""
    where = "-" if example is None else hexa(example)
    return f"  {cause:<16}  {objects:>7}  {strength:<8}  {where}"


def paragraph(text: str, further: int = 2) -> List[str]:
    """Lines of at most 80 characters, indented as a conclusion is; all but the first so far."""
    return wrapped(text, further, "  ")
