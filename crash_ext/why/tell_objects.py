# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects hold, how they differ from living ones, and who points to them: evidence.

gather.py has found it; this puts it into words.
"""

from __future__ import annotations

from typing import Iterator, List

from crash_ext.contents.profile import differences
from crash_ext.kernel.say import count
from crash_ext.why.case import Case, Evidence
from crash_ext.why.users import SHOWN, TO_CALL, Users


def examined_evidence(case: Case, unknown: int) -> Iterator[Evidence]:
    """What was left out of the examination."""
    looked = len(case.subjects)
    if looked < case.total:
        text = f"{looked} of {case.total} allocated objects were examined, evenly spread"
        yield Evidence("contents", text)
    if case.unreadable:
        text = f"{count(case.unreadable, 'object')}: contents not in the dump"
        yield Evidence("contents", text)
    if unknown:
        yield Evidence("state", f"{count(unknown, 'object')} of damaged slabs: unknown")


def twins_evidence(case: Case) -> Iterator[Evidence]:
    """What is compared with, and where the leaked objects differ."""
    if not case.twins:
        text = "no living cache of this name and object size: nothing to compare with"
        yield Evidence("twin", text)
        return
    for twin in case.twins:
        own = twin.address == case.cache.address
        text = "the cache's other objects" if own else "living cache of the same name"
        yield Evidence("twin", text, twin.address)
    if case.mixed:
        yield Evidence("twin", case.mixed)
    text = f"{count(case.twin_profile.objects, 'living object')} compared"
    if case.twin_profile.objects and case.subjects:
        yield Evidence("twin", text)
        for found in differences(case.twin_profile, case.profile):
            live, leaked = found.live, found.leaked
            every = count(live.total, "living object")
            yield Evidence(
                "twin",
                f"+{found.offset:#x} {live.pattern}: in {live.number} of {every};"
                f" {leaked.pattern} in {leaked.number} of {leaked.total} leaked",
            )


def users_evidence(users: List[Users], asked: int, total: int) -> Iterator[Evidence]:
    """Who has the objects of a live cache, most first; so many of them were asked about."""
    if users and asked < total:
        yield Evidence("held", f"{asked} of {total} objects were looked at, evenly spread")
    waiting = [found for found in users[SHOWN:] if TO_CALL in found.text][:SHOWN]
    for found in (*users[:SHOWN], *waiting):
        text = f"{found.number} of {count(found.of, 'object')}: {found.text}"
        yield Evidence("held", text, found.example)
    rest = sum(found.number for found in users[SHOWN:] if found not in waiting)
    if rest:
        yield Evidence("held", f"{rest} of {count(users[0].of, 'object')}: other holders")
