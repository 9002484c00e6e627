# SPDX-License-Identifier: GPL-3.0-or-later
"""A slab's descriptor and its page: is it a slab, where is its head, what does it count.

struct slab overlays the first struct page of its slab in every kernel up to v7.3, so
one address serves for both. Knows no lists.
"""

from __future__ import annotations

from operator import itemgetter
from struct import Struct, calcsize
from typing import Callable, Optional, Tuple, cast

from crash_ext.hexa import hexa
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.layout import Layout
from crash_ext.slub.model import Slab, fast_slab


class SlabError(Exception):
    """A struct page that should describe a slab and doesn't; the text says why."""


class Descriptors:
    """Reads slab descriptors of one kernel."""

    def __init__(self, reader: Reader, layout: Layout) -> None:
        self._reader = reader
        self._layout = layout
        self.length = max(layout.page_size, layout.slab.span())
        """Bytes that are read of a descriptor."""
        self._node_shift, self._node_mask = _node_bits(reader, layout)
        self._fields = _fields(reader, layout)
        self.next_in = _number(reader, layout.slab.offset(layout.slab_list), reader.word)
        """From a descriptor's bytes to (the next entry of the list it's on,)."""
        self._page_to_virt = reader.page_to_virt
        self._little = reader.byteorder == "little"
        self._mark_mask, self._mark_value = layout.slab_mark.mask, layout.slab_mark.value

    def read(
        self, address: int, place: str, node: Optional[int] = None, page: Optional[bytes] = None
    ) -> Slab:
        """The slab whose descriptor is at an address.

        node: where the caller knows it from a node's list; page: what was read there, of
        `length`. Raises SlabError where the page isn't a slab's, or isn't one at all.
        """
        base = self._page_to_virt(address)
        if base is None:
            raise SlabError(f"slab {hexa(address)}: not the address of a page structure")
        if page is None:
            try:
                page = self._reader.read(address, self.length)
            except ReadError as error:
                raise SlabError(f"slab {hexa(address)}: {error}") from error
        mark, cache, freelist, counters = self._fields(page)
        if mark & self._mark_mask != self._mark_value:
            raise SlabError(f"slab {hexa(address)}: the page is not marked as a slab's")
        if self._little:
            inuse, objects, frozen = counters & 0xFFFF, counters >> 16 & 0x7FFF, counters >> 31 == 1
        else:
            inuse, objects, frozen = counters >> 16, counters >> 1 & 0x7FFF, counters & 1 == 1
        if node is None:
            node = self._node(page)
        return fast_slab(
            (address, base, cache, freelist, inuse, objects, frozen, node, place, None, None, 0)
        )

    def next_of(self, address: int) -> int:
        """The next slab of a per-CPU partial chain, 0 at its end. Raises ReadError."""
        slab = self._layout.slab
        data = self._reader.read(address + slab.offset("next"), self._reader.word)
        return int.from_bytes(data, self._reader.byteorder)

    def head(self, page: int) -> int:
        """The first struct page * of the compound page that `page` belongs to.

        The page itself where it is a head or a single page. Raises ReadError.
        """
        layout = self._layout
        data = self._reader.read(page, self.length)
        # Linux kernel v7.1 renamed compound_head and may store a mask in place of a pointer.
        for member in ("compound_info", "compound_head"):
            if member in layout.page:
                info = layout.page.value(data, member)
                return _head_of(page, info, 8 * self._reader.word) if info & 1 else page
        # v3.10: no pointer that tells by itself, but a flag beside it.
        tail = layout.pg_tail is not None and layout.page.value(data, "flags") >> layout.pg_tail & 1
        if tail and "first_page" in layout.page:
            return layout.page.value(data, "first_page")
        return page

    def pages(self, head: int, most: int) -> int:
        """How many pages the compound page has whose first one is `head`; `most` at most.

        Counted by the tails that name it: the slab's own counters aren't asked.
        """
        count = 1
        try:
            while count < most and self.head(head + count * self._layout.page_size) == head:
                count += 1
        except ReadError:
            pass
        return count

    def node_of(self, page: int) -> Optional[int]:
        """The NUMA node of the page whose struct page is at `page`, None: unknown."""
        try:
            return self._node(self._reader.read(page, self.length))
        except ReadError:
            return None

    def is_slab(self, page: bytes) -> bool:
        """Whether these bytes of a struct page are those of a slab's first page."""
        return self._fields(page)[0] & self._mark_mask == self._mark_value

    def _node(self, page: bytes) -> Optional[int]:
        if self._node_mask is None:
            return None
        return self._layout.page.value(page, "flags") >> self._node_shift & self._node_mask


