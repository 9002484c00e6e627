# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden tests: a file's name is the command line, its content what that prints and writes.

One folder a recording, or a scene of scenes.py, damages.py or told.py. `python -m tests.golden`
(make golden) writes them all anew; add a command line by making an empty file of its name.
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Iterator, Tuple

from crash_ext import command as common
from crash_ext import drgnprogram
from mocks.crash_module import FakeCrash
from tests.golden.damages import DAMAGES
from tests.golden.scenes import FILES, SCENES
from tests.golden.told import TOLD
from tests.replay import recorded, run_line

BUILT = {**SCENES, **DAMAGES, **TOLD}
"""Folder -> what builds its kernel. The others are recordings, and PROGRAM."""
PROGRAM = "slableak"
"""Its lines are typed in a shell: there no kernel is."""
HERE = Path(__file__).resolve().parent


def for_each_golden() -> Iterator[Tuple[str, Path]]:
    """(recording or scene, file) of every golden file."""
    for folder in sorted(path for path in HERE.iterdir() if path.is_dir()):
        if folder.name != "__pycache__":
            for file in sorted(folder.iterdir()):
                yield folder.name, file


def kernel(folder: str) -> FakeCrash:
    """The crash session that a folder's command lines are typed in."""
    build = BUILT.get(folder)
    return build() if build is not None else FakeCrash(recorded(folder).image)


def run_program(line: str) -> str:
    """What the program that drgn serves prints; its status, where that isn't 0, at the end."""
    stream, voice = io.StringIO(), list(common._voice)
    with redirect_stdout(stream), redirect_stderr(stream):
        status = drgnprogram.main(line.split()[1:])
    common._voice[:] = voice
    return stream.getvalue() + (f"==> status {status}\n" if status else "")


def printed(folder: str, line: str) -> str:
    """What a command line prints, and behind it each file that it writes.

    It is typed in a directory of its own, which has the files of scenes.FILES that it names.
    """
    before = Path.cwd()
    given = {name: text() for name, text in FILES.items() if name in line.split()}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for name, text in given.items():
            (place / name).write_text(text, encoding="utf-8")
        os.chdir(place)
        try:
            program = line.split()[0] == PROGRAM
            said = run_program(line) if program else run_line(kernel(folder), line)
        finally:
            os.chdir(before)
        written = sorted(file for file in place.iterdir() if file.name not in given)
        return said + "".join(
            f"==> {file.name} <==\n{file.read_text(encoding='utf-8')}" for file in written
        )
