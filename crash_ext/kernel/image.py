# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's image: its range of addresses, and where the direct map shows it again."""

from __future__ import annotations

from functools import cached_property
from typing import Iterator, List, Optional, Tuple

from crash_ext.kernel.memory import read_symbol_number
from crash_ext.reader import Reader, ReadError

X86_64_MAP = 0xFFFFFFFF80000000
"""__START_KERNEL_map, in every x86-64 kernel."""
X86_64_MODULES_END = 0xFFFFFFFFFF000000
"""From here on there are fixed mappings; before, behind the image, modules."""
X86_64_MODULES_STEP = 1 << 29
"""MODULES_VADDR is KERNEL_IMAGE_SIZE behind __START_KERNEL_map: 512 MB or 1 GB."""
_SAMPLE = 64
_GIVEN_BACK = (
    ("__init_begin", "__init_end"),
    # "Freeing unused kernel image (text/rodata gap) memory": x86-64.
    ("_etext", "__start_rodata"),
    ("__end_rodata", "_sdata"),
    ("__start_bss_decrypted_unused", "__end_bss_decrypted"),
)
"""Symbols around what free_kernel_image_pages() and its like free at boot."""


class KernelImage:
    """From _text to _end. Empty where the symbols aren't known."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        starts = [reader.symbol(name) for name in ("_text", "_stext")]
        known = [start for start in starts if start is not None]
        self.end = reader.symbol("_end") or 0
        self.start = min(known) if known and self.end else self.end
        self.shift: Optional[int] = _shift(reader)
        """Direct map's address minus the image's own; None where that's not known."""

    @cached_property
    def _given_back(self) -> List[Tuple[int, int]]:
        """Ranges of the image that are ordinary memory since the boot."""
        pairs = (
            (self._reader.symbol(first), self._reader.symbol(last)) for first, last in _GIVEN_BACK
        )
        found = [(start, end) for start, end in pairs if start is not None and end is not None]
        return [*found, *self._unused_brk()]

    def _unused_brk(self) -> Iterator[Tuple[int, int]]:
        """What extend_brk() has not handed out: x86, arch/x86/kernel/setup.c, reserve_brk()."""
        reader = self._reader
        used = read_symbol_number(reader, "_brk_end", reader.word)
        limit = reader.symbol("__brk_limit")
        if used is not None and limit is not None and self.holds(used):
            yield -(-used // reader.page_size) * reader.page_size, limit

    def holds(self, address: int) -> bool:
        """Whether an address lies in the image."""
        return self.start <= address < self.end

    def alias(self, address: int) -> Optional[int]:
        """The image's own address of what an address of the direct map shows, else None.

        Not of the ranges that are given back after booting: whatever lies there now has no
        other address.
        """
        if not self.shift:
            return None
        own = address - self.shift
        return own if self.holds(own) and not self.gave_back(own) else None

    def gave_back(self, address: int) -> bool:
        """Whether an address of the image is ordinary memory since the boot."""
        return any(start <= address < end for start, end in self._given_back)


def _shift(reader: Reader) -> Optional[int]:
    """Every candidate has to show the kernel's banner in both places."""
    banner = reader.symbol("linux_banner")
    if banner is None:
        return None
    try:
        wanted = reader.read(banner, _SAMPLE)
    except ReadError:
        return None
    if not any(wanted):
        return None
    for physical in _candidates(reader, banner):
        address = reader.phys_to_virt(physical)
        if address is None or address == banner:
            continue
        try:
            if reader.read(address, _SAMPLE) == wanted:
                return address - banner
        except ReadError:
            continue
    return None


def _candidates(reader: Reader, address: int) -> Iterator[int]:
    """The physical addresses that an address of the image may have."""
    base = read_symbol_number(reader, "phys_base", reader.word)
    if base is not None and address >= X86_64_MAP:
        yield (address - X86_64_MAP + base) & ((1 << 64) - 1)
    # arm64.
    offset = read_symbol_number(reader, "kimage_voffset", reader.word)
    if offset is not None:
        yield (address - offset) & ((1 << 64) - 1)
