# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden tests: a file's name is the command line, its content what that prints.

One folder a recording, or a scene of scenes.py. `python -m tests.golden` (make golden)
writes them all anew; add a command line by making an empty file of its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Tuple

from mocks.crash_module import FakeCrash
from tests.golden.scenes import SCENES
from tests.replay import recorded

HERE = Path(__file__).resolve().parent


def for_each_golden() -> Iterator[Tuple[str, Path]]:
    """(recording or scene, file) of every golden file."""
    for folder in sorted(path for path in HERE.iterdir() if path.is_dir()):
        if folder.name != "__pycache__":
            for file in sorted(folder.iterdir()):
                yield folder.name, file


def kernel(folder: str) -> FakeCrash:
    """The crash session that a folder's command lines are typed in."""
    build = SCENES.get(folder)
    return build() if build is not None else FakeCrash(recorded(folder).image)
