# SPDX-License-Identifier: GPL-3.0-or-later
"""The test module, compiled for a kernel with that kernel's own headers and compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache
from .kernels import Files, Kernel, headers

SOURCE = Path(__file__).with_name("module")


def source_digest() -> str:
    """Changes with the module's source."""
    return cache.digest(*sorted(p for p in SOURCE.iterdir() if p.is_file()))


def build_module(kernel: Kernel, files: Files) -> Path:
    """slabtest.ko for the kernel."""

    def build(folder: Path) -> None:
        for path in SOURCE.iterdir():
            shutil.copy(path, folder)
        make = ["make", "-C", str(files.headers), f"M={folder}", "modules"]
        done = headers(kernel, files).run(make)
        if not (folder / "slabtest.ko").exists():
            raise RuntimeError(f"slabtest does not compile for {files.version}:\n{done.stdout}")

    return cache.once("modules", f"{files.version}-{source_digest()}", build) / "slabtest.ko"
