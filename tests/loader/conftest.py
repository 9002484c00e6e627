# SPDX-License-Identifier: GPL-3.0-or-later
"""One crash for all that a batch file can show, one on a terminal for the rest.

Starting crash takes some seconds, so the batch is one story, told in story.py. A test looks
at its parts.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Dict, Iterator

import pytest

from tests import lab
from tests.lab.indexed import indexed

from .builds import ROOT
from .story import STORY, Place, Said, build_misfits, prepare, tell
from .terminal import PROMPT, Terminal


@pytest.fixture(scope="session")
def loader() -> Path:
    """The loader under test."""
    return Path(os.environ.get("PYEXTEND_SO", str(ROOT / "build" / "pyextend.so")))


@pytest.fixture(scope="session")
def place(loader: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    dump = lab.dump("6.1", "leak")
    binary = os.environ.get("CRASH", "crash")
    assert shutil.which(binary)
    vmlinux = indexed(dump, "8.0.2")
    return prepare(tmp_path_factory.mktemp("loader"), loader, [binary], vmlinux, dump.vmcore)


@pytest.fixture(scope="session")
def said(place: Place) -> Said:
    """What crash said to each line of the story."""
    build_misfits(place.work)
    return tell(place, STORY)


@pytest.fixture(scope="session")
def answers(said: Said) -> Dict[str, str]:
    """Answers of the module `crash`: repr() of the value, or the exception."""
    found: Dict[str, str] = said.json("answers")
    return found


@pytest.fixture(scope="module")
def terminal(place: Place) -> Iterator[Terminal]:
    """crash on a terminal at its prompt, the commands loaded, no pager."""
    command = place.command("-s", "--no_scroll")
    with Terminal(command, place.environment, str(place.work)) as opened:
        opened.wait_for(PROMPT)
        # At the first line of all it is crash's own `extend` that is at work.
        assert opened.type(f"extend {place.loader} kit.py no_such.so").splitlines() == [
            f"{place.work}/kit.py: script loaded",
            f"{place.loader}: shared object loaded",
            "extend: no_such.so: No such device or address",
        ]
        yield opened
