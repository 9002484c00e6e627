# SPDX-License-Identifier: GPL-3.0-or-later
"""Per-CPU slabs and per-CPU partial slabs: struct kmem_cache_cpu, v3.10 to v6.19.

From v7.0 on (and with CONFIG_SLUB_TINY) there is no such struct, and nothing is found.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import LIST_BOUND
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache


class CpuSlab(NamedTuple):
    """A CPU's struct kmem_cache_cpu."""

    slab: int
    """struct slab * that the CPU allocates from, 0 for none."""
    freelist: int
    """Its lockless freelist: objects that the slab itself counts as used."""
    partial: int
    """struct slab * of the first of its partial slabs, 0 for none."""


class CpuSlabs(NamedTuple):
    """What one CPU holds of a cache."""

    cpu: int
    slab: int
    """struct slab * that the CPU allocates from, 0 for none."""
    freelist: int
    """As in CpuSlab; 0 without a slab."""
    partial: List[int]
    """struct slab * of its partial slabs, whose own counters are right."""


def read_cpu_slab(slub: Slub, cache: Cache, cpu: int) -> Optional[CpuSlab]:
    """What a CPU's struct kmem_cache_cpu holds; None where it has none. Raises ReadError."""
    struct = slub.layout.cpu
    address = slub.reader.percpu(cache.cpu_slab or 0, cpu)
    if struct is None or address is None:
        return None
    data = slub.reader.read(address, struct.span())
    return CpuSlab(
        slab=struct.pointer(data, slub.layout.cpu_page),
        freelist=struct.pointer(data, "freelist"),
        partial=struct.pointer(data, "partial") if "partial" in struct else 0,
    )


def for_each_cpu_slabs(slub: Slub, cache: Cache, problems: List[str]) -> Iterator[CpuSlabs]:
    """What each possible CPU holds of the cache, CPUs that hold nothing left out.

    Offline CPUs too: one that died in the middle may not have been flushed. What can't
    be read goes to `problems`.
    """
    if slub.layout.cpu is None:
        return
    if not cache.cpu_slab:
        problems.append("cpu_slab is 0: what CPUs hold is unknown")
        return
    for cpu in slub.reader.possible_cpus():
        try:
            held = read_cpu_slab(slub, cache, cpu)
        except ReadError as error:
            problems.append(f"cpu {cpu}: struct kmem_cache_cpu: {error}")
            continue
        if held is None:
            continue
        if held.freelist and not held.slab:
            problems.append(f"cpu {cpu}: freelist {hexa(held.freelist)}, but no slab")
        partial = _chain(slub, held.partial, cpu, problems)
        if held.slab or partial:
            yield CpuSlabs(cpu, held.slab, held.freelist if held.slab else 0, partial)


def _chain(slub: Slub, first: int, cpu: int, problems: List[str]) -> List[int]:
    slabs: List[int] = []
    seen = set()
    at = first
    while at:
        if at in seen or len(slabs) >= LIST_BOUND:
            problems.append(f"cpu {cpu}: partial slabs: cycle at slab {hexa(at)}")
            break
        seen.add(at)
        slabs.append(at)
        if "next" not in slub.layout.slab:
            break
        try:
            at = slub.descriptors.next_of(at)
        except ReadError as error:
            problems.append(f"cpu {cpu}: partial slabs: slab {hexa(at)}: {error}")
            break
    return slabs
