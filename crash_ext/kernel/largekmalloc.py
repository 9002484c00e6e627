# SPDX-License-Identifier: GPL-3.0-or-later
"""Large kmallocs: pages that are no slab's, though the kernel counts them with the slabs.

Knows page structures. Up to the 6.12 tree nothing marks these pages; the 6.18 tree has a
page type for them.
"""

from __future__ import annotations

from typing import Optional

from crash_ext.kernel.columns import marked, wanted_values
from crash_ext.kernel.pagestructs import for_each_chunk
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader

_LARGEST_ORDER = 20


def large_kmalloc_bytes(reader: Reader) -> Optional[int]:
    """Bytes of all large kmallocs; None where the kernel doesn't mark them."""
    kind, head = reader.enumerator("PGTY_large_kmalloc"), reader.enumerator("PG_head")
    size, order_at = reader.struct_size("page"), reader.offset("folio", "_flags_1")
    if kind is None or head is None or order_at is None or not size:
        return None
    try:
        page = Struct(reader, "page", ("page_type", "flags"))
    except MissingMember:
        return None
    # The type is the top byte of a 32-bit number.
    little = reader.byteorder == "little"
    columns = [wanted_values(page.offset("page_type") + (3 if little else 0), [kind])]
    # The order is the lowest byte of the second page's flags.
    order_at += 0 if little else reader.word - 1
    total = 0
    for start, count in reader.page_ranges():
        for _, _, read in for_each_chunk(reader, start, count, size):
            # What can't be read is left out.
            data = read or b""
            for number in marked(data, columns, size):
                at = number * size
                order = 0
                if page.value(data, "flags", at) >> head & 1 and at + order_at < len(data):
                    order = min(data[at + order_at], _LARGEST_ORDER)
                total += reader.page_size << order
    return total
