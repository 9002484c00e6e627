# SPDX-License-Identifier: GPL-3.0-or-later
"""Write every golden file anew. Read the difference before committing it."""

from __future__ import annotations

import sys

from mocks.image import NotRecorded
from tests.golden import for_each_golden, printed

FAILED = 0
for folder, file in for_each_golden():
    try:
        text = printed(folder, file.name)
    except NotRecorded as error:
        # The others are written all the same: a recording is often the last to follow.
        print(f"{folder}/{file.name}: {error}", file=sys.stderr)
        FAILED = 1
        continue
    file.write_text(text, encoding="ascii")
sys.exit(FAILED)
