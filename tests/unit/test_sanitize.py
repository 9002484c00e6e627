# SPDX-License-Identifier: GPL-3.0-or-later
"""`make sanitize` fuzzes for as long as it was told: a round that takes longer is cut off."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import List

import pytest

from tests.sanitize import fuzz


def _pytest(text: str) -> List[str]:
    """Stands for pytest; the seed comes behind it."""
    return [sys.executable, "-c", text]


def test_a_round_that_never_ends_is_cut_off(capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    assert fuzz(_pytest("import time; time.sleep(600)"), dict(os.environ), 1) == 0
    assert time.monotonic() - start < 60
    assert capfd.readouterr().out.endswith("sanitize: nothing found in 1 s\n")


def test_rounds_follow_each_other_with_seeds_of_their_own(tmp_path: Path) -> None:
    said = tmp_path / "seeds"
    text = f"import sys; print(sys.argv[1], file=open({str(said)!r}, 'a'))"
    assert fuzz(_pytest(text), dict(os.environ), 10) == 0
    seeds = said.read_text().split()
    assert seeds
    assert len(seeds) == len(set(seeds))
    assert all(seed.startswith("--hypothesis-seed=") for seed in seeds)


def test_what_a_round_finds_is_a_failure() -> None:
    assert fuzz(_pytest("raise SystemExit(1)"), dict(os.environ), 60) == 1
