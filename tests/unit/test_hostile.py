# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever strings and counts a dump holds: lines stay lines, records records, reads small."""

from __future__ import annotations

import json
import string
import tracemalloc
from typing import Dict, List

import pytest

from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.kernfs import SlabDirectory
from mocks.layouts import LAYOUTS
from tests.replay import run_command

NAMES: Dict[str, bytes] = {
    "escape": b"\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "newline": b"slab\nslabdup: forged line\r\n",
    "json": b'"},\n{"type":"end","complete":true}',
    "format": b"%s%n%x{0}{name}{}%(name)s",
    "path": b"../../../etc/passwd\x01",
    "shell": b"$(reboot);`reboot`|reboot >x",
    "utf-8": b"\xff\xfe\xc0\x80\xed\xa0\x80 \xe2\x80\xae",
    "long": b"A\x1b" * 2000,
    "empty": b"",
}
SHOWN = set(string.printable) - set("\t\r\x0b\x0c")
every_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


def _heap(name: bytes) -> Heap:
    """Two caches of a name, one left behind, a merged name like it, and a ctor's symbol."""
    heap = Heap(LAYOUTS["6.1"], seed=8)
    symbol = name.decode("utf-8", "surrogateescape")
    heap.image.symbols[symbol] = ctor = heap.function("ctor", module=True)
    del heap.image.symbols["ctor"]
    for leave in (True, False):
        cache = heap.cache(name, 84, ctor=ctor)
        heap.slab(cache, {1, 2})
        if leave:
            heap.leave_behind(cache)
    sysfs = SlabDirectory(heap)
    sysfs.link(sysfs.directory(cache, name), b"alias" + name)
    return heap


def _lines(heap: Heap) -> List[List[str]]:
    addresses = [f"{cache.address:x}" for cache in heap.caches[-2:]]
    listed = [["slabobjs", option, *addresses] for option in ("-q", "-f", "-j")]
    return [
        ["slabdup"], ["slabdup", "-a"], ["slabdup", "-j"], ["slabdup", *addresses],
        ["slabdup", "-j", *addresses], *listed,
    ]  # fmt: skip


def _run(heap: Heap, line: List[str]) -> str:
    return run_command(FakeCrash(heap.image), line[0], line[1:])


@every_name
def test_a_name_changes_nothing_but_where_it_stands(
    name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a sentence is wrapped, and a table broken, depends on the name in it.
    for module in ("text", "table"):
        monkeypatch.setattr(f"crash_ext.report.{module}.WIDTH", 10**6)
    heap, plain = _heap(name), _heap(b"plain")
    for line, plainly in zip(_lines(heap), _lines(plain)):
        said, wanted = _run(heap, line), _run(plain, plainly)
        assert set(said) <= SHOWN, line
        assert said.count("\n") == wanted.count("\n"), line
        if "-j" in line:
            kinds = [json.loads(row)["type"] for row in said.splitlines()]
            assert kinds == [json.loads(row)["type"] for row in wanted.splitlines()]


@every_name
def test_a_name_as_an_argument_comes_back_visible(name: bytes) -> None:
    heap = _heap(name)
    for wanted in (name, b"alias" + name, b"no" + name):
        argument = "\\" + wanted.decode("utf-8", "surrogateescape")
        for command in ("slabdup", "slabobjs"):
            for option in ([], ["-j"]):
                said = _run(heap, [command, *option, argument])
                assert set(said) <= SHOWN, said
                if option:
                    assert all(json.loads(row) for row in said.splitlines())


HUGE = 0xFFFFFFFF
COUNTS = [
    ("nr_cpu_ids", HUGE), ("nr_node_ids", HUGE),
    ("object_size", HUGE), ("size", HUGE), ("size", 1 << 26), ("oo", HUGE), ("oo", 0xDFFFF),
    ("oo", 0x0000FFFF), ("red_left_pad", HUGE), ("offset", HUGE), ("sheaf_capacity", HUGE),
]  # fmt: skip


@pytest.mark.parametrize("layout", ["6.12", "7.3"])
@pytest.mark.parametrize(("member", "value"), COUNTS)
def test_no_count_makes_us_allocate_what_it_says(layout: str, member: str, value: int) -> None:
    heap = Heap(LAYOUTS[layout], seed=8, pages=2048)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 2})
    if cache.capacity:
        sheaf = heap.sheaf(cache, [slab.object(1)], where="barn")
        heap.image.put(heap.writer.member("slab_sheaf", sheaf.address, "size"), 4, HUGE)
    image = heap.image
    if member in image.symbols:
        image.put(image.symbols[member], 4, value)
    elif heap.layout.has("kmem_cache", member):
        image.put(heap.writer.member("kmem_cache", cache.address, member), 4, value)
    fake = FakeCrash(image)
    largest = [0]

    def note(_address: int, size: int) -> None:
        largest[0] = max(largest[0], size)

    fake.on_read = note
    tracemalloc.start()
    try:
        for line in (["slabdup", "-a"], ["slabobjs", "-f", f"{cache.address:x}"]):
            run_command(fake, line[0], line[1:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert largest[0] <= 1 << 26
    assert peak < 1 << 28
    assert fake.reads < 20_000
