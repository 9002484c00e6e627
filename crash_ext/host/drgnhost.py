# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `crash` over a drgn.Program: the same names, results and errors.

target.py asks it as it asks crash's. Only drgn's public interface is used (since 0.0.33).
Imported where drgn runs; crash and PyKdump never load this file. Read only.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import for_each_valid_page_range, pfn_to_page, phys_to_virt
from drgn.helpers.linux.printk import PrintkRecord, get_printk_records
from drgn.helpers.linux.sched import cpu_curr

from crash_ext.host.drgnshow import Shown
from crash_ext.host.drgnsymbols import SymbolTable
from crash_ext.host.drgntypes import find_enumerator, find_members, find_type, member_of, size_of
from crash_ext.reader import Member, SourceLine

_HIGHEST = 1 << 64
_UNKNOWN = (LookupError, AttributeError, ValueError, drgn.FaultError)
"""What drgn raises where memory or a type that it needs isn't there."""


class HostError(Exception):
    """What is crash.error there."""


class DrgnHost:
    """crash's questions and answers over a drgn.Program of a Linux kernel."""

    error = HostError
    KVADDR = 1
    PHYSADDR = 4

    def __init__(self, program: drgn.Program) -> None:
        """program: its memory and its debug information are loaded. Raises HostError."""
        self._program = program
        self._symbols = SymbolTable(program)
        self._shown = Shown(program, self._symbols)
        self._ranges: Optional[List[Tuple[int, int, int]]] = None
        self.PAGESIZE = self._page_size()
        self._check_translation()
        platform = program.platform
        little = platform is None or platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
        self.byteorder = "little" if little else "big"
        """Of the kernel; not every host reads dumps of another machine."""

    def _page_size(self) -> int:
        if not size_of(find_type(self._program, "struct list_head")):
            raise HostError("no debug information of the kernel")
        try:
            return int(self._program["PAGE_SIZE"])
        except LookupError as error:
            raise HostError(f"the dump doesn't tell its page size: {error}") from error

    def _check_translation(self) -> None:
        """drgn may know no way from any of the kernel's addresses into the file.

        s390x's kernels since 6.10 in kdump files, with drgn 0.3.0: each read would fail for it.
        """
        task = self.sym2addr("init_task")
        try:
            if task:
                self._program.read(task, 1)
        except drgn.FaultError as error:
            # libkdumpfile's words where an address has no form that it knows, dumped or not.
            if "No way to translate" not in str(error):
                # What else can't be read is told where it's needed.
                return
            platform = self._program.platform
            machine = f"{platform.arch.name.lower()} " if platform else ""
            raise HostError(
                f"drgn can't translate the addresses of this {machine}kernel in this form of dump:"
                " it can in an ELF dump (makedumpfile -E)"
            ) from None

    # symbols --------------------------------------------------------------------------

    def sym2addr(self, name: str) -> int:
        """0 where there is none of that name."""
        return self._symbols.address(name) or 0

    def addr2sym(self, address: int, loose: bool = False) -> Any:
        """Its name or None; loose: (name, offset) or (None, None)."""
        found = self._symbols.at(address)
        if loose:
            return found or (None, None)
        return found[0] if found and not found[1] else None

    def percpu_symbol(self, pointer: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of a per-CPU variable of the kernel's own; not in PyKdump's module."""
        return self._symbols.percpu(pointer)

    def source_line(self, address: int) -> Optional[SourceLine]:
        """Where the code at an address comes from; None where no debug information tells."""
        try:
            # Of several the innermost function's, which is inlined in the next one's.
            if hasattr(self._program, "source_location"):
                file, line = self._program.source_location(address)[0][:2]
            else:
                # 0.0.33
                file, line = self._program.stack_trace_from_pcs([address])[0].source()[:2]
        except (LookupError, ValueError):
            return None
        return SourceLine(file, line) if file and line else None

    # memory ---------------------------------------------------------------------------

    def readmem(self, address: int, size: int, kind: int = KVADDR) -> bytes:
        """IndexError for address 0, else HostError for what can't be read."""
        if address == 0 and kind == self.KVADDR:
            raise IndexError("read at address 0")
        if size <= 0 or not 0 <= address <= _HIGHEST - size:
            raise HostError(f"cannot read {size} bytes at {address:x}")
        try:
            data: bytes = self._program.read(address, size, kind == self.PHYSADDR)
        except (drgn.FaultError, OverflowError, ValueError) as error:
            raise HostError(str(error)) from None
        return data

    def phys_to_page(self, physical: int) -> Optional[int]:
        """The struct page * of a physical address; None where there's no memory."""
        frame = physical // self.PAGESIZE
        for first, end, page in self._page_ranges():
            if first <= frame < end:
                return page + (frame - first) * size_of(find_type(self._program, "struct page"))
        return None

    def _page_ranges(self) -> List[Tuple[int, int, int]]:
        """(first page frame, the one behind the last, struct page * of the first)."""
        if self._ranges is None:
            self._ranges = []
            try:
                for first, end, pages in for_each_valid_page_range(self._program):
                    self._ranges.append((first, end, (pages + first).value_()))
            except _UNKNOWN:
                self._ranges += self._rest_of_pages()
        return self._ranges

    def _rest_of_pages(self) -> List[Tuple[int, int, int]]:
        """All page frames behind the known ranges, where a dump lacks what tells which there are.

        Those that don't exist can't be read, and are told as such.
        """
        first = max((end for _, end, _ in self._ranges or ()), default=0)
        try:
            end = int(self._program["max_pfn"].value_())
            page = self._page_of_frame(first)
        except _UNKNOWN:
            return []
        return [(first, end, page)] if first < end else []

    def _page_of_frame(self, frame: int) -> int:
        """A page frame's struct page *, from the array of all of them. Raises as drgn does."""
        try:
            return int(pfn_to_page(self._program, frame).value_())
        except _UNKNOWN:
            # drgn finds that array by the very table that may be missing; x86_64 keeps its address.
            start = int(self._program["vmemmap_base"].value_())
            return start + frame * size_of(find_type(self._program, "struct page"))

    # types ----------------------------------------------------------------------------

    def struct_size(self, name: str) -> int:
        """Bytes; -1 for a type that is missing or incomplete."""
        return size_of(find_type(self._program, name)) or -1

    def member_offset(self, struct: str, member: str) -> int:
        """Bytes; -1 where it's missing."""
        found = member_of(find_type(self._program, struct), member)
        return -1 if found is None else found.bit_offset // 8

    def member_size(self, struct: str, member: str) -> int:
        """Bytes; 0 where it's missing."""
        found = member_of(find_type(self._program, struct), member)
        return 0 if found is None else size_of(found.type)

    def enumerator_value(self, name: str) -> Optional[int]:
        """The value of an enumerator."""
        return find_enumerator(self._program, name)

    def members(self, struct: str) -> List[Member]:
        """A structure's members and theirs, by offset, outer before inner ones."""
        return find_members(find_type(self._program, f"struct {struct}"))

    def module_files(self) -> Optional[Dict[str, bool]]:
        """Module -> whether its debug information is there; None where drgn can't tell."""
        try:
            self._program.create_loaded_modules()
        except (LookupError, ValueError, drgn.FaultError):
            return None
        return {
            module.name: module.debug_file_status == drgn.ModuleFileStatus.HAVE
            for module in self._program.modules()
            if not isinstance(module, drgn.MainModule)
        }

    def how_to_load(self) -> str:
        """How a user has drgn read the file of a module."""
        return "-s FILE"

    # commands -------------------------------------------------------------------------

    def exec_crash_command(self, line: str) -> str:
        """What crash prints for the few command lines that are asked of it.

        HostError for any other, as where crash has no answer.
        """
        words = line.split()
        answers: Dict[str, Callable[[], str]] = {
            "log": self._log,
            "ptov 0": self._direct_map,
            "help -r": self._registers,
            "sys": self._source,
            # crash's own defaults: drgn has no such settings.
            "set redzone": lambda: "redzone: on\n",
            "set zero_excluded": lambda: "zero_excluded: off\n",
        }
        if line in answers:
            try:
                return answers[line]()
            except _UNKNOWN as error:
                raise HostError(f"{line}: {error}") from error
        if words[:1] in (["struct"], ["union"]) and len(words) in (2, 3):
            address = int(words[2], 16) if len(words) == 3 else None
            try:
                return self._shown.text(words[0], words[1], address)
            except (LookupError, drgn.FaultError) as error:
                raise HostError(f"{words[0]}: {error}") from error
        raise HostError(f"{line}: no command of drgn's")

    def _log(self) -> str:
        lines = []
        for record in get_printk_records(self._program):
            seconds, rest = divmod(record.timestamp, 1000000000)
            head = f"[{seconds:5d}.{rest // 1000:06d}] {_caller(record)}"
            text = "".join(map(_printed, record.text))
            # As crash's log has it: further lines of a record stand below its first one.
            lines.append(head + text.replace("\n", "\n" + " " * len(head)))
        return "".join(f"{text}\n" for text in lines)

    def _direct_map(self) -> str:
        address = phys_to_virt(self._program, 0).value_()
        return f"VIRTUAL           PHYSICAL\n{address:x}  0\n"

    def _registers(self) -> str:
        if self._live:
            raise HostError("help -r: no registers of a running system")
        parts = []
        for cpu in for_each_online_cpu(self._program):
            values = self._registers_of(cpu)
            words = "  ".join(f"{name.upper()}: {value:016x}" for name, value in values.items())
            parts.append(f"CPU {cpu}:\n    {words}\n")
        return "\n".join(parts)

    def _registers_of(self, cpu: int) -> Dict[str, int]:
        try:
            frames = self._program.stack_trace(cpu_curr(self._program, cpu))
        except Exception:
            # drgn's own for what has no class: up to 0.1.0 it knows nothing of 7.3's ORC.
            return {}
        values = frames[0].registers() if len(frames) else {}
        # crash prints no segments: they hold no address of memory.
        return {name: value for name, value in values.items() if "." not in name}

    def _source(self) -> str:
        path = "/proc/kcore" if self._live else self._program.core_dump_path or "memory"
        return f"    DUMPFILE: {path}\n"

    @property
    def _live(self) -> bool:
        return bool(self._program.flags & drgn.ProgramFlags.IS_LIVE)


def _caller(record: PrintkRecord) -> str:
    """Who printed a record, a task or a CPU, as `log -c` of crash has it; "" if unknown."""
    if record.caller_tid is not None:
        return f"[{f'T{record.caller_tid}':>8}] "
    return "" if record.caller_cpu is None else f"[{f'C{record.caller_cpu}':>8}] "


def _printed(byte: int) -> str:
    """A byte of the log as crash prints it."""
    character = chr(byte)
    return character if character in _PRINTED else "."


_PRINTED = frozenset(map(chr, range(0x20, 0x7F))) | frozenset("\t\n\v\f\r")
