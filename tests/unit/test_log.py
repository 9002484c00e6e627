# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of failed destroys are read out of the log in every kernel's wording."""

from __future__ import annotations

import time
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.host.target import Target
from crash_ext.why.log.parse import Report, begins_at_boot, parse_reports
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import target
from tests.unit.logs import WORDINGS, report, stamped

TWO_SLABS = [
    ("00000000c9d0efb0", [("0000000012345678", 640), ("00000000deadbeef", 2304)]),
    ("(____ptrval____)", [("        (ptrval)", 0)]),
]
LISTED = [(0xC9D0EFB0, [(0x12345678, 640), (0xDEADBEEF, 2304)]), (None, [(None, 0)])]
CALLER = "build_leak+0xa7/0xe0 [slabtest]"


def listed(found: Report) -> object:
    return [
        (slab.pointer, [(o.pointer, o.offset) for o in slab.objects_listed]) for slab in found.slabs
    ]


@pytest.mark.parametrize("name", WORDINGS)
@pytest.mark.parametrize("caller_id", [None, "T123", "C1"])
def test_every_kernels_wording_tells_the_same(name: str, caller_id: str) -> None:
    text = stamped(report(WORDINGS[name], slabs=TWO_SLABS), caller_id)
    (found,) = parse_reports(text)
    assert (found.name, found.when) == ("slab_test", 2.000002)
    assert (found.pid, found.comm, found.cpu) == (82, "my task", 1)
    assert found.caller == CALLER
    assert found.trace == [CALLER, "do_one_initcall+0x44/0x1e0"]
    assert listed(found) == LISTED
    assert [(slab.objects, slab.used, slab.complete) for slab in found.slabs] == [
        (32, 2, True),
        (32, 1, True),
    ]
    assert found.slabs[0].flags == "0xfffffc0000200(slab|node=0)"
    assert (found.finished, found.truncated) == (True, False)


@pytest.mark.parametrize("name", WORDINGS)
def test_a_cache_of_full_slabs_has_a_last_line_alone(name: str) -> None:
    (found,) = parse_reports(stamped(report(WORDINGS[name], slabs=[])))
    assert (found.slabs, found.finished, found.caller) == ([], True, CALLER)
    assert (found.pid, found.comm) == (82, "my task")


@pytest.mark.parametrize("name", WORDINGS)
@pytest.mark.parametrize(
    "odd", ["a b", "x (Tainted: G): y", "kmem in on", "]0x[", "\u00e9\x01", "(none)"]
)
def test_odd_names_are_names(name: str, odd: str) -> None:
    (found,) = parse_reports(stamped(report(WORDINGS[name], odd)))
    assert (found.name, found.finished, len(found.slabs)) == (odd, True, 1)


@pytest.mark.parametrize("name", WORDINGS)
def test_each_destroy_is_a_report_of_its_own(name: str) -> None:
    one, two = report(WORDINGS[name]), report(WORDINGS[name], slabs=TWO_SLABS)
    other = report(WORDINGS[name], "other")
    found = parse_reports(stamped([*one, *other, *two]))
    slabs = [(told.name, len(told.slabs)) for told in found]
    assert slabs == [("slab_test", 1), ("other", 1), ("slab_test", 2)]


def test_another_tasks_blocks_of_one_name_are_another_report() -> None:
    """el7 prints no last line where a memcg child held the cache back."""
    one = report(WORDINGS["3.10"], last=False)
    two = report(WORDINGS["3.10"], pid=99, caller="other+0x1/0x2 [mod]")
    found = parse_reports(stamped([*one, *two]))
    assert [(r.pid, r.caller, r.finished) for r in found] == [
        (82, CALLER, False),
        (99, "other+0x1/0x2 [mod]", True),
    ]


