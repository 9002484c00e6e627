# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to objects that something leads to, and what they lead through."""

from __future__ import annotations

from typing import Dict, List, Tuple

from crash_ext.places.place import OBJECT
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import PERHAPS, Step
from crash_ext.reach.reach import Reach
from crash_ext.why.case import Case, Held, Subject, best_held
from crash_ext.why.containers import Containers
from crash_ext.why.gather import SAMPLES

_NAMED = 1000
"""Objects of a case whose ways are followed one by one; of more, some of each kind."""


def show_ways(
    reach: Reach, places: Places, cases: List[Case], containers: Containers, blocks: Blocks
) -> None:
    """The ways to some objects, and what they lead through: to the first of each kind.

    What holds the first ones of a kind holds the others, if it is the same for all of those.
    """
    shown: Dict[Tuple[int, str], List[Subject]] = {}
    others: Dict[Tuple[int, str], List[Subject]] = {}
    for number, case in enumerate(cases):
        few = len(case.subjects) <= _NAMED
        for subject in case.subjects:
            if not subject.level or containers.note_given(subject):
                continue
            kind = ",".join(sorted({holder_label(held) for held in subject.held}))
            kind += " ".join(ring.text for ring in subject.memberships.values())
            if few or len(shown.get((number, kind), ())) < SAMPLES:
                subject.path = _way_to(reach, places, subject)
                subject.root = subject.path[0].place if subject.path else None
                shown.setdefault((number, kind), []).append(subject)
            else:
                others.setdefault((number, kind), []).append(subject)
    first_steps = [subject.path[0] for each in shown.values() for subject in each if subject.path]
    blocks.look_for((step.holder, step.place) for step in first_steps)
    for (number, _), alike in shown.items():
        for subject in alike:
            subject.container = containers.name(cases[number], subject, best_held(subject))
    for key, alike in others.items():
        first, *more = shown[key]
        if all((s.container, s.root) == (first.container, first.root) for s in more):
            for subject in alike:
                subject.container, subject.root = first.container, first.root


def _way_to(reach: Reach, places: Places, subject: Subject) -> List[Step]:
    """The pointers that lead to an object; not by a slot that is known to be no longer in use."""
    path, best = reach.path(subject.address), best_held(subject)
    old = {held.holder for held in subject.held if held.worth == PERHAPS}
    if best is None or best.place is None or not path:
        return path
    if places.own_address(path[-1].holder) not in old:
        return path
    above = reach.path(best.holder) if best.place.kind == OBJECT else []
    if any(step.target == subject.address for step in above):
        return path
    last = Step(best.holder, best.place, subject.address, best.value - subject.address)
    return [*above, last]


def holder_label(held: Held) -> str:
    """What holds an object, the same for all pointers of one thing."""
    if held.callback is not None:
        return f"{held.callback.kind} {held.callback.function}"
    if held.place is None:
        return ""
    return f"{held.place.kind} {held.place.label} {held.place.offset}"
