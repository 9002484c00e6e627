# SPDX-License-Identifier: GPL-3.0-or-later
"""What this kernel's SLUB looks like: one probe of the debug information per session.

How kernels differ in caches, nodes, slabs, per-CPU slabs and sheaves is decided here, by
asking for members, symbols and enumerators, newest first; tracks, KFENCE and deferred frees
have it beside the code that reads them. Of memory, only VMCOREINFO is read.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.kernel.vmcoreinfo import vmcoreinfo_number
from crash_ext.reader import Reader
from crash_ext.slub.flags import Flags

# The macro of the trees that have no enumerator of that name.
_PAGE_TYPE_BASE = 0xF0000000


class Mark(NamedTuple):
    """A slab's first struct page: (member & mask) == value."""

    member: str
    mask: int
    value: int


class UnsupportedAllocator(Exception):
    """The kernel's slab allocator isn't SLUB; the text says what it is."""


class Layout:
    """Offsets and forms of one kernel's SLUB.

    flags        the SLAB_* masks
    cache        struct kmem_cache, without its node array
    object_size  its member with the size that the cache's user gets
    node_array   offset of the node array in it; node_array_size: bytes by its type
    node_stride  bytes from one node's entry to the next; node_pointer: offset of the
                 struct kmem_cache_node * in an entry
    node         struct kmem_cache_node
    slab         struct slab, or struct page where the descriptor still lives there; `next`
                 chains per-CPU partial slabs, where it is there
    slab_list    member that links a slab into a node's list (list_head)
    slab_mark    how the first page of a slab is marked as one
    page         struct page
    page_size    sizeof(struct page): the stride of the page structures
    pg_tail      bit number in page.flags of a tail page, or None
    cpu          struct kmem_cache_cpu, or None (SLUB_TINY, 7.0 and later)
    cpu_page     its member that points to the CPU's slab
    sheaves      struct slub_percpu_sheaves, or None (up to 6.17); only with it there are
    sheaf        struct slab_sheaf; sheaf_rcu_func, sheaf_link: offsets in it
    barn         struct node_barn; barn_beside_node, barn_in_node: offset of the pointer to
                 it in a node's entry or in struct kmem_cache_node, None where it isn't
    """

    def __init__(self, reader: Reader) -> None:
        _require_slub(reader)
        try:
            self._probe(reader)
        except MissingMember as error:
            raise UnsupportedAllocator(f"this kernel's SLUB is not one we know: {error}") from error

    def _probe(self, reader: Reader) -> None:
        self.flags = Flags(reader)
        # Linux kernel commit 3b0efdfa1e71 ("mm, sl[aou]b: Extract common fields from
        # struct kmem_cache") (in v3.6) renamed objsize.
        object_size = "object_size" if _has(reader, "kmem_cache", "object_size") else "objsize"
        self.object_size = object_size
        self.cache = Struct(
            reader,
            "kmem_cache",
            ("name", "list", "flags", "size", object_size, "inuse", "offset", "oo", "refcount"),
            (
                *("align", "ctor", "random", "red_left_pad", "cpu_slab", "max"),
                *("cpu_sheaves", "sheaf_capacity"),
            ),
        )
        self.node = Struct(
            reader,
            "kmem_cache_node",
            ("nr_partial", "partial"),
            ("nr_slabs", "total_objects", "full"),
        )
        self._probe_slab(reader)
        self._probe_nodes(reader)
        self._probe_cpu(reader)
        self._probe_sheaves(reader)

    def _probe_slab(self, reader: Reader) -> None:
        # Linux kernel commit d122019bf061 ("mm: Split slab into its own type") (in v5.17).
        # Ask for the member: old SLAB and some drivers have a struct slab of their own.
        descriptor = "slab" if _has(reader, "slab", "slab_cache") else "page"
        if descriptor == "slab":
            self.slab_list = "slab_list"
        elif _has(reader, "page", "slab_list"):
            # A second name for lru since the 4.18 trees. Ask for it first: the two part in
            # v6.2, where taking lru goes wrong without a sign.
            self.slab_list = "slab_list"
        else:
            self.slab_list = "lru"
        self.slab = Struct(
            reader, descriptor, ("slab_cache", "freelist", "inuse", self.slab_list), ("next",)
        )
        self.page = Struct(
            reader,
            "page",
            ("flags",),
            ("compound_info", "compound_head", "first_page", "page_type"),
        )
        page_size = reader.struct_size("page")
        if not page_size:
            raise MissingMember("no debug information for struct page")
        self.page_size = page_size
        self.slab_mark = _slab_mark(reader)
        self.pg_tail = reader.enumerator("PG_tail")

    def _probe_nodes(self, reader: Reader) -> None:
        # Linux kernel commit 5ba6bc27b1f9 ("slab: decouple pointer to barn from
        # kmem_cache_node") (in v7.1): an array of {barn, node} in place of node pointers.
        array = reader.offset("kmem_cache", "per_node")
        if array is not None:
            self.node_array = array
            self.node_stride = _need(
                reader.struct_size("kmem_cache_per_node_ptrs"), "kmem_cache_per_node_ptrs"
            )
            self.node_pointer = _need(
                reader.offset("kmem_cache_per_node_ptrs", "node"), "kmem_cache_per_node_ptrs.node"
            )
            self.node_array_size = reader.size("kmem_cache", "per_node") or 0
        else:
            self.node_array = _need(reader.offset("kmem_cache", "node"), "kmem_cache.node")
            self.node_stride = reader.word
            self.node_pointer = 0
            self.node_array_size = reader.size("kmem_cache", "node") or 0

    def _probe_cpu(self, reader: Reader) -> None:
        self.cpu: Optional[Struct] = None
        self.cpu_page = ""
        if "cpu_slab" not in self.cache or reader.struct_size("kmem_cache_cpu") is None:
            return
        # Linux kernel commit bb192ed9aa71 ("mm/slub: Convert most struct page to struct
        # slab by spatch") (in v5.17) renamed kmem_cache_cpu.page.
        self.cpu_page = "slab" if _has(reader, "kmem_cache_cpu", "slab") else "page"
        self.cpu = Struct(reader, "kmem_cache_cpu", ("freelist", self.cpu_page), ("partial",))

    def _probe_sheaves(self, reader: Reader) -> None:
        # Linux kernel commit 2d517aa09bbc ("slab: add opt-in caching layer of percpu
        # sheaves") (in v6.18); from v7.0 on most caches have them.
        self.sheaves: Optional[Struct] = None
        if "cpu_sheaves" not in self.cache:
            return
        self.sheaves = Struct(reader, "slub_percpu_sheaves", ("main",), ("spare", "rcu_free"))
        self.sheaf = Struct(reader, "slab_sheaf", ("cache", "size", "objects"))
        # struct rcu_head is callback_head in the debug information; it opens the sheaf.
        self.sheaf_rcu_func = _need(reader.offset("callback_head", "func"), "callback_head.func")
        callbacks = [reader.symbol(name) for name in ("rcu_free_sheaf", "rcu_free_sheaf_nobarn")]
        self.sheaf_callbacks = [address for address in callbacks if address is not None]
        """What call_rcu() is given for a sheaf."""
        self.sheaf_link = _need(reader.offset("slab_sheaf", "barn_list"), "slab_sheaf.barn_list")
        self.barn = Struct(reader, "node_barn", ("sheaves_full", "nr_full"))
        # Up to v7.0 the barn hangs on struct kmem_cache_node, then beside it.
        self.barn_beside_node = reader.offset("kmem_cache_per_node_ptrs", "barn")
        self.barn_in_node = reader.offset("kmem_cache_node", "barn")