@pytest.mark.parametrize("name", WORDINGS)
def test_who_allocated_an_object_is_told_with_the_stack(name: str) -> None:
    address = WORDINGS[name].address
    tracks = [
        f"{WORDINGS[name].info}Allocated in alloc+0xf5/0x150 [slabtest] age=1 cpu=1 pid=89",
        f"\t{address}alloc+0xf5/0x150 [slabtest]",
        f"\t{address}build_debug+0x48/0x209 [slabtest]",
        f"{WORDINGS[name].info}Freed in release+0x1/0x2 age=18446744073709551615 cpu=0 pid=-1",
        f" {address}release+0x1/0x2",
    ]
    (found,) = parse_reports(stamped(report(WORDINGS[name], slabs=TWO_SLABS, tracks=tracks)))
    assert len(found.slabs) == 2
    for slab in found.slabs:
        for told in slab.objects_listed:
            assert told.allocated is not None
            assert told.allocated[:4] == ("alloc+0xf5/0x150 [slabtest]", 1, 1, 89)
            assert told.allocated.stack[1:] == ["build_debug+0x48/0x209 [slabtest]"]
            assert told.freed is not None
            assert told.freed.stack == ["release+0x1/0x2"]
    assert found.trace[0] == CALLER


@pytest.mark.parametrize("name", WORDINGS)
def test_lines_of_others_in_between_change_nothing(name: str) -> None:
    lines: List[str] = []
    for line in report(WORDINGS[name], slabs=TWO_SLABS):
        lines += [line, "usb 1-1: new device", "Slab reclaim: 4", "Object ffff88: 6b 6b 6b  kkk"]
    (found,) = parse_reports(stamped(lines))
    assert listed(found) == LISTED
    assert (found.caller, found.trace[1:]) == (CALLER, ["do_one_initcall+0x44/0x1e0"])


@pytest.mark.parametrize("name", WORDINGS)
def test_other_reports_of_the_allocator_are_not_mixed_in(name: str) -> None:
    info = WORDINGS[name].info
    redzone = [
        "BUG slab_test (Tainted: G    B): Right Redzone overwritten",
        f"{info}Allocated in alloc+0xf5/0x150 age=1 cpu=1 pid=89",
        f"{info}Slab 0xffffea0001 objects=32 used=9 fp=0xffff8880 flags=0x200",
        f"{info}Object 0xffff8880 @offset=96 fp=0x0000",
        f"{info}Object 0xffff8880 @offset=96",
        "CPU: 3 PID: 7 Comm: other Tainted: G    B      OE     5.10.0 #1",
        "Call Trace:",
        " kmem_cache_free+0x1/0x2",
    ]
    found = parse_reports(stamped([*redzone, *report(WORDINGS[name], slabs=TWO_SLABS), *redzone]))
    assert [listed(r) for r in found] == [LISTED]
    assert (found[0].pid, found[0].caller) == (82, CALLER)


@pytest.mark.parametrize("name", WORDINGS)
def test_a_log_whose_beginning_is_lost_keeps_what_is_left(name: str) -> None:
    lines = report(WORDINGS[name], slabs=TWO_SLABS)
    second_object = next(n for n, line in enumerate(lines) if "deadbeef" in line)
    text = stamped(lines[second_object:], boot=False)
    assert not begins_at_boot(text)
    (found,) = parse_reports(text)
    assert (found.name, found.truncated, found.finished) == ("slab_test", True, True)
    assert [o.offset for slab in found.slabs for o in slab.objects_listed] == [2304, 0]
    assert not found.slabs[0].complete


@pytest.mark.parametrize("name", WORDINGS)
def test_a_log_that_ends_early_is_told_as_far_as_it_goes(name: str) -> None:
    lines = report(WORDINGS[name], slabs=TWO_SLABS)
    for length in range(len(lines)):
        for found in parse_reports(stamped(lines[:length])):
            assert found.name == "slab_test"
            offsets = [o.offset for slab in found.slabs for o in slab.objects_listed]
            assert offsets == [640, 2304, 0][: len(offsets)]


