# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs as they are in the field: every report is read as a person would read it.

Each log lies beside its right answer, NAME.txt and NAME.answer.json in tests/data/logs.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.why.log.dress import for_each_line, undress
from crash_ext.why.log.match import (
    NAME,
    NOT_LISTED_KFENCE,
    NOT_LISTED_LOST,
    NOT_LISTED_SLAB,
    LogEvidence,
    MatchedReport,
)
from crash_ext.why.log.parse import Report, parse_reports
from crash_ext.why.log.tell import callers_of, calling_module, destroyed_by, log_evidence
from crash_ext.why.running import UNFINISHED
from tests.unit.dresses import DRESSES, Dress, Entry

LOGS = Path(__file__).resolve().parents[1] / "data" / "logs"
BIOSET = "06-5.10-bioset-caller-without-module"
NAMES = sorted(path.stem for path in LOGS.glob("*.txt"))
PLAIN = """\
=============================================================================
BUG foo_req (Tainted: G           OE     ): Objects remaining in foo_req on __kmem_cache_shutdown()
-----------------------------------------------------------------------------

Slab 0x00000000d4cff219 objects=63 used=2 fp=0x00000000c3e8a671 flags=0x17ffffc0000a40
CPU: 22 PID: 2162615 Comm: rmmod Kdump: loaded Tainted: G           OE      6.8.0-31-generic #31
Call Trace:
 <TASK>
 kmem_cache_destroy+0x4e/0x170
 foo_exit+0x24/0x40 [foo 0123456789abcdef0123456789abcdef01234567]
 </TASK>
Object 0x00000000aa11bb22 @offset=128
Object 0x00000000aa11bb24 @offset=4224
kmem_cache_destroy foo_req: Slab cache still has objects when called from foo_exit+0x24/0x40 [foo]
"""


def as_answer(report: Report) -> Dict[str, Any]:
    return {
        "name": report.name,
        "pid": report.pid,
        "comm": report.comm,
        "cpu": report.cpu,
        "caller": report.caller,
        "module": calling_module(report),
        "slabs": [
            [slab.objects, slab.used, [each.offset for each in slab.objects_listed]]
            for slab in report.slabs
        ],
        "finished": report.finished,
        "truncated": report.truncated,
    }


def in_full(name: str) -> Tuple[List[Entry], List[Dict[str, Any]]]:
    """A log's lines with times of their own, and what is to be read."""
    text = (LOGS / f"{name}.txt").read_text(encoding="utf-8")
    answer = json.loads((LOGS / f"{name}.answer.json").read_text(encoding="utf-8"))
    bodies = [line.body for line in for_each_line(text)]
    return [(182.0 + number / 1000, body) for number, body in enumerate(bodies)], answer["reports"]


@pytest.mark.parametrize("name", NAMES)
def test_every_report_is_read_as_it_is_meant(name: str) -> None:
    text = (LOGS / f"{name}.txt").read_text(encoding="utf-8")
    answer = json.loads((LOGS / f"{name}.answer.json").read_text(encoding="utf-8"))
    assert [as_answer(report) for report in parse_reports(text)] == answer["reports"]


def test_there_are_logs() -> None:
    assert len(NAMES) >= 20


@pytest.mark.parametrize("dress", DRESSES.values(), ids=list(DRESSES))
@pytest.mark.parametrize("name", NAMES)
def test_a_dress_changes_nothing(name: str, dress: Dress) -> None:
    log, answer = in_full(name)
    assert [as_answer(report) for report in parse_reports(dress(log))] == answer


