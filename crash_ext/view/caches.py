# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache in the records, as each command that judges one tells it."""

from __future__ import annotations

from typing import Dict

from crash_ext.hexa import hexa
from crash_ext.leak.state import State
from crash_ext.report.jsonl import name_field
from crash_ext.slub.model import Cache


def cache_fields(cache: Cache, state: State) -> Dict[str, object]:
    """What comes first in a record of type cache; each command adds its counts."""
    return {
        "address": hexa(cache.address),
        "name": name_field(cache.name),
        "state": state.kind,
        "reason": state.reason,
        "object_size": cache.object_size,
        "size": cache.size,
    }
