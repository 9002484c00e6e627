# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in real crash on a dump: many command lines in one run of crash.

Starting crash takes some seconds, so each line's output goes to a file of its own.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from .crashes import build_loader, crash, options_for
from .dumps import Dump

SLABLEAK = Path(__file__).resolve().parents[2] / "crash_ext" / "slableak.py"

Record = Dict[str, Any]


def run_lines(dump: Dump, version: str, lines: Sequence[str]) -> List[str]:
    """What each command line prints in that release of crash, the commands loaded."""
    with tempfile.TemporaryDirectory(prefix="slableak-lines-") as folder:
        files = [Path(folder) / str(number) for number in range(len(lines))]
        said = crash(version).run(
            dump.vmlinux,
            dump.vmcore,
            [
                f"extend {build_loader(version)}",
                f"extend {SLABLEAK}",
                *(f"{line} > {file}" for line, file in zip(lines, files)),
            ],
            args=[*options_for(dump.kernel, version), *_parts(dump)],
        )
        missing = [line for line, file in zip(lines, files) if not file.exists()]
        assert not missing, f"crash {version} never ran {missing}; it said:\n{said[-3000:]}"
        return [file.read_text(encoding="utf-8") for file in files]


def _parts(dump: Dump) -> List[str]:
    """The other files of a dump that makedumpfile has split (forms.py)."""
    return sorted(map(str, dump.folder.glob("vmcore-*")))


def records(text: str) -> List[Record]:
    """The records of JSON lines. AssertionError for any other text."""
    found: List[Record] = []
    for line in text.splitlines():
        assert line.startswith("{"), f"no record: {text[-2000:]}"
        found.append(json.loads(line))
    return found
