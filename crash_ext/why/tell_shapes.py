# SPDX-License-Identifier: GPL-3.0-or-later
"""What lost objects show of their state (shapes.py), in sentences."""

from __future__ import annotations

from typing import Iterable, List, Optional, Set

from crash_ext.why.case import Case, Subject
from crash_ext.why.numbers import SATURATED
from crash_ext.why.phrases import it, may_be_left
from crash_ext.why.shapes import TASK

_NAMED = 2
"""Addresses of functions and variables that are told."""
_ERRORS = {*range(2, 134), *range(512, 532)}
"""include/uapi/asm-generic/errno.h and include/linux/errno.h; -1 is as often a number."""
_KOBJECT = 64
"""sizeof(struct kobject): its own count is told with it."""
_MOST = 1 << 16
"""References: more are no count, or a saturated one."""
_HARDLY = 4
"""An object has more words than this: of a smaller one each may be all that it has."""


def kobject_words(chosen: List[Subject]) -> Set[int]:
    """Offsets of the words of kobjects in them."""
    return {at for s in chosen if s.kobject is not None for at in s.kobject.words}


def kobject_nodes(chosen: List[Subject]) -> Set[int]:
    """Offsets of the list nodes that kobjects in them have: a kset's, and nothing of their own."""
    return {at for s in chosen if s.kobject is not None for at in s.kobject.node}


def shapes_text(case: Case, chosen: List[Subject]) -> str:
    """What all of them show of their state, in sentences."""
    text = _kobject_text(chosen) + _saturated_text(case, chosen)
    text += _cleared_text(chosen) + _erased_text(chosen)
    text += _passed_text(chosen) + _bucket_text(chosen)
    text += _error_text(case, chosen) + _alone_text(chosen)
    text += _named_text(case, chosen) + _hardly_text(case, chosen) + _counts_text(case, chosen)
    if text and may_be_left(case, chosen):
        text += " Or that is of the last owner of that memory."
    return text


def _first_common(offsets: Iterable[Iterable[int]]) -> Optional[int]:
    """The lowest of the offsets that all objects have. offsets: of each object."""
    return min(set.intersection(*map(set, offsets)), default=None)


def _kobject_text(chosen: List[Subject]) -> str:
    found = [s.kobject for s in chosen if s.kobject is not None]
    first = found[0] if len(found) == len(chosen) else None
    if first is None or len({(k.at, k.kind, k.references > 0, k.shown) for k in found}) > 1:
        return ""
    # Behind the release kobject_cleanup() frees the name.
    named = f" {first.name!r}" if first.name and first.references else ""
    each = "it has" if len(chosen) == 1 else "each has"
    text = f" At +{first.at:#x} {each} what looks like a kobject of {first.kind}"
    text += (f", the first one{named}" if len(chosen) > 1 else named) if named else ""
    if not first.references:
        return (
            f"{text}, without a reference: its release function, {first.release}, was called and"
            " did not free the object."
        )
    if first.shown:
        return f"{text}."
    counts = {k.references for k in found}
    left = f"with {first.references} left" if len(counts) == 1 else "with references left"
    return f"{text}, out of sysfs and {left}: a kobject_put() is missing, or what calls it."


def _saturated_text(case: Case, chosen: List[Subject]) -> str:
    if case.twin_profile.objects:
        return ""  # the numbers of living objects are compared with theirs
    # The lower half of an address of a module is no count.
    found = [
        [at for at, n in s.halves.items() if n == SATURATED and s.halves.get(at + 4) != 0xFFFFFFFF]
        for s in chosen
    ]
    at = _first_common(found)
    if at is None:
        return ""
    return (
        f" If +{at:#x} is a refcount_t, it is saturated ({SATURATED:#x}): once too many"
        " references were taken or dropped, no further put frees the object."
    )


def _cleared_text(chosen: List[Subject]) -> str:
    found = [s for s in chosen if s.cleared]
    at = _first_common(s.cleared for s in found) if found else None
    if at is None:
        return ""
    left = [s for s in found if s.cleared[at]]
    many = "" if len(found) == len(chosen) else f" in {len(found)} of {len(chosen)}"
    text = (
        f" If +{at:#x} is an rb_node, it says{many} that it is in no tree (RB_CLEAR_NODE()): never"
        " inserted, or taken out"
    )
    if left:
        some = "" if len(chosen) == 1 else f" of {len(left)} of {len(chosen)}"
        text += f"; the child{some} that it still points to shows that it was in one"
    return f"{text}."


def _erased_text(chosen: List[Subject]) -> str:
    found = [s for s in chosen if s.erased is not None]
    if not found or len({s.erased for s in found}) > 1:
        return ""
    return (
        f" If +{found[0].erased:#x} is an rb_node, what it leads to in {len(found)} of"
        f" {len(chosen)} doesn't lead back: they were taken out of their tree one by one"
        " (rb_erase()) and not freed."
    )


