# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated what KFENCE has sampled, on real kernels: against drgn's own view of its table."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import drgn
import pytest

from crash_ext.drgnprogram import open_program
from tests import lab
from tests.lab.session import DRGN, records, run_lines

PROGRAM = Path(__file__).with_name("ownerlines.py")
_SAMPLES = 255
"""CONFIG_KFENCE_NUM_OBJECTS of these kernels."""
ALLOCATOR = ("__kfence_alloc", "kmem_cache_alloc", "__kmalloc", "__kvmalloc")


class Sampled(NamedTuple):
    """One allocation, as a struct kfence_track has it."""

    pid: int
    cpu: int
    frames: Tuple[str, ...]


def _by_drgn(program: drgn.Program) -> Dict[str, Sampled]:
    """Address of each allocated object -> its track, as drgn itself reads KFENCE's table."""
    found: Dict[str, Sampled] = {}
    for number in range(_SAMPLES):
        entry = program["kfence_metadata"][number]
        if entry.state == program["KFENCE_OBJECT_ALLOCATED"]:
            track = entry.alloc_track
            frames = list(track.stack_entries)[: int(track.num_stack_entries)]
            found[f"{int(entry.addr):x}"] = Sampled(
                int(track.pid), int(track.cpu), tuple(f"{int(frame):x}" for frame in frames)
            )
    return found


@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_each_sampled_object_has_the_owner_that_kfence_noted(kernel: str) -> None:
    """Debian's older kernels have no KFENCE."""
    dump = lab.dump(kernel, "kfence")
    _, ours = run_lines(dump, DRGN, [f"extend {PROGRAM}", "ownerlines kfence"])
    theirs = _by_drgn(open_program(str(dump.vmcore), [str(dump.vmlinux)]))
    listed: List[str] = []
    for row in records(ours):
        assert row["problems"] == []
        assert row["oldest"] >= 0
        oldest = theirs[row["objects"][0]]
        assert Sampled(row["pids"][0], row["cpu"], tuple(row["frames"])) == oldest
        for address in row["objects"]:
            assert theirs[address].frames == oldest.frames
            assert theirs[address].pid in row["pids"]
        assert not (row["caller"][1] or "").startswith(ALLOCATOR)
        listed += row["objects"]
    assert sorted(listed) == sorted(theirs)
    assert len(listed) > 20
