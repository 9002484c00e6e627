# SPDX-License-Identifier: GPL-3.0-or-later
"""The measured sessions of crash: which lines are typed, what came of it.

Every command is typed as a user types it, its output to a file, between two lines that
start and stop the clock (floor.py). Knows no target and judges nothing.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from tests import lab
from tests.lab.repack import FORMS, repacked
from tests.lab.session import SLABLEAK
from tests.native import build_native

from .peer import drgn_python

CRASH = "8.0.2"
KERNEL = "6.1"
FORM = "zstd"
"""Of the dump that all is measured on. Reading is mostly decompression: zlib's alone takes a
tenth of drgn's loop, lzo's next to nothing. OTHER_FORMS are measured against the floor and drgn.
"""
OTHER_FORMS = [form for form in FORMS if form != FORM]
ROUNDS = 5
SLABS_SAMPLED = 20
OBJECTS_SAMPLED = 2000

QUIET, LOOP = "on drgn: slabobjs -q", "on drgn: its own loop"
"""Steps of drgn_host.py that list the same."""

_HERE = Path(__file__).resolve().parent
_PATIENCE = 3600
"""Seconds for a session; a busy machine needs many."""

Record = Dict[str, Any]
Times = Dict[str, List[Record]]
"""Name of a step -> its records, one a round."""


class Subject(NamedTuple):
    """The dump and what in it is measured."""

    dump: lab.Dump
    cache: str
    """Address of the kmem_cache with a million allocated objects."""
    small: str
    """Address of one with three."""
    objects: int
    """Allocated in the large one, by the module's account."""
    object_size: int
    """Of these, in bytes."""


class Measured(NamedTuple):
    """What the sessions gave."""

    rounds: Times
    """Of the one session with the rounds."""
    pure: Times
    """The same without the loader's helpers; empty if it offers none."""
    others: Dict[str, Times]
    """Of the dump in each of OTHER_FORMS."""
    fresh: Times
    """One sample from each new session: `extend`, and each command's peak memory."""
    shell: Times
    """From shell to answer, a process each: "crash" and "drgn", the same command on both."""
    host: Times
    """Of one process with drgn as host (drgn_host.py)."""
    slabs: int
    """With allocated objects: how many a sample of slabs stands for."""


def subject() -> Subject:
    """The lab's big dump, made if need be."""
    dump = repacked(lab.dump(KERNEL, "big"), FORM)
    roles = dump.truth["caches"]["slab_big"]
    live = roles["live"]
    return Subject(
        dump,
        live["kmem_cache"],
        roles["leftover"]["kmem_cache"],
        int(live["counts"]["live"]),
        int(live["objsize"]),
    )


def measure(of: Subject) -> Measured:
    """All sessions, one after the other."""
    with tempfile.TemporaryDirectory(prefix="slableak-bench-") as name:
        folder = Path(name)
        fresh: Times = defaultdict(list)
        listed: List[str] = []
        for step, line in _commands(of).items():
            times = run(of, folder, _fresh(folder, step, line), "fresh")
            for key, records in times.items():
                fresh[key] += records
            fresh["extend"].append(_extend_time(folder))
            if step == "slabobjs -q":
                listed = (folder / "out").read_text().split()
        if len(listed) != of.objects:
            raise RuntimeError(f"slabobjs -q lists {len(listed)} objects, not {of.objects}")
        rounds = run(of, folder, _rounds(of, folder, listed), "rounds")
        # Each in a session of its own: what is freed stays with the process.
        for _ in range(ROUNDS):
            for key, records in run(of, folder, _reached(of, folder), "reach").items():
                rounds[key] += records if key == "reach" else []
        pure: Times = {}
        if rounds["helpers"][0]["native"]:
            pure = run(of, folder, _pure(of, folder), "pure")
        others = {}
        for form in OTHER_FORMS:
            other = of._replace(dump=repacked(lab.dump(KERNEL, "big"), form))
            others[form] = run(other, folder, _compared(other, folder), "rounds")
        # As pip installs it for drgn.
        build_native(folder)
        drgn = {**os.environ, "PYTHONPATH": str(folder)}
        shell, host = _from_the_shell(of, folder, drgn), _on_drgn(of, folder, drgn)
        return Measured(rounds, pure, others, fresh, shell, host, rounds["slabs"][0]["count"])


def _on_drgn(of: Subject, folder: Path, environment: Mapping[str, str]) -> Times:
    """drgn_host.py's records; RuntimeError if drgn's own loop lists other objects."""
    results = folder / "results"
    results.unlink()
    opened = [of.dump.vmcore, of.dump.vmlinux, of.cache, folder / "out", results, ROUNDS]
    words = [str(word) for word in (sys.executable, _HERE / "drgn_host.py", *opened)]
    subprocess.run(words, check=True, env=environment, timeout=_PATIENCE)
    times = _records(results)
    sizes = {record["bytes"] for name in (QUIET, LOOP) for record in times[name]}
    if len(sizes) != 1:
        raise RuntimeError(f"on drgn: addresses in {sizes} bytes")
    return times


