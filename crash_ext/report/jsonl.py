# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as JSON lines: one object a line, numbers as numbers, addresses as hex strings."""

from __future__ import annotations

from typing import Callable, Dict, Optional

VERSION = 1
"""Of the records' form; another number means that a field has changed its meaning."""

Encoder = Callable[[Dict[str, object]], str]


def encoder() -> Optional[Encoder]:
    """A function from a record to its line; None where this Python has no json module."""
    try:
        import json
    except ImportError:
        return None
    return json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def name_field(name: Optional[bytes]) -> Optional[str]:
    r"""A name as a JSON string; bytes that are no UTF-8 as \xNN, null where unreadable."""
    return None if name is None else name.decode("utf-8", "backslashreplace")
