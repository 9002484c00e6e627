# SPDX-License-Identifier: GPL-3.0-or-later
"""Compact notation for C structs, and SLUB's structs of every kernel written in it.

A struct is "name:size …"; a size is bytes, or words with a p behind it ("2p", "p", "3p+4").
Members follow each other with natural alignment unless "name@offset:size" places them,
which is also how a union is written; "=total" at the end fixes sizeof.
"""

from __future__ import annotations

import re
from typing import Dict, Tuple

from mocks.image import Members

_TERM = re.compile(r"(?:(\d*)(p))?\+?(\d+)?$")


def measure(text: str, word: int) -> int:
    """Bytes of "12", "p", "2p" or "3p+4"."""
    match = _TERM.match(text)
    if match is None:
        raise ValueError(f"no size: {text}")
    times = int(match.group(1) or 1) if match.group(2) else 0
    return times * word + int(match.group(3) or 0)


def parse(text: str, word: int) -> Tuple[int, Members]:
    """(sizeof, members) of a struct in the notation above."""
    members: Members = {}
    here, total = 0, 0
    for part in text.split():
        if part.startswith("="):
            return measure(part[1:], word), members
        name, _, size_text = part.partition(":")
        size = measure(size_text, word)
        name, placed, offset_text = name.partition("@")
        if placed:
            here = measure(offset_text, word)
        else:
            align = min(word, size & -size) or word
            here = (here + align - 1) // align * align
        members[name] = (here, size)
        here += size
        total = max(total, here)
    return (total + word - 1) // word * word, members


def parse_all(texts: Dict[str, str], word: int) -> Dict[str, Tuple[int, Members]]:
    return {name: parse(text, word) for name, text in texts.items()}


# struct kmem_cache, without its node array: layouts append "node" or "per_node".

CACHE_3_10 = (
    "cpu_slab:p flags:p min_partial:p size:4 object_size:4 offset:4 cpu_partial:4 oo:p max:p"
    " min:p allocflags:4 refcount:4 ctor:p inuse:4 align:4 reserved:4 {pad} name:p list:2p"
    " kobj:64 memcg_params:p max_attr_size:4 remote_node_defrag_ratio:4"
)
CACHE_4_4 = (
    "cpu_slab:p flags:p min_partial:p size:4 object_size:4 offset:4 cpu_partial:4 oo:p max:p"
    " min:p allocflags:4 refcount:4 ctor:p inuse:4 align:4 reserved:4 {pad} name:p list:2p"
    " kobj:64 memcg_params:{memcg} max_attr_size:4 memcg_kset:p {random}"
    " remote_node_defrag_ratio:4"
)
CACHE_4_18 = (
    "cpu_slab:p flags:4 min_partial:p size:4 object_size:4 offset:4 {cpu_partial} oo:4 max:4"
    " min:4 allocflags:4 refcount:4 ctor:p inuse:4 align:4 red_left_pad:4 name:p list:2p"
    " kobj:64 memcg_params:{memcg} {random} remote_node_defrag_ratio:4 random_seq:p"
    " useroffset:4 usersize:4"
)
CACHE_5_10 = (
    "cpu_slab:p flags:4 min_partial:p size:4 object_size:4 reciprocal_size:8 offset:4"
    " cpu_partial:4 {cpu_partial_slabs} oo:4 {max} min:4 allocflags:4 refcount:4 ctor:p inuse:4"
    " align:4 red_left_pad:4 name:p list:2p kobj:64 {random} remote_node_defrag_ratio:4"
    " random_seq:p useroffset:4 usersize:4"
)
CACHE_TINY = (
    "flags:4 min_partial:p size:4 object_size:4 reciprocal_size:8 offset:4 oo:4 min:4"
    " allocflags:4 refcount:4 ctor:p inuse:4 align:4 red_left_pad:4 name:p list:2p"
)
CACHE_6_18 = (
    "cpu_slab:p lock_key:0 cpu_sheaves:p flags:4 min_partial:p size:4 object_size:4"
    " reciprocal_size:8 offset:4 cpu_partial:4 cpu_partial_slabs:4 sheaf_capacity:4 oo:4 min:4"
    " allocflags:4 refcount:4 ctor:p inuse:4 align:4 red_left_pad:4 name:p list:2p kobj:64"
    " random:p remote_node_defrag_ratio:4 random_seq:p"
)
CACHE_7_0 = (
    "cpu_sheaves:p flags:4 min_partial:p size:4 object_size:4 reciprocal_size:8 offset:4"
    " sheaf_capacity:4 oo:4 min:4 allocflags:4 refcount:4 ctor:p inuse:4 align:4 red_left_pad:4"
    " name:p list:2p kobj:64 random:p remote_node_defrag_ratio:4 random_seq:p"
)

# struct memcg_cache_params: pointed to in 3.10, inside kmem_cache from 4.4 to 5.8.

MEMCG_3_10 = "is_root_cache:1 memcg_caches@p:0 memcg@p:p list@2p:2p root_cache@4p:p dead@5p:1 =6p"
MEMCG_4_4 = "is_root_cache:1 list:2p memcg_caches@3p:p memcg@3p:p root_cache@4p:p"
MEMCG_4_12 = (
    "root_cache:p memcg_caches@p:p __root_caches_node@2p:2p children@4p:2p"
    " memcg@p:p children_node@2p:2p kmem_caches_node@4p:2p =16p"
)

# struct kmem_cache_node.

