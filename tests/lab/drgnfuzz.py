# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump damaged at random, and what the commands on drgn make of it.

    python -m tests.lab.drgnfuzz [CASES [FIRST]]

prints a line for each case, and what is wrong with its answer below. drgn opens a dump that was
cut or damaged, where crash gives up. Nothing is known of where a damage hits: what is claimed
holds for any.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import List, NamedTuple

from .dumps import Dump
from .forms import form

LINES = ("slabdup", "slabdup -a", "slabobjs -q slab_test", "slabwhy", "slablost")
FORMS = ("plain", "zlib", "elf")
CHECKED = "zlib"
"""Its pages have checksums: what is damaged there is known to be."""
PATIENCE = 300
"""Seconds for all lines; a whole dump takes five."""

_TOP = Path(__file__).resolve().parents[2]
_DENIED = re.compile(
    r"(?m)^(no two of \d+ caches? share a name, and none is a leftover"
    r"|none of \d+ caches? is a leftover|none of \d+ allocated objects? is lost; .*)$"
)
"""What is said of a whole dump only."""


_ADDRESS = re.compile(r"(?m)^[0-9a-f]{16}$")
"""What slabobjs -q prints."""
_DEATHS = (-signal.SIGBUS, -signal.SIGSEGV)


class Answer(NamedTuple):
    """Of the program, all lines in one process."""

    status: int
    out: str
    err: str


def damage(dump: Dump, folder: Path, seed: int) -> str:
    """Makes folder/vmcore, a damaged copy; says how."""
    rng = Random(seed)
    copy = folder / "vmcore"
    shutil.copy(dump.vmcore, copy)
    copy.chmod(0o600)
    size = copy.stat().st_size
    kind = ("cut", "zeroes", "bytes", "head", "garbage")[seed % 5]
    with open(copy, "r+b") as file:
        if kind == "cut":
            size = rng.randrange(1, size)
            file.truncate(size)
            return f"cut to {size} bytes"
        if kind in ("zeroes", "garbage"):
            length = 1 << rng.randrange(6, 24)
            start = rng.randrange(max(1, size - length))
            file.seek(start)
            file.write(bytes(length) if kind == "zeroes" else rng.randbytes(length))
            return f"{length} bytes at {start} {kind}"
        number = 1 << rng.randrange(1, 12)
        # The headers, the bitmaps, and what describes the first pages.
        end = size if kind == "bytes" else min(size, 1 << 18)
        for _ in range(number):
            file.seek(rng.randrange(end))
            file.write(bytes([rng.randrange(256)]))
    return f"{number} bytes of the first {end}"


@lru_cache(maxsize=None)
def whole(name: str) -> Answer:
    """The answer to the dump in a form as it is."""
    return ask(form(name), form(name).vmcore)


def ask(dump: Dump, vmcore: Path) -> Answer:
    """The program's answer to all LINES. TimeoutExpired if it doesn't end."""
    words = " --then ".join(LINES).split()
    opened = ["-s", str(dump.vmlinux), str(vmcore)]
    done = subprocess.run(
        [sys.executable, "-m", "crash_ext.drgnprogram", *opened, *words],
        cwd=_TOP,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=PATIENCE,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def wrong(answer: Answer, right: Answer, checked: bool) -> List[str]:
    """What may not be in an answer about a damaged copy of a dump; right: about that dump.

    checked: all that was read of the copy is as it was, or known to be damaged.
    """
    if answer.status in _DEATHS:
        # libkdumpfile maps the file by what its headers say, and dies behind its end.
        return []
    found = []
    if answer.status not in (0, 1):
        found.append(f"status {answer.status}")
    if checked and answer.status == 0 and answer.out != right.out:
        found.append("another answer, called complete")
    more = set(_ADDRESS.findall(answer.out)) - set(_ADDRESS.findall(right.out))
    if checked and more:
        found.append(f"called allocated: {' '.join(sorted(more)[:4])}")
    if "Traceback" in answer.err + answer.out:
        found.append("a traceback")
    command = re.compile(r"(slabdup|slabobjs|slabwhy|slablost|slableak): ")
    told = [line for line in answer.err.splitlines() if not command.match(line)]
    if told:
        found.append(f"not in our words: {told[0]}")
    if answer.err and answer.status == 0:
        found.append("errors, and the status of a complete answer")
    denied = _DENIED.search(answer.out)
    if answer.status and denied:
        found.append(f"denied, though incomplete: {denied.group(0)}")
    elif denied and not _DENIED.search(right.out):
        found.append(f"denied: {denied.group(0)}")
    return found


def try_case(seed: int) -> List[str]:
    """Damages a dump, asks, and tells what is wrong, the damage first; nothing if all is well."""
    name = FORMS[seed // 5 % len(FORMS)]
    dump = form(name)
    with tempfile.TemporaryDirectory(prefix="slableak-fuzz-") as folder:
        how = f"{name}: {damage(dump, Path(folder), seed)}"
        try:
            answer = ask(dump, Path(folder) / "vmcore")
        except subprocess.TimeoutExpired:
            return [how, f"no end in {PATIENCE} s"]
    faults = wrong(answer, whole(name), name == CHECKED)
    return [how, *faults] if faults else []


def _main(cases: int, first: int) -> int:
    failed = 0
    for seed in range(first, first + cases):
        faults = try_case(seed)
        failed += bool(faults)
        print(seed, "; ".join(faults) or "fine", flush=True)
    print(f"{failed} of {cases} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_main(int((sys.argv[1:] or ["100"])[0]), int((sys.argv[2:] or ["0"])[0])))
