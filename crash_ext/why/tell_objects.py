# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects hold, how they differ from living ones, and who points to them: evidence.

gather.py has found it; this puts it into words.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterator, Optional

from crash_ext.contents.profile import differences, runs
from crash_ext.kernel.say import count
from crash_ext.places.place import OBJECT, Place
from crash_ext.why.case import Case, Evidence

_SHOWN = 5
"""Lines of one kind of evidence at the most."""


def examined_evidence(case: Case, unknown: int) -> Iterator[Evidence]:
    """What was left out of the examination."""
    looked = len(case.subjects)
    if looked < case.total:
        text = f"{looked} of {case.total} allocated objects were examined, evenly spread"
        yield Evidence("contents", text)
    if case.unreadable:
        yield Evidence("contents", f"of {count(case.unreadable, 'object')} not in the dump")
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
    text = f"{count(case.twin_profile.objects, 'living object')} compared"
    if case.twin_profile.objects and case.subjects:
        yield Evidence("twin", text)
        for found in differences(case.twin_profile, case.profile):
            live, leaked = found.live, found.leaked
            yield Evidence(
                "twin",
                f"+{found.offset:#x} {live.pattern}: in {live.number} of {live.total} living"
                f" objects; {leaked.pattern} in {leaked.number} of {leaked.total} leaked",
            )


def words_evidence(case: Case) -> Iterator[Evidence]:
    """What each word of the objects usually is, like neighbours in one line."""
    for run in runs(case.profile):
        where = f"+{run.start:#x}" + (f"..+{run.end - 1:#x}" if run.end - run.start > 8 else "")
        yield Evidence("word", f"{where} {run.pattern}: {run.number} of {run.total}")


def lists_evidence(case: Case) -> Iterator[Evidence]:
    """The lists that they are on."""
    counts: Counter[str] = Counter()
    first: Dict[str, int] = {}
    for subject in case.subjects:
        for offset, ring in subject.memberships.items():
            text = f"+{offset:#x} {ring.text}"
            counts[text] += 1
            first.setdefault(text, subject.address)
    for text, number in counts.most_common(_SHOWN):
        yield Evidence("list", f"{number} of {len(case.subjects)}: {text}", first[text])


def holders_evidence(case: Case) -> Iterator[Evidence]:
    """Who points to the objects, by what holds the pointers."""
    if case.searched is None:
        return
    counts: Counter[str] = Counter()
    first: Dict[str, int] = {}
    for subject in case.subjects:
        for label in {_label(held.place) for held in subject.held}:
            counts[label] += 1
        for held in subject.held:
            first.setdefault(_label(held.place), held.holder)
    bare = sum(not subject.held and not subject.memberships for subject in case.subjects)
    for label, number in counts.most_common(_SHOWN):
        text = f"{number} of {len(case.subjects)} objects: pointer in {label}"
        yield Evidence("reference", text, first[label])
    if bare:
        text = f"{bare} of {len(case.subjects)} objects: no pointer in {case.searched}"
        yield Evidence("reference", text)


def _label(place: Optional[Place]) -> str:
    if place is None:
        return "memory that can't be named"
    if place.kind == OBJECT and place.cache is not None:
        return f"objects of {place.label} at {place.offset:+#x}"
    return place.label or place.kind
