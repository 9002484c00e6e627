# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of real kernels with known contents: the scenarios, and how one is made."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, List, Optional

from . import cache, guest
from .archive import Archive
from .guest import Setup
from .kernels import KERNELS, Files, Kernel, fetch
from .module import build_module
from .tree import unpacked
from .truth import Truth, parse

_LONG_LOG = "log_buf_len=4M"  # the reports of many leaks outgrow the default buffer

SCENARIOS = {
    "leak": Setup("leak"),
    "sizes": Setup("sizes", arguments=_LONG_LOG),
    "ctor": Setup("ctor", arguments=_LONG_LOG),
    "rcu": Setup("rcu"),
    "numa": Setup("numa", memory=512, nodes=2, arguments=_LONG_LOG),
    "full": Setup("full"),
    "twins": Setup("twins"),
    "debug": Setup("debug", arguments=f"slub_debug=FZPU,slab_dbg* {_LONG_LOG}"),
    "big": Setup("big", memory=2048),
    "all": Setup("leak+sizes+ctor+rcu+full+twins", arguments=_LONG_LOG),
}
"""all: several in one boot, for tests that want many kinds of caches side by side."""


@dataclass(frozen=True)
class Dump:
    """A dump and all that is known of it.

    vmlinux, vmcore: for crash; log: the kernel log's text; kernel, scenario: keys of
    KERNELS and SCENARIOS; folder: where the cache keeps it.
    """

    kernel: str
    scenario: str
    folder: Path
    vmlinux: Path

    @property
    def vmcore(self) -> Path:
        return self.folder / "vmcore"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @functools.cached_property
    def truth(self) -> Truth:
        """tests/lab/truth.py describes it."""
        return parse((self.folder / "truth").read_text())


def _run(command: List[str], source: Optional[IO[bytes]] = None) -> None:
    done = subprocess.run(
        command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit status {done.returncode}\n{done.stdout}")


def _makedumpfile(release: str) -> List[str]:
    """The command line of that release's makedumpfile, without arguments."""
    tree = unpacked(Archive(release), f"makedumpfile-{release}", ["makedumpfile"])
    return tree.command(["makedumpfile"])


def _finish(kernel: Kernel, flat: Path, vmcore: Path) -> None:
    """From QEMU's flattened form to what a distribution's kdump leaves: -d 31, compressed."""
    whole = vmcore.with_suffix(".whole") if kernel.makedumpfile else vmcore
    with flat.open("rb") as source:
        _run(["makedumpfile", "-R", str(whole)], source)
    flat.unlink()
    if kernel.makedumpfile:
        program = _makedumpfile(kernel.makedumpfile)
        _run([*program, "-c", "-d", "31", str(whole), str(vmcore)])
        whole.unlink()


def _make(kernel: Kernel, files: Files, module: Path, setup: Setup, folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    account, log, flat = guest.run(files.image, [files.fw_cfg, module], setup, work)
    parse(account)
    (folder / "truth").write_text(account)
    (folder / "log").write_text(log)
    _finish(kernel, flat, folder / "vmcore")
    shutil.rmtree(work)


def dump(kernel: str, scenario: str) -> Dump:
    """The dump of that kernel and scenario; made if the cache doesn't have it.

    Raises archive.Unavailable, guest.GuestFailed; KeyError for a name not in the tables.
    """
    row, setup = KERNELS[kernel], SCENARIOS[scenario]
    files = fetch(row)
    module = build_module(row, files)
    ours = [p for p in sorted(Path(__file__).parent.glob("*.py")) if p.stem in ("guest", "dumps")]
    key = cache.digest(module.parent.name, row, setup, *ours)
    folder = cache.once(
        "dumps",
        f"{kernel}-{scenario}-{files.version}-{key}",
        lambda folder: _make(row, files, module, setup, folder),
    )
    return Dump(kernel, scenario, folder, files.vmlinux)
