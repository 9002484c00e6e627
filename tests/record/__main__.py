# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.record [KERNEL SCENARIO [CRASH_VERSION OUT]]"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import List

from mocks.recording import Recording, save
from tests.golden import HERE as GOLDEN
from tests.lab import FOREIGN, KERNELS, SCENARIOS
from tests.record import ALL, name_of
from tests.record.lines import GOLDEN_LINES
from tests.record.make import make

DATA = Path(__file__).resolve().parents[1] / "data"


def _record(kernel: str, scenario: str, version: str, out: Path) -> Recording:
    start = time.monotonic()
    recording = make(kernel, scenario, version)
    save(recording, out)
    seconds = time.monotonic() - start
    print(f"{out}: {out.stat().st_size} bytes in {seconds:.0f} s", flush=True)
    return recording


def _write_golden(recording: Recording, folder: Path) -> None:
    """The golden files of a recording. Its addresses may be new: lines with others go."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if re.search(r"[0-9a-f]{8}", old.name):
            old.unlink()
    for line in list(recording.outputs)[:GOLDEN_LINES]:
        (folder / line).write_text(recording.outputs[line], encoding="ascii")


def main(words: List[str]) -> int:
    """Exit status: 2 for a usage error."""
    if len(words) == 4 and words[0] in {**KERNELS, **FOREIGN} and words[1] in SCENARIOS:
        _record(words[0], words[1], words[2], Path(words[3]))
        return 0
    rows = [row for row in ALL if not words or list(row[:2]) == words]
    if not rows:
        print(__doc__, file=sys.stderr)
        return 2
    for kernel, scenario, version in rows:
        name = name_of(kernel, scenario)
        made = _record(kernel, scenario, version, DATA / f"{name}.json.gz")
        _write_golden(made, GOLDEN / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
