# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at an address? Names any address of the kernel, in words and as values.

Nothing is looked for before it's asked; what was found is kept for as long as the object
lives. Never raises on bad memory: what can't be read can't be named.
"""

from __future__ import annotations

from functools import cached_property
from typing import Callable, Dict, List, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.image import (
    X86_64_MAP,
    X86_64_MODULES_END,
    X86_64_MODULES_STEP,
    KernelImage,
)
from crash_ext.kernel.memory import try_number
from crash_ext.kernel.modules import Modules
from crash_ext.kernel.percpu import PercpuAreas
from crash_ext.kernel.stacks import find_dead_stacks
from crash_ext.kernel.tasks import Tasks
from crash_ext.kernel.vmalloc import Vmalloc
from crash_ext.places.place import (
    FREED_INIT,
    FREED_VMALLOC,
    MODULE,
    PAGE,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    VMALLOC,
    Place,
    plus,
)
from crash_ext.places.slabnames import Decoded, SlabNames
from crash_ext.report.text import text_of
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session

_NEAR = 1 << 30
"""Memory that vfree() gave back is so near to an area that is in use."""
_BESIDE = 4
"""Pages on both sides of one that shows page structures: they are mapped in large pieces."""
_SOME = 1024
"""Pages for which those beside them are looked at, too: that takes half a millisecond each."""
_EMPTY = "__key."
"""Lock classes' keys have no bytes without lockdep: what lies there is another variable."""


