# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels that heaps can be built for: what their SLUB looks like, as data.

Each entry stands for the trees that `trees` names (facts were read from those). Offsets that
matter to a decoder are those of the trees; the rest is plausible. It knows no memory.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

from mocks import structs as c
from mocks.image import ByteOrder, Structs


class Place(NamedTuple):
    """Where an architecture puts things. Virtual addresses."""

    page_offset: int
    vmemmap: int
    kernel: int
    module: int
    poison: Tuple[int, int]
    """LIST_POISON1 and LIST_POISON2."""


X86_64 = Place(
    0xFFFF888000000000,
    0xFFFFEA0000000000,
    0xFFFFFFFF82000000,
    0xFFFFFFFFC0400000,
    (0xDEAD000000000100, 0xDEAD000000000122),
)
X86_64_OLD = X86_64._replace(
    page_offset=0xFFFF880000000000,
    kernel=0xFFFFFFFF81A00000,
    module=0xFFFFFFFFA0000000,
    poison=(0xDEAD000000000100, 0xDEAD000000000200),
)
S390X = Place(
    0,
    0x0000037200000000,
    0x0000000000100000,
    0x000003FF80000000,
    (0xDEAD000000000100, 0xDEAD000000000122),
)
"""The direct map starts at 0, and the kernel's image lies in it."""
I386 = Place(0xC0000000, 0xF6000000, 0xF8000000, 0xF9000000, (0x100, 0x122))


class KernelLayout(NamedTuple):
    """One shape of SLUB. The strings name behaviour that no member tells."""

    name: str
    trees: str
    structs: Structs
    enums: Dict[str, int]
    word: int = 8
    byteorder: ByteOrder = "little"
    page_size: int = 4096
    place: Place = X86_64
    descriptor: str = "page"
    """The struct that holds slab_cache: page or slab."""
    slab_list: str = "slab_list"
    """The descriptor's member that links it into a node's list."""
    slab_test: str = "flag"
    """flag: PG_slab is a bit of page.flags; mask: inverted bits of page_type; type: top byte."""
    tail: str = "compound_head"
    """first_page, compound_head, compound_info (pointer) or compound_mask (the same, a mask)."""
    freeptr: str = "middle"
    """Where a plain cache's free pointer is: start, middle-up (5.7-5.9) or middle."""
    hardened: Optional[str] = None
    """The key that an encoded pointer holds besides random: addr, swab, or None: no encoding."""
    frozen: str = "none"
    """Whose frozen bit is set: cpu+partial (to 6.7), cpu (6.8 to 6.19), none (7.0 and later)."""
    sheaves: str = "none"
    """none, opt-in (6.18, 6.19) or most (7.0 and later)."""
    leftover: str = "in-place"
    """A failed destroy's cache is: readded at the list's head, in-place, freed, unlinked."""
    memcg: str = "none"
    """How memcg children are told: none, pointer (3.10), is_root_cache, root_cache."""
    possible: str = "__cpu_possible_mask"
    """The symbol of the bit map of possible CPUs (cpu_possible_bits before 4.5)."""
    nodes_shift: int = 6
    """log2 of MAX_NUMNODES; 0: no CONFIG_NUMA."""

    @property
    def node_shift(self) -> int:
        """page->flags >> node_shift is the node."""
        return 8 * self.word - self.nodes_shift

    def has(self, struct: str, member: str = "") -> bool:
        if struct not in self.structs:
            return False
        return not member or member in self.structs[struct][1]


_COMMON = {
    "list_head": "next:p prev:p",
    "callback_head": "next:p func:p",
    "atomic_t": "counter:4",
    "mutex": c.MUTEX_4_10,
}

# include/linux/page-flags.h. PG_slab was bit 7 up to the 4.x trees, 9 in Debian's 5.10 and 6.1.
_FLAGS_3_10 = {"PG_locked": 0, "PG_slab": 7, "PG_head": 14, "PG_tail": 15}
_FLAGS_4_4 = {"PG_locked": 0, "PG_slab": 7, "PG_head": 14}
_FLAGS_4_18 = {"PG_locked": 0, "PG_workingset": 7, "PG_slab": 9, "PG_head": 16}
_FLAGS_6_6 = {"PG_locked": 0, "PG_head": 6, "PG_workingset": 8, "PG_slab": 11}
_FLAGS_6_10 = {"PG_locked": 0, "PG_head": 6, "PG_workingset": 9}

