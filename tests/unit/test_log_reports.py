# SPDX-License-Identifier: GPL-3.0-or-later
"""What SLUB's checks, KASAN and KFENCE have said of an object is shown beside it."""

from __future__ import annotations

from typing import Callable, Dict, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.why.log.hashed import siphash_1u64
from crash_ext.why.log.reports import MemoryReport, lines_of, parse_memory_reports
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit import logs
from tests.unit.asked import of_type, records, text
from tests.unit.dresses import DRESSES, Dress

ALLOCATION = ["kmem_cache_alloc+0x1a0/0x300", "req_new+0x24/0x90 [modr]"]
FREE = ["kmem_cache_free+0x80/0x2f0", "req_put+0x31/0x60 [modr]"]
TASK = ["CPU: 1 PID: 50 Comm: kworker/1:1 Tainted: G    B      OE     6.1.0 #1", "Call Trace:"]


def frames(stack: List[str]) -> List[str]:
    return [f" {frame}" for frame in stack]


def slub(pointer: str, name: str) -> List[str]:
    return [
        "=" * 77,
        f"BUG {name} (Tainted: G    B      OE    ): Poison overwritten",
        "-" * 77,
        "",
        f"0x{pointer}-0x{pointer} @offset=2664. First byte 0x6c instead of 0x6b",
        f"Allocated in {ALLOCATION[1]} age=17 cpu=2 pid=41",
        *frames(ALLOCATION),
        f"Freed in {FREE[1]} age=9 cpu=3 pid=42",
        *frames(FREE),
        "Slab 0x000000007186eef7 objects=42 used=8 fp=0x0000000003de3e06 flags=0x200",
        f"Object 0x{pointer} @offset=2624 fp=0x0000000000000000",
        "",
        f"Redzone  {pointer}: bb bb bb bb bb bb bb bb                          ........",
        f"Object   {pointer}: 6b 6b 6b 6b 6b 6b 6b 6b 6c 6b 6b 6b 6b 6b 6b 6b  kkkkkkkklkkkkkkk",
        *TASK,
        " dump_stack_lvl+0x44/0x5c",
        " check_bytes_and_report.cold+0x50/0x61",
        f"FIX {name}: Restoring Poison 0x{pointer}-0x{pointer}=0x6b",
    ]


def kasan(pointer: str, name: str) -> List[str]:
    return [
        "=" * 66,
        "BUG: KASAN: slab-use-after-free in req_poll+0x5d/0x80 [modr]",
        f"Read of size 8 at addr {int(pointer, 16) + 8:x} by task poller/777",
        "",
        *TASK,
        " dump_stack_lvl+0x44/0x5c",
        " kasan_report+0xab/0x120",
        "",
        "Allocated by task 41:",
        *frames(ALLOCATION),
        "",
        "Freed by task 42:",
        *frames(FREE),
        "",
        "Last potentially related work creation:",
        " kasan_save_stack+0x1e/0x40",
        "",
        f"The buggy address belongs to the object at {pointer}",
        f" which belongs to the cache {name} of size 96",
        "The buggy address is located 8 bytes inside of",
        f" freed 96-byte region [{pointer}, {int(pointer, 16) + 96:x})",
        "",
        "The buggy address belongs to the physical page:",
        "=" * 66,
    ]


def kfence(pointer: str, name: str) -> List[str]:
    return [
        "=" * 66,
        "BUG: KFENCE: use-after-free read in req_poll+0x5d/0x80 [modr]",
        "",
        f"Use-after-free read at 0x{pointer} (in kfence-#79):",
        " req_poll+0x5d/0x80 [modr]",
        "",
        f"kfence-#79: 0x{pointer}-0x{int(pointer, 16) + 95:x}, size=96, cache={name}",
        "",
        "allocated by task 41 on cpu 2 at 32.919330s (0.032s ago):",
        *frames(ALLOCATION),
        "",
        "freed by task 42 on cpu 3 at 32.940000s:",
        *frames(FREE),
        "",
        *TASK,
        "=" * 66,
    ]


def old_kfence(pointer: str, name: str) -> List[str]:
    lines = kfence(pointer, name)
    at = next(n for n, line in enumerate(lines) if line.startswith("kfence-#"))
    line = lines[at].replace("#79: ", "#79 [") + "] allocated by task 41:"
    return [*lines[:at], line, *lines[at + 3 :]]


Write = Callable[[str, str], List[str]]
KINDS: Dict[str, Tuple[Write, str]] = {
    "slub": (slub, "Poison overwritten"),
    "kasan": (kasan, "KASAN: slab-use-after-free in req_poll+0x5d/0x80 [modr]"),
    "kfence": (kfence, "KFENCE: use-after-free read in req_poll+0x5d/0x80 [modr]"),
    "kfence of v5.12": (old_kfence, "KFENCE: use-after-free read in req_poll+0x5d/0x80 [modr]"),
}
POINTER = 0xFFFF888004A4D500


def check(report: MemoryReport, what: str) -> None:
    assert (report.what, report.cache, report.pointer) == (what, "req_cache", POINTER)
    assert report.allocated is not None
    assert report.freed is not None
    assert "41" in report.allocated.who
    assert "42" in report.freed.who
    assert report.allocated.frames[-2:] == ALLOCATION
    assert report.freed.frames[-2:] == FREE


