# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of the lab once more, its pages compressed in another way.

The same boot, so that what is measured on it differs by the compression only.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, Tuple

from . import cache
from .archive import Archive
from .dumps import Dump
from .tree import unpacked

FORMS: Dict[str, Tuple[str, str]] = {
    "plain": ("bookworm", ""),
    "lzo": ("bookworm", "-l"),
    "zstd": ("trixie", "-z"),
    "zlib": ("bookworm", "-c"),
}
"""name -> (Debian's release, makedumpfile's option). Bookworm's knows no zstd."""


def repacked(of: Dump, form: str) -> Dump:
    """The dump in that form, a key of FORMS. RuntimeError where makedumpfile fails."""
    release, option = FORMS[form]

    def build(folder: Path) -> None:
        tree = unpacked(Archive(release), f"makedumpfile-{release}", ["makedumpfile"])
        made = folder / "vmcore"
        words = ["makedumpfile", *option.split(), "-d", "1", str(of.vmcore), str(made)]
        done = tree.run(words)
        if done.returncode:
            raise RuntimeError(f"makedumpfile {option} fails:\n{done.stdout}")
        for name in ("truth", "log"):
            shutil.copy(of.folder / name, folder / name)

    folder = cache.once("repacked", f"{of.folder.name}-{form}", build)
    return Dump(of.kernel, of.scenario, folder, of.vmlinux)
