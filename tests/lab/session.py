# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in real crash on a dump: many command lines in one run of crash.

Starting crash takes some seconds, so each line's output goes to a file of its own.

With PYKDUMP_SO=/path/to/mpykdump64.so in the environment the commands run on PyKdump, in
every crash of its major release: whoever has its binary can run the lab's tests on it. Released
PyKdump has no json: for tests that want records PYKDUMPPATH= has to name a full library, too.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .arches import AMD64, Arch
from .crashes import build_loader, crash, options_for
from .drgnsession import run_lines_on_drgn
from .dumps import Dump
from .indexed import indexed
from .kernels import find_kernel

DRGN = "drgn"
"""What stands for a release of crash where the commands run without one."""
SLABLEAK = Path(__file__).resolve().parents[2] / "crash_ext" / "slableak.py"

Record = Dict[str, Any]


def host_lines(
    version: str, environment: Mapping[str, str] = os.environ, arch: Arch = AMD64
) -> List[str]:
    """The lines that have the commands ready in that release of crash."""
    pykdump = environment.get("PYKDUMP_SO")
    if pykdump:
        return [f"extend {Path(pykdump).resolve()}", f"epython {SLABLEAK.name}"]
    return [f"extend {build_loader(version, arch)}", f"extend {SLABLEAK}"]


def host_environment(environment: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """What has to be in crash's environment for them."""
    if not environment.get("PYKDUMP_SO"):
        return {}
    more = environment.get("PYKDUMPPATH")
    return {"PYKDUMPPATH": os.pathsep.join([str(SLABLEAK.parent), *([more] if more else [])])}


def run_lines(
    dump: Dump,
    version: str,
    lines: Sequence[str],
    timeout: float = 300,
    vmlinux: Optional[Path] = None,
) -> List[str]:
    """What each command line prints in that release of crash, the commands loaded; or on DRGN.

    timeout: seconds for all of them; vmlinux: another than the quickest to open.
    """
    if version == DRGN:
        return run_lines_on_drgn(dump, lines, timeout)
    with tempfile.TemporaryDirectory(prefix="slableak-lines-") as folder:
        files = [Path(folder) / str(number) for number in range(len(lines))]
        arch = find_kernel(dump.kernel).arch
        said = crash(version, arch).run(
            vmlinux or indexed(dump, version),
            dump.vmcore,
            [
                *host_lines(version, arch=arch),
                *(f"{line} > {file}" for line, file in zip(lines, files)),
            ],
            args=[*options_for(dump.kernel, version), *_parts(dump)],
            env=host_environment(),
            timeout=timeout,
        )
        missing = [line for line, file in zip(lines, files) if not file.exists()]
        assert not missing, f"crash {version} never ran {missing}; it said:\n{said[-3000:]}"
        return [file.read_text(encoding="utf-8") for file in files]


def _parts(dump: Dump) -> List[str]:
    """The other files of a dump that makedumpfile has split (forms.py)."""
    return sorted(map(str, dump.folder.glob("vmcore-*")))


def unwrapped(text: str) -> str:
    """The same with each statement of slabwhy's evidence on one line."""
    return re.sub(r"\n {32}(?=\S)", " ", text)


def records(text: str) -> List[Record]:
    """The records of JSON lines. AssertionError for any other text."""
    found: List[Record] = []
    for line in text.splitlines():
        assert line.startswith("{"), f"no record: {text[-2000:]}"
        found.append(json.loads(line))
    return found
