# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers in sentences."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """ "1 slab", "2 slabs" """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
