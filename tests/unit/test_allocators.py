# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel whose allocator isn't one we know is told in one line, by every command."""

from __future__ import annotations

from typing import Tuple

import pytest

from mocks.annex import Annex
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.structs import parse
from tests.unit.asked import by_state, problems, records, text

every_command = pytest.mark.parametrize(
    ("command", "arguments"),
    [("slabdup", ()), ("slabdup", ("-j",)), ("slabobjs", ("slab_test",))],
    ids=["slabdup", "slabdup -j", "slabobjs"],
)

_OLD_SLAB = {
    "kmem_cache": "batchcount:4 limit:4 shared:4 size:4 reciprocal_buffer_size:4 flags:4 num:4"
    " gfporder:4 allocflags:4 colour:p colour_off:4 slabp_cache:p slab_size:4 ctor:p name:p"
    " list:2p refcount:4 object_size:4 align:4 node:p array:64p",
    "kmem_cache_node": "list_lock:4 slabs_partial:2p slabs_full:2p slabs_free:2p free_objects:p",
    "slab": "list:2p colouroff:p s_mem:p inuse:4 free:4 nodeid:2",
}
_SLOB = {
    "kmem_cache": "object_size:4 size:4 align:4 flags:p name:p refcount:4 ctor:p list:2p",
}


def _kernel(layout: str, **texts: str) -> Heap:
    """A kernel without SLUB's structs, with these in their place."""
    heap = Heap(LAYOUTS[layout])
    for name in ("kmem_cache", "kmem_cache_node", "kmem_cache_cpu", "slab"):
        heap.image.structs.pop(name, None)
    for name, form in texts.items():
        heap.image.structs[name] = parse(form, heap.image.word)
    return heap


@every_command
def test_the_old_slab_allocator_is_named(command: str, arguments: Tuple[str, ...]) -> None:
    heap = _kernel("3.10", **_OLD_SLAB)
    assert text(heap, command, *arguments) == (
        f"{command}: the kernel uses the old SLAB allocator: only SLUB is supported\n"
    )


@every_command
def test_slob_is_named_and_why_nothing_can_be_listed(
    command: str, arguments: Tuple[str, ...]
) -> None:
    heap = _kernel("3.10", **_SLOB)
    heap.function("free_slob_small")
    assert text(heap, command, *arguments) == (
        f"{command}: the kernel uses SLOB, which keeps no record of its objects\n"
    )


@every_command
def test_a_kernel_without_debug_information_is_told_so(
    command: str, arguments: Tuple[str, ...]
) -> None:
    heap = _kernel("6.1")
    assert text(heap, command, *arguments) == (
        f"{command}: no debug information for struct kmem_cache\n"
    )


@every_command
def test_an_allocator_of_the_future_is_not_taken_for_slub(
    command: str, arguments: Tuple[str, ...]
) -> None:
    heap = _kernel("7.3", kmem_cache="name:p size:4 list:2p")
    assert text(heap, command, *arguments) == (
        f"{command}: the kernel's slab allocator is not SLUB\n"
    )


@pytest.mark.parametrize(
    ("struct", "member"),
    [("slab", "slab_cache"), ("kmem_cache", "refcount"), ("slab_sheaf", "objects")],
)
def test_a_slub_that_lost_a_member_is_one_we_do_not_know(struct: str, member: str) -> None:
    heap = Heap(LAYOUTS["7.3"])
    size, members = heap.image.structs[struct]
    heap.image.structs[struct] = (size, {k: v for k, v in members.items() if k != member})
    wanted = "page" if member == "slab_cache" else struct
    assert text(heap, "slabdup") == (
        f"slabdup: this kernel's SLUB is not one we know: struct {wanted} has no member {member}\n"
    )


def _v6_10(mapcount: str) -> Heap:
    """Linux kernel commit 46df8e73a4a3 ("mm: free up PG_slab") (in v6.10).

    Its PG_slab is a macro, and the debug information has nothing of that name.
    """
    heap = Heap(LAYOUTS["6.11"], seed=4)
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, {3})
    heap.slab(cache, range(cache.objects), where="full-unlisted")
    for name in ("PG_slab", "PAGE_TYPE_BASE"):
        del heap.image.enums[name]
    annex = Annex(heap.image)
    line = f"PAGESIZE=4096\nNUMBER(PAGE_SLAB_MAPCOUNT_VALUE)={mapcount}\n".encode()
    heap.image.pointer(annex.variable("vmcoreinfo_data"), annex.string(line))
    heap.image.pointer(annex.variable("vmcoreinfo_size"), len(line))
    return heap


def test_v6_10_tells_a_slabs_page_by_vmcoreinfo() -> None:
    heap = _v6_10(str(~LAYOUTS["6.11"].enums["PG_slab"]))
    rows = records(heap, "slabobjs", "-f", "slab_test")
    assert problems(rows) == []
    truth = heap.truth()[heap.caches[-1].address]
    assert by_state(rows) == {"allocated": truth.allocated, "free": truth.free}


def test_v6_10_without_vmcoreinfo_is_not_guessed_at() -> None:
    heap = _v6_10("nothing")
    assert text(heap, "slabdup") == (
        "slabdup: this kernel's SLUB is not one we know: neither PGTY_slab nor PG_slab is known\n"
    )


def test_a_kernel_whose_page_structure_has_no_size_is_one_we_do_not_know() -> None:
    heap = Heap(LAYOUTS["7.3"])
    heap.image.structs["page"] = (0, heap.image.structs["page"][1])
    what = "no debug information for struct page"
    assert text(heap, "slabdup") == f"slabdup: this kernel's SLUB is not one we know: {what}\n"


def test_a_kernel_whose_node_array_has_no_struct_is_one_we_do_not_know() -> None:
    heap = Heap(LAYOUTS["7.3"])
    del heap.image.structs["kmem_cache_per_node_ptrs"]
    what = "no debug information for kmem_cache_per_node_ptrs"
    assert text(heap, "slabdup") == f"slabdup: this kernel's SLUB is not one we know: {what}\n"