class Places:
    """Names addresses of one kernel.

    caches: gives every cache that is known, listed or not; called when first needed.
    lists_only: no scan over all page structures for the sake of a name.
    """

    def __init__(
        self, session: Session, caches: Callable[[], List[Cache]], lists_only: bool = False
    ) -> None:
        self.session = session
        self._reader = session.reader
        self._slabs = SlabNames(session, caches, lists_only)
        self._last = (1 << 8 * session.reader.word) - 1
        self._shown: Dict[int, Optional[int]] = {}
        """Page of the direct map -> the page structures that it shows."""

    @cached_property
    def image(self) -> KernelImage:
        """The kernel's own text and data."""
        return KernelImage(self._reader)

    @cached_property
    def modules(self) -> Modules:
        """The loaded modules."""
        return Modules(self._reader)

    @cached_property
    def tasks(self) -> Tasks:
        """All tasks and their stacks."""
        return Tasks(self._reader)

    @cached_property
    def vmalloc(self) -> Vmalloc:
        """The areas of vmalloc()."""
        return Vmalloc(self._reader)

    @cached_property
    def percpu(self) -> PercpuAreas:
        """The CPUs' own memory."""
        return PercpuAreas(self._reader)

    def name(self, address: int) -> Optional[Place]:
        """What an address lies in; None where that is unknown, or nothing.

        An address of the direct map that shows something which has an address of its own
        (the kernel's data, a module's, a stack) is named as that.
        """
        if not 0 < address <= self._last:
            return None
        found = self._slabs.name(address) or self._own(address)
        if found is not None:
            return found
        page = self._reader.virt_to_page(address)
        if page is None:
            return self._page_struct(address)
        alias = self._alias(address, page)
        if alias is not None:
            found = self._own(alias)
            if found is not None:
                return found._replace(address=address)
        own = self._page_structs_at(address - address % self._reader.page_size)
        if own is not None:
            found = self._page_struct(own + address % self._reader.page_size)
            if found is not None:
                return found._replace(address=address)
        text = f"page {hexa(address - address % self._reader.page_size)}, of no slab"
        return Place(PAGE, text, address, "")

    def _page_structs_at(self, page: int) -> Optional[int]:
        """The address in the array of page structures of what a page of the direct map shows.

        None where that is something else, or can't be told: by a page structure in it that is
        on a list, for the next one there points back to it; or by those in pages beside it.
        """
        if page not in self._shown:
            size, own = self._reader.page_size, None
            far = _BESIDE if len(self._shown) < _SOME else 0
            for away in sorted(range(-far, far + 1), key=abs):
                beside = self._by_lists(page + away * size)
                if beside is not None:
                    own = beside - away * size
                    break
            data = self._reader.try_read(page, size)
            same = own is not None and self._reader.try_read(own, size) == data
            self._shown[page] = own if same else None
        return self._shown[page]

    def _by_lists(self, page: int) -> Optional[int]:
        """The same, by the page's own structures alone."""
        reader, link = self._reader, self._reader.offset("page", "lru")
        data = None if link is None else reader.try_read(page, reader.page_size)
        if data is None or link is None or not self._ranges:
            return None
        word, order, size = reader.word, reader.byteorder, self.session.layout.page_size
        lowest, highest = self._ranges[0][0], max(first + n * size for first, n in self._ranges)
        for at in range(0, len(data) - size + 1, size):
            following = int.from_bytes(data[at + link : at + link + word], order)
            if not lowest <= following < highest:
                continue
            back = reader.try_read(following + word, word)
            own = int.from_bytes(back or b"", order) - link - at
            if own % reader.page_size == 0 and reader.try_read(own, len(data)) == data:
                return own
        return None

    def freed_vmalloc(self, address: int) -> Optional[Place]:
        """Memory that vfree() has given back, for an address that name() knows nothing of."""
        start, end = self.vmalloc.areas.span
        if not start <= address < end or self._reader.virt_to_page(address) is not None:
            return None
        if self.vmalloc.areas.at(address) is not None:
            return None
        # The areas of modules lie far behind the others: between them is more than vmalloc()'s.
        if not self.vmalloc.areas.any_start_in(address - _NEAR, address + _NEAR):
            return None
        return Place(FREED_VMALLOC, "vmalloc memory that was freed", address, "")

    def ended_stack(self, address: int) -> Optional[Place]:
        """The stack of a task that has ended, for an address that lies in one."""
        area = self.vmalloc.areas.at(address)
        if area is None or area.start not in self.dead_stacks:
            return None
        text = f"stack of a task that has ended{plus(address - area.start)}"
        return Place(FREED_VMALLOC, text, address, "stack", offset=address - area.start)

    @cached_property
    def dead_stacks(self) -> Dict[int, None]:
        """Where the vmalloc areas begin that are stacks of no task, in their order."""
        return dict.fromkeys(find_dead_stacks(self.tasks, self.vmalloc))

    def own_address(self, address: int) -> int:
        """The address under which what lies there is known, for one of the direct map.

        The address itself where that is in the direct map alone.
        """
        page = self._reader.virt_to_page(address)
        alias = None if page is None else self._alias(address, page)
        return address if alias is None else alias

    def decoded(self, address: int) -> Optional[Decoded]:
        """The slab that an address lies in: for who has many addresses of one slab."""
        return self._slabs.decoded(address)

    def _alias(self, address: int, page: int) -> Optional[int]:
        own = self.image.alias(address)
        if own is not None:
            return own
        start = self.vmalloc.alias(page)
        return None if start is None else start + address % self._reader.page_size

    def _own(self, address: int) -> Optional[Place]:
        """An address that isn't just one of the direct map."""
        found = self._stack(address)
        if found is not None:
            return found
        if self.image.holds(address):
            return self._symbol(address)
        return self._module(address) or self._percpu(address) or self._vmalloc(address)

    def _symbol(self, address: int) -> Place:
        found = self._reader.symbol_at(address)
        if found is None or found[1] > address - self.image.start:
            return Place(SYMBOL, f"the kernel's image, {hexa(address)}", address, "")
        name, offset = found
        if name.startswith(_EMPTY):
            return Place(SYMBOL, f"the kernel's image, {hexa(address)}", address, "")
        return Place(SYMBOL, f"{name}{plus(offset)}", address, name, offset=offset)

    def _module(self, address: int) -> Optional[Place]:
        region = self.modules.regions.at(address)
        if region is None:
            return None
        module = text_of(region.name)
        symbol = self.modules.symbol(region, address)
        if symbol is not None:
            label, start = text_of(symbol.name), symbol.address
        else:
            # Its symbols aren't in the dump, but crash may have the module's own file. Behind
            # the end of one that is in the dump crash still gives that one's name.
            found = self._reader.symbol_at(address)
            if (
                found is None
                or found[1] > address - region.start
                or self.modules.starts(region, address - found[1])
            ):
                offset = address - region.start
                return Place(MODULE, f"[{module}]{plus(offset)}", address, f"[{module}]")
            label, start = found[0], address - found[1]
        text = f"{label}{plus(address - start)} [{module}]"
        return Place(MODULE, text, address, f"{label} [{module}]", offset=address - start)

    def function(self, address: int) -> Optional[Place]:
        """The function of the kernel or of a module that starts at an address; None for none."""
        if not self.image.holds(address) and self.modules.regions.at(address) is None:
            # To name what lies elsewhere may take long.
            return None
        place = self.name(address)
        if place is None or place.kind not in (SYMBOL, MODULE) or place.offset:
            return None
        if place.kind == SYMBOL:
            start, end = self._reader.symbol("_stext"), self._reader.symbol("_etext")
        else:
            start, end = self.module_text(address)
        if start is None or end is None or not start <= address < end:
            return None
        return place

    def was_code(self, address: int) -> bool:
        """Whether an address may be a function's of a module that was unloaded.

        Another one may lie there by now; but nothing of that one's own begins there.
        """
        if self.image.holds(address) or self._reader.virt_to_page(address) is not None:
            return False
        place = self._module(address) or self.name(address)
        if place is None or place.kind != MODULE:
            return place is not None and place.kind == UNLOADED
        return bool(place.offset) or place.label.startswith("[")

    def module_text(self, address: int) -> Tuple[Optional[int], Optional[int]]:
        """(start, end) of the code of the module that has an address: tables look like code."""
        reader = self._reader
        region = self.modules.regions.at(address)
        if region is None:
            return None, None
        mem, inside = (reader.offset("module", "mem"), reader.offset("module_memory", "base"))
        layout = reader.offset("module", "core_layout")
        if mem is not None and inside is not None:
            # Linux kernel commit ac3b43283923 ("module: replace module_layout with
            # module_memory") (in v6.4): the first is the code's.
            start, size = (mem + inside, mem + (reader.offset("module_memory", "size") or 0))
        elif layout is not None:
            # Linux kernel commit 7523e4dc5057 ("module: use a structure to encapsulate
            # layout.") (in v4.5).
            start = layout + (reader.offset("module_layout", "base") or 0)
            size = layout + (reader.offset("module_layout", "text_size") or 0)
        else:
            base = reader.offset("module", "module_core")
            length = reader.offset("module", "core_text_size")
            if base is None or length is None:
                return None, None
            start, size = base, length
        first = try_number(self._reader, region.module + start, self._reader.word)
        data = self._reader.try_read(region.module + size, 4)
        if first is None or data is None:
            return None, None
        return first, first + int.from_bytes(data, reader.byteorder)

    def _stack(self, address: int) -> Optional[Place]:
        task = self.tasks.at(address)
        if task is None:
            return None
        who = task.text
        text = f"stack of {who}{plus(address - task.stack)}"
        return Place(STACK, text, address, who, offset=address - task.stack)

    def _percpu(self, address: int) -> Optional[Place]:
        unit = self.percpu.units.at(address)
        if unit is None:
            return None
        pointer = unit.pointer + address - unit.start
        cpu = f"cpu {unit.cpu}"
        if pointer < self.percpu.static_end:
            found = self._reader.percpu_symbol_at(pointer)
            if found is not None and found[1] <= address - unit.start:
                label = found[0]
                text = f"per-CPU {label}{plus(found[1])} of {cpu}"
                return Place(PERCPU, text, address, label, offset=found[1])
        region = self.modules.percpu.at(pointer)
        symbol = None if region is None else self.modules.symbol(region, pointer)
        if region is not None and symbol is not None:
            label = f"{text_of(symbol.name)} [{text_of(region.name)}]"
            offset = pointer - symbol.address
            text = f"per-CPU {text_of(symbol.name)}{plus(offset)} [{text_of(region.name)}] of {cpu}"
            return Place(PERCPU, text, address, label, offset=offset)
        return Place(PERCPU, f"per-CPU {pointer:x} of {cpu}", address, "")

    def _vmalloc(self, address: int) -> Optional[Place]:
        area = self.vmalloc.areas.at(address)
        # Linux v6.10 and later may keep the text of many modules in one area.
        if area is None or self.modules.regions.any_start_in(area.start, area.end):
            return self._unloaded(address, area is not None)
        offset = address - area.start
        made, label = "", ""
        caller = None
        if area.caller and self.image.holds(area.caller):
            caller = self._symbol(area.caller)
        elif area.caller:
            caller = self._module(area.caller)
        if caller is not None:
            made, label = f", made by {caller.text}", caller.label
        text = f"vmalloc {hexa(area.start)}{plus(offset)}{made}"
        return Place(VMALLOC, text, address, label, offset=offset)

    def _unloaded(self, address: int, sure: bool) -> Optional[Place]:
        """Where modules lie, and no loaded one does."""
        init, last = self.modules.freed_init(address), self.modules.last_unloaded
        freed = "" if init is None else f"freed init code of [{text_of(init)}]"
        if freed and not last:
            return Place(FREED_INIT, freed, address, freed)
        start, end = self.modules.regions.span
        if start and self.image.start >= X86_64_MAP:
            # The area starts 512 MB or 1 GB behind the map of the image, which takes no more.
            start, end = start & -X86_64_MODULES_STEP, X86_64_MODULES_END
        if not sure and not start <= address < end:
            return None
        # Where init code was freed, a module may have been since that is gone, too.
        told = [f"last unloaded: {text_of(last)}"] if last else []
        told += [f"or {freed}"] if freed else []
        name = f" ({', '.join(told)})" if told else ""
        text = f"module area, no module loaded there{name}"
        return Place(UNLOADED, text, address, text_of(last) if last else "")

    def _page_struct(self, address: int) -> Optional[Place]:
        size = self.session.layout.page_size
        for start, count in self._ranges:
            if start <= address < start + count * size:
                page = address - (address - start) % size
                base = self._reader.page_to_virt(page)
                if base is None:
                    return None
                offset = address - page
                text = f"struct page of {hexa(base)}{plus(offset)}"
                if offset == self._reader.offset("page", "private"):
                    text = f"private of the struct page of {hexa(base)}"
                return Place(PAGE_STRUCT, text, address, "", object=base, offset=offset)
        return None

    @cached_property
    def _ranges(self) -> List[Tuple[int, int]]:
        return list(self._reader.page_ranges())
