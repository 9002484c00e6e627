# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of real kernels with known contents: the scenarios, and how one is made."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cache, guest
from .archive import Archive
from .elfcore import straighten
from .guest import Setup
from .kernels import Files, Kernel, fetch, find_kernel
from .module import build_module
from .tree import unpacked
from .truth import Truth, parse

_LONG_LOG = "log_buf_len=4M"  # the reports of many leaks outgrow the default buffer

SCENARIOS = {
    "leak": Setup(("leak",)),
    "sizes": Setup(("sizes",), arguments=_LONG_LOG),
    "ctor": Setup(("ctor",), arguments=_LONG_LOG),
    "rcu": Setup(("rcu",)),
    "numa": Setup(("numa",), memory=512, nodes=2, arguments=_LONG_LOG),
    "full": Setup(("full",)),
    "refs": Setup(("refs",)),
    "merge": Setup(("merge",), seeded=True),
    "reload": Setup(("left", "again")),
    "twins": Setup(("twins",)),
    "debug": Setup(("debug",), arguments=f"slub_debug=FZPU,slab_dbg* {_LONG_LOG}"),
    "big": Setup(("big",), memory=2048),
    "causes": Setup(("causes",), arguments=_LONG_LOG, seeded=True),
    "whys": Setup(("causes",), arguments=f"slub_debug=FZPU,slab_* {_LONG_LOG}", seeded=True),
    "kfence": Setup(("leak",), arguments="kfence.sample_interval=1"),
    "hashed": Setup(
        ("leak+sizes+full+merge+numa",), memory=512, nodes=2, arguments=_LONG_LOG, seeded=True
    ),
    "all": Setup(("leak+sizes+ctor+rcu+full+twins",), arguments=_LONG_LOG),
}
"""all: several in one boot, for tests that want many kinds of caches side by side.
causes: a leftover for each cause that slabwhy knows; whys: the same with slub_debug.
hashed: with pointers in the log as a kernel in use shows them.
reload: leak, with the module unloaded and loaded again between leftover and live cache.
What each leaves behind is in module/slabtest.c, build_NAME.
"""


@dataclass(frozen=True)
class Dump:
    """A dump and all that is known of it.

    vmlinux, vmcore: for crash; log: the kernel log's text; kernel, scenario: keys of
    KERNELS or FOREIGN, and SCENARIOS; folder: where the cache keeps it.
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


def filter_dump(kernel: Kernel, whole: Path, vmcore: Path) -> None:
    """What a distribution's kdump leaves of the memory: compressed, pages excluded.

    (QEMU's own kdump format is no way there: makedumpfile reads rubbish from it.)
    """
    straighten(whole)
    if kernel.makedumpfile is None:
        # Pages of zeros take no room on the disk.
        subprocess.run(["cp", "--sparse=always", str(whole), str(vmcore)], check=True)
        return
    release, level = kernel.makedumpfile
    archive = Archive(release, kernel.arch.name)
    tree = unpacked(archive, f"makedumpfile-{release}", ["makedumpfile"])
    done = tree.run(["makedumpfile", "-c", "-d", str(level), str(whole), str(vmcore)])
    if done.returncode:
        raise RuntimeError(f"makedumpfile of {release} fails on {kernel.name}:\n{done.stdout}")


def _make(kernel: Kernel, files: Files, module: Path, setup: Setup, folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    account, log, whole = guest.run(
        files.image, [*files.modules(), module], setup, work, kernel.arch, files.busybox
    )
    parse(account)
    (folder / "truth").write_text(account)
    (folder / "log").write_text(log)
    filter_dump(kernel, whole, folder / "vmcore")
    shutil.rmtree(work)


def dump(kernel: str, scenario: str) -> Dump:
    """The dump of that kernel and scenario; made if the cache doesn't have it.

    Raises archive.Unavailable, guest.GuestFailed; KeyError for a name not in the tables.
    """
    row, setup = find_kernel(kernel), SCENARIOS[scenario]
    files = fetch(row)
    module = build_module(row, files)
    ours = [Path(__file__).with_name(name) for name in ("dumps.py", "elfcore.py", "guest.py")]
    key = cache.digest(module.parent.name, row, setup, *ours)
    folder = cache.once(
        "dumps",
        f"{kernel}-{scenario}-{files.version}-{key}",
        lambda folder: _make(row, files, module, setup, folder),
    )
    return Dump(kernel, scenario, folder, files.vmlinux)