def _from_the_shell(of: Subject, folder: Path, environment: Mapping[str, str]) -> Times:
    """`slabobjs -q` as its user types it into a shell, on both hosts; environment: drgn's.

    RuntimeError if their answers differ, or one has none.
    """
    commands, answer = folder / "commands", folder / "answer"
    begin = [f"extend {lab.build_loader(CRASH)}", f"extend {SLABLEAK}"]
    lines = [*begin, f"slabobjs -q {of.cache} > {answer}", "quit"]
    commands.write_text("".join(f"{line}\n" for line in lines))
    crash = [lab.crash(CRASH).binary, "-s", *lab.options_for(KERNEL, CRASH), "-i", commands]
    drgn = [sys.executable, "-m", "crash_ext.drgnprogram", "-s", of.dump.vmlinux, of.dump.vmcore]
    times: Times = defaultdict(list)
    for _ in range(ROUNDS):
        answers = []
        for name, words in (
            ("crash", [*crash, of.dump.vmlinux, of.dump.vmcore]),
            ("drgn", [*drgn, "slabobjs", "-q", of.cache]),
        ):
            answer.write_text("")
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            with open(folder / "said", "w", encoding="utf-8") as said:
                subprocess.run(
                    [str(word) for word in words], stdout=said, stdin=subprocess.DEVNULL,
                    cwd=_HERE.parents[1], check=True, timeout=_PATIENCE,
                    env=None if name == "crash" else environment,
                )  # fmt: skip
            wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times[name].append({"wall": wall, "cpu": cpu})
            answers.append((answer if name == "crash" else folder / "said").read_text())
        if answers[0] != answers[1] or not answers[0]:
            raise RuntimeError("from the shell: crash and drgn answer differently")
    return times


def _commands(of: Subject) -> Dict[str, str]:
    """Those whose peak memory is measured, each in a session that has done nothing else."""
    return {
        "slabobjs -q": f"slabobjs -q {of.cache}",
        "slabobjs": f"slabobjs {of.cache}",
        "slabobjs -l 10": f"slabobjs -l 10 {of.cache}",
        "slabdup": "slabdup",
        "slabdup -a": "slabdup -a",
    }


def step(folder: Path, action: str) -> str:
    """The line that does a step of floor.py's."""
    return f"benchstep {folder / 'results'} {action}"


def timed(folder: Path, name: str, *lines: str) -> List[str]:
    """Command lines with the clock around them; their output is in `out` then."""
    out = folder / "out"
    typed = [f"{line} {'>>' if number else '>'} {out}" for number, line in enumerate(lines)]
    return [step(folder, "start"), *typed, step(folder, f'stop "{name}" {out}')]


def _fresh(folder: Path, step: str, line: str) -> List[str]:
    """`extend` between two looks at the clock; a look alone comes first, to be taken off."""
    # utime and stime of crash (proc_pid_stat(5)), in clock ticks.
    cpu = 'cut -d" " -f14,15 /proc/$PPID/stat'
    look = f"!echo $(date +%s.%N) $({cpu}) >> {folder / 'clock'}"
    return [
        *(f"!rm -f {folder / 'clock'}", look, look, f"extend {SLABLEAK}", look),
        f"extend {_HERE / 'benchstep.py'}",
        *timed(folder, f"fresh {step}", line),
    ]


def _extend_time(folder: Path) -> Record:
    lines = (folder / "clock").read_text().splitlines()
    looks = [[float(word) for word in line.split()] for line in lines]
    (first, *_), (second, *before), (third, *after) = looks
    ticks = sum(after) - sum(before)
    wall = max(0.0, (third - second) - (second - first))
    return {"wall": wall, "cpu": ticks / os.sysconf("SC_CLK_TCK")}


