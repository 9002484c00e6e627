# SPDX-License-Identifier: GPL-3.0-or-later
"""Call traces as each machine prints them: who destroyed the cache is read from all."""

from __future__ import annotations

from typing import Dict, List

import pytest

from crash_ext.why.log.parse import parse_reports
from crash_ext.why.log.tell import calling_module
from tests.unit.dresses import DRESSES

NAME = "modz_obj"
HEAD = f"BUG {NAME} (Tainted: G           O     ): Objects remaining in {NAME} on"
SLAB = "INFO: Slab 0x0000000012345678 objects=21 used=1 fp=0x0000000087654321 flags=0x0080"
OBJECT = "INFO: Object 0x00000000abcdef01 @offset=5120"
LAST = f"kmem_cache_destroy {NAME}: Slab cache still has objects"
TASK = "CPU: 2 PID: 777 Comm: rmmod Tainted: G    B      O      5.10.0 #1"

MACHINES: Dict[str, List[str]] = {
    "arm64": [
        "Hardware name: linux,dummy-virt (DT)",
        "Call trace:",
        " dump_backtrace+0x0/0x1e0",
        " show_stack+0x18/0x24",
        " dump_stack_lvl+0x64/0x80",
        " slab_err+0xa0/0xe0",
        " __kmem_cache_shutdown+0x150/0x2c0",
        " kmem_cache_destroy+0x60/0x130",
        " modz_exit+0x24/0x1000 [modz]",
        " __arm64_sys_delete_module+0x1a8/0x290",
        " invoke_syscall+0x48/0x120",
        " el0t_64_sync+0x1a0/0x1a4",
    ],
    "arm": [
        "Hardware name: Generic DT based system",
        " unwind_backtrace from show_stack+0x10/0x14",
        " show_stack from dump_stack_lvl+0x40/0x4c",
        " dump_stack_lvl from slab_err+0x6c/0x90",
        " slab_err from __kmem_cache_shutdown+0x17c/0x2d8",
        " __kmem_cache_shutdown from kmem_cache_destroy+0x50/0x154",
        " kmem_cache_destroy from modz_exit+0x24/0x1000 [modz]",
        " modz_exit [modz] from sys_delete_module+0x1a4/0x2a0",
        " sys_delete_module from ret_fast_syscall+0x0/0x54",
        "Exception stack(0xd0b35fa8 to 0xd0b35ff0)",
        "5fa0:                   00000000 00000000 beb0ce2c 00000800 00000000 00000000",
    ],
    "arm of v3.10": [
        "[<c0015e64>] (unwind_backtrace+0x0/0xf8) from [<c0011b78>] (show_stack+0x10/0x14)",
        "[<c0011b78>] (show_stack+0x10/0x14) from [<c00d8a30>] (slab_err+0x6c/0x7c)",
        "[<c00d8a30>] (slab_err+0x6c/0x7c) from [<c00db1d8>] (__kmem_cache_shutdown+0x104/0x238)",
        "[<c00db1d8>] (__kmem_cache_shutdown+0x104/0x238) from"
        " [<c00b6b0c>] (kmem_cache_destroy+0x38/0xd0)",
        "[<c00b6b0c>] (kmem_cache_destroy+0x38/0xd0) from"
        " [<bf000024>] (modz_exit+0x24/0x1000 [modz])",
        "[<bf000024>] (modz_exit+0x24/0x1000 [modz]) from"
        " [<c007a5f4>] (SyS_delete_module+0x1a4/0x2a0)",
    ],
    "s390x": [
        "Hardware name: QEMU 2964 QEMU (KVM/Linux)",
        "Call Trace:",
        " [<00000000a5d1d3a6>] dump_stack_lvl+0x62/0x80 ",
        " [<00000000a5d10f4c>] slab_err+0xa4/0xc8 ",
        " [<00000000a5d11b36>] __kmem_cache_shutdown+0x19e/0x300 ",
        " [<00000000a55d2a4e>] kmem_cache_destroy+0x6e/0x148 ",
        " [<000003ff801010b4>] modz_exit+0x24/0x1000 [modz] ",
        "([<000003ff801010b4>] modz_exit+0x24/0x1000 [modz])",
        " [<00000000a54ac8ea>] __s390x_sys_delete_module+0x18a/0x268 ",
        " [<00000000a5d2a1c4>] __do_syscall+0x1d4/0x200 ",
        " [<00000000a5d3a1b2>] system_call+0x82/0xb0 ",
        "Last Breaking-Event-Address:",
        " [<00000000a55d2a4e>] kmem_cache_destroy+0x6e/0x148",
    ],
    "ppc64": [
        "Call Trace:",
        "[c0000000f0b3b9d0] [c000000000b5e0f4] .dump_stack+0xb4/0x100 (unreliable)",
        "[c0000000f0b3ba60] [c0000000003c8b98] .slab_err+0xa8/0xd0",
        "[c0000000f0b3bb50] [c0000000003cd4d0] .__kmem_cache_shutdown+0x1d0/0x3d0",
        "[c0000000f0b3bc50] [c00000000036a3a8] .kmem_cache_destroy+0x78/0x1b0",
        "[c0000000f0b3bce0] [d000000001a10024] .modz_exit+0x24/0x1000 [modz]",
        "[c0000000f0b3bd60] [c000000000191a50] .sys_delete_module+0x1a0/0x2a0",
        "[c0000000f0b3be30] [c00000000000b4a0] system_call+0x5c/0x70",
    ],
    "ppc64le of v6.1": [
        "Call Trace:",
        "[c00000000b8a7b20] [c000000000f1a9d8] dump_stack_lvl+0x6c/0x9c (unreliable)",
        "[c00000000b8a7b50] [c0000000004c1e34] slab_err+0xc4/0x120",
        "[c00000000b8a7c40] [c0000000004c9d40] __kmem_cache_shutdown+0x240/0x510",
        "[c00000000b8a7d30] [c00000000042bd74] kmem_cache_destroy+0x94/0x200",
        "[c00000000b8a7dc0] [c0080000009e0024] modz_exit+0x24/0x1000 [modz]",
        "[c00000000b8a7de0] [c000000000254e8c] sys_delete_module+0x1fc/0x340",
        "[c00000000b8a7e10] [c00000000002d5b8] system_call_exception+0x138/0x260",
        "[c00000000b8a7e50] [c00000000000c270] system_call_vectored_common+0xf0/0x280",
        "--- interrupt: 3000 at 0x7fff8d5c1a9c",
    ],
    "riscv": [
        "Hardware name: riscv-virtio,qemu (DT)",
        "Call Trace:",
        "[<ffffffff80006a30>] dump_backtrace+0x1c/0x24",
        "[<ffffffff8097a2e4>] show_stack+0x2c/0x38",
        "[<ffffffff80985dca>] dump_stack_lvl+0x40/0x58",
        "[<ffffffff801fbf1c>] slab_err+0x7e/0xa0",
        "[<ffffffff801ff7a4>] __kmem_cache_shutdown+0x104/0x28c",
        "[<ffffffff801b5a06>] kmem_cache_destroy+0x46/0xf6",
        "[<ffffffff015e5024>] modz_exit+0x24/0x1000 [modz]",
        "[<ffffffff800a2b74>] __riscv_sys_delete_module+0x10c/0x1a4",
        "[<ffffffff80003eac>] ret_from_syscall+0x0/0x2",
    ],
    "mips": [
        "Stack : 00000000 80135f30 80a70000 00000000 80a74a48 80a73cd4 80a74fec 8f0cbc4c",
        "        ...",
        "Call Trace:",
        "[<80109d2c>] show_stack+0x38/0x118",
        "[<8088c8ac>] dump_stack+0x9c/0xc8",
        "[<80264f24>] slab_err+0x80/0xa4",
        "[<8026aab0>] __kmem_cache_shutdown+0x1a4/0x330",
        "[<80236108>] kmem_cache_destroy+0x5c/0x154",
        "[<c0002024>] modz_exit+0x24/0x1000 [modz]",
        "[<801a5c58>] sys_delete_module+0x1a8/0x26c",
        "[<80114bf0>] syscall_common+0x34/0x58",
    ],
    "loongarch": [
        "Stack : 90000000014a3f28 900000000158c000 90000001007bbb70 0000000000000000",
        "Call Trace:",
        "[<9000000000222f48>] show_stack+0x60/0x180",
        "[<90000000012d4d34>] dump_stack_lvl+0x60/0x88",
        "[<90000000004fa8b0>] slab_err+0x98/0xc0",
        "[<9000000000500f34>] __kmem_cache_shutdown+0x1b4/0x380",
        "[<900000000049d0ac>] kmem_cache_destroy+0x54/0x160",
        "[<ffff800002008024>] modz_exit+0x24/0x1000 [modz]",
        "[<900000000031a1b8>] sys_delete_module+0x1b0/0x2c0",
        "[<90000000012d5b94>] do_syscall+0x94/0x150",
        "[<9000000000221b78>] handle_syscall+0xb8/0x158",
    ],
    "sparc64": [
        "Call Trace:",
        "[00000000005d63b4] slab_err+0x74/0xa0",
        "[00000000005db2f8] __kmem_cache_shutdown+0x198/0x340",
        "[000000000059b0d4] kmem_cache_destroy+0x54/0x120",
        "[0000000010004024] modz_exit+0x24/0x1000 [modz]",
        "[00000000004f1e6c] sys_delete_module+0x18c/0x240",
        "[0000000000406274] linux_sparc_syscall+0x34/0x44",
    ],
    "i386": [
        "Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-1 04/01/2014",
        "Call Trace:",
        " dump_stack_lvl+0x34/0x42",
        " dump_stack+0xd/0x10",
        " slab_err+0x83/0xa0",
        " __kmem_cache_shutdown.cold+0x2a/0x11f",
        " kmem_cache_destroy+0x42/0xf0",
        " modz_exit+0x24/0x1000 [modz]",
        " __ia32_sys_delete_module+0x13c/0x1f0",
        " __do_fast_syscall_32+0x43/0x90",
        " do_SYSENTER_32+0x15/0x20",
        " entry_SYSENTER_32+0x98/0xe7",
        "EIP: 0xb7f2d549",
    ],
    "x86-64 of v4.4": [
        " 0000000000000286 000000009c1a5b1f ffff88003a1c3c80 ffffffff813f8f63",
        "Call Trace:",
        " [<ffffffff813f8f63>] dump_stack+0x63/0x90",
        " [<ffffffff811e9a50>] slab_err+0x80/0x90",
        " [<ffffffff811ec1c9>] ? __kmalloc+0x1a9/0x250",
        " [<ffffffff811eda27>] __kmem_cache_shutdown+0x157/0x330",
        " [<ffffffff811b9ebe>] kmem_cache_destroy+0xce/0x170",
        " [<ffffffffc0254024>] modz_exit+0x24/0x1000 [modz]",
        " [<ffffffff81109a40>] SyS_delete_module+0x1b0/0x210",
        " [<ffffffff81831a9b>] entry_SYSCALL_64_fastpath+0x16/0x6e",
    ],
    "decode_stacktrace.sh": [
        "Call Trace:",
        "<TASK>",
        "dump_stack_lvl (lib/dump_stack.c:107)",
        "slab_err (mm/slub.c:1004)",
        "__kmem_cache_shutdown.cold (mm/slub.c:4320 mm/slub.c:4360)",
        "? __pfx_modz_exit (drivers/modz/main.c:60) modz",
        "kmem_cache_destroy (mm/slab_common.c:496 (discriminator 2))",
        "modz_exit (drivers/modz/main.c:64) modz",
        "__x64_sys_delete_module (kernel/module/main.c:756 kernel/module/main.c:698)",
        "do_syscall_64 (arch/x86/entry/common.c:50 arch/x86/entry/common.c:80)",
        "</TASK>",
    ],
}


