# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command line prints exactly what its golden file holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocks.crash_module import FakeCrash
from tests.golden import for_each_golden
from tests.replay import recorded, run_line

GOLDEN = list(for_each_golden())


@pytest.mark.parametrize(("recording", "file"), GOLDEN, ids=[f.name for _, f in GOLDEN])
def test_prints_what_the_golden_file_holds(recording: str, file: Path) -> None:
    fake = FakeCrash(recorded(recording).image)
    assert run_line(fake, file.name) == file.read_text(encoding="ascii")
