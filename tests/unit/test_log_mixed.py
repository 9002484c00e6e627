# SPDX-License-Identifier: GPL-3.0-or-later
"""Two CPUs that print at once: who called is said rightly, or not at all."""

from __future__ import annotations

import random
from typing import List, Sequence, Tuple

import pytest

from crash_ext.why.log.parse import Report, parse_reports
from crash_ext.why.log.tell import calling_module

Line = Tuple[str, str]
"""Who printed it, and what."""

TASK = "CPU: 3 PID: 777 Comm: rmmod Tainted: G    B      OE     5.15.0-94-generic #1"
CALLERS = [
    " modp_exit+0x24/0x40 [modp]",
    " __do_sys_delete_module.constprop.0+0x184/0x290",
    " do_syscall_64+0x5c/0x90",
    " </TASK>",
]
BEGIN = [TASK, "Hardware name: QEMU", "Call Trace:", " <TASK>", " dump_stack_lvl+0x44/0x5c"]
OURS = [
    "BUG modp_obj (Tainted: G           OE    ): "
    "Objects remaining in modp_obj on __kmem_cache_shutdown()",
    "-" * 77,
    "",
    "Slab 0x00000000cc33dd44 objects=32 used=1 fp=0x00000000ee55ff66 flags=0xfffffc0000200",
    *BEGIN,
    " slab_err+0xb7/0xdc",
    " __kmem_cache_shutdown.cold+0x3b/0x1af",
    " kmem_cache_destroy+0x53/0x100",
    *CALLERS,
    "Object 0x00000000aa11bb22 @offset=128",
    "kmem_cache_destroy modp_obj: Slab cache still has objects",
    *BEGIN,
    " kmem_cache_destroy.cold+0x15/0x1a",
    *CALLERS,
]
THEIRS = [
    "WARNING: CPU: 1 PID: 50 at net/ipv4/af_inet.c:154 inet_sock_destruct+0x1a0/0x1d0",
    "Modules linked in: tcpmod bar",
    "CPU: 1 PID: 50 Comm: kworker/1:1 Tainted: G    B      OE     5.15.0-94-generic #1",
    "RIP: 0010:inet_sock_destruct+0x1a0/0x1d0",
    "Call Trace:",
    " <TASK>",
    " inet_csk_destroy_sock+0x50/0x110",
    " __tcp_close+0x2d5/0x440 [tcpmod]",
    " inet_release+0x42/0x80 [tcpmod]",
    " worker_thread+0x53/0x3e0",
    " kthread+0x127/0x150",
    " ret_from_fork+0x22/0x30",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
]


def interleaved(chance: random.Random) -> List[Line]:
    """Both CPUs' lines, each one's in its order."""
    ours = [("T777", body) for body in OURS]
    theirs = [("T50", body) for body in THEIRS]
    start = chance.randrange(len(ours))
    share = chance.choice([0.2, 0.5, 0.8])
    lines, ours = ours[:start], ours[start:]
    while ours or theirs:
        from_us = not theirs or (bool(ours) and chance.random() < share)
        lines.append((ours if from_us else theirs).pop(0))
    return lines


def read(lines: Sequence[str]) -> Report:
    (found,) = parse_reports("\n".join(lines))
    return found


def is_full(report: Report) -> bool:
    return (report.pid, report.comm, report.cpu, report.caller, calling_module(report)) == (
        777, "rmmod", 3, "modp_exit+0x24/0x40 [modp]", "modp",
    )  # fmt: skip


@pytest.mark.parametrize("dress", ["[  300.000001] [{:>6}] ", "[  300.000001][{:>6}] "])
def test_where_the_log_has_callers_nothing_is_mixed(dress: str) -> None:
    chance = random.Random(7)
    for _ in range(300):
        lines = interleaved(chance)
        found = read([dress.format(caller) + body for caller, body in lines])
        assert is_full(found), lines
        assert not found.mixed


def test_else_a_mixed_trace_names_nobody() -> None:
    """Which of two lines is whose is nowhere said: seldom another's frame is taken for ours."""
    chance = random.Random(7)
    told = wrong = 0
    for _ in range(1000):
        lines = interleaved(chance)
        found = read([f"[  300.000001] {body}" for _, body in lines])
        assert found.finished
        assert [each.offset for slab in found.slabs for each in slab.objects_listed] == [128]
        assert found.pid in (None, 777), lines
        if found.caller is None:
            assert found.mixed, lines
            assert calling_module(found) is None
        told += is_full(found)
        wrong += found.caller not in (None, CALLERS[0].strip())
    assert told > 800
    assert wrong <= 1


def test_two_reports_at_once_keep_their_own_ends() -> None:
    """Two modules are unloaded at once: each last line ends its own cache's report."""
    other = [line.replace("modp", "modq") for line in OURS]
    chance = random.Random(3)
    ours, theirs = list(OURS), list(other)
    lines: List[str] = []
    while ours or theirs:
        from_us = not theirs or (bool(ours) and chance.random() < 0.5)
        lines.append((ours if from_us else theirs).pop(0))
    found = parse_reports("\n".join(lines))
    assert sorted(report.name for report in found) == ["modp_obj", "modq_obj"]
    assert all(report.finished for report in found)


def test_a_warning_s_own_line_tells_the_task_of_a_mixed_trace() -> None:
    last = OURS.index("kmem_cache_destroy modp_obj: Slab cache still has objects")
    lines = [
        "kmem_cache_destroy modp_obj: Slab cache still has objects when called from"
        " modp_exit+0x24/0x40 [modp]",
        "WARNING: CPU: 3 PID: 777 at mm/slab_common.c:520 kmem_cache_destroy+0x14d/0x160",
        THEIRS[2],
        *OURS[last + 1 :],
    ]
    assert is_full(read(lines))
    short = read(lines[:2])
    assert (short.pid, short.cpu, short.comm) == (777, 3, None)
    new = "WARNING: mm/slab_common.c:528 at kmem_cache_destroy+0x168/0x180, CPU#3: rmmod/777"
    assert is_full(read([lines[0], new]))
