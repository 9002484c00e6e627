# SPDX-License-Identifier: GPL-3.0-or-later
"""The crash releases of the lab: which there are, how one is run, how an extension is built.

The system's own crash is used where it is the release asked for. Any other is unpacked
beside the system (tree.py) with its Python and a compiler: an extension must be built
with the very defs.h, Python and C library that it will run with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Mapping, Optional, Sequence

from . import cache
from .archive import Archive
from .kernels import KERNELS
from .tree import Tree, unpacked

RELEASES = {"7.2.9": "bullseye", "8.0.2": "bookworm", "8.0.6": "trixie", "9.0.2": "forky"}
"""Which Debian release has which crash."""

_PACKAGES = ["crash", "gcc", "libc6-dev", "python3-dev"]
_CHECKOUT = Path(__file__).parents[2]


class CrashFailed(Exception):
    """crash ended by a signal or out of time; carries the end of what it said."""


@dataclass(frozen=True)
class Crash:
    """One release of crash.

    version: 8.0.2; root: of the tree it lives in, None: the system itself.
    """

    version: str
    root: Optional[Path]

    @property
    def binary(self) -> Path:
        """The program; under .root if it has one, and then not to be run directly."""
        return (self.root or Path("/")) / "usr/bin/crash"

    @property
    def include(self) -> Path:
        """The folder of crash's defs.h."""
        return (self.root or Path("/")) / "usr/include/crash"

    def command(self, command: Sequence[str], binds: Iterable[Path] = ()) -> List[str]:
        """The command line that runs a command where this crash lives.

        binds: outside folders it needs; the checkout, the cache and /tmp are there.
        """
        if not self.root:
            return list(command)
        folders = [_CHECKOUT, Path(tempfile.gettempdir()), *binds]
        return Tree(self.root).command(command, folders)

    def run(
        self,
        vmlinux: Path,
        vmcore: Path,
        commands: Iterable[str],
        args: Sequence[str] = (),
        env: Optional[Mapping[str, str]] = None,
        timeout: float = 300,
    ) -> str:
        """Runs crash's commands on a dump; stdout and stderr together.

        args: crash's options before the dump; env: added to the environment. No
        ~/.crashrc is read. CrashFailed if crash dies of a signal or takes too long;
        that a command failed is to be seen in the text only (crash's exit status says
        nothing).
        """
        with tempfile.TemporaryDirectory(prefix="slableak-crash-") as home:
            script = Path(home) / "commands"
            script.write_text("".join(f"{line}\n" for line in commands) + "quit\n")
            files = [str(Path(vmlinux).resolve()), str(Path(vmcore).resolve())]
            command = self.command(
                ["crash", "-s", *args, "-i", str(script), *files],
                {Path(f).parent for f in files} | {Path(home), Path.cwd()},
            )
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                    env={**self._environment(), "HOME": home, **(env or {})},
                )  # fmt: skip
            except subprocess.TimeoutExpired as late:
                said = (late.stdout or b"")[-2000:]
                raise CrashFailed(f"crash takes more than {timeout} s; it said: {said!r}") from None
        if done.returncode < 0 or done.returncode > 128:
            raise CrashFailed(f"crash ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("CRASHPAGER", "PAGER")}
        if self.root:  # the outside's Python settings mean nothing inside
            kept = {"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8"}
        return {**kept, "TERM": "dumb"}


def _system_version() -> str:
    """The release of the system's crash, '' if there is none."""
    if not (shutil.which("crash") and Path("/usr/include/crash/defs.h").exists()):
        return ""
    text = subprocess.run(["crash", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"(?m)^crash (\d+(?:\.\d+)+)", text)
    return found.group(1) if found else ""


def crash(version: str) -> Crash:
    """That release of crash, unpacked if need be. Unavailable, KeyError."""
    release = RELEASES[version]
    if version == _system_version():
        return Crash(version, None)
    return Crash(version, unpacked(Archive(release), f"crash-{version}", _PACKAGES).root)


def crashes_for(kernel: str) -> List[str]:
    """The releases that open that kernel's dumps (KERNELS' table)."""
    return [version for version, _ in KERNELS[kernel].crashes]


def options_for(kernel: str, version: str) -> Sequence[str]:
    """The options which that release needs for that kernel's dumps."""
    return dict(KERNELS[kernel].crashes)[version]


def build_loader(version: str) -> Path:
    """pyextend.so for that crash and the Python (python3) that lives where it does."""
    this = crash(version)
    which = this.command(["python3", "-c", "import sys; print(sys.executable, sys.version)"])
    python = subprocess.run(which, check=True, capture_output=True, text=True).stdout
    sources = sorted((_CHECKOUT / "crash_ext" / "host").glob("*.[ch]"))

    def build(folder: Path) -> None:
        out = folder / "pyextend.so"
        names = " ".join(str(s) for s in sources if s.suffix == ".c")
        line = (
            f"gcc -std=gnu11 -O2 -g -fPIC -shared -Wall -Wextra -Werror"
            f" $(python3-config --includes) -isystem {_inside(this, this.include)} -DX86_64"
            f""" '-DPYEXTEND_PYTHON="{python.split()[0]}"'"""
            """ '-DPYEXTEND_CRASH_RELEASE="'$(crash -v | sed -n 's/^crash //p')'"'"""
            f" -o {out} {names} $(python3-config --ldflags --embed)"
        )
        done = subprocess.run(
            this.command(["sh", "-c", line]),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the loader does not compile for {version}:\n{done.stdout}")

    key = cache.digest(*sources, Path(__file__), str(this.root), python)
    return cache.once("loaders", f"{version}-{key}", build) / "pyextend.so"


def _inside(this: Crash, path: Path) -> Path:
    return Path("/") / path.relative_to(this.root or "/")
