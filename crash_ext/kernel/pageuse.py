# SPDX-License-Identifier: GPL-3.0-or-later
"""What each page of memory is used for, by its page structure: does its content count?

A page is free where the buddy system or a CPU's list of free pages has it. Pages of users
and of the page cache hold no kernel pointers by rights. All others are in use: kmalloc()
of more than a page, alloc_pages(), vmalloc(), modules, per-CPU areas, the kernel's image,
what was reserved at boot. Ranges of the image that were given back are pages like any
other, so nothing here asks where the image is.

Knows pages; slabs and stacks are put in by who knows them.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.columns import Column, marked, wanted_values
from crash_ext.kernel.freepages import cpu_free_pages
from crash_ext.kernel.pagestructs import for_each_chunk
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.kernel.vmcoreinfo import vmcoreinfo_number
from crash_ext.reader import Reader

FREE = 0
"""Nobody has it."""
USED = 1
"""Its content counts."""
MAYBE = 2
"""Reference count 0 but on no list of free pages, or no page structure in the dump."""
USER = 3
"""A page of a process, or of the page cache."""
SLAB = 4
"""Of a slab that was decoded: what counts in it, its objects' states say."""
STACK = 5
"""Of a task's stack: the stack pointer decides what counts in it."""
DEAD_STACK = 6
"""A stack whose task has ended."""

_LARGEST_ORDER = 20
_NO_TYPE = 0xFFFFFFFF
_FIRST_TYPE = 0xF0
"""Page types up to v6.11 are cleared bits below 0xf0000000, later numbers from 0xf0 on in the
top byte; a page that is mapped has a small number there."""


class Span(NamedTuple):
    """Pages in a row that have page structures."""

    page: int
    """struct page * of the first."""
    base: int
    """Its address in the direct map."""
    kinds: bytearray
    """One of the constants above for each page."""


_Where = Optional[Tuple[bytearray, int]]
"""The kinds of a span, and which of them; None for a page without a page structure."""


