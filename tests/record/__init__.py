# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of small pieces of the lab's dumps, for tests that have no virtual machine.

    python -m tests.record KERNEL SCENARIO CRASH_VERSION OUT
    python -m tests.record [KERNEL SCENARIO]    all of ALL, or one, into tests/data

Needed where the commands ask for what they didn't ask before (a replay says NotRecorded) or
print something else (the outputs in the recordings are real crash's). The second form writes
the recording's golden files, too: all of them, for a dump made anew has other addresses.
"""

from __future__ import annotations

from typing import Tuple

ALL: Tuple[Tuple[str, str, str], ...] = (
    ("5.10", "leak", "8.0.2"),
    ("6.1", "leak", "8.0.2"),
    # crash 8.0.6 was not done with 6.12's within the lab's five minutes.
    ("6.12", "leak", "9.0.2"),
    ("7.3", "leak", "9.0.2"),
    ("6.1", "debug", "9.0.2"),
    ("6.12", "full", "9.0.2"),
    ("7.3", "debug", "9.0.2"),
    ("6.1-arm64", "leak", "9.0.2"),
    ("6.1-s390x", "leak", "9.0.2"),
)
"""(kernel, scenario, release of crash) of the recordings in tests/data.

leak everywhere: leftover and twin, per-CPU, partial and unlisted full slabs, sheaves on 7.3.
On arm64, and on s390x for the other byte order, too.
full: leftovers whose slabs no list holds. debug: red zones, poison, tracks, a full list.
"""


def name_of(kernel: str, scenario: str) -> str:
    """The name of a recording in tests/data, without .json.gz."""
    return f"lab-{kernel}-{scenario}"
