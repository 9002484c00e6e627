# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's memory nodes: struct pglist_data of each. Knows no page and no counter."""

from __future__ import annotations

from typing import Iterator

from crash_ext.kernel.memory import read_number, read_word
from crash_ext.reader import Reader

_NODES = 1 << 10


def for_each_pgdat(reader: Reader) -> Iterator[int]:
    """struct pglist_data * of each node that has memory. Raises ReadError, LookupError."""
    table = reader.symbol("node_data")
    if table is None:
        only = reader.symbol("contig_page_data")
        if only is None:
            raise LookupError
        yield only
        return
    count = reader.symbol("nr_node_ids")
    number = read_number(reader, count, 4) if count else 1
    for index in range(min(number, _NODES)):
        node = read_word(reader, table + index * reader.word)
        if node:
            yield node
