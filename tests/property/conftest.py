# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the property tests take: profile `quick` unless HYPOTHESIS_PROFILE says `fuzz`.

quick: the same cases at every run, so what turns red was made red by the change.
fuzz: other cases for every --hypothesis-seed; tests.property.fuzz gives seeds and prints them.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick",
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=_SLOW,
)
settings.register_profile(
    "fuzz", settings.get_profile("quick"), derandomize=False, max_examples=150
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