_Fields = Tuple[int, int, int, int]


def _fields(reader: Reader, layout: Layout) -> Callable[[bytes], _Fields]:
    """A function from a descriptor's bytes to (mark, slab_cache, freelist, counters).

    mark: the member that tells a slab's page; counters: inuse:16, objects:15, frozen:1 in one
    32-bit unit. The member of that name is no help: up to v4.17 it also holds the page's
    reference count.
    """
    pointer = "Q" if reader.word == 8 else "I"
    order = "<" if reader.byteorder == "little" else ">"
    mark = layout.slab_mark.member
    wanted = [
        (layout.page.offset(mark), "Q" if layout.page.size(mark) == 8 else "I"),
        (layout.slab.offset("slab_cache"), pointer),
        (layout.slab.offset("freelist"), pointer),
        (layout.slab.offset("inuse"), "I"),
    ]
    form, at = order, 0
    for offset, code in sorted(wanted):
        form += f"{offset - at}x{code}"
        at = offset + calcsize(order + code)
    unpack = Struct(form).unpack_from
    ranks = [sorted(wanted).index(one) for one in wanted]
    if ranks == sorted(ranks):
        return cast(Callable[[bytes], _Fields], unpack)
    arrange = itemgetter(*ranks)
    return lambda page: arrange(unpack(page))


def _number(reader: Reader, offset: int, size: int) -> Callable[[bytes], Tuple[int]]:
    """A function from a struct's bytes to the one unsigned number at an offset."""
    order = "<" if reader.byteorder == "little" else ">"
    return Struct(f"{order}{offset}x{'Q' if size == 8 else 'I'}").unpack_from


def _head_of(page: int, info: int, bits: int) -> int:
    # With CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP the rest is a mask: ones down to the size
    # of the compound page's structures. No pointer looks like that.
    rest = info & ~1
    inverse = ~rest & ((1 << bits) - 1)
    return page & rest if inverse & (inverse + 1) == 0 else rest


def _node_bits(reader: Reader, layout: Layout) -> Tuple[int, Optional[int]]:
    """(shift, mask) of the node in page.flags; mask None where unknown.

    The node is the topmost field where SECTIONS_WIDTH is 0 (SPARSEMEM_VMEMMAP); its width
    is that of the node array: MAX_NUMNODES is 1 << NODES_SHIFT.
    """
    if reader.symbol("nr_node_ids") is None:
        return 0, 0
    slots = layout.node_array_size // layout.node_stride
    width = slots.bit_length() - 1
    if slots != 1 << width or reader.symbol("section_to_node_table") is not None:
        return 0, None
    if _has_sections_in_flags(reader):
        return 0, None
    return 8 * layout.page.size("flags") - width, slots - 1


def _has_sections_in_flags(reader: Reader) -> bool:
    """Whether page.flags begin with the section's number: SPARSEMEM without SPARSEMEM_VMEMMAP.

    Its page structures are ordinary memory; an array of all of them has addresses of its own.
    """
    first = next(iter(reader.page_ranges()), None)
    if first is None or reader.virt_to_page(first[0]) is None:
        return False
    return reader.struct_size("mem_section") is not None
