# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe: a script in real crash that prints a JSON record a line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from tests import lab
from tests.lab.indexed import indexed


def run_probe(
    kernel: str, version: str, name: str, words: str, before: Sequence[str] = ()
) -> List[Dict[str, Any]]:
    """The records of NAME.py beside this file, on the `leak` dump of a kernel.

    version: crash's; before: its commands to run first. AssertionError with what crash said.
    """
    dump = lab.dump(kernel, "leak")
    with tempfile.TemporaryDirectory(prefix="slableak-probe-") as folder:
        out = Path(folder) / "out"
        said = lab.crash(version).run(
            indexed(dump, version),
            dump.vmcore,
            [
                *before,
                f"extend {lab.build_loader(version)}",
                f"extend {Path(__file__).with_name(f'{name}.py')}",
                f"{name} {words} > {out}",
            ],
            args=lab.options_for(kernel, version),
        )
        assert out.exists(), said[-3000:]
        return [json.loads(line) for line in out.read_text().splitlines()]