@pytest.mark.parametrize("dress", DRESSES.values(), ids=list(DRESSES))
@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_read_in_every_dress(kind: str, dress: Dress) -> None:
    write, what = KINDS[kind]
    lines = write(f"{POINTER:016x}", "req_cache")
    (report,) = parse_memory_reports(dress([(7.25, line) for line in lines]))
    check(report, what)


def test_what_a_later_report_says_is_not_an_earlier_one_s() -> None:
    short = slub(f"{POINTER:016x}", "first")[:5]
    later = logs.report(
        logs.WORDINGS["6.1"],
        tracks=["Allocated in g+0x1/0x2 age=1 cpu=2 pid=3", " g+0x1/0x2"],
    )
    (report,) = parse_memory_reports("\n".join([*short, *later]))
    assert (report.allocated, report.freed, report.pointer) == (None, None, None)


def test_an_object_of_another_cache_s_than_was_freed_to_is_told() -> None:
    line = "cache_from_obj: Wrong slab cache. req_cache but object is from kmalloc-96"
    (report,) = parse_memory_reports(f"[    1.0] {line}\n")
    assert (report.what, report.cache) == (line.partition(": ")[2], "kmalloc-96")


def left_behind() -> Tuple[Heap, int, int, int]:
    """(heap, cache, an allocated object, a free one)"""
    heap = Heap(LAYOUTS["6.1"], seed=4)
    cache = heap.cache("req_cache", 96)
    slab = heap.slab(cache, {3, 5})
    heap.leave_behind(cache)
    logs.give_key(heap, logs.key_bytes(heap))
    return heap, cache.address, slab.object(3), slab.object(4)


def raw(address: int) -> str:
    return f"{address:016x}"


def hashed(address: int) -> str:
    return f"{siphash_1u64(address, *logs.KEY) & 0xFFFFFFFF:016x}"


@pytest.mark.parametrize("hide", [raw, hashed])
@pytest.mark.parametrize("number", [2, 3], ids=["allocated", "free"])
def test_slabobjs_and_slabwhy_show_it_beside_the_object(
    hide: Callable[[int], str], number: int
) -> None:
    heap, cache, *objects = left_behind()
    address = objects[number - 2]
    heap.image.log = logs.stamped(slub(hide(address), "req_cache"))
    (row,) = of_type(records(heap, "slabobjs", f"{address + 8:x}"), "object")
    when, what = row["log"][0].split(" s ")
    assert float(when[len("at ") :]) > 0
    assert (when[:3], what) == ("at ", "Poison overwritten, of the cache req_cache")
    assert row["log"][1].startswith("allocated then by pid 41: ")
    assert row["log"][2].startswith("freed then by pid 42: ")
    shown = text(heap, "slabobjs", f"{address + 8:x}")
    assert max(map(len, shown.splitlines())) <= 80
    lines = shown.replace("\n        ", " ").splitlines()
    assert [line for line in lines if line.startswith("   log: ")] == [
        f"   log: {line}" for line in row["log"]
    ]
    rows = of_type(records(heap, "slabwhy", "-F", f"{cache:x}"), "evidence")
    told = [(row["address"], row["text"]) for row in rows if row["topic"] == "log"]
    assert [(f"{address:x}", line) for line in row["log"]] == told[-3:]


def test_another_object_is_not_told_so() -> None:
    heap, cache, object_, other = left_behind()
    heap.image.log = logs.stamped(kasan(raw(object_), "req_cache"))
    (row,) = of_type(records(heap, "slabobjs", f"{other:x}"), "object")
    assert "log" not in row
    heap.image.log = logs.stamped(kasan(raw(0xFFFF888000000000), "req_cache"))
    rows = of_type(records(heap, "slabwhy", "-F", f"{cache:x}"), "evidence")
    told = [row["text"] for row in rows if row["topic"] == "log"]
    assert any(
        text.endswith("of the cache req_cache: of that name, but of no object that is here now")
        for text in told
    ), told


def test_of_many_reports_about_the_objects_the_rest_is_counted() -> None:
    heap, cache, object_, _ = left_behind()
    log = [line for _ in range(5) for line in kasan(raw(object_), "req_cache")]
    heap.image.log = logs.stamped(log)
    rows = of_type(records(heap, "slabwhy", "-F", f"{cache:x}"), "evidence")
    assert "2 more reports about its objects" in [row["text"] for row in rows]


def test_an_old_kasan_names_no_task() -> None:
    _, _, object_, _ = left_behind()
    lines = ["Allocated:" if "Allocated" in line else line for line in kasan(raw(object_), "x")]
    (report,) = parse_memory_reports("\n".join(lines))
    assert [line.split(":")[0] for line in lines_of(report)][1] == "allocated then by a task"


@given(st.lists(st.sampled_from([*slub("1" * 16, "a"), *kasan("2" * 16, "b")]) | st.text()))
def test_nothing_is_said_that_no_line_says(lines: List[str]) -> None:
    whole = "\n".join(lines)
    for report in parse_memory_reports(whole):
        assert report.cache is None or report.cache in whole
        assert report.pointer is None or f"{report.pointer:x}" in whole
        for stack in (report.allocated, report.freed):
            assert stack is None or all(frame.split()[0] in whole for frame in stack.frames)
