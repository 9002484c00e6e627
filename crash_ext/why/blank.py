# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects with nothing in them: poison of the allocator, or zeroes."""

from __future__ import annotations

from typing import List

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.why.case import POISON, ZEROES, Case, Evidence, Subject
from crash_ext.why.finding import LIKELY, Finding
from crash_ext.why.phrases import it, lost_ones, no_pointer, objects, of, outer_ones
from crash_ext.why.twins import has_free_pointer, poisoned_nodes

_SERIES = 3
"""So many different small numbers at one offset look like a count."""
_LARGE = 1 << 16


def never_written(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing but the poison that the allocator leaves in an object that it hands out.

    A buffer that a device was given, by an address of its own, and has not filled yet looks so,
    too; and without red zones a free object that a damaged freelist has lost.
    """
    chosen = [subject for subject in outer_ones(rest) if subject.blank == POISON]
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{objects(number, 'was', 'were')} never written: {it(number, True)}"
        f" {'holds' if number == 1 else 'hold'} nothing but the poison of a free object, and"
        f" nothing in use leads to {it(number)}. Look for a way out between the allocation and"
        f" the first write; or for a device that was given {it(number)} to fill"
        f" {it(number)}."
    )
    if not case.red_zones:
        sentence += (
            f" Without red zones {it(number, True)} may also be free, cut off from a freelist."
        )
    text = f"{of(chosen, case)}: all poison (0x6b), as the allocator left it"
    found = [Evidence("contents", text, chosen[0].address), *no_pointer(chosen, case)]
    return [Finding("", LIKELY, [s.address for s in chosen], found, sentence)]


def not_set_up(case: Case, rest: List[Subject]) -> List[Finding]:
    """The free pointer of when they were free stands where all living objects have written.

    What else is in them may be the last owner's: links, poison, timers. An owner that never
    writes there, as of a buffer that is not full, shows by living objects that have it, too.
    """
    enough = case.twin_profile.objects >= ENOUGH and not case.mixed and not case.twin_untouched
    chosen = [s for s in outer_ones(rest) if s.untouched and not s.blank]
    if not chosen or not enough or not case.uncleared:
        return []
    number, at = len(chosen), case.cache.offset
    still = f"{it(number, True)} still {'has' if number == 1 else 'have'}"
    sentence = (
        f"{objects(number, 'was', 'were')} lost before"
        f" {'it was' if number == 1 else 'they were'} set up: at +{at:#x} {still} the free pointer"
        f" of when {'it was' if number == 1 else 'they were'} free, where all"
        f" {case.twin_profile.objects} living objects have been written. Nothing in use leads to"
        f" {it(number)}. What else is in {it(number)} may be the last owner's of that memory. Look"
        f" for a way out between the allocation and the write to +{at:#x}; unless objects of"
        f" {'its' if number == 1 else 'their'} sort are never written there"
        f"{_or_taken_off(case, chosen)}."
    )
    text = f"+{at:#x}: the free pointer of before the allocation, in {of(chosen, case)}"
    found = [Evidence("contents", text, chosen[0].address + at), *no_pointer(chosen, case)]
    return [Finding("", LIKELY, [s.address for s in chosen], found, sentence)]


def _or_taken_off(case: Case, chosen: List[Subject]) -> str:
    """What poison in a list node says if its free pointer, elsewhere, stands in any case."""
    nodes = [at for s in chosen for at in poisoned_nodes(case, s) if not has_free_pointer(case, at)]
    if not nodes:
        return ""
    return (
        f": then the list node at +{min(nodes):#x}, poisoned by list_del(), may tell that"
        f" {'it was' if len(chosen) == 1 else 'they were'} taken off and not freed"
    )


def all_zeroes(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing but zeroes: as an allocation that clears leaves them, or wiped since.

    One that another lost object leads to was handed on: the end of a chain, whose number is 0.
    """
    chosen = [subject for subject in outer_ones(rest) if subject.blank == ZEROES]
    if not chosen or not _zeroes_tell(case):
        return []
    number = len(chosen)
    sentence = (
        f"{objects(number, 'holds', 'hold')} nothing but zeroes: never written since an"
        " allocation that clears (__GFP_ZERO, init_on_alloc) or of memory that was zero, or written"
        " with zeroes alone, or cleared after use. Nothing in use leads to"
        f" {it(number)}.{_number_zero(case, number)} Look for a way out between the allocation and"
        " the first write to the object; and at who clears objects before giving them up."
    )
    text = f"{of(chosen, case)}: all zeroes"
    found = [Evidence("contents", text, chosen[0].address), *no_pointer(chosen, case)]
    return [Finding("", LIKELY, [s.address for s in chosen], found, sentence)]


def _number_zero(case: Case, number: int) -> str:
    """That they may be those with the number 0: other lost ones have the numbers behind it."""
    others = [s for s in lost_ones(case.subjects) if s.blank is None and not s.away]
    for offset in sorted(others[0].halves) if others else ():
        values = {s.halves.get(offset, _LARGE) for s in others}
        if 1 in values and len(values) >= _SERIES and max(values) < _LARGE:
            return (
                f" Other lost objects have small numbers at +{offset:#x}, from"
                f" {min(values)} on: {it(number, True)} may be"
                f" {'the one' if number == 1 else 'those'} with the number 0, lost as they were."
            )
    return ""


def _zeroes_tell(case: Case) -> bool:
    """Whether all zeroes are odd here: living objects aren't; or there are none to ask."""
    if case.twin_profile.objects >= ENOUGH:
        return case.twin_blank < (1 - USUAL) * case.twin_profile.objects
    return case.cache.ctor == 0
