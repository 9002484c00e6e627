# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of registered commands: how they are run, how they end, where output goes."""

from __future__ import annotations

import pytest

from .story import Place, Said


def test_arguments_come_as_crash_splits_them(said: Said) -> None:
    assert said["hello"].splitlines()[0] == "__main__ True ['one', 'two words', '(3 + 4)']"


def test_the_script_s_directory_is_searched_first_and_the_current_one_is_not(said: Said) -> None:
    assert said["hello"].splitlines()[1] == "True False"


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        ("help page", "hello", "  100% of %s and %d are shown."),
        ("help percent", "counter", "  (100.0%) and %d are shown."),
    ],
)
def test_help_shows_a_page_as_it_was_registered(
    said: Said, page: str, name: str, text: str
) -> None:
    """crash prints a description that holds % but no %s as it is, any other by printf()."""
    assert said[page].splitlines() == [
        *("", "NAME", f"  {name} - tests 5% of {name}", ""),
        *("SYNOPSIS", f"  {name} [word ... 7%]", ""),
        *("DESCRIPTION", text, "  Second line.", ""),
    ]


def test_help_lists_the_commands(said: Said) -> None:
    assert {"hello", "type_loop"} <= set(said["help list"].split())


def test_modules_stay_imported_between_commands(said: Said) -> None:
    assert (said["counter 1"], said["counter 2"]) == ("call 1\n", "call 2\n")


def test_an_edited_program_runs_as_it_is_now(said: Said) -> None:
    assert (said["edited 1"], said["edited 2"]) == ("before\n", "after, and longer\n")


def test_globals_path_and_streams_are_each_program_s_own(said: Said) -> None:
    assert said["dirty 1"] == said["dirty 2"] == "False False\n"
    assert said["paths 1"] == said["paths 2"] == "False\n"


def test_an_uncaught_exception_is_one_line(said: Said) -> None:
    assert said["raises"] == "unfinished\nraises: two lines\n"
    assert said["mute"] == "mute: ValueError\n"


def test_the_traceback_is_there_for_who_asks(said: Said, place: Place) -> None:
    assert said["traced"].splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{place.work}/traced.py", line 3, in <module>',
        "    raise ValueError('why')",
        "ValueError: why",
        "traced: why",
    ]
    assert said["untraced"] == "untraced: why\n"


def test_exit_is_silent(said: Said) -> None:
    assert said["exits"] == "said\n"


def test_output_is_utf_8_and_what_cannot_be_is_escaped(said: Said) -> None:
    assert said["odd"] == "hé \\ud800\n"


def test_progress_is_silent_without_a_terminal(said: Said) -> None:
    assert said["long"] == "result\nend\n"


def test_both_streams_keep_their_order_and_input_is_empty(said: Said) -> None:
    assert said["streams"] == "out\nerr\nout again\nFalse utf-8 ''\n"


def test_redirection_to_files(said: Said, place: Place) -> None:
    assert said["streams to file"] == said["more to file"] == ""
    assert (place.work / "streams.out").read_text() == said["streams"] + "said\n"


def test_an_error_is_seen_where_output_is_redirected(said: Said, place: Place) -> None:
    assert said["raises to file"] == "raises: two lines\n"
    assert (place.work / "raises.out").read_text() == said["raises"]


def test_a_full_disk_is_an_error(said: Said) -> None:
    assert said["full disk"] == "lines: [Errno 28] No space left on device\n"


def test_a_pipe_that_nobody_reads_ends_the_program_silently(said: Said) -> None:
    lines = said.piped("head").splitlines()
    assert lines
    assert lines == ["line 0", "line 1"] * (len(lines) // 2)


def test_a_pipe_gets_everything(said: Said) -> None:
    lines = said.piped("tail").splitlines()
    assert lines
    assert set(lines) == {"line 299999"}


def test_a_command_inside_of_a_program_inside_of_a_command(said: Said) -> None:
    assert said["nested"].splitlines() == [
        "outer, to be first: end of its line",
        "__main__ True ['from', 'inside']",
        *("True False", "True", "True"),
    ]


def test_failed_commands_leave_crash_in_order(said: Said) -> None:
    lines = said["failures"].splitlines()
    assert lines[0] == "error struct: invalid data structure reference: no_such_struct"
    assert lines[1:4] == ["True", "struct list_head {", "    struct list_head *next;"]
    assert lines[7].startswith("error Usage:")
