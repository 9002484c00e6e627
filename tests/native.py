# SPDX-License-Identifier: GPL-3.0-or-later
"""host/native.c as a module of the Python that runs the tests.

NATIVE_CFLAGS in the environment are added to its compiler's (tests/sanitize.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from functools import lru_cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import cast

from crash_ext.reader import Native

_SOURCE = Path(__file__).resolve().parents[1] / "crash_ext" / "host" / "native.c"


def build_native(folder: Path) -> Path:
    """Compiles the module into a folder, which PYTHONPATH may name then: its file."""
    library = folder / "_slableak.so"
    subprocess.run(
        [
            *("cc", "-std=gnu11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"),
            *os.environ.get("NATIVE_CFLAGS", "").split(),
            *("-isystem", sysconfig.get_path("include"), "-o", str(library), str(_SOURCE)),
        ],
        check=True,
    )
    return library


@lru_cache(maxsize=None)
def native_module() -> Native:
    """Compiled from the loader's own source. CalledProcessError if that fails."""
    with tempfile.TemporaryDirectory(prefix="slableak-native-") as folder:
        library = build_native(Path(folder))
        loader = ExtensionFileLoader("_slableak", str(library))
        spec = spec_from_loader("_slableak", loader)
        assert spec is not None, sys.version
        module = module_from_spec(spec)
        loader.exec_module(module)
    return cast(Native, module)
