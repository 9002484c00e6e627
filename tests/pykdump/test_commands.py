# SPDX-License-Identifier: GPL-3.0-or-later
"""On PyKdump each command line shows what it shows everywhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest

from mocks.crash_module import FakeCrash
from tests.golden import HERE as GOLDEN
from tests.pykdump.host import Session, pythons
from tests.replay import COMMANDS, recorded, run_line
from tests.unit.test_recording_exact import EL8_MEMCG

RECORDING = "lab-6.1-leak"
LINES = sorted(
    file.name for file in (GOLDEN / RECORDING).iterdir() if "-j" not in file.name.split()
)


@pytest.fixture(name="fake")
def fixture_fake() -> FakeCrash:
    return FakeCrash(recorded(RECORDING).image)


@pytest.fixture(name="session")
def fixture_session(fake: FakeCrash, tmp_path: Path) -> Session:
    return Session(fake, tmp_path)


@pytest.mark.parametrize("python", pythons())
def test_all_golden_lines_in_one_interpreter(fake: FakeCrash, tmp_path: Path, python: str) -> None:
    outputs = recorded(RECORDING).outputs
    lines = [*LINES, "slabobjs -e -l 1 slab_test", "slabobjs -g slab_test", "slabwhy -F"]
    shown = Session(fake, tmp_path, python=python).run("slableak", *lines)
    assert dict(zip(lines, shown[1:])) == {line: outputs[line] for line in lines}
    assert shown[0] == ""
    assert set(fake.help_pages) >= {"slabdup", "slabobjs", "slabwhy"}


@pytest.mark.parametrize("name", [EL8_MEMCG, "612-map-memcg"])
def test_on_vendors_kernels_every_command_shows_what_it_shows_elsewhere(
    name: str, tmp_path: Path
) -> None:
    image, truth = recorded(name).image, recorded(name).truth
    caches = " ".join(sorted(truth["caches"]))
    lines = [
        "slabdup",
        f"slabdup {caches}",
        f"slabobjs -b 16 -l 3 {caches}",
        f"slabobjs -f -q {caches}",
        f"slabwhy {caches}",
        f"slablost {caches}",
    ]
    shown = Session(FakeCrash(image), tmp_path).run(*lines)
    assert shown == [run_line(FakeCrash(image), line) for line in lines]
    assert not any("Traceback" in text for text in shown)


def test_without_json_the_records_are_refused_in_one_line(session: Session) -> None:
    (shown,) = session.run("slabdup -j")
    assert shown.splitlines()[0] == "slabdup: -j: this Python has no json module"
    assert "Traceback" not in shown


def test_a_usage_error_and_help_are_shown(session: Session) -> None:
    usage, page = session.run("slabobjs -Z", "slabdup -h")
    assert usage.startswith("slabobjs: option -Z not recognized\nUsage:\n")
    assert page.startswith("\nNAME\n  slabdup - ")


def test_a_name_that_is_no_ascii_is_shown_in_c_locale(session: Session) -> None:
    (shown,) = session.run("slabobjs \u00e9t\u00e9")
    assert shown == "slabobjs: \\xc3\\xa9t\\xc3\\xa9: no cache has this name\n"


def test_nothing_is_found_without_pykdumppath(fake: FakeCrash, tmp_path: Path) -> None:
    (shown,) = Session(fake, tmp_path, pykdumppath=[tmp_path]).run("slabdup")
    assert shown == "Cannot find the program <slabdup>\n"


def test_a_pipe_that_nobody_reads_is_no_error(session: Session) -> None:
    session.reader_gone = True
    assert session.run("slabdup", "slabobjs -q slab_test") == ["", ""]


def test_ctrl_c_while_memory_is_read_is_one_line(fake: FakeCrash, session: Session) -> None:
    reads: List[int] = []

    def interrupt(_address: int, _size: int) -> None:
        reads.append(1)
        if len(reads) == 100:
            raise KeyboardInterrupt

    fake.on_read = interrupt
    stopped, after = session.run("slabdup", "slabdup")
    assert stopped.endswith("slabdup: interrupted: the output is incomplete\n")
    assert "Traceback" not in stopped
    assert after == (GOLDEN / RECORDING / "slabdup").read_text()


def test_ctrl_c_inside_a_command_is_a_crash_error_and_no_traceback(
    fake: FakeCrash, session: Session
) -> None:
    """PyKdump makes crash.error of it: settings then read as their defaults."""

    def interrupted(_line: str) -> str:
        raise KeyboardInterrupt

    fake.commands["set"] = interrupted
    (shown,) = session.run("slabdup")
    assert shown == (GOLDEN / RECORDING / "slabdup").read_text()


def test_ctrl_c_while_the_first_question_is_asked_spoils_no_later_answer(
    fake: FakeCrash, session: Session
) -> None:
    asked: List[str] = []

    def interrupted_once(line: str) -> str:
        asked.append(line)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return fake._builtin(line.split())

    fake.commands["ptov"] = interrupted_once
    _, after, cached = session.run("slabdup", "slabdup", "slabdup")
    assert after == cached == (GOLDEN / RECORDING / "slabdup").read_text()
    assert len(asked) == 2, "and what is known is not asked again"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_one_that_pykdump_eats(name: str) -> None:
    """It takes --debug, --timeout and others from every program; ours are single letters."""
    assert re.fullmatch("([a-zA-Z]:?)*", COMMANDS[name].options)


@pytest.mark.parametrize("module", ["json", "dataclasses", "subprocess", "importlib.metadata"])
def test_the_stand_in_has_no_more_modules_than_pykdump(
    fake: FakeCrash, tmp_path: Path, module: str
) -> None:
    (tmp_path / "probe.py").write_text(f"import {module}\n")
    (shown,) = Session(fake, tmp_path).run("probe")
    assert shown.splitlines()[-1].startswith(f"ModuleNotFoundError: No module named '{module}'")


def test_the_stand_in_shows_only_what_was_flushed(fake: FakeCrash, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import sys\nprint('seen', __name__, sys.argv, __file__, sys.path[0])\n"
        "sys.stdout.flush()\nprint('lost')\nleft = globals().get('left', 0) + 1\n"
    )
    (tmp_path / "again.py").write_text("import sys\nprint(left)\nsys.stdout.flush()\n")
    first, second = Session(fake, tmp_path).run("probe one", "again")
    stale = "/nowhere/of/another/program.py"
    assert first == f"seen __main__ ['./probe.py', 'one'] {stale} .\n"
    assert second == "1\n"


def test_its_answers_are_those_of_our_own_replay(fake: FakeCrash, session: Session) -> None:
    line = "slabobjs -b 16 slab_test"
    assert session.run(line) == [run_line(fake, line)]
