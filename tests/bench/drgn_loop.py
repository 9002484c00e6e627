# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn's own loop over a cache's allocated objects, timed. Runs in the Python that has drgn.

    drgn_loop.py VMCORE VMLINUX CACHE OUT RESULTS [SAMPLE]

Opening the dump and loading the debug symbols isn't timed. OUT gets the addresses, as
`slabobjs -q` writes them; RESULTS a record as floor.py writes them. SAMPLE: a file of addresses;
then each word of their pages is asked about instead.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.floor import step

_PAGE = 4096
_KERNEL = 1 << 63
"""Addresses of a 64-bit kernel begin here."""


def main(vmcore: str, vmlinux: str, cache: str, out: str, results: str, sample: str = "") -> None:
    """Load, then time the loop alone; with a sample of addresses, the one over words."""
    drgn = import_module("drgn")
    program = drgn.Program()
    program.set_core_dump(vmcore)
    program.load_debug_info([vmlinux])
    import_module("drgn.helpers.linux.slab")
    step(results, "start")
    if sample:
        word_loop(program, sample, out)
    else:
        own_loop(program, cache, out)
    step(results, "stop", "drgn words" if sample else "drgn", out)


def word_loop(program: Any, addresses: str, out: str) -> None:
    """Asks drgn of each word in the listed objects' pages which allocated object it points into.

    drgn has no search for pointers and no pass over them: this is the loop that its user writes.
    """
    object_info = import_module("drgn.helpers.linux.slab").slab_object_info
    with open(addresses) as file:
        pages = dict.fromkeys(int(line, 16) & -_PAGE for line in file)
    with open(out, "w") as file:
        for page in pages:
            for word in memoryview(program.read(page, _PAGE)).cast("Q"):
                info = object_info(program, word) if word >= _KERNEL else None
                if info is not None and info.allocated:
                    file.write(f"{info.address:016x}\n")
        file.write(f"{len(pages)} pages\n")


def own_loop(program: Any, cache: str, out: str) -> None:
    """Writes the addresses of the cache's allocated objects, as drgn knows them."""
    slab = import_module("drgn.helpers.linux.slab")
    chosen = import_module("drgn").Object(program, "struct kmem_cache *", value=int(cache, 16))
    with open(out, "w") as file:
        for found in slab.slab_cache_for_each_allocated_object(chosen, "void"):
            file.write(f"{found.value_():016x}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
