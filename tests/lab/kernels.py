# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of the lab: a table, and how one is fetched.

Those of our own configuration (configs.py) are found in it, too, but it doesn't list them.
Versions move on: the table names releases, the newest version is found through the
meta-packages. Package names: linux-image-cloud-amd64 and friends (Debian).
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import cache
from .arches import AMD64, ARM64, S390X, Arch
from .archive import MAX_AGE, Archive, Unavailable, discard, unpack
from .configs import CONFIGS, Config, build_kernel, tools
from .tree import Tree, unpacked


@dataclass(frozen=True)
class Kernel:
    """A row of the table.

    name: what the lab calls it, its first two version numbers.
    release: Debian's, for apt.
    makedumpfile: the release whose makedumpfile filters its dumps, and the dump level (-d);
        None: the whole memory, as QEMU dumps it.
        1.7.2 loses live slab pages of 6.12; on 7.3 each release loses some, so that
        there only pages of zeros (-d 1) are left out.
    crashes: which crash opens its dumps, and with which options.
    config: its own, of configs.py; None: Debian's.
    arch: the architecture it runs on.
    """

    name: str
    release: str
    makedumpfile: Optional[Tuple[str, int]]
    crashes: Tuple[Tuple[str, Tuple[str, ...]], ...]
    arch: Arch = AMD64
    config: Optional[Config] = field(default=None, repr=False)

    @property
    def numbers(self) -> str:
        """The first two numbers of its version."""
        return self.name.split("-")[0]


class _Kernels(Dict[str, Kernel]):
    """Debian's kernels by name: what a test of every kernel goes through."""

    def __missing__(self, name: str) -> Kernel:
        """A kernel of our own configuration: on the hosts of the one it is made from."""
        config = CONFIGS[name]
        row = self[config.kernel]
        crashes = tuple((version, (*options, *config.crash)) for version, options in row.crashes)
        arguments = f"{row.arch.arguments} {config.arguments}".strip()
        arch = replace(row.arch, arguments=arguments)
        return replace(row, name=name, config=config, crashes=crashes, arch=arch)


KERNELS = _Kernels(
    (kernel.name, kernel)
    for kernel in (
        Kernel(
            "5.10",
            "bullseye",
            ("bookworm", 31),
            (("7.2.9", ()), ("8.0.2", ()), ("9.0.2", ())),
        ),
        Kernel("6.1", "bookworm", ("bookworm", 31), (("8.0.2", ()), ("9.0.2", ()))),
        Kernel("6.12", "trixie", ("trixie", 31), (("8.0.6", ()), ("9.0.2", ()))),
        Kernel(
            "7.3",
            "trixie-backports",
            ("trixie", 1),
            (("8.0.6", ("--no_modules", "--no_kmem_cache")), ("9.0.2", ("--no_modules",))),
        ),
    )
)

_NEWEST: Tuple[Tuple[str, Tuple[str, ...]], ...] = (("9.0.2", ()),)

FOREIGN = {
    kernel.name: kernel
    for kernel in (
        Kernel("6.1-arm64", "bookworm", ("bookworm", 31), _NEWEST, ARM64),
        Kernel("6.1-s390x", "bookworm", ("bookworm", 31), _NEWEST, S390X),
        # makedumpfile (to 1.7.8) and crash (to 9.0.2) know no 4K pages with 52 bits of address.
        Kernel("6.12-arm64", "trixie", None, (), ARM64),
        # trixie lists packages of it that are gone. In a kdump file drgn 0.3.0 (libkdumpfile)
        # can't translate addresses of this kernel (s390x since 6.10), in an ELF file it can.
        Kernel("6.12-s390x", "bookworm-backports", None, _NEWEST, S390X),
    )
}
"""Kernels of other architectures."""


def find_kernel(name: str) -> Kernel:
    """The row of that name in either table. KeyError."""
    return FOREIGN[name] if name in FOREIGN else KERNELS[name]