@pytest.mark.parametrize(
    "stranger",
    [
        "usb 1-1: new high-speed USB device number 2",
        "Modules linked in: foo(OE-) bar baz [last unloaded: qux]",
        "BUG kmalloc-64 (Tainted: G    B      OE    ): Poison overwritten",
        "INFO: Slab 0x000000007186eef7 objects=42 used=8 fp=0x0000000003de3e06 flags=0x200",
        "INFO: Object 0x0000000003de3e06 @offset=2624 fp=0x0000000000000000",
        "FIX kmalloc-64: Restoring 0x00000000ee4b7a68-0x00000000ee4b7a68=0x6b",
    ],
)
def test_a_line_of_another_kind_in_between_loses_no_report(stranger: str) -> None:
    lines = PLAIN.splitlines()
    for at in range(6, len(lines)):
        found = parse_reports("\n".join([*lines[:at], stranger, *lines[at:]]))
        assert [report.name for report in found] == ["foo_req"], at
        assert found[0].finished, at
        assert [each.offset for each in found[0].slabs[0].objects_listed] == [128, 4224], at
        assert found[0].caller == "foo_exit+0x24/0x40 [foo]", at


@given(st.lists(st.sampled_from(PLAIN.splitlines()) | st.text(max_size=90), max_size=30))
def test_nothing_is_said_that_no_line_says(lines: List[str]) -> None:
    text = "\n".join(lines)
    for report in parse_reports(text):
        assert report.name in text
        assert report.comm is None or report.comm in text
        assert report.pid is None or str(report.pid) in text
        for slab in report.slabs:
            assert all(f"@offset={each.offset}" in text for each in slab.objects_listed)


@given(st.text(max_size=300))
def test_any_line_may_be_undressed(line: str) -> None:
    assert len(undress(line).body) <= len(line)


@pytest.mark.parametrize(
    ("frames", "module"),
    [
        (["bioset_exit+0x54/0x100", "md_free+0x6c/0xb0 [md_mod]"], "md_mod"),
        (["spl_kmem_cache_destroy+0x9a/0x240 [spl]", "zio_fini+0x5c/0xd0 [zfs]"], "zfs"),
        (["cfs_mem_cache_destroy+0x2a/0x80 [libcfs]", "lu_exit+0x1c/0x40 [obdclass]"], "obdclass"),
        (["mempool_destroy+0x1a/0x30", "dm_exit+0x5c/0xd0 [dm_crypt]"], "dm_crypt"),
        (["spl_kmem_cache_destroy+0x9a/0x240 [spl]", "__x64_sys_ioctl+0x9a/0x240"], "spl"),
        (["f_exit+0x1/0x2", "__x64_sys_delete_module+0x1/0x2", "g+0x1/0x2 [other]"], None),
        (["0xffffffffc06591b8", "do_one_initcall+0xba/0x240"], None),
    ],
)
def test_the_module_is_the_first_that_is_no_wrapper(
    frames: List[str], module: Optional[str]
) -> None:
    report = parse_reports(PLAIN)[0]._replace(caller=frames[0], trace=frames)
    assert calling_module(report) == module


def texts_of(*matched: MatchedReport, own: Optional[str] = "") -> List[str]:
    """own: what the caller's call went to, as calls.between()."""
    found = LogEvidence(list(matched), [], [], [], [], {})
    return [item.text for item in log_evidence(found, True, str, lambda _: own)]


def test_the_way_to_the_destroy_is_evidence() -> None:
    (report,) = parse_reports((LOGS / f"{BIOSET}.txt").read_text(encoding="utf-8"))
    matched = MatchedReport(report, NAME, [])
    assert texts_of(matched)[1:] == [
        "kmem_cache_destroy() was called from bio_put_slab+0x60/0xa0",
        "on the way: bio_put_slab+0x60/0xa0, bioset_exit+0x54/0x100, tracer_destroy+0x6c/0xb0"
        " [mode], ioctl_destroy+0x31/0x60 [mode]",
        "mode is the first module on the way that is no mere wrapper",
    ]
    nobody = matched._replace(report=report._replace(caller=None, trace=[], mixed=True))
    assert texts_of(nobody)[1:] == [
        "its call trace is mixed with another task's: who called can't be told"
    ]


