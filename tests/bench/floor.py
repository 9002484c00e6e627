# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside crash: a clock, the floor (what only reading the bytes takes), the first slab.

benchstep.py calls this; what it keeps lives as long as the crash session, as crash's
interpreter does. The floor asks only the module `crash` and the reader: no decoding.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from importlib import import_module
from typing import Any, Callable, Dict, List, Optional, Tuple

_PAGES_AT_ONCE = 1 << 15
_FEWEST_PAGES = 64
_MEMORY_AT_ONCE = 64


class Clock:
    """Measures this process from now on."""

    def __init__(self) -> None:
        with open("/proc/self/clear_refs", "w") as file:
            # 5: the peak starts anew from what is resident (Linux, Documentation/filesystems/proc).
            file.write("5")
        self.resident = _status("VmRSS")
        self.cpu = time.process_time()
        self.wall = time.perf_counter()

    def stop(self) -> Dict[str, float]:
        """wall, cpu in seconds; peak: KiB above what was resident at the beginning."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {"wall": wall, "cpu": cpu, "peak": _status("VmHWM") - self.resident}


_clock: Optional[Clock] = None
_spans: List[Tuple[int, int]] = []


def step(results: str, action: str, *arguments: str) -> None:
    """One line of the crash session: ACTION [NAME]; results: the file that gets a record."""
    global _clock  # noqa: PLW0603 - the session's one clock
    if action == "start":
        _clock = Clock()
    elif action == "stop" and _clock is not None:
        measured = _clock.stop()
        _write(results, name=arguments[0], bytes=os.stat(arguments[1]).st_size, **measured)
    elif action == "slabs":
        _spans[:] = _slabs(arguments[0], int(arguments[1], 16))
        _write(results, name="slabs", count=len(_spans), bytes=sum(size for _, size in _spans))
    elif action == "floor":
        _timed(results, "floor", _read_slabs)
    elif action == "pages":
        _timed(results, "pages", _read_pages)
    elif action == "first":
        _write(results, name="first slab", **_first_slab(arguments[0]))
    elif action == "helpers":
        from crash_ext.host.native import native_loops

        _write(results, name="helpers", native=native_loops() is not None)
    elif action == "memory":
        _timed(results, "memory", _read_memory)
    elif action == "search":
        _search(results, arguments[0], int(arguments[1]))
    elif action == "reach":
        _reach(results)
    elif action == "pure":
        # Asked when the commands are first run.
        os.environ["SLABLEAK_PURE"] = "1"
    else:
        raise ValueError(f"benchstep: {action}?")


def _timed(results: str, name: str, work: Callable[[], None]) -> None:
    clock = Clock()
    work()
    _write(results, name=name, **clock.stop())


class _UntilObject(io.RawIOBase):
    """A reader who has seen enough once the first allocated object is there."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.measured: Dict[str, float] = {}

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.measured and b"\n  [" in bytes(data):
            self.measured = self.clock.stop()
            raise BrokenPipeError
        return len(data)


def _first_slab(cache: str) -> Dict[str, float]:
    """Until slabobjs has written out an object. Not through a pipe: crash's own start-up
    of one ("pipe operation failed") is a race that a busy machine loses.
    """
    from crash_ext import command, slabobjs

    raw = _UntilObject()
    outer = sys.stdout
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding="ascii")
    try:
        command.run(slabobjs.COMMAND, [cache])
        sys.stdout.flush()
    finally:
        sys.stdout = outer
    if not raw.measured:
        raise RuntimeError("slabobjs has shown no object")
    return raw.measured


def _write(results: str, **record: object) -> None:
    with open(results, "a") as file:
        file.write(json.dumps(record) + "\n")


def _status(field: str) -> int:
    """A number of /proc/self/status, KiB."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise LookupError(field)


def _crash() -> Any:
    """PyKdump's module. Imported late, as the commands are: growth.py runs where none is."""
    return import_module("crash")


def _slabs(addresses: str, cache: int) -> List[Tuple[int, int]]:
    """(start, bytes) of each slab with one of the listed objects, in the list's order."""
    crash = _crash()
    order_objects = crash.readInt(cache + crash.member_offset("struct kmem_cache", "oo"), 4)
    size = crash.readInt(cache + crash.member_offset("struct kmem_cache", "size"), 4)
    # struct kmem_cache_order_objects (mm/slub.c): order << OO_SHIFT (16) | objects.
    mask = -(crash.PAGESIZE << (order_objects >> 16))
    with open(addresses) as file:
        starts = dict.fromkeys(int(line, 16) & mask for line in file)
    return [(start, (order_objects & 0xFFFF) * size) for start in starts]


def _read_slabs() -> None:
    readmem = _crash().readmem
    for start, size in _spans:
        readmem(start, size)


def _read_pages() -> None:
    size = _crash().struct_size("struct page")
    for start, count in _target().page_ranges():
        for first in range(0, count, _PAGES_AT_ONCE):
            _read_piece(start + first * size, min(_PAGES_AT_ONCE, count - first), size)


def _target() -> Any:
    # Not before `pure`: the commands may look for helpers when they are imported.
    from crash_ext.host.target import Target

    return Target(_crash(), sys.byteorder)


def _read_memory() -> None:
    """Every page of the dump through the direct map: as large pieces as can be read."""
    crash, target = _crash(), _target()
    for page, count in target.page_ranges():
        start = target.page_to_virt(page)
        at, piece = 0, _MEMORY_AT_ONCE
        while at < count:
            pages = min(piece, count - at)
            try:
                crash.readmem(start + at * crash.PAGESIZE, pages * crash.PAGESIZE)
            except crash.error:
                if pages > 1:
                    piece = pages // 2
                    continue
            else:
                piece = min(_MEMORY_AT_ONCE, 2 * pages)
            at += pages


def _reach(results: str) -> None:
    """What leads to each object: the pass that slablost, slabwhy and slabobjs -r share."""
    from crash_ext.command import session_of
    from crash_ext.leak.duplicates import all_caches
    from crash_ext.places.places import Places
    from crash_ext.reach.reach import Reach

    session = session_of(_crash(), sys.byteorder)
    session.page_index()
    caches = all_caches(session, [])
    clock = Clock()
    reach = Reach(session, caches, Places(session, lambda: caches))
    _write(results, name="reach", objects=reach.objects, **clock.stop())


def _search(results: str, addresses: str, size: int) -> None:
    """Who points to any of the listed objects? size: of each of them, in bytes."""
    from crash_ext.kernel.search import Summary, Targets, find_pointers

    target = _target()
    with open(addresses) as file:
        objects = [(int(line, 16), size) for line in file]
    clock = Clock()
    summary = Summary()
    for _ in find_pointers(target, Targets(objects), summary):
        pass
    _write(results, name="search", bytes=summary.bytes, **clock.stop())


def _read_piece(start: int, pages: int, size: int) -> None:
    crash = _crash()
    try:
        crash.readmem(start, pages * size)
    except crash.error:
        if pages > _FEWEST_PAGES:
            half = pages // 2
            _read_piece(start, half, size)
            _read_piece(start + half * size, pages - half, size)
