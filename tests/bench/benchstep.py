# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `benchstep RESULTS ACTION [ARGUMENT]...` in crash; floor.py does it.

Started by `extend` it registers itself; typed, it has arguments.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from tests.bench.floor import step

if __name__ == "__main__":
    if len(sys.argv) > 1:
        step(*sys.argv[1:])
    else:
        import_module("crash").register_epython_prog("benchstep", "a step of a benchmark", "", "")
