# SPDX-License-Identifier: GPL-3.0-or-later
"""Write every golden file anew. Read the difference before committing it."""

from __future__ import annotations

from mocks.crash_module import FakeCrash
from tests.golden import for_each_golden
from tests.replay import recorded, run_line

for recording, file in for_each_golden():
    fake = FakeCrash(recorded(recording).image)
    file.write_text(run_line(fake, file.name), encoding="ascii")
