# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule finds: some objects, a strength, evidence, a sentence."""

from __future__ import annotations

from typing import List, NamedTuple

from crash_ext.why.case import Evidence

CERTAIN = "certain"
"""Memory allows no other history that we know of."""
LIKELY = "likely"
"""It fits, and nothing contradicts; another history could leave the same."""
EXAMPLES = 3
"""So many of a kind are shown as evidence or named."""


class Finding(NamedTuple):
    """Some objects, and why they are still there."""

    cause: str
    """Name of the rule; from a rule "" for its own, or that of a weaker one."""
    strength: str
    objects: List[int]
    evidence: List[Evidence]
    sentence: str
    """Of the conclusion; it begins with how many objects."""
    gone: int = 0
    """Objects beside these: of slabs that were freed, so that no object is there now."""

    @property
    def number(self) -> int:
        """All of its objects."""
        return len(self.objects) + self.gone
