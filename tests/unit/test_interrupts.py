# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C at any moment: what was shown stands, it is called incomplete, the session goes on.

Real keys in real crash are pressed in tests/loader/test_terminal.py.
"""

from __future__ import annotations

import json
from typing import List

import pytest

from crash_ext.command import session_of
from mocks.crash_module import FakeCrash, install
from mocks.heap import Heap
from mocks.kernfs import SlabDirectory
from mocks.kfence import KfencePool
from mocks.layouts import LAYOUTS
from tests.replay import run_command

STOPPED = "interrupted: the output is incomplete"
LINES = [
    ["slabdup", "-a"],
    ["slabdup", "-j"],
    ["slabdup", "slab_test"],
    ["slabobjs", "slab_test"],
    ["slabobjs", "-q", "slab_test"],
    ["slabobjs", "-j", "-f", "slab_test"],
]


def _heap(name: str) -> Heap:
    heap = Heap(LAYOUTS[name], seed=6)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 2, 3, 4})
    heap.slab(cache, range(cache.objects), where="full-unlisted")
    if cache.capacity:
        heap.sheaf(cache, [slab.object(1)], where="barn")
    pool = KfencePool(heap, 2)
    pool.put(0, cache, 84)
    SlabDirectory(heap).directory(cache, b"slab_test")
    return heap


def _opened(heap: Heap) -> FakeCrash:
    """A host with a session. To open one takes reads, too: before the command, here only."""
    fake = FakeCrash(heap.image)
    with install(fake):
        session_of(fake, fake.image.byteorder)
    return fake


def _stopping(heap: Heap, number: int) -> FakeCrash:
    """A session whose read of that number, from 0, is where Ctrl-C comes."""
    fake = _opened(heap)
    first = fake.reads

    def stop(_address: int, _size: int) -> None:
        if fake.reads == first + number:
            fake.on_read = None
            raise KeyboardInterrupt

    fake.on_read = stop
    return fake


@pytest.mark.parametrize("name", ["4.18", "6.12", "7.3"])
@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_ctrl_c_at_any_read(name: str, line: List[str]) -> None:
    heap = _heap(name)
    command, *arguments = line
    fake = _opened(heap)
    first = fake.reads
    whole = run_command(fake, command, arguments)
    reads = fake.reads - first
    assert reads > 30
    for number in range(0, reads, max(1, reads // 50)):
        stopped = _stopping(heap, number)
        shown = run_command(stopped, command, arguments)
        last = f"{command}: {STOPPED}\n"
        assert shown.endswith(last), (number, shown)
        before = shown[: -len(last)]
        if "-j" in arguments:
            *rows, end = before.splitlines(keepends=True)
            told = json.loads(end)
            assert (told["complete"], told["reason"]) == (False, "interrupted")
            before = "".join(rows)
        assert whole.startswith(before), number
        assert run_command(stopped, command, arguments) == whole, "the session is as it was"
