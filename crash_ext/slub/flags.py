# SPDX-License-Identifier: GPL-3.0-or-later
"""SLAB_* flags of a cache by name: kmem_cache.flags (unsigned long, later slab_flags_t).

Knows both numberings. Doesn't know what a flag does to an object's layout.
"""

from __future__ import annotations

from typing import Dict, List

from crash_ext.reader import Reader

# include/linux/slab.h and mm/slab.h up to v6.8. A value that meant two things over the
# years has both names: no member tells which, and a wrong name is worse than a long one.
_HEX = {
    "CONSISTENCY_CHECKS": 0x00000100,
    "RED_ZONE": 0x00000400,
    "POISON": 0x00000800,
    "KMALLOC": 0x00001000,
    "HWCACHE_ALIGN": 0x00002000,
    "CACHE_DMA": 0x00004000,
    "CACHE_DMA32": 0x00008000,
    "STORE_USER": 0x00010000,
    "RECLAIM_ACCOUNT": 0x00020000,
    "PANIC": 0x00040000,
    "TYPESAFE_BY_RCU": 0x00080000,
    "MEM_SPREAD": 0x00100000,
    "TRACE": 0x00200000,
    "DEBUG_OBJECTS": 0x00400000,
    "NOLEAKTRACE": 0x00800000,
    "NO_MERGE|NOTRACK": 0x01000000,
    "FAILSLAB": 0x02000000,
    "ACCOUNT": 0x04000000,
    "KASAN": 0x08000000,
    "NO_USER_FLAGS|DEACTIVATED": 0x10000000,
    "SKIP_KFENCE": 0x20000000,
    "__CMPXCHG_DOUBLE": 0x40000000,
    "__OBJECT_POISON": 0x80000000,
}

# Linux kernel commit cc61eb851461 ("mm, slab: use an enum to define SLAB_ cache creation
# flags") (in v6.9): the bits are enumerators that shift with the configuration.
_BITS = (
    "CONSISTENCY_CHECKS RED_ZONE POISON KMALLOC HWCACHE_ALIGN CACHE_DMA CACHE_DMA32 STORE_USER"
    " PANIC TYPESAFE_BY_RCU TRACE DEBUG_OBJECTS NOLEAKTRACE NO_MERGE FAILSLAB ACCOUNT KASAN"
    " NO_USER_FLAGS RECLAIM_ACCOUNT OBJECT_POISON CMPXCHG_DOUBLE NO_OBJ_EXT OBJ_EXT_IN_OBJ"
    " NO_SHEAVES MAY_ACCOUNT SKIP_KFENCE"
).split()


class Flags:
    """This kernel's flag values: name without SLAB_ -> mask (0 where it has none)."""

    def __init__(self, reader: Reader) -> None:
        self._masks: Dict[str, int] = dict(_HEX)
        # The first of the enumerators is there in every configuration. Where it's missing the
        # others needn't be asked for: a name that isn't known takes gdb some 40 ms.
        if reader.enumerator("_SLAB_" + _BITS[0]) is None:
            return
        self._masks.clear()
        for name in _BITS:
            bit = reader.enumerator("_SLAB_" + name)
            if bit is not None and 0 <= bit < 64:
                self._masks[name] = 1 << bit

    def mask(self, name: str) -> int:
        """The bit of SLAB_<name>, 0 where this kernel has no such flag."""
        return self._masks.get(name, 0)

    def names(self, flags: int) -> List[str]:
        """The names of the set bits; bits without a name as one hexadecimal number."""
        names = [name for name, mask in self._masks.items() if flags & mask]
        rest = flags
        for mask in self._masks.values():
            rest &= ~mask
        if rest:
            names.append(f"{rest:#x}")
        return names
