# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `slableak` before any dump is open: usage, help, files that are no dumps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List

import pytest

from crash_ext import command as common
from crash_ext.commands import COMMANDS
from crash_ext.drgncommands import ShellCommand, offer
from crash_ext.drgnprogram import main
from crash_ext.version import TOOL_VERSION

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _voice_of_crash_afterwards() -> Iterator[None]:
    before = list(common._voice)
    yield
    common._voice[:] = before


def test_the_plugin_for_drgns_shell_leaves_the_programs_own_words_alone(
    capsys: Captured,
) -> None:
    """drgn calls plugins for each program that is opened: slableak's, too, once it's installed."""
    main(["slabdup", "-h"])
    own = capsys.readouterr().out
    offer()
    common.run(COMMANDS["slabdup"], ["-h"])
    assert capsys.readouterr().out == own
    common.run(COMMANDS["slabdup"], ["-x"])
    assert capsys.readouterr().err.endswith('Enter "slableak slabdup -h" for details.\n')
    shown = ShellCommand(COMMANDS["slabdup"]).format_help()
    assert ">>> %slabdup" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_page_speaks_of_no_crash_where_there_is_none(name: str, capsys: Captured) -> None:
    """Nor of its commands and settings: the pages are the same on every host but the prompt."""
    assert main([name, "-h"]) == 0
    page = capsys.readouterr().out
    told = re.findall(r'crash|\bkmem\b|mod -s|epython|gdb|"rd\b|"struct"|set \w+ o(?:n|ff)', page)
    assert told == []
    assert f"$ slableak VMCORE {name}" in page


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-x"],
        ["-s"],
        ["vmcore"],
        ["-k"],
        ["slabwhy"],
        ["vmcore", "slabwhat"],
        ["vmcore", "slabwhy", "--then"],
        ["vmcore", "slabwhy", "--then", "slabwhat", "-h"],
        ["-k", "vmcore", "slabwhy"],
    ],
)
def test_a_wrong_command_line_gets_the_usage_and_status_2(
    arguments: List[str], capsys: Captured
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("slableak: ")
    assert "\nUsage:\n  slableak " in said.err


def test_help_names_every_command_and_fits_the_screen(capsys: Captured) -> None:
    assert main(["-h"]) == 0
    page = capsys.readouterr().out
    assert all(f"\n  {name:10}{each.short}\n" in page for name, each in COMMANDS.items())
    assert max(map(len, page.splitlines())) <= 80


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"slableak {TOOL_VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_helps_without_a_dump_and_never_speaks_of_crash(
    name: str, capsys: Captured
) -> None:
    assert main([name, "-h"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"\nNAME\n  {name} - ")
    assert "crash>" not in page
    assert f"\n    $ slableak VMCORE {name}" in page
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an ELF core file"),
        (b"\x7fELF" + bytes(60), ""),
        (b"makedumpfile\0\0\0\0" + bytes(8192), "a flattened dump: makedumpfile -R NEW <"),
        (b"KDUMP   " + bytes(8192), ""),
        (b"KDUMP   " + bytes(4 + 4 * 65) + b"vax" + bytes(8192), ""),
    ],
)
def test_what_is_no_dump_is_one_line_and_status_1(
    content: bytes, said: str, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "vmcore"
    file.write_bytes(content)
    assert main([str(file), "slabdup"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"slableak: {file}: ")
    assert told.err.count("\n") == 1
    assert said in told.err


@pytest.mark.parametrize("name", ["nosuch", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / name
    assert main([str(file), "slabdup"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"slableak: {file}: ")
    assert told.count("\n") == 1
