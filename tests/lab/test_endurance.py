# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in a long session of real crash, and where their output can't go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import List

import pytest

from tests import lab
from tests.lab.dumps import Dump
from tests.lab.indexed import indexed
from tests.lab.session import SLABLEAK

VERSION = "8.0.2"
PROBE = "!echo probe $(ls /proc/$PPID/fd | wc -l) $(sed -n 's/^VmRSS://p' /proc/$PPID/status)"
"""Open files and resident memory of crash, whose child the shell is."""
EVERY_KIND = [
    "slabdup > /dev/null",
    "slabdup slab_test > /dev/null",
    "slabdup -z > /dev/null",
    "slabobjs slab_test > /dev/null",
    "slabobjs -q slab_test > /dev/null",
    "slabobjs -j slab_test > /dev/null",
    "slabobjs -l 1 slab_test > /dev/null",
    "slabobjs nosuch > /dev/null",
    "slabobjs 0 > /dev/null",
    "slabobjs -q slab_test > /dev/full",
]


@pytest.fixture(scope="module")
def leak() -> Dump:
    return lab.dump("6.1", "leak")


def _run(leak: Dump, lines: List[str]) -> List[str]:
    loaded = [f"extend {lab.build_loader(VERSION)}", f"extend {SLABLEAK}"]
    said = lab.crash(VERSION).run(indexed(leak, VERSION), leak.vmcore, [*loaded, *lines])
    return said[said.index("script loaded\n") :].splitlines()[1:]


def test_a_thousand_commands_lose_no_file_and_no_memory(leak: Dump) -> None:
    lines = EVERY_KIND * 20
    for _ in range(8):
        lines += [PROBE, *EVERY_KIND * 10]
    said = _run(leak, [*lines, PROBE])
    assert said.count("slabobjs: [Errno 28] No space left on device") == 100
    probes = [line.split()[1:3] for line in said if line.startswith("probe ")]
    files, memory = zip(*((int(count), int(kilobytes)) for count, kilobytes in probes))
    assert len(probes) == 9
    # The probe's own pipe is one of them or not.
    assert max(files) - min(files) <= 1, files
    # 800 commands between the first and the last.
    assert memory[-1] - memory[0] < 1024, memory


def test_a_full_disk_is_said_in_one_line_and_the_next_command_works(leak: Dump) -> None:
    said = _run(
        leak,
        [
            "slabobjs slab_test > /dev/full",
            "slabdup -j > /dev/full",
            "slabobjs nosuch > /dev/full",
            "slabdup | head -2",
            "slabobjs -q slab_test | tail -1",
            "p 6 * 7",
        ],
    )
    assert said[:3] == [
        "slabobjs: [Errno 28] No space left on device",
        "slabdup: [Errno 28] No space left on device",
        "slabobjs: [Errno 28] No space left on device",
    ]
    # A pipe's end is not waited for.
    assert any(line.endswith(" = 42") for line in said)


def test_a_closed_output_harms_nobody(leak: Dump, tmp_path: Path) -> None:
    """crash with neither stdout nor stderr: what goes to a file still gets there."""
    wanted, script = tmp_path / "wanted", tmp_path / "script"
    script.write_text(
        f"extend {lab.build_loader(VERSION)}\nextend {SLABLEAK}\nslabdup\nslabobjs slab_test\n"
        f"slabdup > {wanted}\nquit\n"
    )
    done = subprocess.run(
        [
            *("sh", "-c", 'exec "$@" >&- 2>&-', "sh", "crash", "-s", "--no_crashrc"),
            *("-i", str(script), str(indexed(leak, VERSION)), str(leak.vmcore)),
        ],
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0
    assert "leftover  slab_test" in wanted.read_text()
