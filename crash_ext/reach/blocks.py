# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the memory of pages of no slab, of vmalloc areas, of per-CPU allocations.

By their address. Their owner knows where they begin: a variable of the kernel or of a module
does, or else an allocated object, a CPU's own memory, a stack. Of a table from before the page
allocator the beginning is not known: named is the variable that points to the memory before it.
A pointer into the middle names nobody.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from functools import cached_property
from typing import Dict, Iterable, List, Optional, Set, Tuple

from crash_ext.kernel.memory import try_number
from crash_ext.kernel.percpualloc import PercpuAllocations
from crash_ext.kernel.say import before_verb
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import (
    MODULE,
    OBJECT,
    PAGE,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    VMALLOC,
    Place,
    words_of,
)
from crash_ext.places.places import Places
from crash_ext.reach.model import REACHED
from crash_ext.reach.reach import Reach

_TAILS = 1024
"""Pages that are had at once, at most."""
_BLOCKS = 256
"""So many are looked for at once, at most: all variables are searched for each."""
_ASKED = 64
"""So many words are looked at, at most, that have the address of one block."""
FLAGS = 7
"""Low bits of a pointer that may be flags: a genradix has its depth there."""
_LOW = 24
"""Addresses of the kernel have more bits than this."""
SMALLEST = 1 << 12
"""Per-CPU pointers below this may be any number."""
_RESERVED = 1 << 18
"""Pages from before the page allocator that are looked at, at most: 1 GB in pages of 4k."""


