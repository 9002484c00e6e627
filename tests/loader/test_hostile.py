# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that no friend of crash would write leave it as it was."""

from __future__ import annotations

import pytest

from . import hostile
from .story import Place, Said, tell


@pytest.fixture(scope="module")
def endured(place: Place) -> Said:
    """What crash said to each line of hostile.STORY."""
    hostile.write_all(place.work)
    return tell(place, hostile.STORY)


NOT_ONE_MORE = f"{hostile.DEEPEST} programs run inside each other: not one more"


def test_a_command_that_runs_itself_ends_at_a_fixed_depth(endured: Said) -> None:
    """On Python 3.13 it would end crash: nothing there bounds the stack of C."""
    *levels, last = endured["deep"].splitlines()
    assert levels == [f"level {number + 1}" for number in range(hostile.DEEPEST)]
    assert last == f"deep: {NOT_ONE_MORE}"


def test_a_script_that_extends_itself_ends_at_the_same_depth(endured: Said, place: Place) -> None:
    first, *others = endured["itself"].splitlines()
    said = f"extend: {place.work}/itself.py: "
    assert first == said + NOT_ONE_MORE
    assert others == [f"{said}no commands registered: script not loaded"] * hostile.DEEPEST


@pytest.mark.parametrize("program", ["many failures", "many questions"])
def test_crash_s_buffers_do_not_run_out(endured: Said, program: str) -> None:
    assert endured[program].endswith(" = 42\n")


def test_failed_commands_leave_no_file_open(endured: Said) -> None:
    assert endured["descriptors"] == "0\n"


def test_the_file_descriptor_of_captured_output_is_an_error(endured: Said) -> None:
    """A memory stream has none; -1 would end in whatever a program does with it."""
    assert endured["descriptor"] == "True\nUnsupportedOperation fileno\n"


def test_a_signal_handler_may_print_while_a_line_is_written(endured: Said, place: Place) -> None:
    assert endured["chatter"] == ""
    heard = (place.work / "heard").read_text()
    ticks = heard.count("tick " * 100 + "\n")
    assert ticks, "no signal came while the pipe was full"
    left = heard.replace("tick " * 100 + "\n", "")
    assert left == "".join(f"line {number} of many\n" for number in range(20000))


def test_the_module_answers_no_other_thread(endured: Said) -> None:
    *lines, last = endured["threaded"].splitlines()
    assert len(lines) == 7
    assert {line.partition(" ")[2] for line in lines} == {
        "RuntimeError crash answers the main thread only"
    }
    assert last.endswith(" = 42")


def test_names_that_are_no_utf_8_are_shown_escaped(endured: Said) -> None:
    exact, loose, offset, module = endured["names"].split()
    assert exact == "\\xfflab_caches"
    assert (loose, offset) == ("('\\\\xfflab_caches',", "3)")
    assert module.startswith("\\xfe")


def test_crash_is_still_there(endured: Said) -> None:
    assert endured["alive"].endswith(" = 42\n")
