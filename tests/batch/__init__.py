# SPDX-License-Identifier: GPL-3.0-or-later
"""The records' schema, and the scripts that look at many dumps."""

from __future__ import annotations

import functools
import json
from typing import Any, Dict, List

from jsonschema import Draft202012Validator

from tests.install.machine import TOP

BATCH = TOP / "crash_ext" / "batch"
SCHEMA: Dict[str, Any] = json.loads((BATCH / "schema.json").read_text(encoding="ascii"))

FROM: Dict[str, Any] = {"dump": "vmcore", "date": None, "host": None, "release": "6.1.0"}
"""What a first record says of a dump."""


@functools.lru_cache(maxsize=None)
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


def offences(record: object) -> List[str]:
    """Why the schema takes no such record; of the kinds of its type, what the nearest lacks."""
    found = []
    for error in validator().iter_errors(record):
        nearest: Any = min(error.context or [error], key=lambda one: (len(one.path), one.message))
        found.append(f"{record!r:.300}: {nearest.message}")
    return found
