# SPDX-License-Identifier: GPL-3.0-or-later
"""crash on a terminal: Ctrl-C, and what counts as one."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.lab.session import SLABLEAK

from .story import Place
from .terminal import CTRL_C, PROMPT, Terminal


def test_a_terminal_is_one_until_it_is_piped(terminal: Terminal) -> None:
    assert "True utf-8 ''\n" in terminal.type("streams")
    assert "False utf-8 ''\n" in terminal.type("streams | cat")


def test_ctrl_c_stops_a_program_after_its_finally(terminal: Terminal) -> None:
    for _ in range(2):
        assert terminal.interrupt("loop") == "cleaned up\nloop: interrupted\n"


def test_ctrl_c_inside_a_type_lookup(terminal: Terminal) -> None:
    for _ in range(2):
        assert terminal.interrupt("type_loop").endswith("type_loop: interrupted\n")


def test_ctrl_c_inside_a_crash_command(terminal: Terminal) -> None:
    for _ in range(2):
        shown = terminal.interrupt("command_loop search -k deadbeefdeadbeef", pause=1)
        assert shown.endswith("command_loop: interrupted\n")


def test_ctrl_c_inside_a_gdb_command(terminal: Terminal) -> None:
    shown = terminal.interrupt("command_loop gdb info functions no_such_function")
    assert shown.endswith("command_loop: interrupted\n")


def test_ctrl_c_stops_a_repeated_command(terminal: Terminal) -> None:
    shown = terminal.interrupt("repeat -1 loop")
    assert shown.count("interrupted") == 1


def test_afterwards_ctrl_c_is_crash_s_again(terminal: Terminal) -> None:
    for _ in range(2):
        assert "interrupted" not in terminal.interrupt("repeat -1 p 6", sign=" = 6")
    assert terminal.type("p 6 * 7").endswith(" = 42\n")


def test_a_pager_that_is_left_early_ends_the_program_silently(terminal: Terminal) -> None:
    """The pager here is `head -n 2`."""
    assert "head" in terminal.type("set scroll on")
    assert terminal.type("lines 300000") == "line 0\nline 1\n"
    assert terminal.type("streams") == "out\nerr\n"


CLEARED = "\r          \r"
"""What `long` leaves behind before it prints."""


def test_progress_shows_on_a_terminal_and_is_cleared_before_the_result(terminal: Terminal) -> None:
    terminal.type("set scroll off")
    shown = terminal.type("long")
    before, result, after = shown.partition(f"{CLEARED}result\n")
    assert result, shown
    assert re.fullmatch(r"(\rlong: \d+%)+", before)
    assert re.fullmatch(r"(\rlong: \d+%)+", after.removesuffix(f"{CLEARED}end\n"))


@pytest.mark.parametrize("rest", ["", " | cat"])
def test_progress_shows_behind_a_pager_and_a_pipe_until_the_first_output(
    terminal: Terminal, rest: str
) -> None:
    """The pager has the screen from then on."""
    terminal.type(f"set scroll {'off' if rest else 'on'}")
    shown = terminal.type(f"long{rest}")
    assert re.fullmatch(rf"(\rlong: \d+%)+{CLEARED}result\nend\n", shown), shown


def test_progress_is_on_the_terminal_and_not_in_the_file(terminal: Terminal, place: Place) -> None:
    shown = terminal.type("long > long.out")
    assert re.fullmatch(rf"((\rlong: \d+%)+{CLEARED}){{2}}", shown), shown
    assert (place.work / "long.out").read_text() == "result\nend\n"


@pytest.fixture(scope="module")
def slableak(terminal: Terminal) -> Terminal:
    """The terminal with the project's own commands."""
    terminal.type("set scroll off")
    assert "slableak.py: script loaded\n" in terminal.type(f"extend {SLABLEAK}")
    return terminal


LONG = "slabobjs -f kernfs_node_cache dentry inode_cache vm_area_struct"
"""Some hundred thousand lines."""
STOPPED = "slabobjs: interrupted: the output is incomplete"


def _stop(terminal: Terminal, line: str, after: float) -> Tuple[str, float]:
    """What is shown after Ctrl-C, pressed so many seconds after Return; how long it took."""
    terminal.press(f"{line}\r")
    time.sleep(after)
    begun = time.monotonic()
    terminal.press(CTRL_C)
    shown = terminal.wait_for(PROMPT)
    return shown, time.monotonic() - begun


def test_ctrl_c_stops_our_commands_at_once_and_the_next_one_works(slableak: Terminal) -> None:
    whole = slableak.type("slabdup")
    assert "leftover  slab_test" in whole
    seconds: List[float] = []
    for number in range(9):
        # Sooner or later: while it scans and decodes, while it prints.
        shown, took = _stop(slableak, LONG, 0.02 + number / 10)
        assert STOPPED in shown
        seconds.append(took)
        assert slableak.type("slabdup") == whole
    # Not the slowest: the machine does other things, too.
    assert sorted(seconds)[4] < 0.3, seconds


def test_output_up_to_ctrl_c_stays_in_its_file(slableak: Terminal, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    slableak.type(f"{LONG} > {whole}")
    begun = time.monotonic()
    slableak.type(f"{LONG} > {whole}")
    length = time.monotonic() - begun
    cut = 0
    for number in range(5):
        _stop(slableak, f"{LONG} > {part}", length * (number + 1) / 8)
        *lines, last = part.read_text().splitlines(keepends=True)
        if last == f"{STOPPED}\n":
            cut += 1
            assert whole.read_text().startswith("".join(lines))
    assert cut > 2


def test_ctrl_c_ends_the_repetition_of_our_commands(slableak: Terminal) -> None:
    """In one of them, or in crash's pause between two: then the next one gets to know it."""
    for pause in (0.1, 0.6, 1.5):
        shown, _ = _stop(slableak, "repeat -1 slabobjs nosuch", pause)
        assert shown.count("no cache has this name") < 4
        assert slableak.type("p 6 * 7").endswith(" = 42\n")
