# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands on drgn, on a dump: many command lines in one process.

    python -m tests.lab.drgnsession VMCORE FOLDER VMLINUX [MODULE]... <LINES

reads command lines, one a line, and writes the output of each to a file of its own, by number.
A process of its own, for what the commands know of a dump stays as long as Python runs.
`extend FILE.py` as in crash has the lab's own program FILE ready.
"""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Dict, List, Sequence, cast

from .dumps import Dump

_TOP = Path(__file__).resolve().parents[2]


def run_lines_on_drgn(
    dump: Dump, lines: Sequence[str], timeout: float = 600, files: Sequence[Path] = ()
) -> List[str]:
    """What each command line prints, errors too, in order. files: of modules, to be loaded."""
    with tempfile.TemporaryDirectory(prefix="slableak-drgn-") as folder:
        opened = [str(dump.vmcore), folder, *map(str, (dump.vmlinux, *files))]
        done = subprocess.run(
            [sys.executable, "-m", __name__, *opened],
            input="".join(f"{line}\n" for line in lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_TOP,
            timeout=timeout,
        )
        files = [Path(folder) / str(number) for number in range(len(lines))]
        missing = [line for line, file in zip(lines, files) if not file.exists()]
        assert not missing, f"drgn never ran {missing}; it said:\n{done.stdout[-3000:]}"
        return [file.read_text(encoding="utf-8") for file in files]


def _main(vmcore: str, folder: Path, files: List[str]) -> None:
    from crash_ext.drgncommands import run_words
    from crash_ext.drgnprogram import open_program
    from crash_ext.host.drgnhost import DrgnHost

    program = open_program(vmcore, files)
    probes: Dict[str, Path] = {}
    for number, line in enumerate(sys.stdin.read().splitlines()):
        with ExitStack() as stack:
            file = stack.enter_context(open(folder / str(number), "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(file))
            stack.enter_context(redirect_stderr(file))
            # As crash takes it: a backslash is a letter, double quotes group.
            words = shlex.split(line.replace("\\", "\\\\"))
            if words[0] == "extend":
                probes[Path(words[1]).stem] = Path(words[1])
            elif words[0] in probes:
                sys.modules.setdefault("crash", cast(ModuleType, DrgnHost(program)))
                sys.argv = [str(probes[words[0]]), *words[1:]]
                runpy.run_path(sys.argv[0], run_name="__main__")
            else:
                run_words(program, words)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
