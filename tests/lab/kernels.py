# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of the lab: a table, and how one is fetched.

Versions move on: the table names releases, the newest version is found through the
meta-packages. Package names: linux-image-cloud-amd64 and friends (Debian).
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

from . import cache
from .archive import Archive, Unavailable, discard, unpack
from .tree import Tree, unpacked

FLAVOUR = "cloud-amd64"


@dataclass(frozen=True)
class Kernel:
    """A row of the table.

    name: what the lab calls it, its first two version numbers.
    release: Debian's, for apt.
    makedumpfile: the release whose makedumpfile filters its dumps, and the dump level (-d).
        1.7.2 loses live slab pages of 6.12; on 7.3 each release loses some, so that
        there only pages of zeros (-d 1) are left out.
    crashes: which crash opens its dumps, and with which options.
    """

    name: str
    release: str
    makedumpfile: Tuple[str, int]
    crashes: Tuple[Tuple[str, Tuple[str, ...]], ...]


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("5.10", "bullseye", ("bookworm", 31), (("8.0.2", ()), ("9.0.2", ()))),
        Kernel("6.1", "bookworm", ("bookworm", 31), (("8.0.2", ()), ("9.0.2", ()))),
        Kernel("6.12", "trixie", ("trixie", 31), (("8.0.6", ()), ("9.0.2", ()))),
        Kernel(
            "7.3",
            "trixie-backports",
            ("trixie", 1),
            (("8.0.6", ("--no_modules", "--no_kmem_cache")), ("9.0.2", ("--no_modules",))),
        ),
    )
}


@dataclass(frozen=True)
class Files:
    """A kernel that has been fetched.

    version: the package's; uname: as `uname -r` says.
    vmlinux: with debug information; image: to boot; fw_cfg: the kernel's module that
        tells QEMU where vmcoreinfo is (drivers/firmware/qemu_fw_cfg.c).
    """

    version: str
    uname: str
    folder: Path

    @property
    def vmlinux(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def fw_cfg(self) -> Path:
        return self.folder / "qemu_fw_cfg.ko"


def _versioned(archive: Archive, meta: str, pattern: str) -> str:
    """The package that a meta-package stands for today."""
    names: List[str] = [n for n in archive.depends(meta) if re.fullmatch(pattern, n)]
    if not names:
        raise Unavailable(f"{archive.release}: {meta} depends on no {pattern}")
    return names[0]


def _plain(module: Path) -> Path:
    """The kernel module, uncompressed (6.12 on ships .ko.xz, which busybox can't load)."""
    for suffix, program in ((".xz", "xz"), (".zst", "zstd")):
        if module.suffix == suffix:
            subprocess.run([program, "-d", "-q", str(module)], check=True)
            return module.with_suffix("")
    return module


def fetch(kernel: Kernel) -> Files:
    """The newest version of the kernel: its image and its debug information.

    Raises Unavailable if the archive doesn't have it, or if what it has under the
    kernel's release isn't this kernel any more.
    """
    archive = Archive(kernel.release)
    image = _versioned(archive, f"linux-image-{FLAVOUR}", rf"linux-image-\d.*-{FLAVOUR}")
    uname = image[len("linux-image-") :]
    version = archive.version(image)
    if not version.startswith(kernel.name + "."):
        raise Unavailable(f"{kernel.release} has kernel {version} where {kernel.name} was")

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        for package, members in (
            (image, ("./boot/vmlinuz-*", "*/qemu_fw_cfg.ko*")),
            (f"{image}-dbg", (f"./usr/lib/debug/boot/vmlinux-{uname}",)),
        ):
            path = archive.download(package, work)
            if f"_{version}_" not in path.name.replace("%3a", ":"):
                raise Unavailable(f"{path.name} is not of version {version}")
            unpack(path, work, *members)
        (work / f"boot/vmlinuz-{uname}").rename(folder / "vmlinuz")
        (work / f"usr/lib/debug/boot/vmlinux-{uname}").rename(folder / "vmlinux")
        _plain(next(work.rglob("qemu_fw_cfg.ko*"))).rename(folder / "qemu_fw_cfg.ko")
        discard(work)

    return Files(version, uname, cache.once("kernels", version, build))


def headers(kernel: Kernel, files: Files) -> Tree:
    """The kernel's headers with the compiler they ask for, in a tree."""
    package = f"linux-headers-{files.uname}"
    return unpacked(Archive(kernel.release), f"headers-{files.version}", [package, "make"])
