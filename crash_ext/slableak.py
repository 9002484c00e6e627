# SPDX-License-Identifier: GPL-3.0-or-later
"""`extend slableak.py` (on PyKdump: `epython slableak.py`): registers the commands.

On drgn the same file is a script (`drgn -c VMCORE slableak.py slabwhy`), a source of commands
(`%source slableak.py`) and a plugin (DRGN_PLUGINS=slableak=/path/slableak.py).

Nothing else: each command is in the file of its name beside this one.
"""

from __future__ import annotations

import os
import sys
from typing import List

if __name__ != "crash_ext.slableak":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't. A plugin
    # of drgn isn't __main__, and has no argv.
    _PATH = sys.argv[0] if __name__ == "__main__" else __file__
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(_PATH))))

from crash_ext.commands import COMMANDS
from crash_ext.host.pykdump import PyKdump, offer
from crash_ext.host.target import host_module


def register() -> None:
    """Tell crash the commands' names and help pages."""
    pages = [(each.name, each.short, each.synopsis, each.text) for each in COMMANDS.values()]
    host = host_module()
    if isinstance(host, PyKdump):
        for text in offer(host, os.path.dirname(os.path.abspath(sys.argv[0])), pages):
            sys.stderr.write(f"slableak: {text}\n")
        sys.stderr.flush()
        return
    for page in pages:
        host.register_epython_prog(*page)


def drgn_prog_set(program: object) -> None:
    """drgn's hook for plugins: its shell gets the commands."""
    _on_drgn(program, [])


def _on_drgn(program: object, words: List[str]) -> int:
    """Runs the words as a command; without any, drgn's shell gets the commands."""
    from crash_ext import drgncommands

    if not words:
        drgncommands.offer()
        return 0
    return drgncommands.run_script(program, words)


def _drgn_program() -> object:
    """The program that drgn's own way to run a script has put among its globals, else None."""
    drgn, program = sys.modules.get("drgn"), globals().get("prog")
    return program if drgn is not None and isinstance(program, drgn.Program) else None


if __name__ == "__main__":
    if _drgn_program() is None:
        register()
    else:
        _STATUS = _on_drgn(_drgn_program(), sys.argv[1:])
        if sys.argv[1:]:
            sys.exit(_STATUS)
