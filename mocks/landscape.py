# SPDX-License-Identifier: GPL-3.0-or-later
"""What else lies in a kernel beside its slabs: modules, tasks, vmalloc areas, per-CPU chunks.

Built beside a heap, as much of it as gives an address its name. It knows those structs in the
forms that kernels have had; not SLUB.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from mocks.annex import Annex
from mocks.heap import Heap
from mocks.structs import parse

REGION = 0x1000
"""Bytes of each region of a module, of a vmalloc area's page, and of a guard page."""
STACK_PAGES = 4
_IMAGE = 0x50000
"""Bytes of the kernel's image: functions, then variables (mocks/arena.py)."""

FORMS: Dict[str, Dict[str, str]] = {
    "mem": {
        "module_memory": "base:p size:4",
        "mod_kallsyms": "symtab:p num_symtab:4 strtab:p",
        "module": "state:4 list:2p name:56 mem:14p kallsyms:p init:p percpu:p percpu_size:4",
    },
    "core_layout": {
        "module_layout": "base:p size:4",
        "mod_kallsyms": "symtab:p num_symtab:4 strtab:p",
        "module": "state:4 list:2p name:56 core_layout:2p kallsyms:p init:p percpu:p percpu_size:4",
    },
    "module_core": {"module": "state:4 list:2p name:56 module_core:p core_size:4 symtab:p"},
}
"""How a kernel of v6.4, v4.5 and v3.10 tells where a module lies."""
FORMS["module_core"]["module"] += " num_symtab:4 strtab:p init:p percpu:p percpu_size:4"

_STRUCTS = {
    "elf64_sym": "st_name:4 st_info:1 st_other:1 st_shndx:2 st_value:8 st_size:8",
    "elf32_sym": "st_name:4 st_value:4 st_size:4 st_info:1 st_other:1 st_shndx:2",
    "task_struct": "flags:p stack:p tasks:2p pid:4 comm:16 signal:p thread_node:2p stack_vm_area:p"
    " start_time:8",
    "signal_struct": "sigcnt:4 thread_head:2p",
    "vm_struct": "next:p addr:p size:p flags:p pages:p nr_pages:4 phys_addr:8 caller:p",
    "vmap_area": "va_start:p va_end:p rb_node:3p list:2p vm:p",
    "rb_list": "root:p head:2p lock:4",
    "vmap_node": "pool:4p busy:4p",
    "pcpu_chunk": "list:2p free_bytes:4 base_addr:p bound_map:p nr_pages:4",
}
_PERCPU_BIT = 4
"""Bytes of per-CPU memory that a bit of pcpu_chunk.bound_map is for."""


