# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated what KFENCE has sampled, on real kernels: against gdb's own view of its records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import pytest

from tests import lab
from tests.lab.session import records, run_lines

PROGRAM = Path(__file__).with_name("ownerlines.py")
RUNS = [(kernel, lab.crashes_for(kernel)[-1]) for kernel in ("6.12", "7.3")]
"""Debian's older kernels have no KFENCE."""
_SAMPLES = 255
"""CONFIG_KFENCE_NUM_OBJECTS of these kernels."""
ALLOCATOR = ("__kfence_alloc", "kmem_cache_alloc", "__kmalloc", "__kvmalloc")


class Sampled(NamedTuple):
    """One allocation, as a struct kfence_track has it."""

    pid: int
    cpu: int
    frames: Tuple[str, ...]


def _by_gdb(text: str) -> Dict[str, Sampled]:
    """Address of each allocated object -> its track, out of what `struct` prints."""
    found: Dict[str, Sampled] = {}
    for entry in re.split(r"^\s*addr = ", text, flags=re.MULTILINE)[1:]:
        if "KFENCE_OBJECT_ALLOCATED" not in entry:
            continue
        pid, cpu, count = (
            int(re.findall(rf"{name} = (\d+)", entry)[0])
            for name in ("pid", "cpu", "num_stack_entries")
        )
        listed = re.findall(r"stack_entries = \{([^}]*)\}", entry)[0]
        frames = [f"{int(word, 0):x}" for word in re.findall(r"0x[0-9a-f]+|\d+", listed)]
        found[f"{int(entry.split(',')[0], 0):x}"] = Sampled(pid, cpu, tuple(frames[:count]))
    return found


@pytest.mark.parametrize(("kernel", "version"), RUNS)
def test_each_sampled_object_has_the_owner_that_kfence_noted(kernel: str, version: str) -> None:
    dump = lab.dump(kernel, "kfence")
    first, _, ours = run_lines(
        dump, version, ["p/x kfence_metadata", f"extend {PROGRAM}", "ownerlines kfence"]
    )
    table = first.split("= ")[1].strip()
    (text,) = run_lines(
        dump, version, [f"struct kfence_metadata.addr,state,alloc_track {table} {_SAMPLES}"]
    )
    theirs = _by_gdb(text)
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