# Linux kernel commit cc61eb851461 (in v6.9): the flags are enumerators. Those of Debian's 6.12.
_BIT_NAMES = (
    "CONSISTENCY_CHECKS RED_ZONE POISON KMALLOC HWCACHE_ALIGN CACHE_DMA CACHE_DMA32 STORE_USER"
    " PANIC TYPESAFE_BY_RCU TRACE NOLEAKTRACE NO_MERGE NO_USER_FLAGS RECLAIM_ACCOUNT"
    " OBJECT_POISON CMPXCHG_DOUBLE"
)


def _bits(more: str = "") -> Dict[str, int]:
    return {"_SLAB_" + name: bit for bit, name in enumerate((_BIT_NAMES + " " + more).split())}


def _structs(word: int, texts: Dict[str, str], nodes: int = 64) -> Structs:
    """SLUB's structs; "kmem_cache" gets its node array, or per_node where that's what it has."""
    per_node = "kmem_cache_per_node_ptrs" in texts
    array = f" per_node:{2 * nodes}p" if per_node else f" node:{nodes}p"
    cache = texts["kmem_cache"] + array
    # unsigned long up to the 4.14 trees, unsigned int from the 4.18 ones.
    orders = {"kmem_cache_order_objects": "x:p" if " oo:p" in cache else "x:4"}
    return c.parse_all({**_COMMON, **orders, **texts, "kmem_cache": cache}, word)


def _page_structs(
    cache: str, page: str, *, cpu: str = c.CPU_3_10, memcg: str = "", word: int = 8, nodes: int = 64
) -> Structs:
    """Kernels whose descriptor is struct page."""
    texts = {
        "kmem_cache": cache,
        "kmem_cache_node": c.NODE,
        "kmem_cache_cpu": cpu,
        "page": page,
        "track": c.TRACK_ADDRS,
    }
    if memcg:
        texts["memcg_cache_params"] = memcg
    if memcg in (c.MEMCG_3_10, c.MEMCG_4_4):
        texts["mutex"] = c.MUTEX_3_10
    return _structs(word, texts, nodes)


def _slab_structs(
    cache: str, slab: str, *, cpu: str = "", track: str = c.TRACK_HANDLE, **more: str
) -> Structs:
    """Kernels with struct slab. A word-sized freeptr_t is there from 6.6 on: see _FREEPTR."""
    texts = {
        "kmem_cache": cache,
        "kmem_cache_node": c.NODE,
        "page": c.PAGE_5_17,
        "slab": slab,
        "track": track,
    }
    if cpu:
        texts["kmem_cache_cpu"] = cpu
    return _structs(8, {**texts, **more})


_SHEAVES = {
    "slub_percpu_sheaves": c.PERCPU_SHEAVES,
    "slab_sheaf": c.SHEAF,
    "node_barn": c.BARN,
}
_FREEPTR = {"freeptr_t": "v:p"}
_COUNTS_4_18 = "pages@2p:4 pobjects@2p+4:4"
_CACHE_5_17 = c.CACHE_5_10.format(
    cpu_partial_slabs="cpu_partial_slabs:4", max="max:4", random="random:p"
)
_CACHE_6_0 = c.CACHE_5_10.format(cpu_partial_slabs="cpu_partial_slabs:4", max="", random="random:p")
_CACHE_5_10 = c.CACHE_5_10.format(cpu_partial_slabs="", max="max:4", random="random:p")
_PAGE_5_10 = c.PAGE_4_18.format(counts=_COUNTS_4_18) + " obj_cgroups@7p:p"

