# SPDX-License-Identifier: GPL-3.0-or-later
"""What lost objects themselves point to that is gone: a module, freed memory, other lost objects.

That does not show where they were lost, but whose they were, or what they had.
"""

from __future__ import annotations

from typing import Counter, Dict, Iterator, List, Optional, Tuple

from crash_ext.contents.words import lowest_address
from crash_ext.places.place import OBJECT, UNLOADED
from crash_ext.places.places import Places
from crash_ext.reach.model import UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.model import ALLOCATED, FREE
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.phrases import it, may_be_left

FREED, LOST = "freed", "lost"
_AREA = "vmalloc memory that was freed (an hlist_node points back to its bucket)"
_FAR = 32 << 20
"""Modules lie from the beginning of their area on, one beside the other."""
_ROUND = 1000000
"""A negative number of whole milliseconds in ns is no address: SK_DEFAULT_STAMP is -1 s."""
_SAMPLE = 64
"""Lost objects of a cache that say where such pointers are; then all are asked there."""


def find_ends(places: Places, reach: Reach, cases: List[Case]) -> None:
    """Of lost objects: their pointers to what is gone, or lost itself."""
    for case in cases:
        lost = [s for s in case.subjects if s.level == UNREACHED and not s.blank]
        _find_orphans(places, lost)
        sample = lost[:: -(-len(lost) // _SAMPLE) or 1]
        counts = Counter(
            at for s in sample for at in s.values if _end(places, reach, case, s, at) is not None
        )
        usual = [at for at, number in counts.items() if 2 * number >= len(sample)]
        for subject in lost:
            for at in usual:
                end = _end(places, reach, case, subject, at)
                if end is not None:
                    subject.ends[at] = end


def ends_text(case: Case, chosen: List[Subject]) -> str:
    """That many of them point to what is gone, a sentence for each kind."""
    text = _orphans(chosen)
    for (at, what), number in _most(case, chosen):
        verb = "points" if number == 1 else "point"
        # rcu_do_batch() clears the function, and leaves where the next callback was.
        behind = [
            s.values.get(at + case.word) for s in chosen if s.ends.get(at, ("", ""))[0] == FREED
        ]
        done = bool(behind) and set(behind) == {0}
        text += (
            f" {number} of {len(chosen)} {verb} at +{at:#x} to {what}, perhaps"
            f" what {it(number, True)} belonged to or owned"
            f"{', or what RCU left in a callback that has run' if done else ''}."
        )
    return text


def ends_evidence(case: Case, chosen: List[Subject]) -> Iterator[Evidence]:
    """The first of these pointers."""
    for (at, what), number in _most(case, chosen):
        first = next(s for s in chosen if s.ends.get(at, ("", ""))[1] == what)
        text = f"+{at:#x}: to {what}, in {number} of {len(chosen)}"
        yield Evidence("contents", text, first.address + at)


def _most(case: Case, chosen: List[Subject]) -> Iterator[Tuple[Tuple[int, str], int]]:
    """Of each kind the pointer that most of them have, if half of them have it."""
    if may_be_left(case, chosen):
        return
    for kind in (FREED, LOST):
        counts: Dict[Tuple[int, str], int] = {}
        for subject in chosen:
            for at, (its, what) in subject.ends.items():
                if its == kind:
                    counts[at, what] = counts.get((at, what), 0) + 1
        if counts:
            best = max(sorted(counts.items()), key=lambda item: item[1])
            if 2 * best[1] >= len(chosen):
                yield best


def _end(
    places: Places, reach: Reach, case: Case, subject: Subject, at: int
) -> Optional[Tuple[str, str]]:
    """(kind, what) of a pointer to freed memory or to a lost object of another cache."""
    value = subject.values.get(at, 0)
    if value < lowest_address(places):
        return None
    place, in_node = places.name(value), _in_node(case, subject, at)
    if in_node and (place is None or place.state != ALLOCATED):
        return None
    if place is None:
        gone = places.freed_vmalloc(value)
        return (FREED, _AREA) if gone is not None else None
    if place.kind != OBJECT or place.object is None or place.cache is None:
        return None
    if place.state == FREE:
        return FREED, f"freed memory of {place.label}"
    known = place.cache.address in case.kin or place.cache.address == case.cache.address
    if place.state == ALLOCATED and not known and reach.level(value) == UNREACHED:
        return LOST, f"memory of {place.label} that nothing in use leads to, either"
    return None


def _in_node(case: Case, subject: Subject, at: int) -> bool:
    """Whether a word is of a list's or a tree's node: gone lists have causes of their own."""
    word = case.word
    return any(0 <= at - node < 2 * word for node in subject.lists) or any(
        0 <= at - node < 3 * word for node in subject.trees
    )


def _find_orphans(places: Places, lost: List[Subject]) -> None:
    """Their pointers to a module that was unloaded."""
    reader, lowest = places.session.reader, lowest_address(places)
    wrap = 1 << 8 * reader.word
    gone: Dict[int, str] = {}
    for subject in lost:
        for at, value in subject.values.items():
            page = value // reader.page_size
            if value >= lowest and page not in gone:
                direct = reader.virt_to_page(value) is not None
                place = None if direct or places.image.holds(value) else places.name(value)
                told = place is not None and place.kind == UNLOADED and _near(places, value)
                gone[page] = place.text if place is not None and told else ""
            if gone.get(page) and (value - wrap) % _ROUND:
                subject.orphaned[at] = gone[page]


def _near(places: Places, address: int) -> bool:
    """Whether modules lie there that are loaded, where any are: the area is larger by far."""
    regions = places.modules.regions
    return not regions.span[1] or regions.any_start_in(address - _FAR, address + _FAR)


def _orphans(chosen: List[Subject]) -> str:
    counts = Counter(at for s in chosen for at in s.orphaned)
    if not counts:
        return ""
    at = max(sorted(counts), key=lambda each: counts[each])
    where = next(s.orphaned[at] for s in chosen if at in s.orphaned)
    verb = "points" if counts[at] == 1 else "point"
    return (
        f" {counts[at]} of {len(chosen)} {verb} at +{at:#x} into the {where}: if that module made"
        " them, it went without freeing them."
    )
