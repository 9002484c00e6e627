# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of many equal records in a buffer may be the wanted ones, told by single bytes.

A column is the same byte of every record: a slice, a table, and an AND of large numbers
take some ns a record, in plain Python. Knows bytes only.
"""

from __future__ import annotations

from itertools import compress
from typing import Iterable, Iterator, List, Optional, Tuple

Column = Tuple[int, bytes]
"""The byte's offset in each record, and a table: 1 for each of its wanted values, else 0."""

_SPARSE = 16
"""Marks are looked for one by one if fewer than one record in this many has one."""


def wanted_values(offset: int, values: Iterable[int]) -> Column:
    """The column of the byte at an offset, where it may have these values."""
    wanted = set(values)
    return offset, bytes(value in wanted for value in range(256))


def marked(data: bytes, columns: List[Column], stride: int) -> Iterable[int]:
    """The numbers of the records, `stride` bytes each, that pass all columns, ascending."""
    count = len(data) // stride
    marks: Optional[bytes] = None
    for offset, table in columns:
        column = data[offset : count * stride : stride].translate(table)
        if marks is not None:
            both = int.from_bytes(marks, "little") & int.from_bytes(column, "little")
            column = both.to_bytes(count, "little")
        marks = column
        if 1 not in marks:
            return ()
    if marks is None:
        return range(count)
    if marks.count(1) * _SPARSE > count:
        return compress(range(count), marks)
    return _ones(marks)


def _ones(marks: bytes) -> Iterator[int]:
    at = marks.find(1)
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)
