# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a user types or interrupts, a command ends with a line that says what happened."""

from __future__ import annotations

import configparser
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Dict

import pytest
from pytest_mock import MockerFixture

from crash_ext import slabdup, slableak, slablost, slabobjs, slabwhy
from crash_ext.command import COMMON, LETTERS, Command, help_page, run
from crash_ext.version import TOOL_VERSION
from mocks.crash_module import FakeCrash, install
from tests.replay import recorded, run_command, run_line

NAME = "el7-3.10.0-514"
COMMANDS = (slabdup.COMMAND, slabobjs.COMMAND, slabwhy.COMMAND, slablost.COMMAND)


@pytest.fixture
def fake() -> FakeCrash:
    return FakeCrash(recorded(NAME).image)


def test_slableak_registers_each_command_under_its_files_name(fake: FakeCrash) -> None:
    with install(fake):
        slableak.register()
    names = fake.get_epython_cmds()
    assert names == ["slabdup", "slabobjs", "slabwhy", "slablost"]
    home = Path(slableak.__file__).parent
    assert all((home / f"{name}.py").is_file() for name in names)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_fits_a_terminal_of_80_columns(command: Command) -> None:
    lines = command.text.splitlines()
    assert all(line == "" or line.startswith("  ") or line == "EXAMPLES" for line in lines)
    lines += f"  {command.name} {command.synopsis}".splitlines()
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_shows_its_help_page(fake: FakeCrash, command: Command, option: str) -> None:
    assert run_command(fake, command.name, [option]) == help_page(command)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("option", ["-V", "--version"])
def test_every_command_tells_its_version(fake: FakeCrash, command: Command, option: str) -> None:
    assert run_command(fake, command.name, [option]) == f"{command.name} {TOOL_VERSION}\n"


def _explained(command: Command) -> Dict[str, str]:
    """Letter -> what the help page says of it, in one line."""
    explained: Dict[str, str] = {}
    letter = ""
    for line in command.text.split("EXAMPLES")[0].splitlines():
        option = re.match(r"      -(\w) (?:[A-Z]+ )?(.*)", line)
        if option is not None:
            letter = option[1]
            explained[letter] = option[2]
        elif not line.startswith("          "):
            letter = ""
        elif letter:
            explained[letter] += f" {line.strip()}"
    return explained


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_letter_means_the_same_in_every_command_that_has_it(command: Command) -> None:
    letters = set(command.options + COMMON) - {":"}
    explained = _explained(command)
    assert letters <= set(explained)
    for letter in letters:
        assert str(LETTERS[letter]) in explained[letter], letter


def test_the_table_of_letters_names_no_letter_that_no_command_has() -> None:
    assert set("".join(command.options for command in COMMANDS) + COMMON) - {":"} == set(LETTERS)


def test_the_version_is_the_packages() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["version"] == TOOL_VERSION


def test_json_begins_with_the_version_of_the_tool(fake: FakeCrash) -> None:
    begin = json.loads(run_line(fake, "slabdup -j").splitlines()[0])
    assert (begin["type"], begin["tool"]) == ("begin", TOOL_VERSION)


def test_an_interrupt_keeps_what_is_printed_and_says_that_it_is_not_all(
    fake: FakeCrash, mocker: MockerFixture
) -> None:
    """Several slabs have more than one allocated object; Ctrl-C comes in the second of them."""
    whole = run_line(fake, "slabobjs slab_test")
    mocker.patch("crash_ext.view.text._TOGETHER", 1)
    mocker.patch("crash_ext.view.text.Records.texts", side_effect=[["x\n"], KeyboardInterrupt])
    text = run_line(fake, "slabobjs slab_test")
    assert text.count("\nx\n") == 1
    assert whole.startswith(text.split("x")[0])
    assert text.endswith("slabobjs: interrupted: the output is incomplete\n")


def test_an_interrupt_ends_json_with_a_record_that_says_so(
    fake: FakeCrash, mocker: MockerFixture
) -> None:
    mocker.patch("crash_ext.view.text.object_line", side_effect=KeyboardInterrupt)
    mocker.patch("crash_ext.view.records.hexa", side_effect=KeyboardInterrupt)
    lines = run_line(fake, "slabobjs -j slab_test").splitlines()
    end = json.loads(lines[-2])
    assert (end["type"], end["complete"], end["reason"]) == ("end", False, "interrupted")


class _Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_closed_pipe_ends_the_command_without_a_word(fake: FakeCrash) -> None:
    errors = io.StringIO()
    with install(fake), redirect_stdout(_Closed()), redirect_stderr(errors):
        run(slabobjs.COMMAND, ["slab_test"])
    assert errors.getvalue() == ""


def test_json_without_a_json_module_is_a_clear_error(
    fake: FakeCrash, mocker: MockerFixture
) -> None:
    mocker.patch("crash_ext.command.encoder", return_value=None)
    assert run_line(fake, "slabdup -j").startswith("slabdup: -j: this Python has no json module\n")


def test_another_allocator_is_said_in_one_line(mocker: MockerFixture) -> None:
    image = recorded(NAME).image
    fake = FakeCrash(image)
    real = fake.member_offset

    def without_oo(struct: str, member: str) -> int:
        return -1 if member == "oo" else int(real(struct, member))

    mocker.patch.object(fake, "member_offset", without_oo)
    assert run_line(fake, "slabdup") == "slabdup: the kernel's slab allocator is not SLUB\n"


def test_the_pages_are_scanned_once_a_session_and_again_on_demand(fake: FakeCrash) -> None:
    run_command(fake, "slabdup", [])
    first = fake.bytes_read
    run_command(fake, "slabdup", [])
    second = fake.bytes_read - first
    run_command(fake, "slabdup", ["-R"])
    third = fake.bytes_read - first - second
    pages = 65536 * 64
    assert first > pages > second
    assert third > pages


def test_a_dump_in_which_what_is_missing_reads_as_zeroes_is_not_trusted(fake: FakeCrash) -> None:
    fake.commands["set"] = lambda line: f"{line.split()[1]}: on\n"
    warning = "zero_excluded is on: what isn't in the dump reads as zeroes; set it off"
    assert run_line(fake, "slabdup").startswith(f"slabdup: {warning}\n")
