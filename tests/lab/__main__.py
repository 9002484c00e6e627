# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.lab [build] KERNEL SCENARIO... | list"""

from __future__ import annotations

import sys
import time
from typing import List

from . import KERNELS, SCENARIOS, GuestFailed, Unavailable, crashes_for, dump
from .configs import CONFIGS


def _list() -> None:
    for name, kernel in KERNELS.items():
        print(f"{name:5} {kernel.release:17} crash {', '.join(crashes_for(name))}")
    for name, config in CONFIGS.items():
        print(f"{name:15} of our own configuration: {', '.join(config.has)}")
    print("scenarios:", *SCENARIOS)


def _build(kernel: str, scenarios: List[str]) -> int:
    failures = 0
    for scenario in scenarios or list(SCENARIOS):
        start = time.monotonic()
        try:
            made = dump(kernel, scenario)
        except (Unavailable, GuestFailed) as failure:
            print(f"{kernel} {scenario}: {failure}", file=sys.stderr)
            failures += 1
            continue
        print(f"{kernel} {scenario}: {time.monotonic() - start:.1f} s")
        print(f"  vmlinux {made.vmlinux}\n  vmcore  {made.vmcore}")
        print(f"  truth   {made.folder / 'truth'}\n  log     {made.folder / 'log'}")
    return 1 if failures else 0


def main(words: List[str]) -> int:
    """Without scenarios: all of the kernel's. Exit status 1 if one could not be made, 2: usage."""
    if words == ["list"]:
        _list()
        return 0
    if words[:1] == ["build"]:
        words = words[1:]
    if not words or words[0] not in {*KERNELS, *CONFIGS} or not set(words[1:]) <= set(SCENARIOS):
        print(__doc__, file=sys.stderr)
        return 2
    return _build(words[0], words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
