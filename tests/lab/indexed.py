# SPDX-License-Identifier: GPL-3.0-or-later
"""Debug information with an index of its names, so that crash 8.0.2 starts in half the time.

Without one gdb reads all of the debug information at each start. With it gdb finds the same, by
an index of its own making (`save gdb-index`); nothing else of the file is another. What every
user has is the file without: the matrix and tests/install open that.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import cache
from .crashes import crash, options_for
from .dumps import Dump

_GAINS = "8.0.2"
"""Later releases find names of source files more slowly by it than they start without."""


def indexed(dump: Dump, version: str) -> Path:
    """The dump's vmlinux for that release of crash: with an index where that is quicker."""
    if version != _GAINS:
        return dump.vmlinux

    def build(folder: Path) -> None:
        options = options_for(dump.kernel, version)
        save = f"gdb save gdb-index {folder}"
        said = crash(version).run(dump.vmlinux, dump.vmcore, [save], options)
        index = folder / f"{dump.vmlinux.name}.gdb-index"
        assert index.exists(), said
        words = ["--add-section", f".gdb_index={index}"]
        words += ["--set-section-flags", ".gdb_index=readonly"]
        subprocess.run(["objcopy", *words, dump.vmlinux, folder / "vmlinux"], check=True)
        index.unlink()

    return cache.once("indexed", dump.vmlinux.parent.name, build) / "vmlinux"
