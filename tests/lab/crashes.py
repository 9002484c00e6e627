# SPDX-License-Identifier: GPL-3.0-or-later
"""The crash releases of the lab: which there are, how one is run, how an extension is built.

The system's own crash is used where it is the release asked for. Any other is unpacked
beside the system (tree.py) with its Python and a compiler: an extension must be built
with the very defs.h, Python and C library that it will run with. A dump of another
architecture is opened by that architecture's own crash, emulated.
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
from .arches import AMD64, Arch
from .archive import Archive
from .kernels import find_kernel
from .tree import Tree, unpacked

RELEASES = {"7.2.9": "bullseye", "8.0.2": "bookworm", "8.0.6": "trixie", "9.0.2": "forky"}
"""Which Debian release has which crash."""

_PACKAGES = ["crash", "gcc", "libc6-dev", "python3-dev"]
_EMULATED_PACKAGES = ["crash", "libc6-dev", "python3-dev"]
_PATIENCE = 10
"""Emulated, a program takes some so many times as long."""
_CHECKOUT = Path(__file__).parents[2]


class CrashFailed(Exception):
    """crash ended by a signal or out of time; carries the end of what it said."""


@dataclass(frozen=True)
class Crash:
    """One release of crash.

    version: 8.0.2; root: of the tree it lives in, None: the system itself; arch: its
    architecture, which is that of its dumps.
    """

    version: str
    root: Optional[Path]
    arch: Arch = AMD64

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
        return Tree(self.root, self.arch).command(command, folders)

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
        if self.arch.foreign:
            timeout *= _PATIENCE
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


def crash(version: str, arch: Arch = AMD64) -> Crash:
    """That release of crash, unpacked if need be. Unavailable, KeyError."""
    release = RELEASES[version]
    if version == _system_version() and not arch.foreign:
        return Crash(version, None)
    packages = _EMULATED_PACKAGES if arch.foreign else _PACKAGES
    tree = unpacked(Archive(release, arch.name), f"crash-{version}", packages)
    return Crash(version, tree.root, arch)


def crashes_for(kernel: str) -> List[str]:
    """The releases that open that kernel's dumps (kernels.py)."""
    return [version for version, _ in find_kernel(kernel).crashes]


def options_for(kernel: str, version: str) -> Sequence[str]:
    """The options which that release needs for that kernel's dumps."""
    return dict(find_kernel(kernel).crashes)[version]


def build_loader(version: str, arch: Arch = AMD64) -> Path:
    """pyextend.so for that crash and the Python (python3) that lives where it does."""
    this = crash(version, arch)
    python = _said(this, ["python3", "-c", "import sys; print(sys.executable, sys.version)"])
    sources = sorted((_CHECKOUT / "crash_ext" / "host").glob("*.[ch]"))

    def build(folder: Path) -> None:
        out = folder / "pyextend.so"
        names = " ".join(str(s) for s in sources if s.suffix == ".c")
        found = re.search(r"(?m)^crash (\S+)", _said(this, ["crash", "-v"]))
        line = (
            f"-std=gnu11 -O2 -g -fPIC -shared -Wall -Wextra -Werror"
            f""" '-DPYEXTEND_PYTHON="{python.split()[0]}"'"""
            f""" '-DPYEXTEND_CRASH_RELEASE="{found.group(1) if found else ""}"' -o {out} {names}"""
        )
        command = _cross(this, python, line) if arch.foreign else _native(this, line)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the loader does not compile for {version}:\n{done.stdout}")

    key = cache.digest(*sources, Path(__file__), str(this.root), python)
    return cache.once("loaders", f"{version}-{key}", build) / "pyextend.so"


def _said(this: Crash, command: Sequence[str]) -> str:
    """What a program prints where that crash lives."""
    return subprocess.run(
        this.command(command),
        check=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ).stdout


def _native(this: Crash, line: str) -> List[str]:
    """The compiler's command line where that crash lives; line: its words but for Python's."""
    include = Path("/") / this.include.relative_to(this.root or "/")
    words = f"$(python3-config --includes) -isystem {include} {line}"
    return this.command(["sh", "-c", f"gcc {words} $(python3-config --ldflags --embed)"])


def _cross(this: Crash, python: str, line: str) -> List[str]:
    """The same with a cross compiler of the same release; python: that one's sys.version."""
    gcc = f"gcc-{this.arch.gnu}-linux-gnu"
    tree = unpacked(Archive(RELEASES[this.version]), f"cross-{this.arch.name}", [gcc])
    name = "python" + ".".join(python.split()[1].split(".")[:2])
    words = (
        f"--sysroot={this.root} -isystem =/usr/include/{name}"
        f" -isystem {this.include} {line} -l{name}"
    )
    return tree.command(["sh", "-c", f"{this.arch.gnu}-linux-gnu-gcc {words}"], [_CHECKOUT])
