# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which dump an output is, and what made it: for a page's head and a first record."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

from crash_ext.kernel.identity import Identity
from crash_ext.report.jsonl import name_field
from crash_ext.report.text import printable, visible
from crash_ext.version import TOOL_VERSION


class Made(NamedTuple):
    """What a page is made of, and how."""

    source: Identity
    line: str
    """The command line."""


def source_fields(source: Identity) -> Dict[str, object]:
    """What the first record says of the dump."""
    return {
        "dump": source.dump,
        "date": source.date,
        "host": name_field(source.host),
        "release": name_field(source.release),
    }


def source_facts(made: Made) -> List[Tuple[str, str]]:
    """The facts at the head of a page."""
    source = made.source
    return [
        ("dump", visible(source.dump or "unknown")),
        ("date", source.date or "unknown"),
        ("host", printable(source.host) if source.host else "unknown"),
        ("kernel", printable(source.release) if source.release else "unknown"),
        ("command", visible(made.line)),
        ("slableak", TOOL_VERSION),
    ]
