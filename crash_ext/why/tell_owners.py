# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated the objects, as evidence: a line a stack, a source line, a memcg.

owners.py finds them; this puts them into words, with the names that places.py knows.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

from crash_ext.hexa import hexa
from crash_ext.kernel.say import count, duration
from crash_ext.places.callers import caller_text
from crash_ext.places.places import Places
from crash_ext.report.text import text_of
from crash_ext.why.case import Evidence
from crash_ext.why.owners import Group, OwnerReport
from crash_ext.why.tell_ages import noted_ages

_GROUPS = 5
"""Most lines of a kind; what isn't shown is counted."""
_FRAMES = 12
_PIDS = 3


def owner_evidence(places: Places, report: OwnerReport) -> Iterator[Evidence]:
    """What was noted of the objects' allocations, or what to switch on to have it noted."""
    total = report.allocated
    shown = _shown(report.groups)
    for group in shown:
        text = f"{len(group.objects)} of {total} allocated by {caller_text(places, group.caller)}"
        yield Evidence("owner", f"{text}{_ages(group)}{_tasks(group)}", group.objects[0])
        if group.frames:
            stack = " < ".join(caller_text(places, frame) for frame in group.frames[:_FRAMES])
            more = " < .." if len(group.frames) > _FRAMES else ""
            yield Evidence("owner", f"stack: {stack}{more}", group.objects[0])
    yield from noted_ages(report.ages, total)
    for line in report.tags[:_GROUPS]:
        tag = line.tag
        module = f" [{text_of(tag.module)}]" if tag.module else ""
        where = f"{text_of(tag.file)}:{tag.line} {text_of(tag.function)}{module}"
        text = f"{len(line.objects)} of {total} allocated at {where}"
        yield Evidence("owner", text, line.objects[0])
    for charged in report.memcgs[:_GROUPS]:
        memcg = charged.memcg
        path = text_of(memcg.path) if memcg.path is not None else f"memcg {hexa(memcg.address)}"
        gone = ", a cgroup that is removed" if memcg.removed else ""
        text = f"{len(charged.objects)} of {total} charged to {path}{gone}"
        yield Evidence("owner", text, charged.objects[0])
    if len(report.groups) > len(shown):
        rest = sum(len(group.objects) for group in report.groups if group not in shown)
        more = f"{len(report.groups) - len(shown)} more by stack: {count(rest, 'object')}"
        yield Evidence("owner", more)
    for kind, found in (("source line", len(report.tags)), ("memcg", len(report.memcgs))):
        if found > _GROUPS:
            yield Evidence("owner", f"{found - _GROUPS} more by {kind}")
    if report.recorded and report.tracked < total and report.groups:
        yield Evidence("owner", f"{total - report.tracked} of {total}: no allocation noted")
    if report.advice:
        yield Evidence("owner", report.advice)


def _shown(groups: Sequence[Group]) -> List[Group]:
    """By age, as all of them are; of many the oldest and those with the most objects."""
    largest = sorted(groups[1:], key=lambda group: -len(group.objects))[: _GROUPS - 1]
    return [group for group in groups if group is groups[0] or group in largest]


def owner_sentence(places: Places, report: OwnerReport) -> Optional[str]:
    """For the conclusion: where all of the objects come from, if it is one place."""
    if len(report.groups) == 1 and report.tracked == report.allocated > 1:
        where = caller_text(places, report.groups[0].caller)
        return f"All {report.allocated} were allocated by one stack, in {where}."
    if len(report.tags) == 1 and len(report.tags[0].objects) == report.allocated > 1:
        tag = report.tags[0].tag
        where = f"{text_of(tag.file)}:{tag.line}"
        return f"All {report.allocated} were allocated by one line of source, {where}."
    return None


def _ages(group: Group) -> str:
    ages: List[str] = []
    for track in (group.oldest, group.newest):
        if track.seconds is not None:
            ages.append(duration(track.seconds))
        elif track.age is not None:
            ages.append(f"{track.age} jiffies")
    if not ages:
        return ""
    return f", {ages[0]} ago" if len(set(ages)) == 1 else f", {ages[0]} to {ages[-1]} ago"


def _tasks(group: Group) -> str:
    if not group.pids:
        return ""
    alive = group.tasks or {}
    names = [f"{pid} {alive[pid]}" if pid in alive else f"{pid}" for pid in group.pids]
    more = f" and {len(names) - _PIDS} more" if len(names) > _PIDS else ""
    return f", by pid {', '.join(names[:_PIDS])}{more}"