class PageUse:
    """The use of every page of a kernel, a byte each."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._shift = reader.page_size.bit_length() - 1
        self._size = reader.struct_size("page") or 0
        self.spans: List[Span] = []
        """Ascending by address."""
        form = _form(reader)
        self.known = form is not None
        """False: free pages look like others, so all that may be free is MAYBE."""
        for page, count in reader.page_ranges():
            base = reader.page_to_virt(page)
            if base is not None and self._size:
                self.spans.append(Span(page, base, bytearray([MAYBE]) * count))
        self.spans.sort(key=lambda span: span.base)
        if form is None:
            return
        for span in self.spans:
            self._read(span, form)
        self._take_cpu_lists()
        for span in self.spans:
            _join_tails_to_heads(span, self._shift)

    def of(self, address: int) -> Optional[int]:
        """The use of the page that an address of the direct map lies in; None for no page."""
        return _get(self._at(address))

    def put(self, address: int, pages: int, kind: int) -> None:
        """Say what the pages from an address of the direct map on are used for."""
        _put(self._at(address), pages, kind)

    def put_page(self, page: int, kind: int, pages: int = 1) -> None:
        """put() by the struct page * of the first."""
        _put(self._at_page(page), pages, kind)

    def _at(self, address: int) -> _Where:
        for span in self.spans:
            number = (address - span.base) >> self._shift
            if 0 <= number < len(span.kinds):
                return span.kinds, number
        return None

    def _at_page(self, page: int) -> _Where:
        for span in self.spans:
            number = (page - span.page) // self._size
            if 0 <= number < len(span.kinds):
                return span.kinds, number
        return None

    def _read(self, span: Span, form: _Form) -> None:
        """Judge a span's page structures; what can't be read stays MAYBE."""
        count = len(span.kinds)
        for first, _, data in for_each_chunk(self._reader, span.page, count, self._size):
            if data is not None:
                form.judge(data, self._size, span.kinds, first)

    def _take_cpu_lists(self) -> None:
        lists = cpu_free_pages(self._reader)
        self.known = lists.whole
        for block in lists.blocks:
            for number in range(1 << block.order):
                page = block.page + number * self._size
                if _get(self._at_page(page)) == MAYBE:
                    self.put_page(page, FREE)


class _Form:
    """How this kernel's page structures tell what a page is used for."""

    def __init__(self, reader: Reader) -> None:
        # Linux kernel commit 0139aa7b7fa1 ("mm: rename _count, field of the struct page, to
        # _refcount") (in v4.7).
        count = "_refcount" if reader.offset("page", "_refcount") is not None else "_count"
        heads = ("compound_info", "compound_head")
        self._page = Struct(
            reader, "page", (count, "_mapcount", "private", "mapping", "flags"), heads
        )
        self._word, self._order = reader.word, reader.byteorder
        self._free = [wanted_values(at, [0]) for at in self._bytes(count, 4)]
        buddy = vmcoreinfo_number(reader, "PAGE_BUDDY_MAPCOUNT_VALUE")
        if buddy is None:
            raise MissingMember("PAGE_BUDDY_MAPCOUNT_VALUE")
        self._buddy = self._equal("_mapcount", buddy & _NO_TYPE)
        self._typed = [[*self._free, *columns] for columns in self._types()]
        low = self._lowest("mapping")
        self._anonymous = [wanted_values(low, [byte for byte in range(256) if byte & 3 == 1])]
        self._on_lru = self._flag(reader.enumerator("PG_lru"))
        self._tail: Optional[List[Column]] = None
        for member in heads:
            if member in self._page:
                odd = [byte for byte in range(256) if byte & 1]
                self._tail = [wanted_values(self._lowest(member), odd)]
                break
        if self._tail is None:
            self._tail = self._flag(reader.enumerator("PG_tail"))

    def judge(self, data: bytes, size: int, kinds: bytearray, first: int) -> None:
        """Fill in the kinds of the pages whose structures these bytes are."""
        count = len(data) // size
        kinds[first : first + count] = bytes([USED]) * count
        for number in marked(data, self._free, size):
            kinds[first + number] = MAYBE
        for columns in self._typed:
            for number in marked(data, columns, size):
                kinds[first + number] = USED
        for columns in (self._anonymous, self._on_lru):
            for number in marked(data, columns, size) if columns else ():
                kinds[first + number] = USER
        for number in marked(data, self._tail, size) if self._tail else ():
            if first + number:
                kinds[first + number] = kinds[first + number - 1]
        for number in marked(data, self._buddy, size):
            order = self._page.value(data, "private", number * size)
            if order <= _LARGEST_ORDER:
                end = min(first + number + (1 << order), len(kinds))
                kinds[first + number : end] = bytes(end - first - number)

    def _types(self) -> List[List[Column]]:
        """The marks of a page with a type: it is in use though nobody counts references."""
        at = self._bytes("_mapcount", 4)
        if self._order == "big":
            at.reverse()
        cleared = [byte for byte in range(256) if byte != 0xFF]
        return [
            [wanted_values(at[3], range(_FIRST_TYPE, 0xFF))],
            *([wanted_values(at[3], [0xFF]), wanted_values(each, cleared)] for each in at[:2]),
        ]

    def _bytes(self, member: str, width: int) -> List[int]:
        start = self._page.offset(member)
        return list(range(start, start + width))

    def _lowest(self, member: str) -> int:
        """Offset of the byte of a pointer with the lowest bits."""
        return self._page.offset(member) + (0 if self._order == "little" else self._word - 1)

    def _equal(self, member: str, value: int) -> List[Column]:
        start = self._page.offset(member)
        wanted = value.to_bytes(4, self._order)
        return [wanted_values(start + at, [byte]) for at, byte in enumerate(wanted)]

    def _flag(self, bit: Optional[int]) -> List[Column]:
        """The byte of page.flags with this bit; none where the kernel has no such flag."""
        if bit is None or not 0 <= bit < 8 * self._word:
            return []
        at = bit // 8 if self._order == "little" else self._word - 1 - bit // 8
        values = [byte for byte in range(256) if byte >> bit % 8 & 1]
        return [wanted_values(self._page.offset("flags") + at, values)]


def _get(where: _Where) -> Optional[int]:
    return None if where is None else where[0][where[1]]


def _put(where: _Where, pages: int, kind: int) -> None:
    if where is not None:
        kinds, number = where
        count = min(pages, len(kinds) - number)
        kinds[number : number + count] = bytes([kind]) * count


def _form(reader: Reader) -> Optional[_Form]:
    try:
        return _Form(reader)
    except MissingMember:
        return None


def _join_tails_to_heads(span: Span, shift: int) -> None:
    """alloc_pages() of several pages without __GFP_COMP: only the first has a reference."""
    kinds, base = span.kinds, span.base >> shift
    for start, end in _runs(kinds, MAYBE):
        head = start - 1
        if head < 0 or kinds[head] != USED:
            continue
        frame = base + head
        room = frame & -frame
        behind = min(end, head + room) if frame else end
        kinds[start:behind] = bytes([USED]) * max(0, behind - start)


def _runs(kinds: bytearray, kind: int) -> Iterator[Tuple[int, int]]:
    """(first, behind the last) of each run of one kind."""
    at = kinds.find(kind)
    while at >= 0:
        end = at
        while end < len(kinds) and kinds[end] == kind:
            end += 1
        yield at, end
        at = kinds.find(kind, end)