NODE = "list_lock:4 nr_partial:p partial:2p nr_slabs:p total_objects:p full:2p"
NODE_TINY = "list_lock:4 nr_partial:p partial:2p"
NODE_BARN = NODE + " barn:p"

# struct kmem_cache_cpu.

CPU_3_10 = "freelist:p tid:p page:p partial:p"
CPU_5_15 = "freelist:p tid:p page:p partial:p lock:4"
CPU_5_17 = "freelist:p tid:p slab:p partial:p lock:4"
CPU_6_5 = "freelist_tid@0:2p freelist@0:p tid@p:p slab@2p:p partial:p lock:4"

# Sheaves, 6.18 and later.

PERCPU_SHEAVES = "lock:4 main:p spare:p rcu_free:p"
SHEAF = (
    "rcu_head@0:2p barn_list@0:2p capacity@0:4 pfmemalloc@4:1"
    " cache@2p:p size:4 node:4 objects@3p+8:0"
)
BARN = "lock:4 sheaves_full:2p sheaves_empty:2p nr_full:4 nr_empty:4"
DEFER_FREE = "objects:p slabs:p work:4p"
DEFERRED_WORK = "objects:p objects_by_rcu:p rcu_sheaves:p work:4p"

# struct mutex: a counter up to the 4.9 trees, the owner with flag bits from 4.10 on.

MUTEX_3_10 = "count:4 wait_lock:4 wait_list:2p owner:p"
MUTEX_4_10 = "owner:p wait_lock:4 osq:4 wait_list:2p"

# struct page and the slab's descriptor. A bit field's offset is the byte of its first bit,
# as gdb and so crash give it: inuse:16, objects:15, frozen:1 in one 32-bit unit.

PAGE_3_10 = (
    "flags@0:p mapping@p:p index@2p:p freelist@2p:p counters@3p:p _mapcount@3p:4 inuse@3p:4"
    " objects@3p+2:4 frozen@3p+3:4 _count@3p+4:4 lru@4p:2p next@4p:p pages@5p:4 pobjects@5p+4:4"
    " private@6p:p slab_cache@6p:p first_page@6p:p =64"
)
PAGE_4_4 = (
    "flags@0:p mapping@p:p index@2p:p freelist@2p:p counters@3p:p _mapcount@3p:4 inuse@3p:4"
    " objects@3p+2:4 frozen@3p+3:4 _count@3p+4:4 lru@4p:2p next@4p:p pages@5p:4 pobjects@5p+4:4"
    " compound_head@4p:p private@6p:p slab_cache@6p:p mem_cgroup@7p:p =64"
)
PAGE_4_18 = (
    "flags@0:p lru@p:2p mapping@3p:p index@4p:p private@5p:p slab_list@p:2p next@p:p {counts}"
    " slab_cache@3p:p freelist@4p:p counters@5p:p inuse@5p:4 objects@5p+2:4 frozen@5p+3:4"
    " compound_head@p:p _mapcount@6p:4 page_type@6p:4 _refcount@6p+4:4"
)
PAGE_5_17 = (
    "flags@0:p lru@p:2p mapping@3p:p index@4p:p private@5p:p compound_head@p:p _mapcount@6p:4"
    " page_type@6p:4 _refcount@6p+4:4 memcg_data@7p:p"
)
PAGE_7_1 = PAGE_5_17.replace("compound_head", "compound_info")

_COUNTERS = "freelist@4p:p counters@5p:p inuse@5p:4 objects@5p+2:4 frozen@5p+3:4"
SLAB_5_17 = (
    "__page_flags@0:p slab_list@p:2p next@p:p slabs@2p:4 rcu_head@p:2p slab_cache@3p:p"
    f" {_COUNTERS} __unused@6p:4 __page_refcount@6p+4:4 memcg_data@7p:p"
)
SLAB_6_2 = (
    "__page_flags@0:p slab_cache@p:p slab_list@2p:2p next@2p:p slabs@3p:4 rcu_head@2p:2p"
    f" {_COUNTERS} __unused@6p:4 __page_refcount@6p+4:4 memcg_data@7p:p"
)
SLAB_6_11 = (
    "__page_flags@0:p slab_cache@p:p slab_list@2p:2p next@2p:p slabs@3p:4 rcu_head@2p:2p"
    f" {_COUNTERS} __page_type@6p:4 __page_refcount@6p+4:4 obj_exts@7p:p"
)
SLAB_6_18 = (
    "flags@0:p slab_cache@p:p slab_list@2p:2p next@2p:p slabs@3p:4 llnode@2p:p"
    f" flush_freelist@3p:p rcu_head@2p:2p {_COUNTERS}"
    " __page_type@6p:4 __page_refcount@6p+4:4 obj_exts@7p:p"
)
SLAB_7_0 = (
    f"flags@0:p slab_cache@p:p slab_list@2p:2p rcu_head@2p:2p {_COUNTERS} stride@5p+4:4"
    " __page_type@6p:4 __page_refcount@6p+4:4 obj_exts@7p:p"
)
SLAB_7_3 = (
    f"flags@0:p slab_cache@p:p slab_list@2p:2p rcu_head@2p:2p {_COUNTERS}"
    " obj_exts_in_object@5p+4:4 obj_exts_needs_objcg@5p+4:4"
    " __page_type@6p:4 __page_refcount@6p+4:4 obj_exts@7p:p"
)

# struct track.

TRACK_ADDRS = "addr:p addrs:16p cpu:4 pid:4 when:p"
TRACK_HANDLE = "addr:p handle:4 cpu:4 pid:4 when:p"
