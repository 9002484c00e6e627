# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CPU's per-CPU memory is an address in? The static part, and every other chunk.

All chunks place the units of the CPUs as the first one does: a chunk's base and a unit's
offset from it are enough. Of the first chunk's units the kernel gives back at boot what is
behind the memory that it had asked for (mm/percpu.c, pcpu_embed_first_chunk()): any hash table
from boot may lie there.
"""

from __future__ import annotations

from itertools import islice
from typing import Dict, Iterator, List, NamedTuple, Tuple

from crash_ext.kernel.memory import read_symbol_number, try_number, walk_both_ways
from crash_ext.kernel.ranges import Ranges
from crash_ext.reader import Reader

_SLOTS = 64
_CHUNKS = 1 << 14
_LARGEST_UNIT = 1 << 30
_UNITS = 1 << 18
"""Of all CPUs together; those of the first chunks are found first."""


class Unit(NamedTuple):
    """One CPU's piece of a chunk."""

    start: int
    end: int
    cpu: int
    pointer: int
    """What a per-CPU pointer to its first byte is."""


class PercpuAreas:
    """The units of all CPUs. Empty on a kernel for one processor."""

    def __init__(self, reader: Reader) -> None:
        self.units = Ranges(islice(_find(reader), _UNITS))
        self.static_end = reader.symbol("__per_cpu_end") or 0
        """Per-CPU pointers below this are to variables of the kernel."""


def _find(reader: Reader) -> Iterator[Unit]:
    size = read_symbol_number(reader, "pcpu_unit_size", 4)
    base = read_symbol_number(reader, "pcpu_base_addr", reader.word)
    if reader.symbol("__per_cpu_offset") is None or not size or not base or size > _LARGEST_UNIT:
        return
    # On x86 the per-CPU section was linked to address 0, which is no symbol's.
    start = reader.symbol("__per_cpu_start") or 0
    cpus = [(cpu, reader.percpu(start, cpu)) for cpu in reader.possible_cpus()]
    firsts: List[Tuple[int, int]] = [(cpu, first) for cpu, first in cpus if first is not None]
    for chunk, length in _chunks(reader, base, size):
        for cpu, first in firsts:
            address = first - base + chunk
            pointer = (start + chunk - base) & ((1 << 8 * reader.word) - 1)
            yield Unit(address, address + length, cpu, pointer)


def _chunks(reader: Reader, base: int, unit: int) -> Iterator[Tuple[int, int]]:
    """(base address, bytes that a unit has of it) of all chunks, the first one first.

    What is left of the first units behind the kernel's variables is a chunk of its own there.
    """
    where, pages = reader.offset("pcpu_chunk", "base_addr"), reader.offset("pcpu_chunk", "nr_pages")
    found: Dict[int, int] = {}
    for chunk in for_each_chunk(reader):
        start = None if where is None else try_number(reader, chunk + where, reader.word)
        # Up to v4.13 a chunk doesn't say how large it is.
        count = None if pages is None else try_number(reader, chunk + pages, 4)
        if start:
            found.setdefault(start, min(unit, (count or unit) * reader.page_size))
    ends = [start + length for start, length in found.items() if base <= start < base + unit]
    yield base, min(max(ends) - base, unit) if ends else unit
    for start, length in found.items():
        if not base <= start < base + unit:
            yield start, length


def for_each_chunk(reader: Reader) -> Iterator[int]:
    """The struct pcpu_chunk of all chunks; the first one's covers what was left of its units."""
    link = reader.offset("pcpu_chunk", "list")
    count = read_symbol_number(reader, "pcpu_nr_slots", 4)
    # pcpu_slot up to v5.13.
    for name in ("pcpu_chunk_lists", "pcpu_slot"):
        table = read_symbol_number(reader, name, reader.word)
        if table and count and link is not None:
            break
    else:
        return
    left = _CHUNKS
    for slot in range(min(count, _SLOTS)):
        head = table + slot * 2 * reader.word
        for entry in walk_both_ways(reader, head).addresses[:left]:
            left -= 1
            yield entry - link
