# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands over an image of memory, as crash would run them, and keeps the output."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import lru_cache
from typing import Iterable, List

from crash_ext import slabdup, slablost, slabobjs, slabwhy
from crash_ext.command import run, session_of
from crash_ext.slub.layout import UnsupportedAllocator
from mocks.crash_module import FakeCrash, install
from mocks.recording import Recording, find, load

COMMANDS = {
    module.COMMAND.name: module.COMMAND for module in (slabdup, slabobjs, slabwhy, slablost)
}


@lru_cache(maxsize=None)
def recorded(name: str) -> Recording:
    """A recording, loaded once a test run: images are only read by the commands."""
    recording = load(find(f"{name}.json.gz"))
    if not name.startswith("lab-"):
        # tests/record can't make a vendor's kernel anew: what wasn't asked then is absent.
        recording.image.asked_in_vain = None
    return recording


def run_line(fake: FakeCrash, line: str) -> str:
    """What a command line prints: output and errors in one stream, as on crash's."""
    name, *arguments = line.split()
    return run_command(fake, name, arguments)


def run_command(fake: FakeCrash, name: str, arguments: Iterable[str]) -> str:
    """The same with the arguments already split."""
    stream = io.StringIO()
    with install(fake), redirect_stdout(stream), redirect_stderr(stream):
        with suppress(UnsupportedAllocator):
            session_of(fake, fake.image.byteorder)
        run(COMMANDS[name], list(arguments))
    return stream.getvalue()


def addresses(fake: FakeCrash, *arguments: str) -> List[int]:
    """The addresses that `slabobjs -q` lists; any other line is a failure."""
    lines = run_command(fake, "slabobjs", ["-q", *arguments]).splitlines()
    assert all(len(line) == 2 * fake.image.word for line in lines), lines
    return [int(line, 16) for line in lines]