@pytest.mark.parametrize(
    ("sure", "own", "words"),
    [
        (True, None, "bio_put_slab+0x60/0xa0, or from the end of a function called there"),
        (False, "", "bio_put_slab+0x60/0xa0, or from the end of a function called there"),
        (True, "put [mode]", "the end of put [mode], which bio_put_slab+0x60/0xa0 called"),
    ],
)
def test_a_trace_shows_where_the_destroy_returned_to_and_may_lack_who_called(
    sure: bool, own: Optional[str], words: str
) -> None:
    """A function that ends with the destroy jumps there, and has no frame."""
    (report,) = parse_reports((LOGS / f"{BIOSET}.txt").read_text(encoding="utf-8"))
    matched = MatchedReport(report._replace(sure=sure), NAME, [])
    assert texts_of(matched, own=own)[1] == f"kmem_cache_destroy() was called from {words}"
    found = LogEvidence([matched], [], [], [], [], {}, alone=True)
    assert callers_of(found, lambda _: own) == ([words] if sure else [])


@pytest.mark.parametrize(
    ("own", "function"),
    [
        (None, "foo_exit() [foo]"),
        ("", "foo_exit() [foo]"),
        ("foo_free [foo]", "foo_free() [foo]"),
        ("foo_kmem_cache_destroy [foo]", "foo_exit() [foo]"),
        ("put [lib]", "foo_exit() [foo]"),
    ],
)
def test_the_destroyer_is_the_function_that_the_callers_call_went_to(
    own: Optional[str], function: str
) -> None:
    """Unless that's a mere wrapper, or another module's."""
    (report,) = parse_reports((LOGS / f"{BIOSET}.txt").read_text(encoding="utf-8"))
    frame = "foo_exit+0x1f/0x20 [foo]"
    matched = MatchedReport(report._replace(caller=frame, trace=[frame]), NAME, [])
    found = LogEvidence([matched], [], [], [], [], {}, alone=True)
    assert destroyed_by(found, lambda _: own) == function


def test_reports_that_list_nothing_or_are_too_many_are_told_as_such() -> None:
    (report,) = parse_reports((LOGS / f"{BIOSET}.txt").read_text(encoding="utf-8"))
    bare = report._replace(slabs=[], caller=None, trace=[], when=None)
    matched = [MatchedReport(bare, NAME, [])] * 5
    texts = texts_of(*matched)
    by_name = "matched by name alone: it may be of another"
    assert set(texts[:-1]) == {
        f"a destroy failed in pid {report.pid} {report.comm}: no object listed ({by_name})"
    }
    assert texts[-1] == "2 more reports of it"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (NOT_LISTED_SLAB, "in a slab that was full then, or was added since"),
        (NOT_LISTED_KFENCE, "in KFENCE's pool, which is on no list"),
        (NOT_LISTED_LOST, "lines of the report are lost, or can't be matched"),
        (UNFINISHED, "the destroy is still running: its report is not finished"),
    ],
)
def test_why_the_log_lacks_an_object_is_told(reason: str, words: str) -> None:
    (report,) = parse_reports((LOGS / f"{BIOSET}.txt").read_text(encoding="utf-8"))
    found = LogEvidence([MatchedReport(report, NAME, [])], [], [], [], [], {reason: [0x1000]})
    *_, last = log_evidence(found, True, str, lambda _: "")
    assert last.text == f"1 allocated object not in the log: {words}"
    assert last.address == 0x1000


STRANGERS = [
    "usb 1-1: new high-speed USB device number 2",
    "Modules linked in: foo(OE-) bar baz [last unloaded: qux]",
    'audit: type=1400 audit(1785404645.123:42): apparmor="DENIED" operation="open"',
    "FIX kmalloc-64: Restoring 0x00000000ee4b7a68-0x00000000ee4b7a68=0x6b",
    "INFO: Object 0x0000000003de3e06 @offset=2624 fp=0x0000000000000000",
    "{}",
    "",
    "systemd[1]: Started Session 2 of user root.",
    "BUG: KASAN: slab-use-after-free in req_poll+0x5d/0x80 [modr]",
]


