# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `slableak` before any dump is open: usage, help, files that are no dumps."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, List, Optional

import drgn
import pytest

from crash_ext import command as common
from crash_ext.commands import COMMANDS
from crash_ext.drgncommands import ShellCommand, offer, run_script
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


def test_an_example_says_how_drgn_loads_a_modules_debug_information(capsys: Captured) -> None:
    assert main(["slabwhy", "-h"]) == 0
    assert "of slabtest isn't loaded:\n" + 36 * " " + "-s FILE\n" in capsys.readouterr().out


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
        (
            b"makedumpfile\0\0\0\0" + bytes(8192),
            ": a flattened dump: makedumpfile -R NEW <{} makes one of it\n",
        ),
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
    assert said.format(file) in told.err


@pytest.mark.parametrize("name", ["nosuch", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / name
    assert main([str(file), "slabdup"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"slableak: {file}: ")
    assert told.count("\n") == 1


class Program:
    """Stands in for drgn's own program of a dump that drgn can open."""

    flags = drgn.ProgramFlags.IS_LINUX_KERNEL
    platform = drgn.Platform(drgn.Architecture.X86_64)
    opening: Optional[BaseException] = None
    release: Optional[str] = None
    warning = ""

    def __init__(self, platform: Optional[drgn.Platform] = None) -> None:
        pass

    def set_core_dump(self, path: str) -> None:
        if self.opening is not None:
            raise self.opening

    def set_kernel(self) -> None:
        self.set_core_dump("")

    def load_debug_info(self, files: List[str], main: bool) -> None:
        if self.warning:
            logging.getLogger("drgn").warning(self.warning)

    def type(self, name: str) -> Any:
        if self.release is None or self.warning:
            return SimpleNamespace(is_complete=lambda: bool(self.warning))
        raise LookupError(name)

    def __getitem__(self, name: str) -> Any:
        if self.release is None:
            raise LookupError(name)
        return SimpleNamespace(string_=self.release.encode)


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, *words: str, **attributes: Any
) -> List[str]:
    """What the program complains of where drgn's has these attributes: status 1."""
    monkeypatch.setattr("drgn.Program", type("Program", (Program,), attributes))
    assert main([*words, "slabdup"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


def test_without_drgn_the_program_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "drgn", None)
    assert main(["vmcore", "slabdup"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("slableak: drgn is needed for this: pip install drgn (")


def test_who_may_not_read_the_running_kernel_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    refused = PermissionError(13, "Permission denied", "/proc/kcore")
    told = said(monkeypatch, capsys, "-k", opening=refused)
    assert told == ["slableak: [Errno 13] Permission denied: '/proc/kcore': try it as root"]


def test_a_process_core_is_no_dump_of_a_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    told = said(monkeypatch, capsys, "core", flags=drgn.ProgramFlags(0))
    assert told == ["slableak: core: no dump of a Linux kernel"]


def test_a_file_of_debug_information_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    told = said(monkeypatch, capsys, "-s", "nosuch", "vmcore")
    assert told == ["slableak: nosuch: can't be read"]


@pytest.mark.parametrize("file", [None, __file__])
@pytest.mark.parametrize(
    ("release", "kernel"), [("6.1.0-32-amd64", "kernel 6.1.0-32-amd64"), (None, "the kernel")]
)
def test_without_debug_information_the_kernel_is_named(
    release: Optional[str],
    kernel: str,
    file: Optional[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    given = ["-s", file] if file else []
    where = f"in {file}" if file else "found: give its vmlinux with -s FILE"
    told = said(monkeypatch, capsys, *given, "vmcore", release=release)
    assert told == [f"slableak: no debug information of {kernel} {where}"]


def test_a_file_that_drgn_has_no_use_for_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    warning = f"{__file__}: not an ELF file\nfurther"
    told = said(monkeypatch, capsys, "-s", __file__, "vmcore", warning=warning, flags=_Once())
    assert told == [f"slableak: {__file__}: not an ELF file", "slabdup: no Linux kernel"]


class _Once:
    """Flags of a kernel, the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def __and__(self, other: object) -> bool:
        self.asked += 1
        return self.asked == 1


def test_ctrl_c_ends_the_program_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    told = said(monkeypatch, capsys, "vmcore", opening=KeyboardInterrupt())
    assert told == ["slableak: interrupted"]


def test_a_script_s_wrong_command_is_told_with_those_that_there_are(capsys: Captured) -> None:
    assert run_script(drgn.Program(), ["slabwhat"]) == 2
    assert capsys.readouterr().err == (
        "slableak: slabwhat: no such command, but slabdup, slabobjs, slabwhy, slablost\n"
    )


def test_a_program_of_no_kernel_is_refused_by_each_command(capsys: Captured) -> None:
    assert run_script(drgn.Program(), ["slabdup"]) == 1
    assert capsys.readouterr().err == "slabdup: no Linux kernel\n"


def test_each_way_to_start_a_command_has_its_own_prompt_and_its_own_way_to_help(
    capsys: Captured,
) -> None:
    run_script(drgn.Program(), ["slabdup"])
    capsys.readouterr()
    common.run(COMMANDS["slabdup"], ["-x"])
    hint = 'Enter "drgn -k slableak.py slabdup -h" for details.\n'
    assert capsys.readouterr().err.endswith(hint)
    assert "\n    $ drgn -c VMCORE slableak.py slabdup" in common.help_page(COMMANDS["slabdup"])
    for page in (
        common.help_page(COMMANDS["slabwhy"]),
        ShellCommand(COMMANDS["slabwhy"]).format_help(),
    ):
        assert "\n                                    -s FILE\n" in page
        assert "mod -s" not in page
    common.run(COMMANDS["slabdup"], ["-x"])
    assert capsys.readouterr().err.endswith('\nEnter "%slabdup -h" for details.\n')
