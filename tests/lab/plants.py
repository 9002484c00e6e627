# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps with planted objects: each lost or held in a way that is known.

    dump = planted("6.1", "plants")
    for plant in for_each_plant(dump): ...

The module (planter/) is another than slabtest's, for its dumps change with its source.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, Iterator, NamedTuple

from . import cache, guest
from .dumps import Dump, filter_dump
from .guest import Setup
from .kernels import KERNELS, Files, Kernel, fetch
from .module import make_in
from .truth import parse

SOURCE = Path(__file__).with_name("planter")
SCENARIOS = {
    "plants": Setup(("plants",), arguments="log_buf_len=8M loglevel=1", seeded=True),
    "many": Setup(("many",), memory=512),
    "thousand": Setup(("thousand",)),
    "quiet": Setup(("quiet",)),
}
"""plants: all kinds, in caches of their own; many: 10^5 lost objects of 3 kinds, as many
held; thousand: 1,000 lost kmalloc-64; quiet: nothing is planted."""


class Plot(NamedTuple):
    """A cache (or, of kmalloc'ed objects, none) and what was planted in it."""

    name: str
    kind: str
    """held:timer, lost:tree, hidden:frame, late:work, trap:freed-page, ..."""
    traces: bool
    """An insertion writes a number, a time, an owner, a state and a reference."""
    leftover: bool
    twin: bool
    objects: int


class Plant(NamedTuple):
    """A planted object."""

    plot: Plot
    address: str
    history: str
    loss: str
    """held, definite, indirect, cycle, handle, freed or transient (planter/plant.h)."""
    owner: str
    """Of a held one: the variable, function or cache that has it."""


def for_each_plant(dump: Dump) -> Iterator[Plant]:
    """The planted objects by the module's own account."""
    plots: Dict[str, Plot] = {}
    for line in (dump.folder / "truth").read_text().splitlines():
        words = line.split()
        if words[:2] == ["T", "plot"]:
            twin = int(words[10], 16) != 0
            plots[words[2]] = Plot(
                *(words[2], words[3], words[7] == "traces", words[8] == "leftover", twin),
                int(words[6]),
            )
        elif words[:2] == ["T", "plant"] and words[3] == "planted":
            yield Plant(plots[words[2]], words[4], words[6], words[7], words[10])


def build_modules(source: Path, prefix: str, kernel: Kernel, files: Files) -> Path:
    """The folder with the modules of that source folder, for the kernel."""

    def build(folder: Path) -> None:
        for path in source.iterdir():
            shutil.copy(path, folder)
        make_in(folder, kernel, files)

    sources = cache.digest(*sorted(p for p in source.iterdir() if p.is_file()))
    return cache.once("modules", f"{prefix}-{files.version}-{sources}", build)


def make_dump(kernel: str, scenario: str, setup: Setup, source: Path, prefix: str) -> Dump:
    """The dump of a guest that runs the modules of that folder; made if the cache lacks it.

    Raises archive.Unavailable, guest.GuestFailed.
    """
    row = KERNELS[kernel]
    files = fetch(row)
    modules = build_modules(source, prefix, row, files)

    def make(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        loaded = [files.fw_cfg]
        for built in sorted(modules.glob("*.ko")):
            # The guest's init loads a module by this name, whatever it calls itself.
            name = "slabtest.ko" if built.name == "slabplant.ko" else built.name
            loaded.append(Path(shutil.copy(built, work / name)))
        account, log, whole = guest.run(files.image, loaded, setup, work)
        parse(account)
        (folder / "truth").write_text(account)
        (folder / "log").write_text(log)
        filter_dump(row, whole, folder / "vmcore")
        shutil.rmtree(work)

    ours = [Path(__file__).with_name(name) for name in ("elfcore.py", "guest.py")]
    key = cache.digest(modules.name, row, setup, *ours)
    folder = cache.once("dumps", f"{kernel}-{scenario}-{files.version}-{key}", make)
    return Dump(kernel, scenario, folder, files.vmlinux)


def planted(kernel: str, scenario: str = "plants") -> Dump:
    """The dump of that kernel and scenario; KeyError for a name not in the tables."""
    return make_dump(kernel, scenario, SCENARIOS[scenario], SOURCE, "plant")
