# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the property tests take: profile `quick` unless HYPOTHESIS_PROFILE says `fuzz`.

quick: the same cases at every run, so what turns red was made red by the change.
fuzz: other cases for every --hypothesis-seed; tests.property.fuzz gives seeds and prints them.
shrink: quick, and a failing case is made smaller, which may take five minutes. The others say
what was done to the heap and what is wrong with the answer; mostly that is enough.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick",
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=_SLOW,
)
settings.register_profile(
    "fuzz", settings.get_profile("quick"), derandomize=False, max_examples=150
)
settings.register_profile("shrink", settings.get_profile("quick"), phases=list(Phase))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
