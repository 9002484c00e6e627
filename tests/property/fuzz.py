# SPDX-License-Identifier: GPL-3.0-or-later
"""The property tests for long: `python -m tests.property.fuzz [CASES] [SEED]`.

First test_exact over some thousand heaps that nothing has happened to, then test_damage over
CASES damaged ones (default 100,000), each under three command lines, and last slabwhy. It
goes in rounds, each with a seed of its own; the line printed for a round does it again. Ends
behind the first round that fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from random import SystemRandom
from typing import Iterator, List, NamedTuple

from tests.property.test_damage import CASES_A_HEAP

_ROUND_HEAPS = 500


class Round(NamedTuple):
    """One run of pytest."""

    file: str
    seed: int
    heaps: int

    def start(self) -> subprocess.Popen[bytes]:
        """Says how to do it again, and begins."""
        settings = {"HYPOTHESIS_PROFILE": "fuzz", "FUZZ_HEAPS": str(self.heaps)}
        words = [f"tests/property/{self.file}", f"--hypothesis-seed={self.seed}"]
        said = [f"{name}={value}" for name, value in settings.items()]
        print(*said, "python -m pytest", *words, flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", *words]
        return subprocess.Popen(command, env={**os.environ, **settings})


def rounds(cases: int, seed: int) -> Iterator[Round]:
    """What is to be done: CASES damaged heaps at the least."""
    yield Round("test_exact.py", seed, 0)
    left = -(-cases // CASES_A_HEAP)
    while left > 0:
        seed += 1
        yield Round("test_damage.py", seed, min(left, _ROUND_HEAPS))
        left -= _ROUND_HEAPS
    yield Round("test_why.py", seed + 1, _ROUND_HEAPS)


def main(arguments: List[str]) -> int:
    """Does the rounds, as many at a time as there are processors; 1 where one has failed."""
    cases = int(arguments[0]) if arguments else 100_000
    seed = int(arguments[1]) if len(arguments) > 1 else SystemRandom().getrandbits(32)
    todo = list(rounds(cases, seed))
    running: List[subprocess.Popen[bytes]] = []
    begun, failed = time.monotonic(), False
    while running or (todo and not failed):
        while todo and not failed and len(running) < (os.cpu_count() or 1):
            running.append(todo.pop(0).start())
        failed = failed or any(process.poll() for process in running)
        running = [process for process in running if process.poll() is None]
        time.sleep(0.2)
    print(f"fuzz: {'failed' if failed else 'ok'}, {time.monotonic() - begun:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
