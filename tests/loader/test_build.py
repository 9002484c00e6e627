# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader's C source compiles without a warning by plain flags."""

from __future__ import annotations

from pathlib import Path

from .builds import compile_loader


def test_no_warning(tmp_path: Path) -> None:
    done = compile_loader(tmp_path / "pyextend.so", ["-O2", '-DPYEXTEND_PYTHON="/none/python"'])
    assert (done.returncode, done.stderr) == (0, "")