def _rounds(of: Subject, folder: Path, listed: Sequence[str]) -> List[str]:
    slabs = listed[:: max(1, len(listed) // SLABS_SAMPLED)][:SLABS_SAMPLED]
    objects = listed[:: max(1, len(listed) // OBJECTS_SAMPLED)][:OBJECTS_SAMPLED]
    (folder / "sample").write_text("".join(f"{address}\n" for address in slabs))
    lines = _begin(of, folder)
    for _ in range(ROUNDS):
        lines += [
            *_against_drgn(of, folder),
            *timed(folder, "slabobjs", f"slabobjs {of.cache}"),
            step(folder, f"first {of.cache}"),
            *timed(folder, "slabobjs -l 10", f"slabobjs -l 10 {of.cache}"),
            step(folder, "pages"),
            *timed(folder, "small -R", f"slabobjs -q -R {of.small}"),
            *timed(folder, "small", f"slabobjs -q {of.small}"),
            *timed(folder, "slabdup", "slabdup"),
            *timed(folder, "slabdup -a", "slabdup -a"),
            *timed(folder, "slabdup -aR", "slabdup -a -R"),
            *_searched(of, folder),
            *timed(folder, "slablost -R", "slablost -R -q"),
            _drgn(of, folder, str(folder / "sample")),
            *timed(folder, "kmem -S", *(f"kmem -S {address}" for address in slabs)),
            *timed(folder, "rd object", *(f"rd {address} 8" for address in objects)),
            *timed(
                folder, "rd slab", *(f"rd {int(address, 16) & -4096:x} 512" for address in slabs)
            ),
        ]
    return lines


def _compared(of: Subject, folder: Path) -> List[str]:
    lines = _begin(of, folder)
    for _ in range(ROUNDS):
        lines += _against_drgn(of, folder)
    return lines


def _against_drgn(of: Subject, folder: Path) -> List[str]:
    """The floor, our list of addresses, and drgn's."""
    return [
        step(folder, "floor"),
        *timed(folder, "slabobjs -q", f"slabobjs -q {of.cache}"),
        _drgn(of, folder),
    ]


def _drgn(of: Subject, folder: Path, *more: str) -> str:
    """The line that runs drgn_loop.py."""
    peer = [drgn_python(), _HERE / "drgn_loop.py", of.dump.vmcore, of.dump.vmlinux, of.cache]
    words = [*peer, folder / "out", folder / "results", *more]
    return "!" + " ".join(shlex.quote(str(word)) for word in words)


def _pure(of: Subject, folder: Path) -> List[str]:
    lines = [step(folder, "pure"), *_begin(of, folder)]
    for _ in range(ROUNDS):
        lines += [
            step(folder, "floor"),
            *timed(folder, "slabobjs -q", f"slabobjs -q {of.cache}"),
            *timed(folder, "slabobjs", f"slabobjs {of.cache}"),
            *timed(folder, "slabdup", "slabdup"),
            *_searched(of, folder),
        ]
    return lines


def _reached(of: Subject, folder: Path) -> List[str]:
    return [*_begin(of, folder), step(folder, "reach")]


def _searched(of: Subject, folder: Path) -> List[str]:
    """All of memory read, and all of it searched for pointers to the cache's objects."""
    return [step(folder, "memory"), step(folder, f"search {folder / 'warm'} {of.object_size}")]


def _begin(of: Subject, folder: Path) -> List[str]:
    """Warm up: the page scan, and the files that Python and crash read once."""
    return [
        step(folder, "helpers"),
        f"slabobjs -q {of.cache} > {folder / 'warm'}",
        step(folder, f"slabs {folder / 'warm'} {of.cache}"),
    ]


def run(of: Subject, folder: Path, lines: List[str], what: str) -> Times:
    """The records of a session. RuntimeError if a line left none, with what crash said."""
    results = folder / "results"
    if results.exists():
        results.unlink()
    begin = [f"extend {lab.build_loader(CRASH)}"]
    if not what.startswith("fresh"):
        # Before the commands look for helpers.
        begin += [f"extend {_HERE / 'benchstep.py'}"]
        if what == "pure":
            begin += [lines.pop(0)]
        begin += [f"extend {SLABLEAK}"]
    said = lab.crash(CRASH).run(
        of.dump.vmlinux,
        of.dump.vmcore,
        begin + lines,
        args=lab.options_for(KERNEL, CRASH),
        timeout=_PATIENCE,
    )
    times = _records(results)
    marks = ("benchstep", "drgn_loop")
    expected = sum(
        any(mark in line for mark in marks) and not line.endswith((" start", "benchstep.py"))
        for line in lines
    )
    got = sum(len(records) for records in times.values())
    if got != expected:
        raise RuntimeError(f"{what}: {got} of {expected} steps were measured:\n{said[-3000:]}")
    for step, records in times.items():
        sizes = {record.get("bytes") for record in records}
        if len(sizes) > 1 or sizes == {0}:
            raise RuntimeError(f"{step} wrote {sizes} bytes: not the same each time, or nothing")
    return times


def _records(results: Path) -> Times:
    """What the steps have left, by name."""
    times: Times = defaultdict(list)
    if results.exists():
        for line in results.read_text().splitlines():
            record = json.loads(line)
            times[record["name"]].append(record)
    return times
