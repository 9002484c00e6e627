# SPDX-License-Identifier: GPL-3.0-or-later
"""On a terminal a command says how far it is once that takes more than a second."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from itertools import count

import pytest
from pytest_mock import MockerFixture

from crash_ext import slabdup
from crash_ext.command import run
from mocks.crash_module import FakeCrash, install
from tests.replay import recorded


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("options", "step", "said"), [(["-ap"], 2, True), (["-ap"], 0, False), (["-p"], 0, False)]
)
def test_all_caches_are_counted_down(
    mocker: MockerFixture, options: list[str], step: int, said: bool
) -> None:
    mocker.patch("crash_ext.report.progress.time.monotonic", side_effect=count(0, step))
    fake = FakeCrash(recorded("el7-3.10.0-514").image)
    terminal = Terminal()
    with install(fake), redirect_stdout(io.StringIO()), redirect_stderr(terminal):
        run(slabdup.COMMAND, options)
    assert ("\rslabdup: 2%" in terminal.getvalue()) is said
    # Nothing is written behind a percentage: the line is empty before the output begins.
    assert "%" not in terminal.getvalue().rpartition("\r")[2]
    assert all(part.strip() == "" or "%" in part for part in terminal.getvalue().split("\r")[1:-1])