def _slab_mark(reader: Reader) -> Mark:
    # Linux kernel commit 4ffca5a96678 ("mm: support only one page_type per page") (in
    # v6.12): the type is the top byte.
    page_type = reader.enumerator("PGTY_slab")
    if page_type is not None:
        return Mark("page_type", 0xFF000000, page_type << 24)
    pg_slab = reader.enumerator("PG_slab")
    if pg_slab is None:
        # Linux kernel commit 46df8e73a4a3 ("mm: free up PG_slab") (in v6.10) took the
        # enumerator away; makedumpfile gets the whole word instead.
        mapcount = vmcoreinfo_number(reader, "PAGE_SLAB_MAPCOUNT_VALUE")
        if mapcount is None:
            raise MissingMember("neither PGTY_slab nor PG_slab is known")
        return Mark("page_type", 0xFFFFFFFF, mapcount & 0xFFFFFFFF)
    if pg_slab < 8 * reader.word:
        return Mark("flags", 1 << pg_slab, 1 << pg_slab)
    # v6.11: a mask of inverted bits beside a base that is always set.
    base = reader.enumerator("PAGE_TYPE_BASE") or _PAGE_TYPE_BASE
    return Mark("page_type", base | pg_slab, base)


def _has(reader: Reader, struct: str, member: str) -> bool:
    return reader.offset(struct, member) is not None


def _need(value: Optional[int], what: str) -> int:
    if value is None:
        raise MissingMember(f"no debug information for {what}")
    return value


def _require_slub(reader: Reader) -> None:
    if reader.struct_size("kmem_cache") is None:
        raise UnsupportedAllocator("no debug information for struct kmem_cache")
    # Not cpu_slab: SLUB_TINY (v6.2 to v6.17) has none. `oo` is SLUB's alone.
    if _has(reader, "kmem_cache", "oo") and _has(reader, "kmem_cache_node", "partial"):
        return
    if _has(reader, "kmem_cache", "gfporder"):
        raise UnsupportedAllocator("the kernel uses the old SLAB allocator: only SLUB is supported")
    if reader.symbol("free_slob_small") is not None:
        raise UnsupportedAllocator("the kernel uses SLOB, which keeps no record of its objects")
    raise UnsupportedAllocator("the kernel's slab allocator is not SLUB")
