# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `ownerlines CACHE...|kfence` in crash: JSON lines of who allocated objects.

One record an object (type track), a group (group), a memcg (memcg), for tests. Started by
`extend` it registers itself; typed, it has arguments.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any, Dict, List, Optional

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.command import session_of
from crash_ext.reader import Reader
from crash_ext.slub.caches import read_cache
from crash_ext.slub.model import STATE_NAMES
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session
from crash_ext.slub.tracks import Track, TrackReader
from crash_ext.why.owners import OwnerReport, owners

Record = Dict[str, Any]


def _track(reader: Reader, track: Optional[Track]) -> Optional[Record]:
    if track is None:
        return None
    names = [_name(reader, frame) for frame in track.frames]
    caller = [f"{track.caller:x}", _name(reader, track.caller)]
    frames = [[f"{frame:x}", name] for frame, name in zip(track.frames, names)]
    fields = track._asdict()
    return {**fields, "caller": caller, "frames": frames}


def _name(reader: Reader, address: int) -> Optional[str]:
    """symbol+0xoffset, as the kernel writes it."""
    found = reader.symbol_at(address)
    return None if found is None else f"{found[0]}+{found[1]:#x}"


def _kfence_records(session: Session) -> List[Record]:
    """The groups of what KFENCE has sampled, of all caches."""
    found: List[Record] = []
    for address in sorted({one.cache for one in session.kfence().objects}):
        cache = read_cache(session, address, listed=False)
        sampled = [one.as_slab() for one in session.kfence().of(address)]
        found += _report_records(session, owners(session, cache, sampled))
    return found


def _records(session: Session, address: int) -> List[Record]:
    cache = read_cache(session, address, listed=False)
    problems: List[str] = []
    slabs = list(for_each_decoded_slab(session, cache, problems))
    tracks = TrackReader(session, cache)
    found: List[Record] = []
    for slab in slabs:
        for index, state in enumerate(slab.states):
            at = slab.first + index * cache.size
            told = tracks.of(at)
            found.append(
                {
                    "type": "track",
                    "address": f"{at:x}",
                    "state": STATE_NAMES[state],
                    "alloc": _track(session.reader, told.alloc),
                    "free": _track(session.reader, told.free),
                    "problems": [*problems, *told.problems],
                }
            )
    return found + _report_records(session, owners(session, cache, slabs))


def _report_records(session: Session, report: OwnerReport) -> List[Record]:
    found: List[Record] = []
    for group in report.groups:
        found.append(
            {
                "type": "group",
                "objects": [f"{one:x}" for one in group.objects],
                "bytes": group.bytes,
                "caller": [f"{group.caller:x}", _name(session.reader, group.caller)],
                "frames": [f"{frame:x}" for frame in group.frames],
                "cpu": group.oldest.cpu,
                "pids": group.pids,
                "oldest": group.oldest.seconds,
                "problems": report.problems,
            }
        )
    for charged in report.memcgs:
        found.append(
            {
                "type": "memcg",
                "address": f"{charged.memcg.address:x}",
                "number": charged.memcg.number,
                "path": (charged.memcg.path or b"?").decode("ascii"),
                "objects": [f"{one:x}" for one in charged.objects],
                "problems": report.problems,
            }
        )
    return found


def _addresses(session: Session, argument: str) -> List[int]:
    """The caches of a name, or the one at an address (hex)."""
    named = [cache for cache in session.listed_caches().caches if cache.name == argument.encode()]
    return [cache.address for cache in named] or [int(argument, 16)]


if __name__ == "__main__":
    crash = import_module("crash")
    if len(sys.argv) > 1:
        session = session_of(crash)
        for argument in sys.argv[1:]:
            if argument == "kfence":
                for record in _kfence_records(session):
                    print(json.dumps(record))
                continue
            for address in _addresses(session, argument):
                for record in _records(session, address):
                    print(json.dumps(record))
        sys.stdout.flush()
    else:
        crash.register_epython_prog("ownerlines", "who allocated objects, for a test", "", "")