_TABLE = (
    KernelLayout(
        "3.10",
        "3.10.49",
        _page_structs(c.CACHE_3_10.format(pad=""), c.PAGE_3_10, memcg=c.MEMCG_3_10, nodes=1024),
        _FLAGS_3_10,
        place=X86_64_OLD._replace(poison=(0xDEAD000000100100, 0xDEAD000000200200)),
        slab_list="lru",
        tail="first_page",
        freeptr="start",
        frozen="cpu+partial",
        leftover="readded",
        memcg="pointer",
        possible="cpu_possible_bits",
        nodes_shift=10,
    ),
    KernelLayout(
        "el7-1160",
        "el7 3.10.0-1127 and -1160: red_left_pad backported",
        _page_structs(
            c.CACHE_3_10.format(pad="red_left_pad:4"), c.PAGE_3_10, memcg=c.MEMCG_3_10, nodes=1024
        ),
        _FLAGS_3_10,
        place=X86_64_OLD,
        slab_list="lru",
        tail="first_page",
        freeptr="start",
        frozen="cpu+partial",
        leftover="readded",
        memcg="pointer",
        possible="cpu_possible_bits",
        nodes_shift=10,
    ),
    KernelLayout(
        "4.4",
        "4.4.155: memcg_params embedded, no left red zone",
        _page_structs(
            c.CACHE_4_4.format(pad="", memcg="5p", random=""), c.PAGE_4_4, memcg=c.MEMCG_4_4
        ),
        _FLAGS_4_4,
        place=X86_64_OLD,
        slab_list="lru",
        freeptr="start",
        frozen="cpu+partial",
        possible="cpu_possible_bits",
        memcg="is_root_cache",
    ),
    KernelLayout(
        "4.9",
        "4.9.0: left red zone",
        _page_structs(
            c.CACHE_4_4.format(pad="red_left_pad:4", memcg="5p", random=""),
            c.PAGE_4_4,
            memcg=c.MEMCG_4_4,
        ),
        _FLAGS_4_4,
        place=X86_64_OLD,
        slab_list="lru",
        freeptr="start",
        frozen="cpu+partial",
        memcg="is_root_cache",
    ),
    KernelLayout(
        "4.12",
        "4.12.0: a root is a cache without root_cache",
        _page_structs(
            c.CACHE_4_4.format(pad="red_left_pad:4", memcg="16p", random=""),
            c.PAGE_4_4,
            memcg=c.MEMCG_4_12,
        ),
        _FLAGS_4_4,
        place=X86_64_OLD,
        slab_list="lru",
        freeptr="start",
        frozen="cpu+partial",
        memcg="root_cache",
    ),
    KernelLayout(
        "4.14",
        "4.14.74: hardened freelist, the key is the address",
        _page_structs(
            c.CACHE_4_4.format(pad="red_left_pad:4", memcg="16p", random="random:p"),
            c.PAGE_4_4,
            memcg=c.MEMCG_4_12,
        ),
        _FLAGS_4_4,
        place=X86_64_OLD,
        slab_list="lru",
        freeptr="start",
        hardened="addr",
        frozen="cpu+partial",
        memcg="root_cache",
    ),
    KernelLayout(
        "4.18",
        "el8 4.18.0-147, 4.19.78: slab_list, 32-bit flags and oo",
        _page_structs(
            c.CACHE_4_18.format(cpu_partial="cpu_partial:4", memcg="16p", random="random:p"),
            c.PAGE_4_18.format(counts=_COUNTS_4_18) + " mem_cgroup@7p:p",
            memcg=c.MEMCG_4_12,
        ),
        _FLAGS_4_18,
        freeptr="start",
        hardened="addr",
        frozen="cpu+partial",
        memcg="root_cache",
    ),
    KernelLayout(
        "4.19-plain",
        "4.19.78 without CONFIG_SLAB_FREELIST_HARDENED and CONFIG_SLUB_CPU_PARTIAL",
        _page_structs(
            c.CACHE_4_18.format(cpu_partial="", memcg="16p", random=""),
            c.PAGE_4_18.format(counts=_COUNTS_4_18) + " mem_cgroup@7p:p",
            memcg=c.MEMCG_4_12,
            cpu="freelist:p tid:p page:p",
        ),
        _FLAGS_4_18,
        freeptr="start",
        frozen="cpu+partial",
        memcg="root_cache",
    ),
    KernelLayout(
        "5.7",
        # Linux kernel commit 1ad53d9fa3f6 (in v5.7): the address is byte-swapped.
        "5.7.14, 5.8.1: swapped key, free pointer near the middle, rounded up",
        _page_structs(
            c.CACHE_4_18.format(cpu_partial="cpu_partial:4", memcg="16p", random="random:p"),
            c.PAGE_4_18.format(counts=_COUNTS_4_18) + " mem_cgroup@7p:p",
            memcg=c.MEMCG_4_12,
        ),
        _FLAGS_4_18,
        freeptr="middle-up",
        hardened="swab",
        frozen="cpu+partial",
        memcg="root_cache",
    ),
    KernelLayout(
        "5.10",
        "5.10.223 (Debian), 5.11.4: no memcg children, free pointer in the middle",
        _page_structs(_CACHE_5_10, _PAGE_5_10),
        _FLAGS_4_18,
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "5.10-i386",
        "5.10.223 with 32-bit words, without CONFIG_NUMA and hardened freelists",
        _page_structs(
            c.CACHE_5_10.format(cpu_partial_slabs="", max="max:4", random=""),
            c.PAGE_4_18.format(counts="pages@2p:2 pobjects@2p+2:2"),
            word=4,
            nodes=1,
        ),
        _FLAGS_4_18,
        word=4,
        place=I386,
        frozen="cpu+partial",
        nodes_shift=0,
    ),
    KernelLayout(
        "5.15",
        "5.15.16, 5.15.148: a lock in kmem_cache_cpu",
        _page_structs(_CACHE_5_10, _PAGE_5_10, cpu=c.CPU_5_15),
        _FLAGS_4_18,
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "5.17",
        # Linux kernel commit d122019bf061 (in v5.17): struct slab.
        "5.17.0: struct slab, kmem_cache_cpu.slab",
        _slab_structs(_CACHE_5_17, c.SLAB_5_17, cpu=c.CPU_5_17, track=c.TRACK_ADDRS),
        _FLAGS_4_18,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "5.19",
        "5.17.0 to 6.0.1: struct slab as before, tracks in the stack depot",
        _slab_structs(_CACHE_5_17, c.SLAB_5_17, cpu=c.CPU_5_17),
        _FLAGS_4_18,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "6.1",
        "6.1.192 (Debian): no kmem_cache.max, a failed destroy keeps the cache",
        _slab_structs(_CACHE_6_0, c.SLAB_5_17, cpu=c.CPU_5_17),
        _FLAGS_4_18,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "6.1-s390x",
        "6.1 on s390x: bit fields from the other end, direct map at 0, 72-byte struct page",
        _slab_structs(_CACHE_6_0, c.SLAB_5_17, cpu=c.CPU_5_17, page=c.PAGE_5_17 + " virtual@8p:p"),
        _FLAGS_4_18,
        byteorder="big",
        place=S390X,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
    ),
    KernelLayout(
        "6.2",
        "6.2.1, 6.3.8: slab_cache before slab_list; a failed destroy frees the cache's struct",
        _slab_structs(_CACHE_6_0, c.SLAB_6_2, cpu=c.CPU_5_17),
        _FLAGS_4_18,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
        leftover="freed",
    ),
    KernelLayout(
        "6.5",
        "6.5.0: freelist and tid in a union; a failed destroy frees the cache's struct",
        _slab_structs(_CACHE_6_0, c.SLAB_6_2, cpu=c.CPU_6_5),
        _FLAGS_6_6,
        descriptor="slab",
        hardened="swab",
        frozen="cpu+partial",
        leftover="freed",
    ),
    KernelLayout(
        "6.6-tiny",
        "6.6.0 with CONFIG_SLUB_TINY: no cpu_slab, no debugging, no sysfs",
        _slab_structs(c.CACHE_TINY, c.SLAB_6_2, kmem_cache_node=c.NODE_TINY, **_FREEPTR),
        _FLAGS_6_6,
        descriptor="slab",
    ),
    KernelLayout(
        "6.9",
        "6.8.1, 6.9.0: flags are enumerators, per-CPU partial slabs aren't frozen",
        _slab_structs(_CACHE_6_0, c.SLAB_6_2, cpu=c.CPU_6_5, **_FREEPTR),
        {**_FLAGS_6_6, **_bits()},
        descriptor="slab",
        hardened="swab",
        frozen="cpu",
    ),
    KernelLayout(
        "6.11",
        # Linux kernel commit 46df8e73a4a3 (in v6.10): PG_slab left page.flags.
        "6.11.11: a slab by page_type, inverted bits; the name PG_slab is the mask now",
        _slab_structs(_CACHE_6_0, c.SLAB_6_11, cpu=c.CPU_6_5, **_FREEPTR),
        {**_FLAGS_6_10, **_bits(), "PAGE_TYPE_BASE": 0x80000000, "PG_slab": 0x02000000},
        descriptor="slab",
        slab_test="mask",
        hardened="swab",
        frozen="cpu",
    ),
    KernelLayout(
        "6.12",
        # Linux kernel commit 4ec10268ed98 (in v6.12): destroy unlinks first.
        "6.12.117 (Debian): PGTY_slab; a failed destroy leaves the cache off the list",
        _slab_structs(_CACHE_6_0, c.SLAB_6_11, cpu=c.CPU_6_5, **_FREEPTR),
        {**_FLAGS_6_10, **_bits("NO_OBJ_EXT"), "PGTY_buddy": 0xF0, "PGTY_slab": 0xF5},
        descriptor="slab",
        slab_test="type",
        hardened="swab",
        frozen="cpu",
        leftover="unlinked",
    ),
    KernelLayout(
        "6.18",
        "6.18.2, 6.19.0: sheaves for caches that ask for them, per-CPU slabs beside",
        _slab_structs(
            c.CACHE_6_18,
            c.SLAB_6_18,
            cpu=c.CPU_6_5,
            kmem_cache_node=c.NODE_BARN,
            defer_free=c.DEFER_FREE,
            **_SHEAVES,
            **_FREEPTR,
        ),
        {**_FLAGS_6_10, **_bits("NO_OBJ_EXT"), "PGTY_buddy": 0xF0, "PGTY_slab": 0xF5},
        descriptor="slab",
        slab_test="type",
        hardened="swab",
        frozen="cpu",
        sheaves="opt-in",
        leftover="unlinked",
    ),
    KernelLayout(
        "7.0",
        "7.0.0: sheaves for most, no per-CPU slabs, the barn in kmem_cache_node",
        _slab_structs(
            c.CACHE_7_0,
            c.SLAB_7_0,
            kmem_cache_node=c.NODE_BARN,
            defer_free=c.DEFER_FREE,
            **_SHEAVES,
            **_FREEPTR,
        ),
        {
            **_FLAGS_6_10,
            **_bits("NO_OBJ_EXT OBJ_EXT_IN_OBJ"),
            "PGTY_buddy": 0xF0,
            "PGTY_slab": 0xF5,
        },
        descriptor="slab",
        slab_test="type",
        hardened="swab",
        sheaves="most",
        leftover="unlinked",
    ),
    KernelLayout(
        "7.1",
        # Linux kernel commit 5ba6bc27b1f9 (in v7.1): per_node.
        "7.1.5: an array of {barn, node}; compound_info is a mask",
        _slab_structs(
            c.CACHE_7_0,
            c.SLAB_7_0,
            page=c.PAGE_7_1,
            defer_free=c.DEFER_FREE,
            kmem_cache_per_node_ptrs="barn:p node:p",
            **_SHEAVES,
            **_FREEPTR,
        ),
        {
            **_FLAGS_6_10,
            **_bits("NO_OBJ_EXT OBJ_EXT_IN_OBJ"),
            "PGTY_buddy": 0xF0,
            "PGTY_slab": 0xF5,
        },
        descriptor="slab",
        slab_test="type",
        tail="compound_mask",
        hardened="swab",
        sheaves="most",
        leftover="unlinked",
    ),
    KernelLayout(
        "7.3",
        "7.2.12, 7.3.4 (Debian): no stride; compound_info is a pointer (no vmemmap trimming)",
        _slab_structs(
            c.CACHE_7_0,
            c.SLAB_7_3,
            page=c.PAGE_7_1,
            deferred_percpu_work=c.DEFERRED_WORK,
            kmem_cache_per_node_ptrs="barn:p node:p",
            **{**_SHEAVES, "slab_sheaf": c.SHEAF + " llnode@0:p"},
            **_FREEPTR,
        ),
        {
            **_FLAGS_6_10,
            **_bits("OBJ_EXT_IN_OBJ NO_SHEAVES MAY_ACCOUNT"),
            "PGTY_buddy": 0xF0,
            "PGTY_slab": 0xF5,
        },
        descriptor="slab",
        slab_test="type",
        tail="compound_info",
        hardened="swab",
        sheaves="most",
        leftover="unlinked",
    ),
)

LAYOUTS: Dict[str, KernelLayout] = {layout.name: layout for layout in _TABLE}
"""Every layout by name, oldest first."""
