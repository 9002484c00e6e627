# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that `make sentences` finds held by no test, each with the reason."""

from __future__ import annotations

from typing import Dict, Tuple

EXPLAINED: Dict[Tuple[str, str], str] = {}
"""(file, text) -> why."""
