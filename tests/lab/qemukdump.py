# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps as QEMU itself writes them: `dump-guest-memory -z` in its monitor.

No makedumpfile has filtered them. QEMU writes them flattened; makedumpfile -R alone puts them
in order. Their header names the machine, but the notes that drgn asks lack it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

from . import cache, guest
from .archive import Archive
from .dumps import SCENARIOS, Dump
from .kernels import KERNELS, fetch
from .module import build_module
from .tree import unpacked

SCENARIO = "leak"


class _Compressed(guest._Qmp):
    """A monitor that is asked for -z."""

    def call(self, name: str, **arguments: object) -> object:
        if name == "dump-guest-memory":
            arguments["format"] = "kdump-zlib"
        return super().call(name, **arguments)


def qemu_dump(kernel: str) -> Dump:
    """A kernel's dump by QEMU, in order; beside it, as `flattened`, as QEMU has written it."""
    row = KERNELS[kernel]
    files = fetch(row)
    module = build_module(row, files)

    def make(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        # (Every dump of the lab is made anew if guest.py changes.)
        with mock.patch.object(guest, "_Qmp", _Compressed):
            whole = guest.run(files.image, [files.fw_cfg, module], SCENARIOS[SCENARIO], work)
        (folder / "truth").write_text(whole[0])
        (folder / "log").write_text(whole[1])
        shutil.move(whole[2], folder / "flattened")
        makedumpfile = unpacked(Archive("bookworm"), "makedumpfile-bookworm", ["makedumpfile"])
        command = f"makedumpfile -R {folder / 'vmcore'} <{folder / 'flattened'}"
        done = makedumpfile.run(["sh", "-c", command])
        if done.returncode:
            raise RuntimeError(f"{command} fails:\n{done.stdout}")
        shutil.rmtree(work)

    key = cache.digest(module.parent.name, row, SCENARIOS[SCENARIO], Path(__file__))
    folder = cache.once("forms", f"qemu-{kernel}-{files.version}-{key}", make)
    return Dump(kernel, SCENARIO, folder, files.vmlinux)
