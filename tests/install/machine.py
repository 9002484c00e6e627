# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the sources to run make in, and a root directory to install to."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Dict, List, Set

TOP = pathlib.Path(__file__).resolve().parents[2]
EXTENSIONS = pathlib.Path("usr/lib/crash/extensions")


def base_python() -> str:
    """The interpreter that pytest's environment was made from: one that can be embedded."""
    return str(pathlib.Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")


def environment() -> Dict[str, str]:
    """Ours, but for make's own: these tests are run by a make, too. Any use of pip fails."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return {**own, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


@functools.lru_cache(maxsize=None)
def without_network() -> List[str]:
    """A command prefix that cuts the network off, as far as this machine lets us."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return prefix
    return []


def made(*arguments: str) -> str:
    """What make prints here, where nothing has to be built for it."""
    return subprocess.run(
        ["make", *arguments],
        cwd=str(TOP),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


class Machine:
    """source: the sources without anything built. root: what DESTDIR names."""

    def __init__(self, where: pathlib.Path) -> None:
        self.source = where / "source"
        self.root = where / "root"
        self.root.mkdir(parents=True)
        shutil.copytree(
            TOP,
            self.source,
            ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".*cache"),
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*without_network(), "make", f"PYTHON={base_python()}", *arguments]
        return subprocess.run(
            command,
            cwd=str(self.source),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def install(self, *arguments: str) -> str:
        done = self.make("install", f"DESTDIR={self.root}", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def uninstall(self, *arguments: str) -> None:
        done = self.make("uninstall", f"DESTDIR={self.root}", *arguments)
        assert done.returncode == 0, done.stdout

    def files(self) -> Set[pathlib.Path]:
        found = (path for path in self.root.rglob("*") if not path.is_dir())
        return {path.relative_to(self.root) for path in found}
