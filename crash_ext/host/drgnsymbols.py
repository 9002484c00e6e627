# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols by name and by address, from a drgn.Program.

An address belongs to the last symbol at or before it, as crash has it, whatever the symbol's
size; drgn's own lookup knows an address in a symbol only. Of several names for an address
crash takes the first in the alphabet, and for one behind it the last.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import Dict, List, Optional, Tuple

import drgn
from drgn.helpers.linux.kallsyms import load_module_kallsyms


class SymbolTable:
    """The kernel's symbols and its modules'."""

    def __init__(self, program: drgn.Program) -> None:
        self._program = program
        self._addresses: List[int] = []
        self._names: List[str] = []
        self._sizes: List[int] = []
        self._first = 0
        self._known: Dict[str, int] = {}
        """Name -> address of what was asked: drgn searches all of its tables each time."""

    def address(self, name: str) -> Optional[int]:
        """The address of a symbol; None where there is none of that name."""
        found = self._known.get(name)
        if found is None:
            found = self._look_up(name)
            if found is not None:
                self._known[name] = found
        return found

    def _look_up(self, name: str) -> Optional[int]:
        try:
            found = int(self._program.symbol(name).address)
            # On arm64 with KASLR drgn leaves these as they were linked: they lie in no section.
            if name in _BEHIND_ALL and found < int(self._program.symbol("_text").address):
                found += self._moved()
        except LookupError:
            return None
        return found

    def _moved(self) -> int:
        """Bytes that the kernel has moved itself at boot, by VMCOREINFO. Raises LookupError."""
        text = self._program["VMCOREINFO"].string_().decode(errors="replace")
        told = re.search(r"^KERNELOFFSET=([0-9a-f]+)$", text, re.MULTILINE)
        if told is None:
            raise LookupError
        return int(told.group(1), 16)

    def at(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the symbol that an address lies in or behind."""
        if not self._names:
            self._load()
        if not self._first <= address <= self._addresses[-1]:
            return None
        return self._before(address)

    def percpu(self, pointer: int) -> Optional[Tuple[str, int]]:
        """The same for a per-CPU variable of the kernel's own by its pointer."""
        first, end = (self.address(name) for name in ("__per_cpu_start", "__per_cpu_end"))
        if first is None or end is None or not first <= pointer < end:
            return None
        if not self._names:
            self._load()
        return self._before(pointer)

    def _before(self, address: int) -> Tuple[str, int]:
        exact = bisect_left(self._addresses, address)
        if self._addresses[exact] == address:
            return self._names[exact], 0
        before = bisect_right(self._addresses, address) - 1
        return self._names[before], address - self._addresses[before]

    def holding(self, address: int) -> Optional[Tuple[str, int]]:
        """(name, offset) of the kernel's own symbol that an address lies in, by its size."""
        if not self._names:
            self._load()
        if address < self._first:
            return None
        last = bisect_right(self._addresses, address)
        for number in range(last - 1, max(last - 1 - _BACK, -1), -1):
            offset = address - self._addresses[number]
            if offset < self._sizes[number]:
                return self._names[number], offset
        return None

    def _load(self) -> None:
        found = {
            (symbol.address, symbol.name, symbol.size)
            for symbol in self._program.symbols()
            if symbol.name and symbol.kind.value != _FILE
        }
        found |= {(symbol.address, symbol.name, 0) for symbol in self._of_modules()}
        ordered = sorted(found) or [(0, "", 0)]
        self._addresses = [address for address, _, _ in ordered]
        self._names = [name for _, name, _ in ordered]
        self._sizes = [size for _, _, size in ordered]
        starts = [self.address(name) for name in ("_text", "_stext")]
        # Below the image lie constants and offsets of per-CPU variables, no addresses.
        self._first = min((start for start in starts if start), default=self._addresses[0])

    def _of_modules(self) -> List[drgn.Symbol]:
        try:
            index = load_module_kallsyms(self._program)
            return list(index(self._program, None, None, False))
        except (LookupError, AttributeError, ValueError, drgn.FaultError):
            # A damaged dump: what is in the modules has no names then.
            return []


_BEHIND_ALL = ("_end", "__bss_stop")
_FILE = 4
"""STT_FILE: the symbol's name is a source file's."""
_BACK = 16
"""So many symbols before an address are asked whether they hold it: labels lie in functions."""
