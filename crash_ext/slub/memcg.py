# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory cgroups: which cgroup one is of, and the child caches that they had (v3.10 to v5.8).

The kernel names a child ROOT(id:cgroup) and keeps it on slab_caches like any other.
Linux kernel commit 9855609bde03 ("mm: memcg/slab: use a single set of kmem_caches for
all accounted allocations") (in v5.9) did away with them.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.kernel.kernfs import kernfs_path
from crash_ext.kernel.memory import read_number, read_word
from crash_ext.kernel.structs import MissingMember, find_offset
from crash_ext.reader import Reader, ReadError

_MEMBER = "memcg_params"
_PARAMS = "memcg_cache_params"


class Memcg(NamedTuple):
    """A memory cgroup: that an object is charged to, or that has a child cache."""

    address: int
    """struct mem_cgroup *"""
    number: Optional[int]
    """mem_cgroup.id: the kernel's private number for it."""
    path: Optional[bytes]
    """Of its cgroup, from the hierarchy's root; None where it can't be read."""
    removed: bool = False
    """Its cgroup's directory is gone: what is charged to it keeps it."""


class NoMemcg(Exception):
    """An address where no struct mem_cgroup is, or none any more."""


def root_cache(reader: Reader, cache: int) -> int:
    """The struct kmem_cache * that a cache is a memcg child of; 0 for a root cache.

    0, too, where the record can't be read: then its name decides.
    """
    try:
        params = _params(reader, cache)
        if not params:
            return 0
        # A flag up to the 4.9 tree; later root_cache is NULL in a root.
        flag = reader.offset(_PARAMS, "is_root_cache")
        if flag is not None and read_number(reader, params + flag, 1):
            return 0
        return read_word(reader, params + find_offset(reader, _PARAMS, "root_cache"))
    except (MissingMember, ReadError):
        return 0


def memcg_of_child(reader: Reader, cache: int) -> Optional[Memcg]:
    """The memcg that a memcg child is for; None where that can't be read any more.

    The child holds a reference: a removed cgroup's memcg is there as long as objects are.
    From v5.3 on such a child is given to the cgroup above.
    """
    # Linux kernel commit fb2f2b0adb98 ("mm: memcg/slab: reparent memcg kmem_caches on cgroup
    # removal") (in v5.3).
    if not root_cache(reader, cache):
        return None
    try:
        params = _params(reader, cache)
        at = params + find_offset(reader, _PARAMS, "memcg")
        return read_memcg(reader, read_word(reader, at))
    except (MissingMember, ReadError, NoMemcg):
        return None


def read_memcg(reader: Reader, address: int) -> Memcg:
    """The struct mem_cgroup at an address. Raises NoMemcg, MissingMember, ReadError."""
    css = address + find_offset(reader, "mem_cgroup", "css")
    cgroup = read_word(reader, css + find_offset(reader, "cgroup_subsys_state", "cgroup"))
    subsystem = read_word(reader, css + find_offset(reader, "cgroup_subsys_state", "ss"))
    if subsystem != reader.symbol("memory_cgrp_subsys"):
        raise NoMemcg(f"{hexa(address)} is no struct mem_cgroup")
    return Memcg(address, _number(reader, address), _path(reader, cgroup), _offline(reader, css))


def _params(reader: Reader, cache: int) -> int:
    """The struct memcg_cache_params * of a cache; 0 for none. Raises MissingMember, ReadError."""
    params = cache + find_offset(reader, "kmem_cache", _MEMBER)
    # A pointer in v3.10 and el7, embedded from the 4.4 tree on.
    if reader.size("kmem_cache", _MEMBER) == reader.word:
        return read_word(reader, params)
    return params


def _number(reader: Reader, memcg: int) -> Optional[int]:
    # The 7.3 tree calls it struct mem_cgroup_private_id (mm/memcontrol-v1.h, by its DWARF).
    for struct in ("mem_cgroup_private_id", "mem_cgroup_id"):
        inner = reader.offset(struct, "id")
        if inner is None:
            continue
        try:
            at = memcg + find_offset(reader, "mem_cgroup", "id") + inner
            return read_number(reader, at, reader.size(struct, "id") or 4)
        except (MissingMember, ReadError):
            return None
    return None


def _offline(reader: Reader, css: int) -> bool:
    """Whether rmdir has taken the memcg off line; False where that can't be told."""
    online, flags = reader.enumerator("CSS_ONLINE"), reader.offset("cgroup_subsys_state", "flags")
    if not online or flags is None:
        return False
    try:
        size = reader.size("cgroup_subsys_state", "flags") or 4
        return not read_number(reader, css + flags, size) & online
    except ReadError:
        return False


def _path(reader: Reader, cgroup: int) -> Optional[bytes]:
    """The names of the cgroup's kernfs nodes, joined as in /proc/PID/cgroup."""
    try:
        return kernfs_path(reader, read_word(reader, cgroup + find_offset(reader, "cgroup", "kn")))
    except (MissingMember, ReadError):
        return None
