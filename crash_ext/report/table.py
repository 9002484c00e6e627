# SPDX-License-Identifier: GPL-3.0-or-later
"""A table with crash's looks: two spaces between columns, numbers to the right.

Laid out by tabulate, and in the same way without it where it can't be imported (a
released PyKdump lacks what it needs).
"""

from __future__ import annotations

from typing import List, Sequence

from .text import WIDTH

LEFT = "left"
RIGHT = "right"

_BLANK = "\u2423"
"""Stands for a cell's own blank: a cache's name may begin with some, and tabulate strips them.
How it is told not to differs from release to release. No cell has this character."""


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[str]
) -> List[str]:
    """The lines of a table; align: LEFT or RIGHT for each column."""
    try:
        # Only now: most output is no table, and to import it takes longer than a table.
        from tabulate import tabulate
    except ImportError:
        return plain_lines(head, rows, align)
    # The head as a row: tabulate gives a column with a real head two more spaces.
    text = tabulate(
        [[cell.replace(" ", _BLANK) for cell in row] for row in (head, *rows)],
        tablefmt="plain",
        colalign=tuple(align),
        disable_numparse=True,
    )
    return [line.replace(_BLANK, " ").rstrip() for line in text.split("\n")]


def side_by_side(
    head: Sequence[str], rows: Sequence[Sequence[str]], fixed: int, width: int = 0
) -> List[str]:
    """The lines of tables one below the other, each with as many columns as fit.

    fixed: so many of the first columns stand in each table; width: another than WIDTH. A column
    that doesn't fit has a table of its own.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    # Two spaces stand before each column but the first.
    room = (width or WIDTH) + 2 - sum(2 + size for size in widths[:fixed])
    blocks: List[List[int]] = []
    left = 0
    for column, size in enumerate(widths[fixed:], fixed):
        if not blocks or left < 2 + size:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= 2 + size
    lines: List[str] = []
    for block in blocks:
        columns = [*range(fixed), *block]
        cut = [[row[column] for column in columns] for row in rows]
        table = table_lines([head[column] for column in columns], cut, [LEFT] * len(columns))
        lines += ["", *table] if lines else table
    return lines


def plain_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[str]
) -> List[str]:
    """The same without tabulate."""
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if side == RIGHT else cell.ljust(width)
            for cell, width, side in zip(row, widths, align)
        ).rstrip()
        for row in table
    ]