@dataclass(frozen=True)
class Files:
    """A kernel that has been fetched.

    version: the package's; uname: as `uname -r` says.
    vmlinux: with debug information; image: to boot; fw_cfg: the kernel's module that
        tells QEMU where vmcoreinfo is (drivers/firmware/qemu_fw_cfg.c); headers: what
        modules are compiled against, a folder of headers()' tree; busybox: of its
        architecture, where that isn't the lab's machine's.
    """

    version: str
    uname: str
    folder: Path
    headers: Path

    @property
    def vmlinux(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def fw_cfg(self) -> Path:
        return self.folder / "qemu_fw_cfg.ko"

    @property
    def busybox(self) -> Optional[Path]:
        """None: this machine's will do."""
        path = self.folder / "busybox"
        return path if path.exists() else None

    def modules(self) -> List[Path]:
        """The kernel's own modules that a guest needs."""
        return [self.fw_cfg] if self.fw_cfg.exists() else []


def _plain(module: Path) -> Path:
    """The kernel module, uncompressed (6.12 on ships .ko.xz, which busybox can't load)."""
    for suffix, program in ((".xz", "xz"), (".zst", "zstd")):
        if module.suffix == suffix:
            subprocess.run([program, "-d", "-q", str(module)], check=True)
            return module.with_suffix("")
    return module


def _fetch_version(archive: Archive, arch: Arch, version: str) -> Files:
    """That version of the kernel. Unavailable if the archive lists but doesn't have it."""
    meta = f"linux-image-{arch.flavour}"
    names = [n for n in archive.depends(meta, version) if re.match(r"linux-image-\d", n)]
    if not names:
        raise Unavailable(f"{archive.release}: {meta} {version} names no image")
    image, uname = names[0], names[0][len("linux-image-") :]

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        debug = archive.download(f"{image}-dbg={version}", work)
        member = Path(f"usr/lib/debug/boot/vmlinux-{uname}")
        unpack(debug, work, f"./{member}")
        if (work / member).is_symlink():  # since 7.x
            member = Path(os.path.normpath(member.parent / os.readlink(work / member)))
            unpack(debug, work, f"./{member}")
        (work / member).rename(folder / "vmlinux")
        # since 7.x the image package is empty and depends on those that aren't
        parts = [n for n in archive.depends(image, version) if n.endswith(f"-{uname}")]
        for package in (image, *parts):
            unpack(archive.download(f"{package}={version}", work), work)
        next(work.rglob("vmlinuz*")).rename(folder / "vmlinuz")
        if arch.vmcoreinfo:
            _plain(next(work.rglob("qemu_fw_cfg.ko*"))).rename(folder / "qemu_fw_cfg.ko")
        if arch.foreign:
            unpack(archive.download("busybox-static", work), work)
            next(work.rglob("bin/busybox")).rename(folder / "busybox")
        discard(work)

    folder = cache.once("kernels", with_arch(version, arch), build)
    return Files(version, uname, folder, Path(f"/usr/src/linux-headers-{uname}"))


def with_arch(version: str, arch: Arch) -> str:
    """A name in the cache."""
    return f"{version}-{arch.name}" if arch.foreign else version


def fetch(kernel: Kernel) -> Files:
    """The newest version of the kernel that is whole in the archive.

    An archive's index may list packages that are gone (an old release whose support
    has moved elsewhere): then the version before it. Raises Unavailable with all
    reasons if there is none, or none any more under the kernel's release. One of our own
    configuration is built.
    """
    if kernel.config:
        version, folder = build_kernel(kernel.release, kernel.config)
        uname = (folder / "build/include/config/kernel.release").read_text().strip()
        return Files(version, uname, folder, folder / "build")
    archive = Archive(kernel.release, kernel.arch.name)
    listed = archive.versions(f"linux-image-{kernel.arch.flavour}")
    reasons = []
    for version in (v for v in listed if v.startswith(kernel.numbers + ".")):
        missing = cache.root() / "missing" / with_arch(version, kernel.arch)
        if missing.exists() and time.time() - missing.stat().st_mtime < MAX_AGE:
            reasons.append(missing.read_text())
            continue
        try:
            return _fetch_version(archive, kernel.arch, version)
        except Unavailable as reason:
            missing.parent.mkdir(exist_ok=True)
            missing.write_text(str(reason))
            reasons.append(str(reason))
    raise Unavailable(
        f"kernel {kernel.name} is not to be had: {kernel.release} has {', '.join(listed)}\n"
        + "\n".join(reasons)
    )


def headers(kernel: Kernel, files: Files) -> Tree:
    """The kernel's headers with the compiler they ask for, in a tree.

    Of another architecture: with a cross compiler, and this machine's build of the kernel's
    build tools.
    """
    if kernel.config:
        return tools(kernel.release)
    package, name = f"linux-headers-{files.uname}", f"headers-{files.version}"
    if not kernel.arch.foreign:
        wanted = [f"{package}={files.version}", "binutils", "make"]
        return unpacked(Archive(kernel.release), name, wanted)
    archive = Archive(kernel.release, kernel.arch.name)
    needed = archive.depends(package, files.version)
    common, kbuild, gcc = (
        next(found.group(0) for found in map(re.compile(wanted).search, needed) if found)
        for wanted in (r"^linux-headers-.*-common$", r"^linux-kbuild-.*", r"gcc-\d+")
    )
    return unpacked(
        Archive(kernel.release),
        f"{name}-{kernel.arch.name}",
        [f"{kbuild}={files.version}", f"{gcc}-{kernel.arch.gnu}-linux-gnu", "make"],
        [(archive, f"{each}={files.version}") for each in (package, common)],
    )
