# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that are held without a pointer to them: by physical address, or by their page.

A device's descriptor or a page table has a physical address, with flags in its low bits; a
bio_vec or a fragment of an skb has the page's struct page and the offset in it. Both are
looked for in memory that is in use. An index, a frame number or a file's number leaves
no trace that differs from any other number.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, NamedTuple

from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.reach.model import REACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.allocator import Slub

_FLAGS = 7
"""Low bits of a physical address that may be flags."""
_LONGEST = 1 << 20
"""Bytes: no fragment is longer."""


class Hidden(NamedTuple):
    """An object that something holds which is no pointer to it."""

    address: int
    """The object's."""
    text: str
    """What stands there: "its physical address stands"."""
    holder: int
    """Where."""
    round: bool
    """The number is a page's physical address: as likely chance, or a page table's entry."""


def find_hidden(slub: Slub, reach: Reach, addresses: Iterable[int]) -> Iterator[Hidden]:
    """What holds objects in one of the two ways.

    addresses: starts of objects in the direct map. One search of memory for all of them.
    """
    reader = slub.reader
    objects = list(addresses)
    start = reader.phys_to_virt(0)
    if start is None or not objects:
        return
    size = slub.layout.page_size
    physical = {address - start: address for address in objects if address >= start}
    pages: Dict[int, List[int]] = {}
    for address in objects:
        page = reader.virt_to_page(address)
        if page is not None:
            pages.setdefault(page, []).append(address)
    vmemmap = Targets((page, count * size) for page, count in reader.page_ranges())
    ranges = [(page, 4) for page in pages]
    ranges += [(address & ~_FLAGS, _FLAGS + 1) for address in physical if address > _FLAGS]
    # Neighbouring objects of 8 bytes overlap with no one's flags.
    for hit in find_pointers(reader, Targets(ranges), Summary(), cap=64):
        level, _ = reach.holds(hit.holder)
        if level != REACHED or vmemmap.index(hit.holder) >= 0:
            continue
        value = hit.value & ~_FLAGS
        if value in physical:
            found = physical[value]
            at_start = found % reader.page_size <= _FLAGS
            yield Hidden(found, "its physical address stands", hit.holder, at_start)
            continue
        page = hit.value & ~3
        for address in pages.get(page, ()):
            if _names(slub, hit.holder, address % reader.page_size):
                yield Hidden(address, "its page and its offset stand", hit.holder, False)


def _names(slub: Slub, holder: int, offset: int) -> bool:
    """Whether an object's offset in the page stands behind a struct page *, beside a length.

    struct bio_vec has the length first, struct scatterlist and pipe_buffer the offset.
    """
    word, order = slub.reader.word, slub.reader.byteorder
    data = slub.reader.try_read(holder + word, 8)
    if data is None:
        return False
    first, second = (int.from_bytes(data[at : at + 4], order) for at in (0, 4))
    return (first == offset and 0 < second <= _LONGEST) or (
        second == offset and 0 < first <= _LONGEST
    )