@pytest.mark.parametrize("function", ["kmem_cache_close()", "__kmem_cache_shutdown()"])
@pytest.mark.parametrize("dress", ["crash's log", "no times", "journal short", "quoted"])
@pytest.mark.parametrize("machine", MACHINES)
def test_who_destroyed_it_is_read(machine: str, dress: str, function: str) -> None:
    lines = [
        "=" * 77, f"{HEAD} {function}", "-" * 77, "",
        SLAB, TASK, *MACHINES[machine], OBJECT, LAST, TASK, *MACHINES[machine],
    ]  # fmt: skip
    log = [(182.0 + number / 1000, body) for number, body in enumerate(lines)]
    (found,) = parse_reports(DRESSES[dress](log))
    assert (found.name, found.pid, found.comm, found.cpu) == (NAME, 777, "rmmod", 2)
    assert (found.finished, found.truncated, found.mixed) == (True, False, False)
    assert [each.offset for slab in found.slabs for each in slab.objects_listed] == [5120]
    assert calling_module(found) == "modz"
    assert found.caller is not None
    assert found.caller.lstrip(".").startswith("modz_exit")


@pytest.mark.parametrize("machine", MACHINES)
def test_a_trace_without_its_end_is_not_taken_for_a_mixed_one(machine: str) -> None:
    """Two reports, one after the other: the first one's last frames are no strangers."""
    whole = [f"{HEAD} __kmem_cache_shutdown()", SLAB, TASK, *MACHINES[machine], OBJECT, LAST]
    other = [line.replace("modz", "mody") for line in [*whole, TASK, *MACHINES[machine]]]
    found = parse_reports("\n".join([*whole, TASK, *MACHINES[machine], *other, *whole]))
    assert [calling_module(report) for report in found] == ["modz", "mody", "modz"]
    assert [report.pid for report in found] == [777] * 3
