# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `logprobe` in crash: what the log says of each cache that it names, as JSON.

A record a cache: address, refcount, name, how its reports were matched, and its objects.
Started by `extend` it registers itself; typed with an argument it answers.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any, Dict, Iterator

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.command import session_of
from crash_ext.leak.duplicates import all_caches
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.why.log.hashed import PointerHash
from crash_ext.why.log.match import is_named, match_reports
from crash_ext.why.log.parse import parse_reports


def records() -> Iterator[Dict[str, Any]]:
    """One for the log, and one for each cache that a report names."""
    session = session_of(import_module("crash"))
    text = session.reader.log() or ""
    reports = parse_reports(text)
    key = PointerHash(session.reader).known
    yield {"log": len(text), "reports": [report.name for report in reports], "key": key}
    for cache in all_caches(session, []):
        if not any(is_named(cache, report) for report in reports):
            continue
        decoded = list(for_each_decoded_slab(session, cache, []))
        found = match_reports(session, cache, decoded, reports)
        hexadecimal = "{:x}".format
        yield {
            "address": hexadecimal(cache.address),
            "refcount": cache.refcount,
            "name": (cache.name or b"").decode(),
            "how": [matched.how for matched in found.reports],
            "pointers": sum(
                told.pointer is not None
                for matched in found.reports
                for slab in matched.slabs
                for told in slab.logged.objects_listed
            ),
            "callers": [matched.report.caller for matched in found.reports],
            "tasks": [matched.report.comm for matched in found.reports],
            "others": len(found.others),
            "allocated": list(map(hexadecimal, found.allocated)),
            "freed": list(map(hexadecimal, found.freed)),
            "gone": len(found.gone),
            "unlisted": {why: list(map(hexadecimal, a)) for why, a in found.unlisted.items()},
            "stacks": [
                told.logged.allocated.stack
                for matched in found.reports
                for slab in matched.slabs
                for told in slab.objects
                if told.logged.allocated is not None
            ],
        }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for record in records():
            print(json.dumps(record))
        sys.stdout.flush()
    else:
        import_module("crash").register_epython_prog("logprobe", "what the log says", "", "")
