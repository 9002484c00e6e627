# SPDX-License-Identifier: GPL-3.0-or-later
"""Loader's and native tests with ASAN and UBSAN: `python -m tests.sanitize LOADER [SECONDS]`.

NATIVE_CFLAGS in the environment switch both on in the native loops (native.py); LOADER is a
pyextend.so built with both. crash and Python are not: the sanitizers' libraries are preloaded.
Then so many seconds (60) of the native loops' property tests, each round with a
seed of its own, which is printed; the last one is cut off where the time is over, for a round
takes minutes on a busy machine. Leaks are not looked for: crash and Python have their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import SystemRandom
from typing import Dict, List

_LOOPS = ["tests/property/test_native.py", "tests/property/test_native_nonsense.py"]
_LOOPS += ["tests/property/test_mark.py"]
_ONCE = ["tests/unit/test_native.py", "tests/unit/test_native_hostile.py", *_LOOPS]


def _library(name: str) -> str:
    found = subprocess.run(
        ["cc", f"-print-file-name={name}"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        sys.exit(f"sanitize: the compiler has no {name}: install libasan and libubsan")
    return str(Path(found).resolve())


def environment(loader: str) -> Dict[str, str]:
    """For pytest, and for each crash that it starts."""
    return {
        **os.environ,
        "LD_PRELOAD": os.pathsep.join(map(_library, ("libasan.so", "libubsan.so"))),
        # crash handles SIGSEGV by itself, looks for words in vmcoreinfo beyond its end, and its
        # gdb frees with delete what it got from malloc().
        "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:abort_on_error=1"
        ":intercept_strstr=0:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1",
        # Each object a block of its own, with red zones.
        "PYTHONMALLOC": "malloc",
        "PYEXTEND_SO": loader,
    }


def main(arguments: List[str]) -> int:
    """1 where something has failed."""
    settings = environment(arguments[0])
    seconds = float(arguments[1]) if len(arguments) > 1 else 60
    command = [sys.executable, "-m", "pytest", "-q", "-x"]
    if subprocess.run([*command, "tests/loader", *_ONCE], env=settings).returncode:
        return 1
    settings["HYPOTHESIS_PROFILE"] = "fuzz"
    return fuzz([*command, *_LOOPS], settings, seconds)


def fuzz(command: List[str], settings: Dict[str, str], seconds: float) -> int:
    """Runs the tests with one seed after another until the time is over; 1 where one fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seed = f"--hypothesis-seed={SystemRandom().getrandbits(32)}"
        print("sanitize:", *_LOOPS, seed, flush=True)
        try:
            left = end - time.monotonic()
            if subprocess.run([*command, seed], env=settings, timeout=left).returncode:
                return 1
        except subprocess.TimeoutExpired:
            break
    print(f"sanitize: nothing found in {seconds:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
