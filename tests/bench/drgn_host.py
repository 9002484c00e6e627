# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn as host: our commands and drgn's own loop on one program, in turns, timed.

    drgn_host.py VMCORE VMLINUX CACHE OUT RESULTS ROUNDS

Opening the dump and loading the debug symbols isn't timed. OUT gets what each step writes;
RESULTS a record for each, as floor.py writes them.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Callable, List, Tuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import drgn

from crash_ext.drgncommands import run_words
from crash_ext.drgnprogram import open_program
from tests.bench.drgn_loop import own_loop
from tests.bench.floor import step
from tests.bench.session import LOOP, QUIET

COMMANDS = {
    QUIET: ["slabobjs", "-q"],
    "on drgn: slabobjs": ["slabobjs"],
    "on drgn: slabdup": ["slabdup"],
}
"""Step -> words; slabobjs gets the cache behind them."""
FLOOR = "on drgn: floor"


def main(vmcore: str, vmlinux: str, cache: str, out: str, results: str, rounds: str) -> None:
    """Warm up, then all steps, round by round."""
    program = open_program(vmcore, [vmlinux])

    def timed(name: str, work: Callable[[], object]) -> None:
        step(results, "start")
        work()
        step(results, "stop", name, out)

    def read_slabs() -> None:
        for start, size in spans:
            program.read(start, size)

    def command(words: List[str]) -> None:
        with open(out, "w") as file, redirect_stdout(file):
            run_words(program, [*words, cache] if words[0] == "slabobjs" else words)

    command(COMMANDS[QUIET])
    spans = _slabs(program, int(cache, 16), Path(out).read_text().split())
    for _ in range(int(rounds)):
        timed(FLOOR, read_slabs)
        for name, words in COMMANDS.items():
            timed(name, partial(command, words))
        timed(LOOP, partial(own_loop, program, cache, out))


def _slabs(program: drgn.Program, cache: int, listed: List[str]) -> List[Tuple[int, int]]:
    """(start, bytes) of each slab with one of the listed objects."""
    known = drgn.Object(program, "struct kmem_cache *", value=cache)
    order, objects = divmod(known.oo.x.value_(), 1 << 16)
    mask = -(program["PAGE_SIZE"].value_() << order)
    starts = dict.fromkeys(int(address, 16) & mask for address in listed)
    return [(start, objects * known.size.value_()) for start in starts]


if __name__ == "__main__":
    main(*sys.argv[1:])
