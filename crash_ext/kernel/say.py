# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and times in sentences."""

from __future__ import annotations

from crash_ext.report.text import plural

count = plural
""" "1 slab", "2 slabs": under this name where a sentence is made of evidence."""

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"))


def before_verb(name: str) -> str:
    """A name with what follows it in commas ("page X, of no slab"), as a sentence goes on."""
    return f"{name}," if ", " in name else name


def duration(seconds: float) -> str:
    """ "41 s", "7 min", "5 h", "3 days": rounded down, so that "older than" stays true."""
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"
