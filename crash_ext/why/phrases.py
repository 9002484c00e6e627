# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that the rules share: how many objects, who points to them, by which way."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.say import count
from crash_ext.places.place import (
    FREED_INIT,
    MODULE,
    OBJECT,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    VMALLOC,
    Place,
    words_of,
)
from crash_ext.reach.model import DEAD, PERHAPS, UNREACHED
from crash_ext.reach.sheaves import BEHIND_SHEAF
from crash_ext.slub.model import FREE
from crash_ext.why.case import Case, Evidence, Held, Subject
from crash_ext.why.finding import EXAMPLES

_STEPS = 5
"""Of a path that are shown; of a longer one both ends."""


def first_held(subjects: Iterable[Subject], worth: str) -> Tuple[int, Optional[Held]]:
    """(address of the object, the first pointer to it of that worth)"""
    for subject in subjects:
        for held in subject.held:
            if held.worth == worth:
                return subject.address, held
    return 0, None


def lost_ones(subjects: Iterable[Subject]) -> List[Subject]:
    """Those that nothing in use leads to, so far as memory was searched."""
    return [subject for subject in subjects if subject.level == UNREACHED]


def outer_ones(subjects: Iterable[Subject]) -> List[Subject]:
    """Of the lost ones those to which no other lost object leads."""
    return [subject for subject in lost_ones(subjects) if not subject.inner]


def is_kin(case: Case, place: Optional[Place]) -> bool:
    """Whether a place lies in an object of the same kind: one that leads on, and no root."""
    return place is not None and place.cache is not None and place.cache.address in case.kin


def in_free_object(place: Optional[Place]) -> bool:
    return place is not None and place.kind == OBJECT and place.state == FREE


def root_text(place: Place) -> str:
    """What a way begins in."""
    return place.label if place.kind in (SYMBOL, MODULE) and place.label else place.text


def way(subject: Subject) -> Iterator[Evidence]:
    """The path from memory in use, where it has more than one step."""
    if len(subject.path) < 2:
        return
    steps = [step.place.text if step.place is not None else "?" for step in subject.path]
    shown = steps if len(steps) <= _STEPS else [*steps[:2], "..", *steps[-2:]]
    last = subject.path[-1]
    text = f"{' -> '.join(shown)} -> +{last.offset:#x}"
    yield Evidence("path", text, subject.path[0].holder)


def no_pointer(chosen: List[Subject], case: Case) -> Iterator[Evidence]:
    """That nothing in use leads to them; and what else points to them."""
    text = f"nothing in use leads to {of(chosen, case)}; {case.searched} searched"
    if case.incomplete:
        text += f", {case.incomplete}"
    yield Evidence("reference", text, chosen[0].address)
    stale = [held for subject in chosen for held in subject.held if held.worth == DEAD]
    stale.sort(key=lambda held: held.why == BEHIND_SHEAF)
    if stale:
        text = f"{count(len(stale), 'old pointer')}, the first in {words_of(stale[0].place)}"
        yield Evidence("reference", f"{text} ({stale[0].why})", stale[0].holder)


def pointer(held: Held, address: int) -> Evidence:
    """A pointer to the object at an address, and why it may be worth nothing."""
    offset = held.value - address
    inside = f" (+{offset:#x} of it)" if offset else ""
    text = f"pointer to {hexa(address)}{inside} in {words_of(held.place)}"
    if held.worth in (DEAD, PERHAPS) and held.why:
        text += f" ({held.why})"
    return Evidence("reference", text, held.holder)


def kinds(held: Iterable[Held]) -> str:
    """Who points, without repeating what holds many of them."""
    labels: Dict[str, None] = {}
    for place in (each.place for each in held if each.place is not None):
        if place.kind == OBJECT:
            state = "a freed object" if in_free_object(place) else "an object"
            merged = place.cache is not None and place.cache.refcount > 1
            labels[f"{state} of {place.label}{' or one merged into it' if merged else ''}"] = None
        elif place.kind == UNLOADED:
            labels["the memory of an unloaded module"] = None
        elif place.kind == FREED_INIT:
            labels["a module's init memory, which is freed"] = None
        elif place.kind in (PERCPU, STACK):
            labels[place.text] = None
        elif place.kind == VMALLOC:
            made = f" made by {place.label}" if place.label else ""
            labels[f"a vmalloc area{made}"] = None
        else:
            labels[place.label or place.text] = None
    names = list(labels)
    more = f" and {len(names) - EXAMPLES} others" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def objects(number: int, one: str, many: str) -> str:
    """ "1 object is", "3 objects are"."""
    return f"{count(number, 'object')} {one if number == 1 else many}"


def of(chosen: List[Subject], case: Case) -> str:
    """ "3 of 5 objects"."""
    return f"{len(chosen)} of {count(len(case.subjects), 'object')}"


def it(number: int, subject: bool = False) -> str:
    """ "it", "them"; as a subject "it", "they"."""
    if number == 1:
        return "it"
    return "they" if subject else "them"


def may_be_left(case: Case, chosen: Iterable[Subject]) -> bool:
    """Whether what is in some may be the last owner's: nothing shows that theirs has written."""
    return case.uncleared and any(subject.untouched is not False for subject in chosen)


def or_left(case: Case, chosen: List[Subject]) -> str:
    """That links may be from before an object's allocation, where that clears nothing."""
    if not may_be_left(case, chosen):
        return ""
    number = len(chosen)
    its, was = ("its", "it was") if number == 1 else ("their", "they were")
    return (
        f" Or {its} links are the last owner's of that memory, which an allocation here need not"
        f" clear, and {was} lost before anything was written there."
    )
