# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that leaked objects have and living ones have not: states, counts, errors."""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Sequence, Set

from crash_ext.contents.words import MAX_ERRNO
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.finding import EXAMPLES
from crash_ext.why.phrases import it
from crash_ext.why.twins import comparable

_SMALL = 255
"""A state is a small number."""
SATURATED = 0xC0000000
"""include/linux/refcount.h, REFCOUNT_SATURATED: INT_MIN / 2."""


def error_pointers(case: Case, chosen: List[Subject]) -> Dict[int, int]:
    """Offset -> number of an error that they have (ERR_PTR()) where living ones have a pointer."""
    if not comparable(case, chosen):
        return {}
    found: Dict[int, int] = {}
    for at, trace in case.twin_traces.items():
        values = {subject.values.get(at, 0) for subject in chosen}
        value = values.pop() if len(values) == 1 and trace.pointers else 0
        # A 32-bit number, a status, is no pointer of 64 bits.
        error = (1 << 8 * case.word) - value
        if 0 < error <= MAX_ERRNO:
            found[at] = error
    return found


def failure(case: Case, chosen: List[Subject]) -> str:
    """Which step failed, as far as an error in place of a pointer shows."""
    failed = error_pointers(case, chosen)
    if not failed:
        return ""
    at, error = min(failed.items())
    return (
        f" +{at:#x} is the error -{error} where all {case.twin_profile.objects} living objects"
        " have a pointer: what belongs there could not be had, so look at the way out after that;"
        " or who ended the object's use put the error there."
    )


def missing_words(case: Case, chosen: List[Subject], nodes: Set[int]) -> List[int]:
    """Words that are zero in all of them and in no living object. nodes: without these."""
    if not comparable(case, chosen) or case.mixed:
        return []
    return [
        at
        for at in sorted(case.twin_traces)
        if at not in nodes and all(subject.values.get(at) == 0 for subject in chosen)
    ]


def missing_text(case: Case, missing: Sequence[int], number: int) -> str:
    """Those words as a sentence."""
    if not missing:
        return ""
    named = ", ".join(f"+{at:#x}" for at in missing[:EXAMPLES])
    traces = ((at, case.twin_traces[at]) for at in missing[:EXAMPLES])
    counts = [at for at, trace in traces if trace.small and trace.constant is None]
    first = f"; or +{counts[0]:#x} is an index or a count, and begins with 0" if counts else ""
    return (
        f" In {it(number)} {named} {'is' if len(missing) == 1 else 'are'} zero, where all"
        f" {case.twin_profile.objects} living objects have a value: not written yet, or"
        f" cleared since{first}."
    )


class Changed(NamedTuple):
    """A number that is another one than in each living object."""

    offset: int
    value: int
    living: int

    def text(self, case: Case) -> str:
        """In words."""
        objects = f"all {case.twin_profile.objects} living objects"
        value = f"{self.value:x}" if self.value == SATURATED else self.value
        return f"+{self.offset:#x} is {value} where {objects} have {self.living}"


def changed_numbers(case: Case, chosen: List[Subject]) -> List[Changed]:
    """Small numbers that all living objects have alike, and these have others: states, counts."""
    if not comparable(case, chosen):
        return []
    found = []
    for at, living in sorted(case.twin_numbers.items()):
        values = {subject.halves.get(at, 0) for subject in chosen}
        if len(values) == 1:
            (value,) = values
            if (0 < value <= _SMALL and value != living) or value == SATURATED:
                found.append(Changed(at, value, living))
    return found[:EXAMPLES]


def numbers_evidence(
    case: Case, chosen: List[Subject], changed: List[Changed]
) -> Iterator[Evidence]:
    for each in changed:
        yield Evidence("twin", each.text(case), chosen[0].address + each.offset)


def numbers_text(case: Case, changed: List[Changed]) -> str:
    """The numbers that differ from living objects', as a sentence, and what they may be."""
    if not changed:
        return ""
    text = f" {changed[0].text(case)}"
    for each in changed[1:]:
        text += f", +{each.offset:#x} is {each.value} where these have {each.living}"
    if any(each.value == SATURATED for each in changed):
        return text + (
            ": as a saturated count of references is (refcount_t), after too many gets or a put too"
            " many: then no put frees the object any more."
        )
    if any_larger(changed):
        text += (
            ": another state, or another sort of object; or a count of references, and one was not"
            " dropped (look for a get without its put)"
        )
    return text + "."


def any_larger(changed: List[Changed]) -> bool:
    return any(each.value > each.living for each in changed)
