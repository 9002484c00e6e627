# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn's own loop over a cache's allocated objects, timed. Runs in the Python that has drgn.

    drgn_loop.py VMCORE VMLINUX CACHE OUT RESULTS

Opening the dump and loading the debug symbols isn't timed. OUT gets the addresses, as
`slabobjs -q` writes them; RESULTS a record as floor.py writes them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.floor import step


def main(vmcore: str, vmlinux: str, cache: str, out: str, results: str) -> None:
    """Load, then time the loop alone."""
    drgn = import_module("drgn")
    program = drgn.Program()
    program.set_core_dump(vmcore)
    program.load_debug_info([vmlinux])
    import_module("drgn.helpers.linux.slab")
    step(results, "start")
    own_loop(program, cache, out)
    step(results, "stop", "drgn", out)


def own_loop(program: Any, cache: str, out: str) -> None:
    """Writes the addresses of the cache's allocated objects, as drgn knows them."""
    slab = import_module("drgn.helpers.linux.slab")
    chosen = import_module("drgn").Object(program, "struct kmem_cache *", value=int(cache, 16))
    with open(out, "w") as file:
        for found in slab.slab_cache_for_each_allocated_object(chosen, "void"):
            file.write(f"{found.value_():016x}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