def _passed_text(chosen: List[Subject]) -> str:
    at = _first_common(s.passed for s in chosen)
    if at is None:
        return ""
    heads = {s.passed[at] for s in chosen}
    head = heads.pop() if len(heads) == 1 else ""
    whose = f"the list headed by {head}" if head else "a list in use"
    number = len(chosen)
    return (
        f" If +{at:#x} is a list node, it leads into {whose}, which leads past {it(number)}: taken"
        " off with the pointers left as they were (list_replace(), __list_del()), or copied from"
        " one that was on it."
    )


def _bucket_text(chosen: List[Subject]) -> str:
    found = [s for s in chosen if s.bucket]
    at = _first_common(s.bucket for s in found) if found else None
    if at is None or len({s.bucket[at] for s in found}) > 1:
        return ""
    some = "" if len(found) == len(chosen) else f" of {len(found)} of {len(chosen)}"
    return (
        f" If +{at:#x} is a rhash_head, that{some} ends a chain of {found[0].bucket[at]}, which"
        " does not lead there any more: taken out (rhashtable_remove_fast() leaves the node as it"
        " was) and not freed; or of another table, which had that memory before."
    )


def _error_text(case: Case, chosen: List[Subject]) -> str:
    """ERR_PTR() in all of them."""
    if case.twin_profile.objects:
        return ""
    wrap = 1 << 8 * case.word
    found = [
        {at: wrap - value for at, value in s.values.items() if wrap - value in _ERRORS}
        for s in chosen
    ]
    at = _first_common(found)
    if at is None:
        return ""
    errors = sorted({each[at] for each in found})
    named = f"the error -{errors[0]}" if len(errors) == 1 else "an error"
    return (
        f" If +{at:#x} is a pointer, it is {named}: what belongs there could not be had, so look at"
        " the way out after that; or who ended the object's use put it there."
    )


def _alone_text(chosen: List[Subject]) -> str:
    at = _first_common(s.alone for s in chosen)
    if at is None:
        return ""
    return (
        f" If +{at:#x} is a list node, it was alone on a list whose head is gone: both of its words"
        f" are one address, of memory of {chosen[0].alone[at]} that doesn't lead back."
    )


def _named_text(case: Case, chosen: List[Subject]) -> str:
    """Functions, variables and tasks that all of them have the address of, and living ones not."""
    first, told = chosen[0], kobject_words(chosen)
    found = {
        at: name
        for at, name in sorted(first.addresses.items())
        if all(s.addresses.get(at) == name for s in chosen) and at not in told
        if at not in case.twin_traces or case.twin_traces[at].constant != first.values[at]
    }
    ours = {at: n for at, n in found.items() if n.endswith("]") or n.startswith(TASK)} or found
    if not ours:
        return ""
    has = "It has" if len(chosen) == 1 else "Each has"
    named = " and ".join(f"{name} (at +{at:#x})" for at, name in list(ours.items())[:_NAMED])
    return f" {has} the address of {named}."


def _counts_text(case: Case, chosen: List[Subject]) -> str:
    """What is left in their counts of references: a put is missing, or what frees them."""
    kobjects = [s.kobject.at for s in chosen if s.kobject is not None]
    parts = []
    for at, name in sorted(case.counts.items()):
        values = sorted({s.halves.get(at, SATURATED) for s in chosen})
        if any(0 <= at - start < _KOBJECT for start in kobjects) or values[-1] > _MOST:
            continue
        shown = str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
        parts.append((f"{name} at +{at:#x} is {shown}", values))
    if not parts:
        return ""
    number = len(chosen)
    whose = "it is a" if number == 1 else "each is a"
    text = f" If {whose} struct {case.struct}, its {' and its '.join(part for part, _ in parts)}"
    zero = all(values == [0] for _, values in parts)
    if zero:
        return f"{text}: the last reference was dropped, and that did not free {it(number)}."
    if any(values[0] == 0 for _, values in parts):
        return f"{text}."
    return (
        f"{text}: a reference was not dropped (look for a get without its put); or who gave"
        f" {it(number)} up does not go by that count, and did not free {it(number)}."
    )


def _hardly_text(case: Case, chosen: List[Subject]) -> str:
    if case.twin_profile.objects:
        return ""  # what they lack is told beside what living objects have
    written = [[at for at, value in s.values.items() if value] for s in chosen]
    if any(len(at) != 1 or len(s.values) <= _HARDLY for at, s in zip(written, chosen)):
        return ""
    places = sorted({at for each in written for at in each})
    if len(places) > 1:
        return ""
    number = len(chosen)
    return (
        f" But for +{places[0]:#x} {it(number, True)} {'is' if number == 1 else 'are'} all zeroes:"
        " given up before more was set up, or cleared since; or that is all that owners write."
    )
