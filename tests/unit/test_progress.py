# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal shows how far a command is once that takes more than a second; nothing else does."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from threading import Thread
from typing import List, TextIO

import pytest
from pytest_mock import MockerFixture

from crash_ext import slabdup
from crash_ext.command import run
from crash_ext.report import progress
from crash_ext.report.progress import Progress
from mocks.crash_module import FakeCrash, install
from tests.replay import recorded


class Pty:
    """A terminal: what is written to it comes out at its other end, where somebody reads."""

    def __init__(self) -> None:
        self._other, self.descriptor = os.openpty()
        self._read = b""
        # A test that fails never closes the terminal: pytest ends all the same.
        self._reader = Thread(target=self._read_all, daemon=True)
        self._reader.start()

    def _read_all(self) -> None:
        while not self._read.endswith(b"\0"):
            self._read += os.read(self._other, 65536)

    def shown(self) -> str:
        """All that was written. Once, at the end."""
        os.write(self.descriptor, b"\0")
        self._reader.join()
        os.close(self._other)
        os.close(self.descriptor)
        return self._read[:-1].decode().replace("\r\n", "\n")

    def stream(self) -> TextIO:
        return open(self.descriptor, "w", buffering=1, closefd=False)


@pytest.fixture(name="terminal")
def fixture_terminal() -> Pty:
    return Pty()


@pytest.fixture(name="interactive")
def fixture_interactive(terminal: Pty, mocker: MockerFixture) -> Pty:
    """The terminal as crash's own, be its output elsewhere."""
    mocker.patch.object(progress, "_IN", terminal.descriptor)
    mocker.patch.object(progress, "_OUT", terminal.descriptor)
    return terminal


@pytest.fixture(name="clock")
def fixture_clock(mocker: MockerFixture) -> None:
    """A second goes by between two looks at it."""
    mocker.patch("crash_ext.report.progress.time.monotonic", side_effect=count(0, 1.5))


def work(text: str = "result\n") -> None:
    with Progress("slabdup") as bar:
        bar.tell(1, 4)
        sys.stdout.write(text)
        bar.tell(2, 4)
        bar.tell(4, 4)
        sys.stderr.write(text)


@pytest.mark.parametrize(
    ("options", "step", "said"), [(["-ap"], 2, True), (["-ap"], 0, False), (["-p"], 0, False)]
)
def test_all_caches_are_counted_down(
    terminal: Pty, mocker: MockerFixture, options: List[str], step: int, said: bool
) -> None:
    mocker.patch("crash_ext.report.progress.time.monotonic", side_effect=count(0, step))
    fake = FakeCrash(recorded("el7-3.10.0-514").image)
    with install(fake), redirect_stdout(io.StringIO()), redirect_stderr(terminal.stream()):
        run(slabdup.COMMAND, options)
    shown = terminal.shown()
    assert ("\rslabdup: 2%" in shown) is said
    # Nothing is written behind a percentage: the line is empty before the output begins.
    assert "%" not in shown.rpartition("\r")[2]
    assert all(part.strip() == "" or "%" in part for part in shown.split("\r")[1:-1])


@pytest.mark.usefixtures("clock")
def test_progress_is_cleared_before_each_output(terminal: Pty) -> None:
    with redirect_stdout(terminal.stream()), redirect_stderr(terminal.stream()):
        work()
    blank = "\r" + " " * len("slabdup: 100%") + "\r"
    assert terminal.shown() == (
        f"\rslabdup: 25%{blank}result\n\rslabdup: 50%\rslabdup: 100%{blank}result\n"
    )


def test_what_takes_no_second_shows_nothing(terminal: Pty) -> None:
    with redirect_stdout(terminal.stream()), redirect_stderr(terminal.stream()):
        work()
    assert terminal.shown() == "result\nresult\n"


@pytest.mark.usefixtures("clock")
def test_behind_a_pager_it_ends_with_the_first_output(interactive: Pty) -> None:
    read, write = os.pipe()
    with open(write, "w", buffering=1) as pager, redirect_stdout(pager), redirect_stderr(pager):
        work()
    with open(read) as paged:
        assert paged.read() == "result\nresult\n"
    assert interactive.shown() == "\rslabdup: 25%\r" + " " * 13 + "\r"


@pytest.mark.usefixtures("clock")
def test_a_result_that_comes_first_leaves_the_pager_alone(interactive: Pty) -> None:
    read, write = os.pipe()
    with open(write, "w", buffering=1) as pager, redirect_stdout(pager), Progress("slabdup") as bar:
        print("result")
        bar.tell(1, 4)
    os.close(read)
    assert interactive.shown() == ""


@pytest.mark.usefixtures("clock")
def test_a_file_gets_the_result_alone(interactive: Pty, tmp_path: Path) -> None:
    with open(tmp_path / "out", "w") as file, redirect_stdout(file), redirect_stderr(file):
        work()
    assert (tmp_path / "out").read_text() == "result\nresult\n"
    assert interactive.shown().count("%") == 3


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("which", ["_IN", "_OUT"])
def test_in_a_batch_it_is_silent(interactive: Pty, mocker: MockerFixture, which: str) -> None:
    """crash with its input or its output in a file."""
    with open(os.devnull) as null:
        mocker.patch.object(progress, which, null.fileno())
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            work()
    assert interactive.shown() == ""


@pytest.mark.usefixtures("clock")
def test_errors_that_a_program_sends_elsewhere_take_progress_along(
    interactive: Pty, mocker: MockerFixture, tmp_path: Path
) -> None:
    """`slableak vmcore slabwhy 2>errors`: its output on the terminal is the result's."""
    with open(tmp_path / "errors", "w") as errors:
        mocker.patch.object(progress, "_ERRORS", errors.fileno())
        with redirect_stdout(interactive.stream()), redirect_stderr(errors):
            work()
    assert interactive.shown() == "result\n"


@pytest.mark.usefixtures("clock")
def test_a_terminal_that_is_gone_stops_nothing(interactive: Pty, mocker: MockerFixture) -> None:
    mocker.patch("crash_ext.report.progress.os.write", side_effect=OSError)
    kept = io.StringIO()
    with redirect_stdout(kept), redirect_stderr(kept):
        work()
    assert kept.getvalue() == "result\nresult\n"
