# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `benchstep RESULTS ACTION [ARGUMENT]...` in crash; floor.py does it.

Started by `extend` it registers itself; typed, it has arguments.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.host.target import host_module
from tests.bench.floor import step

if __name__ == "__main__":
    if len(sys.argv) > 1:
        step(*sys.argv[1:])
    else:
        host_module().register_epython_prog("benchstep", "a step of a benchmark", "", "")
