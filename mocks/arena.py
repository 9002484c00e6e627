# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a built kernel's things lie: page frames, per-CPU areas, variables, functions, strings.

It knows the memory model (sections, direct map, struct page array), and no slab.
"""

from __future__ import annotations

from random import Random
from typing import List, Sequence

from mocks.image import Image
from mocks.layouts import KernelLayout

SECTION = 1 << 24
"""Bytes. The smallest section of any architecture; hosts probe memory in such steps."""

_RESERVED = 2 << 20
"""Bytes at the start of a node's memory that hold no slab: 0 and the kernel's image lie there."""
_PERCPU_BYTES = 1 << 17
_STATIC_PERCPU = 0x4000
_DATA_BYTES = 1 << 16
_TEXT = 1 << 18


class Arena:
    """An image with empty memory and the allocators that a heap is built with.

    Each node has `pages` page frames in sections of its own; one absent section lies between.
    """

    def __init__(
        self, layout: KernelLayout, rng: Random, cpus: Sequence[int], nodes: int, pages: int
    ) -> None:
        self.layout = layout
        self.rng = rng
        self.cpus = list(cpus)
        self.nodes = nodes
        self.image = Image(layout.word, layout.byteorder, layout.page_size)
        self.image.structs = dict(layout.structs)
        self.image.enums = dict(layout.enums)
        self.image.page_offset = layout.place.page_offset
        self.image.vmemmap = layout.place.vmemmap
        self.image.node_shift = layout.node_shift
        self._next_frame: List[int] = []
        self._end_frame: List[int] = []
        self._pages = pages
        self._add_nodes()
        self._data = layout.place.kernel + _TEXT
        self.image.map(self._data, bytes(_DATA_BYTES))
        self._text = layout.place.kernel
        self._module_text = layout.place.module
        self.image.modules.append(("slab_test", layout.place.module, layout.place.module + 0x8000))
        self._percpu = _STATIC_PERCPU
        self._strings = 0
        self._strings_end = 0
        self._add_variables()

    def _add_nodes(self) -> None:
        frames_per_section = SECTION // self.layout.page_size
        sections = -(-self._pages // frames_per_section)
        for node in range(self.nodes):
            first = node * (sections + 1) * frames_per_section
            end = first + sections * frames_per_section
            self.image.present.append((first, end))
            self._next_frame.append(first + _RESERVED // self.layout.page_size)
            self._end_frame.append(first + self._pages)
            self.image.map(self.page_of(first), self._blank_page(node) * (end - first))

    def _blank_page(self, node: int) -> bytes:
        size, members = self.layout.structs["page"]
        page = bytearray(size)

        def put(member: str, value: int) -> None:
            offset, length = members[member]
            page[offset : offset + length] = self.image.bytes_of(value, length)

        put("flags", node << self.layout.node_shift)
        put("_mapcount", -1)
        return bytes(page)

    def _add_variables(self) -> None:
        image, word = self.image, self.layout.word
        ids = max(self.cpus) + 1
        image.put(self.variable("nr_cpu_ids", 4), 4, ids)
        if self.layout.nodes_shift:
            # Without CONFIG_NUMA it's a macro.
            image.put(self.variable("nr_node_ids", 4), 4, self.nodes)
        image.pointer(self.variable("max_pfn"), image.max_pfn)
        image.pointer(self.variable(self.layout.possible), sum(1 << cpu for cpu in self.cpus))
        table = self.variable("__per_cpu_offset", ids * word)
        area = self.frames(0, (_PERCPU_BYTES * ids // self.layout.page_size - 1).bit_length())
        start = image.page_to_virt(self.page_of(area))
        for cpu in range(ids):
            # An impossible CPU keeps the initial value, which is no area's.
            offset = start + cpu * _PERCPU_BYTES if cpu in self.cpus else self._text
            image.percpu_offsets.append(offset)
            image.pointer(table + cpu * word, offset)

    # addresses ------------------------------------------------------------------------

    def page_of(self, frame: int) -> int:
        """struct page * of a page frame."""
        return self.layout.place.vmemmap + frame * self.layout.structs["page"][0]

    def frames(self, node: int, order: int) -> int:
        """The first of 1 << order page frames, naturally aligned, mapped and zero."""
        count = 1 << order
        first = self._next_frame[node] + self.rng.randrange(2)
        first = (first + count - 1) // count * count
        if first + count > self._end_frame[node]:
            raise MemoryError(f"node {node} has no {count} pages left: raise Heap(pages=…)")
        self._next_frame[node] = first + count
        address = self.image.page_offset + first * self.layout.page_size
        self.image.map(address, bytes(count * self.layout.page_size))
        return first

    def percpu(self, size: int) -> int:
        """A per-CPU pointer: its areas are at pointer + image.percpu_offsets[cpu]."""
        pointer = (self._percpu + 15) // 16 * 16
        self._percpu = pointer + size
        if self._percpu > _PERCPU_BYTES:
            raise MemoryError("the per-CPU areas are full")
        return pointer

    def variable(self, name: str, size: int = 0) -> int:
        """The address of a new variable of the kernel, with that symbol; zero."""
        address = (self._data + 15) // 16 * 16
        self._data = address + (size or self.layout.word)
        if self._data > self.layout.place.kernel + _TEXT + _DATA_BYTES:
            raise MemoryError("the kernel's data is full")
        self.image.symbols[name] = address
        return address

    def function(self, name: str, module: bool = False) -> int:
        """The address of a new function with that symbol. Its code isn't in the image."""
        if module:
            self._module_text += 0x40
            address = self._module_text
        else:
            self._text += 0x40
            address = self._text
        self.image.symbols[name] = address
        return address

    def string(self, text: bytes) -> int:
        """The address of a heap copy of a C string."""
        return self.bytes_copy(text + b"\0")

    def bytes_copy(self, data: bytes) -> int:
        """The address of a copy of some bytes (at most a page), 8-aligned, in no slab."""
        size = (len(data) + 7) // 8 * 8
        if self._strings + size > self._strings_end:
            frame = self.frames(0, 0)
            self._strings = self.image.page_to_virt(self.page_of(frame))
            self._strings_end = self._strings + self.layout.page_size
        address = self._strings
        self._strings += size
        self.image.write(address, data)
        return address
