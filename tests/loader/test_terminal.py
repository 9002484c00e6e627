# SPDX-License-Identifier: GPL-3.0-or-later
"""crash on a terminal: Ctrl-C, and what counts as one."""

from __future__ import annotations

from .terminal import Terminal


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
