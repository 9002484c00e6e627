# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C at moments that a finger meets once in a thousand tries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import pytest

from . import hostile
from .pounce import Pounce, compile_pounce
from .story import Place
from .terminal import PROMPT, Terminal


@pytest.fixture(scope="module")
def pounce(place: Place) -> Path:
    hostile.write_all(place.work)
    return compile_pounce(place.work / "pounce.so")


def _opened(place: Place, pounce: Path) -> Terminal:
    preload = os.pathsep.join(filter(None, [place.environment.get("LD_PRELOAD"), str(pounce)]))
    environment = {**place.environment, "LD_PRELOAD": preload}
    return Terminal(place.command("-s", "--no_scroll"), environment, str(place.work))


@pytest.fixture(scope="module")
def terminal(place: Place, pounce: Path) -> Iterator[Terminal]:
    with _opened(place, pounce) as opened:
        opened.wait_for(PROMPT)
        opened.type(f"extend {place.loader} kit.py hostile.py")
        yield opened


@pytest.mark.parametrize("together", [False, True])
def test_while_python_starts_it_waits_for_its_start(
    place: Place, pounce: Path, together: bool
) -> None:
    """Left by longjmp, Python could neither be used nor started again in this crash."""
    with _opened(place, pounce) as terminal:
        terminal.wait_for(PROMPT)
        if not together:
            terminal.type(f"extend {place.loader}")
        armed = Pounce(place.work)
        armed.arm("setlocale")
        shown = terminal.type(f"extend {place.loader} kit.py" if together else "extend kit.py")
        assert armed.disarm()
        assert "kit.py: interrupted\n" in shown
        assert terminal.type("extend kit.py") == f"{place.work}/kit.py: script loaded\n"
        assert "__main__ True ['one']\n" in terminal.type("hello one")


LINES = ["hello", "nested", "raises", "answers", "extend bad_raise.py", "extend mine.py"]


@pytest.mark.parametrize("line", LINES)
def test_at_each_change_of_its_handler_crash_goes_on(
    terminal: Terminal, place: Place, line: str
) -> None:
    armed = Pounce(place.work)
    pounced = 0
    for number in range(1, 20):
        armed.arm("sigaction", number)
        terminal.type(line)
        pounced += armed.disarm()
        # Nothing is being loaded any more.
        assert "while `extend` loads a script" in terminal.type("late")
        assert terminal.type("counter").startswith("call ")
        assert terminal.type("p 6 * 7").endswith(" = 42\n")
    assert pounced > 1


def test_a_program_that_ignores_it_does_so_for_itself(terminal: Terminal) -> None:
    assert terminal.type("ignores") == "ignored\n"
    assert terminal.interrupt("loop") == "cleaned up\nloop: interrupted\n"


def test_a_program_s_own_handler_is_back_after_an_inner_program(terminal: Terminal) -> None:
    assert terminal.interrupt("stop") == "stop: my own end\n"
    assert terminal.interrupt("loop") == "cleaned up\nloop: interrupted\n"


def test_with_another_thread_that_waits(terminal: Terminal) -> None:
    """The kernel gives it the signal while the main thread has it blocked."""
    for _ in range(20):
        shown = terminal.interrupt("idle_type_loop")
        assert shown.endswith("idle_type_loop: interrupted\n")
    assert terminal.type("p 6 * 7").endswith(" = 42\n")