class Blocks:
    """Names who has a page or an area."""

    def __init__(self, places: Places, reach: Reach) -> None:
        self._places = places
        self._reach = reach
        self._reader = places.session.reader
        self._by_variable: Dict[int, str] = {}
        """Address of a block -> the variable that has it; "" where none has."""
        self._by_memory: Dict[int, str] = {}
        """The same for what else may have it, of blocks that were looked for."""
        self._by_middle: Dict[int, str] = {}
        """The same for what has an address in it, or its physical one."""
        self._starts: Dict[int, List[int]] = {}
        self._reserved: Dict[int, int] = {}
        """Start of reserved pages -> where they were seen to end so far."""

    def look_for(self, roots: Iterable[Tuple[int, Optional[Place]]]) -> None:
        """Prepare to name the blocks that these addresses lie in: one pass over memory in use.

        Only for those that no variable has; others cost nothing.
        """
        wanted: Set[int] = set()
        known = len(self._by_variable)
        for holder, place in roots:
            if place is None:
                continue
            starts = self._addresses(holder, place)
            if not any(start in self._by_memory or self._variable(start) for start in starts):
                wanted.update(starts)
            if len(self._by_variable) - known > _BLOCKS:
                break
        for start in wanted:
            self._by_memory[start] = ""
        # Per-CPU pointers to what boot had are small numbers, as others are.
        targets = Targets((start, FLAGS + 1) for start in wanted if start >> _LOW)
        for hit in find_pointers(
            self._reader, targets, Summary(), cap=_ASKED, pieces=self._reach.used()
        ):
            if not self._by_memory[hit.start]:
                self._by_memory[hit.start] = self._whose(hit.holder, hit.start)

    def owner(self, holder: int, place: Place) -> str:
        """What has the block that an address lies in, in words; "" where nothing is known to."""
        for start in self._addresses(holder, place):
            found = self._by_variable.get(start) or self._by_memory.get(start)
            found = found or self._by_middle.get(start)
            if found:
                return found
        return ""

    def note(self, start: int, holder: int) -> None:
        """A word in memory in use that has some address of the block that begins there."""
        place = self._places.name(holder)
        if place is not None and place.kind in (SYMBOL, MODULE, STACK):
            self._by_middle.setdefault(start, words_of(place))

    def is_percpu(self, holder: int, place: Place) -> bool:
        """Whether an address lies in alloc_percpu()'s memory, and in no variable."""
        if place.kind == PERCPU:
            return not place.label
        return place.kind == PAGE and self.percpu.is_chunks(holder)

    def was_given_back(self, holder: int, place: Optional[Place]) -> bool:
        """Whether an address lies in alloc_percpu()'s memory that nobody has any more.

        That of a later chunk: the first one's leads nowhere in the first place.
        """
        return (
            place is not None
            and place.kind == PAGE
            and self.percpu.is_chunks(holder)
            and self.percpu.is_free(holder)
        )

    def has_beginning(self, holder: int, place: Place) -> bool:
        """Whether it is known where the block begins: then its owner was looked for."""
        starts = self._addresses(holder, place)
        return bool(starts) and all(start in self._by_variable for start in starts)

    def before(self, holder: int, place: Place) -> str:
        """The variable that points to the memory before an address, if all of it is from boot.

        Each page of it is reserved by itself: none says where the others of its table are.
        """
        size = self._reader.page_size
        at = bisect_right(self._pointed, holder) - 1
        if place.kind != PAGE or at < 0 or holder - self._pointed[at] > _RESERVED * size:
            return ""
        start = self._pointed[at]
        seen = self._reserved.get(start, start - start % size)
        while seen <= holder and self._is_reserved(seen):
            seen += size
        self._reserved[start] = seen
        return self._variable(start) if seen > holder else ""

    def variables_with(self, value: int, flags: int = 0) -> List[int]:
        """Where the variables of kernel and modules have this very value, but for the flags."""
        word, order = self._reader.word, self._reader.byteorder
        # The byte that has the flags is looked at afterwards.
        wanted = value.to_bytes(word, order)
        first = 1 if order == "little" else 0
        wanted = wanted[first : word - 1 + first]
        found = []
        for start, data in self._variables:
            at = data.find(wanted)
            while at >= 0:
                here = at - first
                holder = start + here
                if here >= 0 and holder % word == 0 and not self._places.image.gave_back(holder):
                    stands = int.from_bytes(data[here : here + word], order)
                    if stands & ~flags == value:
                        found.append(holder)
                at = data.find(wanted, at + 1)
        return found

    def _variable(self, start: int) -> str:
        if start not in self._by_variable:
            found = self.variables_with(start, 0 if start & FLAGS else FLAGS)
            named = self._places.name(found[0]) if found else None
            self._by_variable[start] = words_of(named) if found else ""
        return self._by_variable[start]

    def _whose(self, holder: int, start: int) -> str:
        """The word at an address as the owner of a block; "" if it is none."""
        place = self._places.name(holder)
        if place is not None and place.kind == PAGE and place.address != start:
            # A table of tables, as a genradix is.
            return next(filter(None, map(self._variable, self._addresses(holder, place))), "")
        if place is None or place.kind not in (OBJECT, PERCPU, STACK):
            return ""
        known = self._places.own_address(holder) if place.kind == STACK else holder
        if self._reach.holds(known)[0] != REACHED or self.is_record(place, start):
            return ""
        if place.kind != OBJECT:
            return place.text
        if place.object is None or self._leads_to(start, place.object):
            return ""
        first = next(iter(self._reach.path(holder)), None)
        root = None if first is None else first.place
        if first and root and start in self._addresses(first.holder, root):
            # Only the block itself leads to it: that one has what leads to it.
            return ""
        named = "" if root is None else root.label if root.kind in (SYMBOL, MODULE) else root.text
        return f"{place.text}, to which {before_verb(named)} leads" if named else place.text

    def _leads_to(self, start: int, owner: int) -> bool:
        """Whether a table's beginning leads to an object: that one is in it, and knows its slot."""
        virtual = self._reader.page_to_virt(start)
        data = self._reader.try_read(virtual or start, self._reader.page_size) or b""
        word, order = self._reader.word, self._reader.byteorder
        found = {int.from_bytes(data[at : at + word], order) for at in range(0, len(data), word)}
        return any(self._reach.object_at(value) == owner for value in found)

    def is_record(self, place: Place, start: int) -> bool:
        """Whether a place is the kernel's own note of the vmalloc area that begins there."""
        area = self._places.vmalloc.areas.at(start)
        if area is None or place.object is None or place.cache is None:
            return False
        if place.label == "vmap_area":
            return True
        at = self._reader.offset("vm_struct", "addr")
        size = self._reader.struct_size("vm_struct")
        pages = self._reader.offset("vm_struct", "pages")
        if at != place.offset or size is None or pages is None:
            return False
        return place.cache.object_size >= size and self._number(place.object + pages) == area.pages

    # --- where a block begins ---

    def _addresses(self, holder: int, place: Place) -> List[int]:
        """The addresses by which a block's owner may know it: its own, its struct page's."""
        if place.kind == VMALLOC:
            area = self._places.vmalloc.areas.at(self._places.own_address(holder))
            return [] if area is None else [area.start]
        if self.is_percpu(holder, place):
            pointer = self.percpu.pointer(self._places.own_address(holder))
            return [] if pointer is None or pointer < SMALLEST else [pointer]
        page = {PAGE: holder, PAGE_STRUCT: place.object}.get(place.kind)
        return [] if page is None else self.starts(page)

    def starts(self, address: int) -> List[int]:
        """[where pages that were had at once begin, the first's struct page *]; [] if unknown."""
        own = address - address % self._reader.page_size
        if own not in self._starts:
            self._starts[own] = self._beginning(own)
        return self._starts[own]

    def _beginning(self, own: int) -> List[int]:
        """Of several pages at once the first is known: behind it none has a reference.

        Each page of memory from boot has one: nothing says where that begins.
        """
        if self._is_reserved(own):
            return []
        reader, size = self._reader, self._reader.page_size
        count, tail = reader.offset("page", "_refcount"), reader.offset("page", "compound_head")
        flags, big = reader.offset("page", "flags"), self._big
        for away in range(_TAILS):
            page = reader.virt_to_page(own)
            references = None if page is None or count is None else self._number(page + count, 4)
            if page is None or references is None:
                break
            head = self._number(page + tail) if tail is not None else None
            if head and head & 1 and not away:
                base = reader.page_to_virt(head - 1)
                return [] if base is None else [base, head - 1]
            shown = self._number(page + flags) if flags is not None else None
            # A large kmalloc of 7.3 has no reference either.
            if references or (big is not None and shown is not None and shown >> big & 1):
                # Several pages at once are aligned to their number.
                aligned = own // size % (1 << away.bit_length()) == 0
                return [own, page] if aligned else []
            own -= size
        return []

    @cached_property
    def percpu(self) -> PercpuAllocations:
        return PercpuAllocations(self._reader, self._places.percpu)

    # --- variables, and memory from before the page allocator ---

    @cached_property
    def _variables(self) -> List[Tuple[int, bytes]]:
        """(address, bytes) of the data of the kernel and of its modules."""
        reader = self._reader
        found: List[Tuple[int, bytearray]] = []
        start = reader.symbol("_sdata") or self._places.image.start
        # What is only written at boot lies among the constants: most tables' addresses do, by now.
        first, end = map(reader.symbol, ("__start_ro_after_init", "__end_ro_after_init"))
        ranges = [(first, end)] if first and end and first < end <= start else []
        ranges.append((start, self._places.image.end))
        ranges += [(region.start, region.end) for region in self._places.modules.regions]
        for first, end in ranges:
            for at in range(first, end, reader.page_size):
                data = reader.try_read(at, min(reader.page_size, end - at))
                if data is not None:
                    if found and found[-1][0] + len(found[-1][1]) == at:
                        found[-1][1].extend(data)
                    else:
                        found.append((at, bytearray(data)))
        return [(at, bytes(data)) for at, data in found]

    @cached_property
    def _pointed(self) -> List[int]:
        """What variables of the kernel point to in memory from boot, ascending."""
        reader = self._reader
        found: Set[int] = set()
        code = "Q" if reader.word == 8 else "I"
        for start, data in self._variables:
            if not self._places.image.holds(start):
                continue
            aligned = data[-start % reader.word :]
            words = array(code, aligned[: len(aligned) // reader.word * reader.word])
            if reader.byteorder != sys.byteorder:
                words.byteswap()
            found.update(word for word in words if word >> _LOW)
        mapped = self._places.image
        return sorted(each for each in found if not mapped.holds(each) and self._is_reserved(each))

    @cached_property
    def _big(self) -> Optional[int]:
        return self._reader.enumerator("PG_head")

    @cached_property
    def _reserved_flag(self) -> Optional[Tuple[int, int]]:
        """(offset of page.flags, bit): asked once, for crash answers by gdb."""
        flags, bit = self._reader.offset("page", "flags"), self._reader.enumerator("PG_reserved")
        return None if flags is None or bit is None else (flags, bit)

    def _is_reserved(self, address: int) -> bool:
        page = self._reader.virt_to_page(address)
        if page is None or self._reserved_flag is None:
            return False
        flags, bit = self._reserved_flag
        shown = self._number(page + flags)
        return shown is not None and bool(shown >> bit & 1)

    def _number(self, address: int, size: int = 0) -> Optional[int]:
        return try_number(self._reader, address, size or self._reader.word)
