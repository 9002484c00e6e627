# SPDX-License-Identifier: GPL-3.0-or-later
"""Which memcg pays for an object, on real kernels: against what crash knows of the one process.

A cgroup has one process; the task, the memory map and the table of files that crash shows for
it are the only such objects that its memcg pays for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Set, Tuple

import pytest

from tests import lab
from tests.lab.charged import PATH, charged_dump, process
from tests.lab.dumps import Dump
from tests.lab.session import Record, records, run_lines

PROGRAM = Path(__file__).with_name("ownerlines.py")
CACHES = {"task_struct": "task", "mm_struct": "mm", "files_cache": "files"}
"""Name of a cache -> what crash calls its objects."""
RUNS = [(kernel, crash) for kernel in lab.KERNELS for crash in lab.crashes_for(kernel)[-1:]]


def _asked(dump: Dump, version: str) -> Tuple[Dict[str, str], Dict[str, List[Record]]]:
    """(what crash says of the process, cache -> our records)."""
    pid = process(dump)
    lines = [f"extend {PROGRAM}", f"task -R mm,files {pid}"]
    _, told, *texts = run_lines(dump, version, [*lines, *(f"ownerlines {name}" for name in CACHES)])
    task = re.search(r"TASK: ([0-9a-f]+)", told)
    assert task, told
    said = dict(re.findall(r"^ +(mm|files) = 0x([0-9a-f]+)", told, re.MULTILINE))
    return {**said, "task": task.group(1)}, dict(zip(CACHES, map(records, texts)))


@pytest.mark.parametrize(("kernel", "version"), RUNS)
def test_the_memcg_pays_for_what_crash_shows_of_its_process(kernel: str, version: str) -> None:
    crash_says, ours = _asked(charged_dump(kernel), version)
    memcgs: Set[Tuple[str, int]] = set()
    for cache, what in CACHES.items():
        charged = [row for row in ours[cache] if row["type"] == "memcg"]
        assert [row["path"] for row in charged] == [PATH], cache
        assert charged[0]["objects"] == [crash_says[what]], cache
        assert charged[0]["problems"] == []
        memcgs.add((charged[0]["address"], charged[0]["number"]))
        allocated = [row for row in ours[cache] if row.get("state") == "allocated"]
        assert len(allocated) > 3, "the rest is nobody's: the root's objects aren't charged"
    ((_, number),) = memcgs
    assert number > 1
