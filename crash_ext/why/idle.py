# SPDX-License-Identifier: GPL-3.0-or-later
"""What lost objects say of their own timers and work items: over, deleted, never started."""

from __future__ import annotations

from typing import Dict, Iterator, List, Set, Tuple

from crash_ext.contents.callbacks import HRTIMER, TIMER
from crash_ext.contents.idle import DELETED, NEVER, OVER, Idle
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.finding import EXAMPLES
from crash_ext.why.phrases import may_be_left

_TIMERS = (TIMER, HRTIMER)


def idle_text(case: Case, chosen: List[Subject]) -> str:
    """What became of the timers and work items that all of them have, in sentences."""
    its = "Its" if len(chosen) == 1 else "Their"
    texts = []
    for first, states in _common(chosen):
        what = f" {its} {first.kind} at +{first.offset:#x}, {first.function},"
        if not first.sure:
            what = f" If +{first.offset:#x} is a {first.kind}, of {first.function}, it"
        if states == {DELETED}:
            texts.append(
                f"{what} was armed and deleted before it was due: look at who stops it and does not"
                " free the object."
            )
        elif states == {NEVER} and first.kind in _TIMERS:
            texts.append(f"{what} was set up and never armed.")
        elif states == {OVER} and first.kind in _TIMERS:
            texts.append(
                f"{what} was armed and is over: it was called and did not free the object, or was"
                " deleted."
            )
        elif states == {OVER}:
            texts.append(
                f"{what} was queued and is over: it was called and did not free the object, or was"
                " cancelled."
            )
        elif states == {NEVER}:
            texts.append(
                f"{what} is not queued: it never was, or was cancelled, before or after it was"
                " called."
            )
    if texts and may_be_left(case, chosen):
        texts.append(" Or those are words of the last owner of that memory.")
    return "".join(texts)


def idle_evidence(chosen: List[Subject]) -> Iterator[Evidence]:
    """The same as statements, of the first of them."""
    for first, states in list(_common(chosen))[:EXAMPLES]:
        if len(states) > 1:
            continue
        text = f"{first.kind} at +{first.offset:#x}: {first.function}, not pending"
        if first.state == NEVER:
            text += f", as one that was never {'armed' if first.kind in _TIMERS else 'queued'}"
        elif first.seconds is not None:
            text += f", would be due in {first.seconds:.1f} s"
            if first.seconds <= 0:
                text = text.replace("would be due in", "was due").replace(" -", " ") + " before"
        yield Evidence("contents", text, chosen[0].address + first.offset)


def idle_links(chosen: List[Subject]) -> Set[int]:
    """Offsets of list_heads that are those of work items: no list of the objects' own."""
    return {first.link for first, _ in _common(chosen)}


def _common(chosen: List[Subject]) -> Iterator[Tuple[Idle, Set[str]]]:
    """(that of the first object, the states) of each structure that all of them have."""
    found: Dict[Tuple[str, int, str], List[Idle]] = {}
    for subject in chosen:
        for idle in subject.idle:
            found.setdefault((idle.kind, idle.offset, idle.function), []).append(idle)
    for each in found.values():
        if len(each) == len(chosen):
            yield each[0], {idle.state for idle in each}
