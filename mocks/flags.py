# SPDX-License-Identifier: GPL-3.0-or-later
"""SLAB_* flag values of a layout: enumerators where it has them, else the numbers up to 6.8."""

from __future__ import annotations

from mocks.layouts import KernelLayout

# include/linux/slab.h and mm/slab.h up to v6.8.
_NUMBERS = {
    "CONSISTENCY_CHECKS": 0x100,
    "RED_ZONE": 0x400,
    "POISON": 0x800,
    "KMALLOC": 0x1000,
    "HWCACHE_ALIGN": 0x2000,
    "CACHE_DMA": 0x4000,
    "STORE_USER": 0x10000,
    "RECLAIM_ACCOUNT": 0x20000,
    "PANIC": 0x40000,
    "TYPESAFE_BY_RCU": 0x80000,
    "TRACE": 0x200000,
    "NOLEAKTRACE": 0x800000,
    "CMPXCHG_DOUBLE": 0x40000000,
    "OBJECT_POISON": 0x80000000,
}


def flag(layout: KernelLayout, name: str) -> int:
    """The mask of SLAB_<name> (or __<name>), 0 where the layout has no such flag."""
    if any(enumerator.startswith("_SLAB_") for enumerator in layout.enums):
        bit = layout.enums.get("_SLAB_" + name)
        return 0 if bit is None else 1 << bit
    return _NUMBERS.get(name, 0)


def debug_flags(layout: KernelLayout) -> int:
    """The flags that make a cache a debug cache: no per-CPU slabs, no sheaves."""
    names = ("CONSISTENCY_CHECKS", "RED_ZONE", "POISON", "STORE_USER", "TRACE")
    return sum(flag(layout, name) for name in names)
