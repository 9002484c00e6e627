# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's programs unpacked beside the system, run as if they were installed.

A tree is packages with all that they depend on, unpacked, not installed: no
maintainer script has run. Programs in it run in a mount namespace of their own,
chrooted, with the outside folders they need bound at the same paths, so that a path
means the same inside and outside. Needs root, or user namespaces.

Programs of another architecture run under QEMU's user emulation, outside: a path that the
tree has means the tree's file there, any other the machine's. They can start no programs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterable, List, Sequence, Tuple

from . import cache
from .arches import AMD64, ARCHES, Arch
from .archive import Archive, Unavailable, discard, unpack

ESSENTIAL = ["bash", "coreutils", "dash", "diffutils", "findutils", "grep", "mawk", "sed"]
"""Nothing depends on what Debian calls essential, so a closure lacks it."""

_ENTER = """
set -e
root=$1; shift
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$1" "$root$1"; shift; done
shift
here=$PWD
exec chroot "$root" /bin/sh -c 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"' sh "$here" "$@"
"""


def _unshare() -> List[str]:
    """A mount namespace of its own for the command line that follows."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def check() -> None:
    """Raises Unavailable where no program of a tree can be run."""
    command = [*_unshare(), "mount", "--rbind", "/proc", "/proc"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().split("\n")[0]
        raise Unavailable(f"needs root, or user namespaces that may mount: {why}")


class Tree:
    """An unpacked set of packages under .root, of an architecture."""

    def __init__(self, root: Path, arch: Arch = AMD64) -> None:
        self.root = root
        self.arch = arch

    def command(self, command: Sequence[str], binds: Iterable[Path] = ()) -> List[str]:
        """The command line that runs the command inside.

        binds: folders of the outside to be seen inside; the lab's cache always is.
        """
        if self.arch.foreign:
            program, *rest = command
            return [*self.arch.emulator, "-L", str(self.root), str(self._found(program)), *rest]
        folders = {cache.root(), *(Path(b).resolve() for b in binds)}
        return [
            *_unshare(), "sh", "-c", _ENTER, "sh", str(self.root),
            *(str(f) for f in sorted(folders)), "--", *command,
        ]  # fmt: skip

    def _found(self, program: str) -> Path:
        """The program's file. FileNotFoundError."""
        for folder in ("usr/bin", "usr/sbin"):
            path = self.root / folder / program
            if path.exists():
                return path
        raise FileNotFoundError(f"no {program} in {self.root}")

    def run(
        self, command: Sequence[str], binds: Iterable[Path] = (), timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end; stdout and stderr together, as text."""
        return subprocess.run(
            self.command(command, binds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            env={"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
        )


def unpacked(
    archive: Archive, name: str, packages: List[str], alone: Iterable[Tuple[Archive, str]] = ()
) -> Tree:
    """The tree of the packages; the name is for who looks into the cache.

    alone: packages of any archive that go in without what they depend on.
    Its packages stay as they were when it was made: newer ones don't replace it.
    """
    arch = ARCHES[archive.architecture]

    def build(folder: Path) -> None:
        for link in ("bin", "sbin", "lib", "lib64"):
            (folder / "usr" / link).mkdir(parents=True)
            (folder / link).symlink_to(f"usr/{link}")
        for mount in ("proc", "dev", "tmp", "root"):
            (folder / mount).mkdir()
        downloads = folder / "downloads"
        downloads.mkdir()
        for package in archive.closure([*ESSENTIAL, *packages], downloads):
            unpack(package, folder)
        for other, package_name in alone:
            unpack(other.download(package_name, downloads), folder)
        discard(downloads)
        for scrap in ("usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(folder / scrap, ignore_errors=True)
        if not (folder / "usr/bin/awk").exists():
            (folder / "usr/bin/awk").symlink_to("mawk")  # update-alternatives would have

    name = f"{name}-{arch.name}" if arch.foreign else name
    return Tree(cache.once("trees", f"{name}-{cache.digest(ESSENTIAL, packages)}", build), arch)
