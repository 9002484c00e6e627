# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels without SLUB get one clear line from each command, not an answer."""

from __future__ import annotations

from typing import Dict

import pytest

from mocks.crash_module import FakeCrash
from mocks.image import Image
from mocks.structs import parse_all
from tests.replay import run_line

# What tells the allocators apart in mm/slab.h and include/linux/sl?b_def.h of v4.4.
KERNELS: Dict[str, Dict[str, str]] = {
    "the kernel uses the old SLAB allocator: only SLUB is supported": {
        "kmem_cache": "cpu_cache:p batchcount:4 num:4 gfporder:4 name:p list:16 node:p",
        "kmem_cache_node": "list_lock:4 slabs_partial:16 slabs_full:16 slabs_free:16",
    },
    "the kernel uses SLOB, which keeps no record of its objects": {
        "kmem_cache": "object_size:4 size:4 align:4 flags:p name:p refcount:4 ctor:p list:16",
    },
    "no debug information for struct kmem_cache": {},
}


@pytest.mark.parametrize("command", ["slabdup", "slabobjs slab_test"])
@pytest.mark.parametrize("said", KERNELS)
def test_one_line_says_which_allocator_it_is(said: str, command: str) -> None:
    image = Image()
    structs = {"list_head": "next:p prev:p", **KERNELS[said]}
    image.structs = parse_all(structs, image.word)
    image.symbols = {"slab_caches": 0xFFFFFFFF82000000, "free_slob_small": 0xFFFFFFFF82001000}
    assert run_line(FakeCrash(image), command) == f"{command.split()[0]}: {said}\n"
