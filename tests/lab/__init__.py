# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: dumps of real kernels with known contents, and every crash to open them.

    from tests import lab
    dump = lab.dump("6.1", "leak")           # made at first, from the cache after that
    crash = lab.crash("8.0.2")
    text = crash.run(dump.vmlinux, dump.vmcore, ["kmem -s slab_test"])
    dump.truth["objects"]["slab_test"]["leftover"]["leaked"]

On the command line: python -m tests.lab list; python -m tests.lab build 6.1 leak.
"""

from __future__ import annotations

from .archive import Unavailable
from .crashes import Crash, CrashFailed, build_loader, crash, crashes_for, options_for
from .dumps import SCENARIOS, Dump, dump
from .guest import GuestFailed
from .kernels import FOREIGN, KERNELS, find_kernel

__all__ = [
    "FOREIGN", "KERNELS", "SCENARIOS", "Crash", "CrashFailed", "Dump", "GuestFailed", "Unavailable",
    "build_loader", "crash", "crashes_for", "dump", "find_kernel", "options_for",
]  # fmt: skip
