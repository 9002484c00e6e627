# SPDX-License-Identifier: GPL-3.0-or-later
"""`extend slableak.py` (on PyKdump: `epython slableak.py`): registers the commands.

Nothing else: each command is in the file of its name beside this one.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext import slabdup, slablost, slabobjs, slabwhy
from crash_ext.host.target import host_module


def register() -> None:
    """Tell crash the commands' names and help pages."""
    for command in (slabdup.COMMAND, slabobjs.COMMAND, slabwhy.COMMAND, slablost.COMMAND):
        host_module().register_epython_prog(
            command.name, command.short, command.synopsis, command.text
        )


if __name__ == "__main__":
    register()
