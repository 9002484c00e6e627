# SPDX-License-Identifier: GPL-3.0-or-later
"""One boot of one kernel in every form that makedumpfile gives a dump.

    from tests.lab.forms import FORMS, form
    dump = form("zstd")

Debian's makedumpfile is built without snappy.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, Tuple

from . import cache, guest
from .archive import Archive
from .crashes import crash, crashes_for, options_for
from .dumps import SCENARIOS, Dump
from .elfcore import straighten
from .kernels import KERNELS, fetch
from .module import build_module
from .tree import Tree, unpacked

SCENARIO = "leak"

FORMS: Dict[str, Tuple[str, str]] = {
    "plain": ("bookworm", "makedumpfile -d 31 {whole} {out}"),
    "zlib": ("bookworm", "makedumpfile -c -d 31 {whole} {out}"),
    "zlib-23": ("bookworm", "makedumpfile -c -d 23 {whole} {out}"),
    "lzo": ("bookworm", "makedumpfile -l -d 31 {whole} {out}"),
    "zstd": ("trixie", "makedumpfile -z -d 31 {whole} {out}"),
    "elf": ("bookworm", "makedumpfile -E -d 31 {whole} {out}"),
    "flattened": ("bookworm", "makedumpfile -F -c -d 31 {whole} >{out}"),
    "reassembled": ("bookworm", "makedumpfile -F -c -d 31 {whole} | makedumpfile -R {out}"),
    "split": ("bookworm", "makedumpfile --split -c -d 31 {whole} {out}-2 {out}"),
}
"""Forms of 6.1: name -> (Debian's release, command line). split: crash takes both files."""

LOSSY = {"lossy": ("bookworm", "makedumpfile -c -d 31 {whole} {out}")}
"""Of 6.12, by a makedumpfile that doesn't know it: it excludes slab pages in use. Which, is a
matter of luck: another boot is tried where crash can't start for want of them.
"""

_BOOTS = 8


def _make(kernel: str, forms: Dict[str, Tuple[str, str]], folder: Path) -> None:
    files = fetch(KERNELS[kernel])
    for _ in range(_BOOTS):
        _make_once(kernel, forms, folder)
        if forms is FORMS or _opens(kernel, files.vmlinux, folder / "lossy" / "vmcore"):
            return
        for name in forms:
            shutil.rmtree(folder / name)
    raise RuntimeError(f"crash opens none of {_BOOTS} dumps that lack slab pages")


def _opens(kernel: str, vmlinux: Path, vmcore: Path) -> bool:
    version = crashes_for(kernel)[-1]
    said = crash(version).run(vmlinux, vmcore, ["sys"], options_for(kernel, version))
    return "RELEASE: " in said


def _make_once(kernel: str, forms: Dict[str, Tuple[str, str]], folder: Path) -> None:
    row = KERNELS[kernel]
    files = fetch(row)
    module = build_module(row, files)
    work = folder / "work"
    work.mkdir()
    account, log, whole = guest.run(files.image, [files.fw_cfg, module], SCENARIOS[SCENARIO], work)
    straighten(whole)
    for name, (release, line) in forms.items():
        made = folder / name
        made.mkdir()
        (made / "truth").write_text(account)
        (made / "log").write_text(log)
        command = line.format(whole=whole, out=made / "vmcore")
        done = _makedumpfile(release).run(["sh", "-c", command])
        if done.returncode:
            raise RuntimeError(f"{line} fails:\n{done.stdout}")
    shutil.rmtree(work)


def _makedumpfile(release: str) -> Tree:
    return unpacked(Archive(release), f"makedumpfile-{release}", ["makedumpfile"])


def form(name: str) -> Dump:
    """The dump in that form, a key of FORMS or LOSSY; all are made if the cache lacks them.

    Raises what dumps.dump() does.
    """
    kernel, forms = ("6.1", FORMS) if name in FORMS else ("6.12", LOSSY)
    row = KERNELS[kernel]
    files = fetch(row)
    module = build_module(row, files)
    ours = [Path(__file__), *(Path(__file__).with_name(n) for n in ("elfcore.py", "guest.py"))]
    key = cache.digest(module.parent.name, row, SCENARIOS[SCENARIO], *ours)
    folder = cache.once(
        "forms",
        f"{kernel}-{SCENARIO}-{files.version}-{key}",
        lambda folder: _make(kernel, forms, folder),
    )
    return Dump(kernel, SCENARIO, folder / name, files.vmlinux)
