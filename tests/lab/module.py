# SPDX-License-Identifier: GPL-3.0-or-later
"""The test module, compiled for a kernel with that kernel's own headers and compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache
from .kernels import Files, Kernel, headers, with_arch

SOURCE = Path(__file__).with_name("module")


def source_digest() -> str:
    """Changes with the module's source."""
    return cache.digest(*sorted(p for p in SOURCE.iterdir() if p.is_file()))


def make_in(folder: Path, kernel: Kernel, files: Files) -> None:
    """Compiles the modules in a folder with the kernel's own makefiles. RuntimeError."""
    make = ["make", "-C", str(files.headers), f"M={folder}"]
    if kernel.arch.foreign:
        make.append(f"CROSS_COMPILE={kernel.arch.gnu}-linux-gnu-")
    done = headers(kernel, files).run([*make, "modules"])
    if done.returncode or not list(folder.glob("*.ko")):
        raise RuntimeError(f"modules do not compile for {kernel.name}:\n{done.stdout}")


def build_module(kernel: Kernel, files: Files) -> Path:
    """slabtest.ko for the kernel."""

    def build(folder: Path) -> None:
        for path in SOURCE.iterdir():
            shutil.copy(path, folder)
        make_in(folder, kernel, files)

    name = f"{with_arch(files.version, kernel.arch)}-{source_digest()}"
    return cache.once("modules", name, build) / "slabtest.ko"
