# SPDX-License-Identifier: GPL-3.0-or-later
"""The areas of vmalloc() and its kin, and the pages behind them."""

from __future__ import annotations

import sys
from array import array
from typing import Dict, Iterator, List, NamedTuple, Optional

from crash_ext.kernel.memory import read_number, read_word, walk_both_ways
from crash_ext.kernel.ranges import Ranges
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

_NODES = 1 << 10
_AREAS = 1 << 20
_PAGES = 1 << 20
"""Pages of all areas that are kept, 4 GB in pages of 4k: an entry takes some 100 bytes."""


class Area(NamedTuple):
    """A struct vmap_area with its vm_struct's values, if it has one."""

    start: int
    end: int
    caller: int
    """Code address of who made it; 0 where that isn't known."""
    pages: int
    """struct page **; 0 where there's none."""
    length: int
    """Pages in that array."""


class Vmalloc:
    """The areas in use. Empty where they can't be walked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.areas: Ranges[Area] = Ranges()
        self._by_page: Optional[Dict[int, int]] = None
        try:
            self.areas = Ranges(_find(reader))
        except MissingMember:
            return

    def alias(self, page: int) -> Optional[int]:
        """The address in an area at which the page of a struct page * is mapped, too."""
        if self._by_page is None:
            self._by_page = self._index_pages()
        return self._by_page.get(page)

    def pages(self, start: int, end: int) -> List[int]:
        """struct page * of each page that an area maps from one address to another."""
        area = self.areas.at(start)
        if area is None or not area.pages:
            return []
        size, word = self._reader.page_size, self._reader.word
        first = (start - area.start) // size
        count = min((end - start) // size, area.length - first)
        data = self._reader.try_read(area.pages + first * word, max(0, count) * word)
        if data is None:
            return []
        order = self._reader.byteorder
        return [int.from_bytes(data[at : at + word], order) for at in range(0, len(data), word)]

    def _index_pages(self) -> Dict[int, int]:
        found: Dict[int, int] = {}
        size, code = self._reader.page_size, "Q" if self._reader.word == 8 else "I"
        for area in self.areas:
            count = min(area.length, (area.end - area.start) // size)
            if not area.pages or not count or len(found) + count > _PAGES:
                continue
            try:
                pages = array(code, self._reader.read(area.pages, count * self._reader.word))
            except ReadError:
                continue
            if self._reader.byteorder != sys.byteorder:
                pages.byteswap()
            for number, page in enumerate(pages):
                found.setdefault(page, area.start + number * size)
        return found


def _find(reader: Reader) -> Iterator[Area]:
    area = Struct(reader, "vmap_area", ("va_start", "va_end", "list", "vm"))
    vm = Struct(reader, "vm_struct", ("addr",), ("caller", "pages", "nr_pages"))
    link = area.offset("list")
    left = _AREAS
    for head in _heads(reader):
        for entry in walk_both_ways(reader, head).addresses[:left]:
            left -= 1
            try:
                data = reader.read(entry - link, area.span())
            except ReadError:
                continue
            start, end = area.pointer(data, "va_start"), area.pointer(data, "va_end")
            if start < end:
                yield _with_vm(reader, vm, Area(start, end, 0, 0, 0), area.pointer(data, "vm"))


def _with_vm(reader: Reader, vm: Struct, area: Area, address: int) -> Area:
    """vm shares its place with other members: it's one if it says that it's this area's."""
    if not address:
        return area
    try:
        data = reader.read(address, vm.span())
    except ReadError:
        return area
    if vm.pointer(data, "addr") != area.start:
        return area
    caller = vm.pointer(data, "caller") if "caller" in vm else 0
    if "pages" not in vm or "nr_pages" not in vm:
        return area._replace(caller=caller)
    return area._replace(
        caller=caller, pages=vm.pointer(data, "pages"), length=vm.value(data, "nr_pages")
    )


def _heads(reader: Reader) -> Iterator[int]:
    """The list_heads that the areas in use are linked to."""
    # Per-node trees and lists in place of one: Linux kernel commit d093602919ad ("mm: vmalloc:
    # remove global vmap_area_root rb-tree") (in v6.9).
    nodes = reader.symbol("vmap_nodes")
    stride = reader.struct_size("vmap_node")
    busy = reader.offset("vmap_node", "busy")
    head = reader.offset("rb_list", "head")
    if nodes is not None and stride is not None and busy is not None and head is not None:
        try:
            table = read_word(reader, nodes)
            number = reader.symbol("nr_vmap_nodes")
            count = min(read_number(reader, number, 4) if number else 1, _NODES)
        except ReadError:
            return
        for node in range(count):
            yield table + node * stride + busy + head
        return
    single = reader.symbol("vmap_area_list")
    if single is not None:
        yield single
