# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel logs with reports of failed destroys, worded as each kernel words them.

Written after real logs of 5.10, 6.1, 6.12 and 7.3, and after the format strings of 3.10's
and 4.19's sources.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from mocks.heap import Heap

Slab = Tuple[str, Sequence[Tuple[str, int]]]
"""A slab's pointer and its objects' pointers and offsets, as printed behind 0x."""

KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
"""Of the hash in %p."""

BOOT = "Linux version 1.2.3 (debian-kernel@lists.debian.org)"


class Wording(NamedTuple):
    """What differs between kernels."""

    named: bool
    """The headline ends "Objects remaining in NAME on"."""
    function: str
    info: str
    """Before a slab's and an object's line."""
    slab_first: bool
    address: str
    """Before a frame of a stack."""
    called_from: bool
    """The last line says where it was called from, and is a warning."""
    uid: str = ""


WORDINGS = {
    "3.10": Wording(True, "kmem_cache_close()", "INFO: ", True, "[<ffffffff81234567>] ", False),
    "4.19": Wording(True, "__kmem_cache_shutdown()", "INFO: ", True, "", False),
    "5.10": Wording(True, "__kmem_cache_shutdown()", "INFO: ", True, "", False),
    "5.15": Wording(True, "__kmem_cache_shutdown()", "", True, "", False),
    "6.1": Wording(True, "__kmem_cache_shutdown()", "", True, "", True),
    "6.12": Wording(False, "__kmem_cache_shutdown()", "", False, "", True, "UID: 0 "),
}

HEX = ["RIP: 0010:__slab_err+0x19/0x20", "RAX: 0000000000000000 RBX: ffff8d5282391000"]


def report(
    wording: Wording,
    name: str = "slab_test",
    slabs: Sequence[Slab] = (("ffffea0000a9340", [("ffff88800a4d500", 640)]),),
    caller: str = "build_leak+0xa7/0xe0 [slabtest]",
    pid: int = 82,
    last: bool = True,
    tracks: Sequence[str] = (),
    per_slab: int = 32,
) -> List[str]:
    """The lines of one report, without their times.

    tracks: lines behind each object; per_slab: objects of a slab.
    """
    lines: List[str] = []
    trace = _trace(wording, caller, pid)
    for pointer, objects in slabs:
        within = f" in {name}" if wording.named else ""
        lines += [
            "=" * 77,
            f"BUG {name} (Tainted: G    B      OE    ): "
            f"Objects remaining{within} on {wording.function}",
            "-" * 77,
            "",
        ]
        slab = [
            f"{wording.info}Slab 0x{pointer} objects={per_slab} used={len(objects)}"
            " fp=0xffff88800a4d000 flags=0xfffffc0000200(slab|node=0)"
        ]
        listed: List[str] = []
        for address, offset in objects:
            listed += [f"{wording.info}Object 0x{address} @offset={offset}", *tracks]
        if wording.slab_first:
            lines += slab + trace + listed
        else:
            lines += [*listed, *slab, "------------[ cut here ]------------", *trace]
    if last:
        lines += _last(wording, name, caller, pid)
    return lines


def _last(wording: Wording, name: str, caller: str, pid: int) -> List[str]:
    text = f"kmem_cache_destroy {name}: Slab cache still has objects"
    if wording.called_from:
        # A warning's trace starts at the caller.
        trace = [line for line in _trace(wording, caller, pid) if "kmem_cache" not in line]
        return ["------------[ cut here ]------------", f"{text} when called from {caller}", *trace]
    return [text, *_trace(wording, caller, pid)]


def _trace(wording: Wording, caller: str, pid: int) -> List[str]:
    frames = [
        "? slub_cpu_dead+0xa0/0xa0",
        "__kmem_cache_shutdown.cold+0x31/0xfe",
        "? kmem_cache_free+0xff/0x420",
        "kmem_cache_destroy+0x53/0x110",
        caller,
        "? 0xffffffffc0314000",
        "do_one_initcall+0x44/0x1e0",
    ]
    head = f"CPU: 1 {wording.uid}PID: {pid} Comm: my task Tainted: G    B      OE     5.10.0 #1"
    return [head, *HEX, "Call Trace:", " <TASK>", *(f" {wording.address}{f}" for f in frames), *HEX]


def stamped(lines: Sequence[str], caller_id: Optional[str] = None, boot: bool = True) -> str:
    """The log's text, a second a line. caller_id: as CONFIG_PRINTK_CALLER shows it."""
    whole = [BOOT, *lines] if boot else lines
    behind = f"[{caller_id:>6}]" if caller_id else ""
    return "".join(f"[{n:5}.{n:06}]{behind} {line}\n" for n, line in enumerate(whole))


def key_bytes(heap: Heap) -> bytes:
    """ptr_key as it lies in memory."""
    return b"".join(heap.image.bytes_of(half, 8) for half in KEY)


def give_key(heap: Heap, key: bytes) -> None:
    """Puts a variable ptr_key into the heap's last page."""
    image = heap.image
    page = image.page_offset + (image.present[0][1] - 1) * image.page_size
    image.map(page, key.ljust(image.page_size, b"\0"))
    image.symbols["ptr_key"] = page
