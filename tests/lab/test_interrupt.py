# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C while a command searches memory: it ends in no time, on both hosts.

The time is what the program computes from the key to the end: the machine may be busy.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

from tests import lab
from tests.lab.indexed import indexed
from tests.lab.plants import planted
from tests.lab.session import SLABLEAK, host_environment, host_lines
from tests.loader.terminal import CTRL_C, PROMPT, Terminal

KERNEL = "6.1"
VERSION = "8.0.2"
"""This machine's own crash: others run in a tree of another Debian."""
LONGEST = 0.3
"""Seconds."""
MOMENTS = [0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 1.7, 2.3, 3.0]
"""Seconds of computing behind the start at which the key is pressed, as far as they come."""
ENDED = "{}: interrupted: the output is incomplete\n"
TOP = SLABLEAK.parents[1]


@pytest.fixture(scope="module", name="crash")
def fixture_crash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    dump = planted(KERNEL, "many")
    options = ["-s", "--no_crashrc", "--no_scroll", *lab.options_for(KERNEL, VERSION)]
    command = [
        str(lab.crash(VERSION).binary),
        *options,
        str(indexed(dump, VERSION)),
        str(dump.vmcore),
    ]
    environment = {**os.environ, **host_environment(), "TERM": "dumb"}
    with Terminal(command, environment, str(tmp_path_factory.mktemp("crash"))) as opened:
        opened.wait_for(PROMPT)
        for line in host_lines(VERSION):
            opened.type(line)
        yield opened


@pytest.mark.parametrize("line", ["slablost -R", "slabwhy -R plant_many"])
def test_in_crash_ctrl_c_ends_a_search_at_once(crash: Terminal, line: str) -> None:
    took: List[float] = []
    for moment in MOMENTS:
        crash.press(f"{line}\r")
        if not crash.let_compute(moment):
            break
        before = crash.cpu()
        crash.press(CTRL_C)
        shown = crash.wait_for(PROMPT)
        took.append(crash.cpu() - before)
        assert shown.replace("^C", "").endswith(ENDED.format(line.split()[0]) + "crash> "), shown
    assert len(took) >= 6
    assert max(took) < LONGEST, took
    assert crash.type("p 6 * 7").endswith(" = 42\n")


@pytest.mark.parametrize("moment", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("line", ["slablost", "slabwhy plant_many"])
def test_on_drgn_ctrl_c_ends_a_search_at_once(tmp_path: Path, line: str, moment: float) -> None:
    """What is to come behind --then is still done."""
    dump = planted(KERNEL, "many")
    program = [sys.executable, "-m", "crash_ext.drgnprogram", "-s", str(dump.vmlinux)]
    name, *rest = line.split()
    words = [*program, str(dump.vmcore), name, *rest, "--then", "slabdup", "nosuch"]
    with Terminal(words, {**os.environ, "PYTHONPATH": str(TOP)}, str(tmp_path)) as terminal:
        # Progress is shown when a command has taken a second.
        terminal.wait_for(rf"{name}: +\d+%")
        assert terminal.let_compute(moment, "no cache")
        before = terminal.cpu()
        terminal.press(CTRL_C)
        shown = terminal.wait_for(re.escape(ENDED.format(name)))
        assert terminal.cpu() - before < LONGEST
        assert "lost in" not in shown
        terminal.wait_for("nosuch: no cache has this name")