@pytest.mark.parametrize("dress", DRESSES.values(), ids=list(DRESSES))
def test_no_dress_loses_a_report_by_a_stranger_s_line(dress: Dress) -> None:
    whole, answer = in_full(BIOSET)
    log = [entry for entry in whole if "=====" not in entry[1]]
    head = next(n for n, (_, body) in enumerate(log) if body.startswith("BUG "))
    for at in range(head + 1, len(log), 3):
        for stranger in STRANGERS:
            found = parse_reports(dress([*log[:at], (log[at][0], stranger), *log[at:]]))
            assert [as_answer(report) for report in found] == answer, (at, stranger)


ALL_LINES = [body for name in NAMES for _, body in in_full(name)[0]]


@given(
    st.sampled_from(sorted(DRESSES)),
    st.lists(st.sampled_from(ALL_LINES) | st.sampled_from(STRANGERS) | st.text(max_size=60)),
)
def test_whatever_the_dress_nothing_is_said_that_no_line_says(
    dress: str, bodies: List[str]
) -> None:
    log = [(182.0 + number / 1000, body) for number, body in enumerate(bodies)]
    text = DRESSES[dress](log)
    # What a mailer breaks is whole again, so what was printed is what counts.
    said = " ".join(" ".join(bodies).split())
    for report in parse_reports(text):
        assert " ".join(report.name.split()) in said
        assert report.comm is None or " ".join(report.comm.split()) in said
        assert report.pid is None or str(report.pid) in said
        for frame in report.trace:
            assert frame.split(" ")[0] in said
        for slab in report.slabs:
            assert all(f"@offset={each.offset}" in said for each in slab.objects_listed)


@pytest.mark.parametrize("quote", ["", "> ", "> > "])
@pytest.mark.parametrize("width", [64, 70, 72, 76, 80])
def test_a_mailer_s_lines_without_times_are_whole_again(width: int, quote: str) -> None:
    lines: List[str] = []
    for line in PLAIN.splitlines():
        lines += textwrap.wrap(line, width, break_on_hyphens=False, replace_whitespace=False) or [
            ""
        ]
    (found,) = parse_reports("\n".join(quote + line for line in lines))
    assert as_answer(found) == as_answer(parse_reports(PLAIN)[0])


ANOTHER_REPORT = """\
=============================================================================
BUG kmalloc-64 (Tainted: G    B      OE    ): Poison overwritten
-----------------------------------------------------------------------------

INFO: 0x00000000ee4b7a68-0x00000000ee4b7a68 @offset=2664. First byte 0x6c instead of 0x6b
INFO: Allocated in f+0x1/0x2 age=3 cpu=1 pid=5
 f+0x1/0x2
 g+0x1/0x2
INFO: Slab 0x000000007186eef7 objects=42 used=8 fp=0x0000000003de3e06 flags=0x200
INFO: Object 0x0000000003de3e06 @offset=2624 fp=0x0000000000000000
CPU: 1 PID: 50 Comm: kworker/1:1 Tainted: G    B
Call Trace:
 dump_stack+0x6b/0x83
 check_bytes_and_report.cold+0x50/0x61
 kthread+0x127/0x150
 ret_from_fork+0x22/0x30
FIX kmalloc-64: Restoring 0x00000000ee4b7a68-0x00000000ee4b7a68=0x6b
""".splitlines()
SAME_IN_ANY_CASE = ("name", "slabs", "finished", "truncated")


# Where a log begins with objects, a report before them says that they are its own.
WITH_HEADS = [name for name in NAMES if "decode" not in name and "beginning" not in name]


@pytest.mark.parametrize("name", WITH_HEADS)
def test_another_report_in_between_costs_no_slab_and_names_no_stranger(name: str) -> None:
    log, answer = in_full(name)
    bodies = [body for _, body in log]
    for at in range(len(bodies) + 1):
        text = "\n".join([*bodies[:at], *ANOTHER_REPORT, *bodies[at:]])
        found = [as_answer(report) for report in parse_reports(text)]
        assert len(found) == len(answer), at
        for mine, right in zip(found, answer):
            for key, value in right.items():
                told = mine[key]
                assert told == value or (told is None and key not in SAME_IN_ANY_CASE), (at, key)
