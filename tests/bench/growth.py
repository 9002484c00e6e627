# SPDX-License-Identifier: GPL-3.0-or-later
"""`slabobjs -q` on built images of growing size: what an object costs, in time and memory.

The images stand in for dumps nobody has: no crash, no dump file; the shape is that of the
lab's big cache (slabs of 64 objects of 64 bytes, two thirds of them allocated).
"""

from __future__ import annotations

import gc
from contextlib import redirect_stderr, redirect_stdout
from typing import Dict, List, Tuple

from crash_ext import slabobjs
from crash_ext.command import run, session_of
from mocks.crash_module import FakeCrash, install
from mocks.heap import Heap
from mocks.layouts import LAYOUTS

from .floor import Clock

SIZES = (10_000, 100_000, 1_000_000)
LARGEST = 10_000_000
"""Building it takes minutes and some 2 GB: on request only."""

_LAYOUT = "6.1"
_IN_SLAB = 64
_ALLOCATED = 43
_ROUNDS = 5


def grow(sizes: List[int], out: str) -> Dict[int, List[Dict[str, float]]]:
    """Objects -> a record of floor.Clock for each round; out: the file for the addresses."""
    return {size: _measure(size, 1 if size == LARGEST else _ROUNDS, out) for size in sizes}


def _measure(size: int, rounds: int, out: str) -> List[Dict[str, float]]:
    fake, cache = _image(size)
    line = ["-q", f"{cache:x}"]
    records = []
    with install(fake):
        session_of(fake, fake.image.byteorder)
        for _ in range(rounds):
            gc.collect()
            with open(out, "w") as file, redirect_stdout(file), redirect_stderr(file):
                clock = Clock()
                run(slabobjs.COMMAND, line)
                records.append(clock.stop())
            with open(out) as file:
                listed = sum(1 for text in file if len(text) == 17)
            if listed != size:
                raise RuntimeError(f"slabobjs -q lists {listed} objects of {size}")
    return records


def _image(size: int) -> Tuple[FakeCrash, int]:
    """An image with a cache of so many allocated objects, and the cache's address."""
    slabs = -(-size // _ALLOCATED)
    # The heap leaves every other page free, at the most.
    heap = Heap(LAYOUTS[_LAYOUT], nodes=1, pages=2 * slabs + 4096)
    cache = heap.cache("grown", _IN_SLAB)
    indices = range(_IN_SLAB)
    for number in range(slabs):
        count = min(_ALLOCATED, size - number * _ALLOCATED)
        heap.slab(cache, heap.rng.sample(indices, count))
    return FakeCrash(heap.image), cache.address