class Landscape:
    """Adds to a heap's image what its user asks for. Empty lists at first."""

    def __init__(self, heap: Heap, modules: str = "core_layout", *, nodes: bool = False) -> None:
        self.heap = heap
        self.image = heap.image
        self._form = modules
        word = self.image.word
        for name, text in {**_STRUCTS, **FORMS[modules]}.items():
            self.image.structs[name] = parse(text, word)
        self._annex = Annex(self.image, pages=16)
        place = heap.layout.place
        self.image.symbols.update({"_text": place.kernel, "_end": place.kernel + _IMAGE})
        self._modules = self._head("modules")
        self._module_base = place.module
        self._init = self._annex.variable("init_task", self.image.sizeof("task_struct"))
        self._tasks: List[int] = []
        self._vmap: List[int] = []
        self.pcpu_chunk = 0
        """struct pcpu_chunk * of chunk()."""
        self._slots = 0
        self._area_base = place.module - (64 << 20)
        if nodes:
            self._vmap_head = self._vmap_nodes()
        else:
            self._vmap_head = self._head("vmap_area_list")
        self.task(0, b"swapper/0", 0, at=self._init)

    def _head(self, name: str) -> int:
        head = self._annex.variable(name, 2 * self.image.word)
        self._ring(head, [])
        return head

    def _ring(self, head: int, links: Sequence[int]) -> None:
        self.heap.writer.ring(head, links)

    def _vmap_nodes(self) -> int:
        """struct vmap_node vmap_nodes[1], as since v6.9."""
        size = self.image.sizeof("vmap_node")
        node = self._annex.take(size)
        self.image.pointer(self._annex.variable("vmap_nodes"), node)
        self.image.u32(self._annex.variable("nr_vmap_nodes", 4), 1)
        busy = self.image.structs["vmap_node"][1]["busy"][0]
        head = node + busy + self.image.structs["rb_list"][1]["head"][0]
        self._ring(head, [])
        return head

    def member(self, struct: str, address: int, name: str) -> int:
        """The address of a member."""
        return address + self.image.offset(struct, name)

    # modules --------------------------------------------------------------------------

    def module(
        self,
        name: bytes,
        symbols: Dict[bytes, Tuple[int, int]],
        regions: int = 1,
        init: int = 0,
        percpu: Tuple[int, int] = (0, 0),
    ) -> int:
        """A loaded module: the address of its first region. Its code isn't in the image.

        symbols: name -> (offset from there, size). regions: those of `mem`, REGION apart.
        init: where its init function was, from there; 0: it has none. percpu: the per-CPU
        pointer to its variables of that sort, and their bytes.
        """
        image = self.image
        base = self._module_base
        self._module_base += 0x10 * REGION
        module = self._annex.take(image.sizeof("module"))
        image.write(self.member("module", module, "name"), name)
        elf = "elf64_sym" if image.word == 8 else "elf32_sym"
        size = image.sizeof(elf)
        table = self._annex.take(size * (len(symbols) + 1))
        strings = b"\0"
        for number, (symbol, (offset, length)) in enumerate(symbols.items(), 1):
            self.image.set(
                elf,
                table + number * size,
                st_name=len(strings),
                st_shndx=1,
                st_value=base + offset,
                st_size=length,
            )
            strings += symbol + b"\0"
        where = self._annex.string(strings[:-1])
        if init:
            self.image.set("module", module, init=base + init)
        self.image.set("module", module, percpu=percpu[0], percpu_size=percpu[1])
        values = {"symtab": table, "num_symtab": len(symbols) + 1, "strtab": where}
        if self._form == "module_core":
            self.image.set("module", module, module_core=base, core_size=REGION, **values)
        else:
            kallsyms = self._annex.take(image.sizeof("mod_kallsyms"))
            self.image.set("mod_kallsyms", kallsyms, **values)
            self.image.set("module", module, kallsyms=kallsyms)
        if self._form == "core_layout":
            layout = self.member("module", module, "core_layout")
            self.image.set("module_layout", layout, base=base, size=REGION)
        if self._form == "mem":
            for number in range(regions):
                memory = self.member("module", module, "mem")
                memory += number * image.sizeof("module_memory")
                self.image.set(
                    "module_memory", memory, base=base + 2 * number * REGION, size=REGION
                )
        last = image.get(self._modules + image.word, image.word)
        links = [] if last == self._modules else [last]
        self._ring(self._modules, [*links, self.member("module", module, "list")])
        return base

    # tasks ----------------------------------------------------------------------------

    def begin(self, task: int, nanoseconds: int) -> None:
        """Notes when a task began, in ns since the boot."""
        self.image.set("task_struct", task, start_time=nanoseconds)

    def task(self, pid: int, comm: bytes, stack: int, at: int = 0, leader: int = 0) -> int:
        """A task: its struct task_struct *. leader: of which it is a thread."""
        image = self.image
        task = at or self._annex.take(image.sizeof("task_struct"))
        self.image.set("task_struct", task, stack=stack, pid=pid)
        image.write(self.member("task_struct", task, "comm"), comm)
        node = self.member("task_struct", task, "thread_node")
        if leader:
            signal = image.get(self.member("task_struct", leader, "signal"), image.word)
            first = self.member("task_struct", leader, "thread_node")
            self._ring(self.member("signal_struct", signal, "thread_head"), [first, node])
        else:
            signal = self._annex.take(image.sizeof("signal_struct"))
            self._ring(self.member("signal_struct", signal, "thread_head"), [node])
            if not at:
                self._tasks.append(self.member("task_struct", task, "tasks"))
            self._ring(self.member("task_struct", self._init, "tasks"), self._tasks)
        self.image.set("task_struct", task, signal=signal)
        return task

    def stack(self, task: int, pages: Sequence[int]) -> int:
        """Gives a task a stack in an area of these pages (struct page *): its address."""
        start, vm = self.area(pages, guard=False)
        self.image.set("task_struct", task, stack=start, stack_vm_area=vm)
        return start

    # areas ----------------------------------------------------------------------------

    def area(self, pages: Sequence[int], caller: int = 0, *, guard: bool = True) -> Tuple[int, int]:
        """A vmalloc area of these pages (struct page *): (its address, struct vm_struct *)."""
        image = self.image
        size = (len(pages) + guard) * image.page_size
        start = self._area_base
        self._area_base += 16 * image.page_size
        array = self._annex.take(max(len(pages), 1) * image.word)
        for number, page in enumerate(pages):
            image.pointer(array + number * image.word, page)
        vm = self._annex.take(image.sizeof("vm_struct"))
        self.image.set(
            "vm_struct",
            vm,
            addr=start,
            size=size,
            pages=array,
            nr_pages=len(pages),
            caller=caller,
        )
        area = self._annex.take(image.sizeof("vmap_area"))
        self.image.set("vmap_area", area, va_start=start, va_end=start + size, vm=vm)
        self._vmap.append(self.member("vmap_area", area, "list"))
        self._ring(self._vmap_head, self._vmap)
        return start, vm

    def chunk(self) -> int:
        """The per-CPU areas as the first chunk, and a second one of 2 pages: its base address."""
        image = self.image
        unit = 1 << 17
        image.symbols["__per_cpu_end"] = 0x4000
        base = image.percpu_offsets[self.heap.cpus[0]]
        image.pointer(self._annex.variable("pcpu_base_addr"), base)
        image.u32(self._annex.variable("pcpu_unit_size", 4), unit)
        image.u32(self._annex.variable("pcpu_nr_slots", 4), 2)
        slots = self._annex.take(4 * image.word)
        image.pointer(self._annex.variable("pcpu_chunk_lists"), slots)
        chunk = self._annex.take(image.sizeof("pcpu_chunk"))
        second = self._area_base
        self._area_base += 64 * unit
        bounds = self._annex.take(2 * image.page_size // _PERCPU_BIT // 8)
        self.image.set("pcpu_chunk", chunk, base_addr=second, bound_map=bounds, nr_pages=2)
        self.pcpu_chunk = chunk
        self._ring(slots, [])
        self._slots = slots
        self._ring(slots + 2 * image.word, [self.member("pcpu_chunk", chunk, "list")])
        return second

    def first_chunk(self, start: int, size: int) -> int:
        """The struct pcpu_chunk of what is left of the first units, from an offset of theirs."""
        image = self.image
        chunk = self._annex.take(image.sizeof("pcpu_chunk"))
        base = image.percpu_offsets[self.heap.cpus[0]] + start
        self.image.set("pcpu_chunk", chunk, base_addr=base, nr_pages=size // image.page_size)
        self._ring(self._slots, [self.member("pcpu_chunk", chunk, "list")])
        return chunk

    def bound(self, *offsets: int) -> None:
        """Allocations of chunk()'s begin, or end, at these offsets."""
        word = self.image.word
        bounds = self.member("pcpu_chunk", self.pcpu_chunk, "bound_map")
        bounds = self.image.get(bounds, word)
        for offset in offsets:
            at, bit = divmod(offset // _PERCPU_BIT, 8 * word)
            old = self.image.get(bounds + at * word, word)
            self.image.pointer(bounds + at * word, old | 1 << bit)

    def show_image_again(self) -> int:
        """The kernel's data in the direct map: how far behind the image's own addresses.

        x86-64 only: there phys_base says where the image lies.
        """
        image, start = self.image, self.heap.layout.place.kernel
        data = start + 0x40000
        banner = start + 0x4F000
        image.write(banner, b"Linux version 6.1.0 (a kernel of the tests) #1 SMP, with a long line")
        image.symbols["linux_banner"] = banner
        physical = 0x100000
        base = (physical - (start - 0xFFFFFFFF80000000)) & ((1 << 64) - 1)
        image.pointer(self._annex.variable("phys_base"), base)
        alias = image.page_offset + physical
        image.map(alias + 0x40000, image.read(data, 0x10000))
        return alias - start
