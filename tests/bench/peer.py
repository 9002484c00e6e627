# SPDX-License-Identifier: GPL-3.0-or-later
"""drgn from PyPI, in an environment of its own: build/venv-bench.

pip takes the package index from the machine's own configuration.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_VENV = Path(__file__).resolve().parents[2] / "build" / "venv-bench"


def drgn_python() -> Path:
    """The Python that has drgn; made at the first call. CalledProcessError from pip."""
    python = _VENV / "bin" / "python"
    made = _VENV / ".made"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", "drgn"], check=True)
        made.touch()
    return python


def drgn_version() -> str:
    """As drgn tells it."""
    command = [str(drgn_python()), "-c", "import drgn; print(drgn.__version__)"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
