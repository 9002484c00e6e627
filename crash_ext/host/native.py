# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the module `_slableak`, the innermost loops in C: our loader has it, PyKdump not.

An environment with SLABLEAK_PURE (not empty) does without it, for comparison.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Optional, cast

from crash_ext.reader import Native

VERSION = 4
"""native.c's: a loader of another time may be installed."""


def native_loops() -> Optional[Native]:
    """The module, None where it is missing, not wanted, or of another version."""
    if os.environ.get("SLABLEAK_PURE"):
        return None
    try:
        module = import_module("_slableak")
    except ImportError:
        return None
    return cast(Native, module) if module.VERSION == VERSION else None