def test_a_trace_that_does_not_pass_through_the_destroy_is_anothers() -> None:
    lines = [
        "BUG slab_test (Not tainted): Objects remaining on __kmem_cache_shutdown()",
        "CPU: 1 PID: 7 Comm: idle Not tainted 6.12.0 #1",
        "Call Trace:",
        " panic+0x1/0x2",
    ]
    (found,) = parse_reports(stamped(lines))
    assert (found.pid, found.comm, found.caller, found.trace) == (None, None, None, [])


def test_a_log_without_times_is_read_too() -> None:
    (found,) = parse_reports("\n".join(report(WORDINGS["6.1"], slabs=TWO_SLABS)))
    assert found.when is None
    assert listed(found) == LISTED


PIECES = st.sampled_from(
    [line for wording in WORDINGS.values() for line in report(wording, slabs=TWO_SLABS)]
    + ["Allocated in f+0x1/0x2 age=1 cpu=2 pid=3", " f+0x1/0x2", "\x00", "[    1.0] ", "\u2028"]
)


@given(st.lists(PIECES | st.text(), max_size=40))
def test_any_text_is_read_to_its_end(pieces: List[str]) -> None:
    for text in ("\n".join(pieces), "".join(pieces), stamped(pieces)):
        for found in parse_reports(text):
            assert found.slabs or found.finished


def test_a_megabyte_of_one_line_is_read_in_a_moment() -> None:
    begin = time.process_time()
    head = " (Tainted: G): Objects remaining in "
    for piece in ("BUG a (Tainted: ", head, "BUG a" + head, "[<0>] ", "? ", "Slab 0x"):
        assert parse_reports("Call Trace:\n" + piece * (1 << 16)) == []
        assert parse_reports("Call Trace:\n" + (piece * 100 + "\n") * 10) == []
    assert time.process_time() - begin < 5


def test_the_log_is_what_crash_says() -> None:
    heap = Heap(LAYOUTS["6.1"])
    assert target(heap).log() is None
    heap.image.log = "[    0.000000] Linux version\n"
    assert target(heap).log() == heap.image.log


@pytest.mark.parametrize("answer", ["\n", "log: cannot determine length of log_buf\n", ""])
def test_a_log_that_crash_cannot_decode_is_none(answer: str) -> None:
    heap = Heap(LAYOUTS["6.1"])
    fake = FakeCrash(heap.image)
    fake.commands["log"] = answer
    assert Target(fake).log() is None


def test_a_crash_that_can_tell_who_printed_is_asked_to() -> None:
    heap = Heap(LAYOUTS["6.1"])
    fake = FakeCrash(heap.image)
    fake.commands["help log"] = "SYNOPSIS\n  log [-TtdmascR]\n"
    fake.commands["log"] = "[    0.000000] Linux version\n"
    fake.commands["log -c"] = "[    0.000000] [    T0] Linux version\n"
    assert Target(fake).log() == fake.commands["log -c"]
    fake.commands["log -c"] = "log: cannot tell\n"
    assert Target(fake).log() == fake.commands["log"]


def test_one_that_cannot_is_not_made_to_complain() -> None:
    heap = Heap(LAYOUTS["6.1"])
    fake = FakeCrash(heap.image)
    fake.commands["help log"] = "SYNOPSIS\n  log [-Ttdmas]\n"
    fake.commands["log"] = "[    0.000000] Linux version\n"
    assert Target(fake).log() == fake.commands["log"]
    assert "log -c" not in fake.commands_run


def test_a_log_s_very_long_report_is_quoted_by_its_ends() -> None:
    objects = [(f"{0xFFFF888000100000 + 64 * n:016x}", 64 * n) for n in range(200)]
    lines = report(WORDINGS["6.1"], slabs=[("ffffea0000a9340", objects)])
    (found,) = parse_reports(stamped(lines))
    left = [line for line in found.lines if "left out" in line]
    assert left == [found.lines[60]]
    assert left == [f"({len(lines) - 120 - lines.count('')} lines left out)"] or left[0].endswith(
        " lines left out)"
    )
