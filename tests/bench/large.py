# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten million objects in 12 GB beside one million in 2 GB: what an object and a GB cost.

Each thing is measured in a crash of its own, for what is freed stays with the process.
`make bench LARGEST=yes`. Judges nothing.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple

from tests import lab
from tests.lab.crowds import crowded, for_each_batch
from tests.lab.repack import repacked
from tests.lab.session import host_environment, host_lines
from tests.loader.terminal import CTRL_C, PROMPT, Terminal

from .session import CRASH, FORM, KERNEL, Record, Subject, run, step, subject, timed

LINES = ("slabdup -a", "slabobjs -q", "slablost -q", "slabwhy")
"""Those whose argument, if they have one, is the cache with most objects."""

MOMENTS = (1.0, 4.0, 8.0, 12.0, 16.0, 20.0)
"""Seconds of computing behind the start of slablost at which Ctrl-C is pressed."""


class Sized(NamedTuple):
    """A dump, and what each thing took on it, by its name."""

    objects: int
    """Allocated, of all caches: what the pass has looked at."""
    listed: int
    """Allocated in the cache that is asked about."""
    bytes: int
    """That the search for pointers has read."""
    times: Dict[str, Record]


def large() -> Subject:
    """The dump with 10^7 objects, made if need be; the cache by its name."""
    dump = crowded(KERNEL, "large")
    mine = [batch for batch in for_each_batch(dump) if batch.cache == "crowd_small"]
    objects = sum(batch.objects for batch in mine)
    return Subject(repacked(dump, FORM), "crowd_small", "", objects, 64)


def measure() -> List[Sized]:
    """The smaller dump first. RuntimeError where a list isn't as long as the account says."""
    return [_measure(of) for of in (subject(), large())]


def _measure(of: Subject) -> Sized:
    times: Dict[str, Record] = {}
    with tempfile.TemporaryDirectory(prefix="slableak-bench-") as name:
        folder = Path(name)
        for line in LINES:
            argument = f" {of.cache}" if line in ("slabobjs -q", "slabwhy") else ""
            # The page scan is done before.
            lines = ["slabobjs -q nosuch", *timed(folder, line, line + argument)]
            times.update(_once(of, folder, lines))
            if line == "slabobjs -q":
                listed = (folder / "out").read_text()
                (folder / "warm").write_text(listed)
                if listed.count("\n") != of.objects:
                    raise RuntimeError(f"{listed.count(chr(10))} objects of {of.objects}")
        searched = [step(folder, f"search {folder / 'warm'} {of.object_size}")]
        times.update(_once(of, folder, [step(folder, "memory"), *searched]))
        times.update(_once(of, folder, [step(folder, "reach")]))
    reached, found = times["reach"], times["search"]
    return Sized(int(reached["objects"]), of.objects, int(found["bytes"]), times)


def _once(of: Subject, folder: Path, lines: List[str]) -> Dict[str, Record]:
    """The records of a session."""
    got = run(of, folder, lines, "large")
    return {name: records[0] for name, records in got.items()}


def interrupted() -> List[float]:
    """Seconds that crash computes from Ctrl-C during slablost on the large dump to its prompt."""
    of = large()
    options = ["-s", "--no_crashrc", "--no_scroll", *lab.options_for(KERNEL, CRASH)]
    files = [str(of.dump.vmlinux), str(of.dump.vmcore)]
    took: List[float] = []
    with Terminal(
        [str(lab.crash(CRASH).binary), *options, *files],
        {**os.environ, **host_environment(), "TERM": "dumb"},
        os.getcwd(),
    ) as crash:
        crash.wait_for(PROMPT, 600)
        for line in host_lines(CRASH):
            crash.type(line)
        for moment in MOMENTS:
            crash.press("slablost -R\r")
            if not crash.let_compute(moment):
                break
            before = crash.cpu()
            crash.press(CTRL_C)
            shown = crash.wait_for(PROMPT, 600)
            took.append(crash.cpu() - before)
            if "slablost: interrupted" not in shown:
                raise RuntimeError(f"Ctrl-C at {moment} s: {shown[-1000:]}")
    return took
