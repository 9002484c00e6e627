# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/leak.html: the page that `slabwhy -o` writes of the demo's leak: `make page`.

    python -m tests.lab.examplepage CRASH LOADER

Runs in a folder of its own, so that no path of this machine gets into the page.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .demo import SCRIPT
from .dumps import dump

PAGE = Path(__file__).resolve().parents[2] / "docs" / "leak.html"


def write(crash: str, loader: Path) -> None:
    """Writes the page anew. Raises CalledProcessError, FileNotFoundError."""
    specimen = dump("6.1", "leak")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in (specimen.vmlinux, specimen.vmcore):
            (folder / file.name).symlink_to(file)
        (folder / "typed").write_text(
            f"extend {loader}\nextend {SCRIPT}\nslabwhy -o {PAGE.name}\nquit\n"
        )
        subprocess.run(
            [crash, "-s", "-i", "typed", specimen.vmlinux.name, specimen.vmcore.name],
            cwd=folder,
            env={"HOME": name, "PATH": "/usr/bin:/bin", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        shutil.copyfile(folder / PAGE.name, PAGE)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]).resolve())
