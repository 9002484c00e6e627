# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects on no list: taken off, never linked, or one of both.

A list head that points to itself was never linked, or taken off by list_del_init(), or heads a
list of the object's own. Only what living objects have beside it can tell these apart.
"""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

from crash_ext.contents.words import LIST_DELETED, LIST_EMPTY
from crash_ext.kernel.say import count
from crash_ext.reach.model import LOST
from crash_ext.why.case import UNTOLD, Case, Evidence, Subject
from crash_ext.why.ends import ends_evidence, ends_text
from crash_ext.why.finding import EXAMPLES, LIKELY, Finding
from crash_ext.why.idle import idle_evidence, idle_text
from crash_ext.why.numbers import (
    SATURATED,
    any_larger,
    changed_numbers,
    error_pointers,
    failure,
    missing_text,
    numbers_evidence,
    numbers_text,
)
from crash_ext.why.phrases import it, lost_ones, may_be_left, no_pointer, objects, of, outer_ones
from crash_ext.why.tell_shapes import shapes_text
from crash_ext.why.twins import has_free_pointer, heads_what, poisoned_nodes, unlinked_at

OFF_THE_LIST = "off the list"
NOT_SET_UP = "not set up"
_SEVERAL = 2
"""Objects that are alike are no chance."""
_MANY = 5
"""Living objects at least, for a word that none of them lacks to mean much."""


def taken_off(case: Case, rest: List[Subject]) -> List[Finding]:
    """Taken off a list, and nothing in use leads to them: list_del() has poisoned the node.

    list_del_rcu() leaves the pointer to the next one: that leads from one such object to
    another, and says nothing of how the other was lost. Nor does poison in a node that living
    objects have poisoned, too: all of them are taken off that list.

    Where an allocation does not clear, all of that may be the last owner's of the memory: then
    they are off the list, and no more is known; unless the owner has written where the free
    pointer was.
    """
    outer = {subject.address for subject in outer_ones(rest)}
    groups: Dict[Tuple[int, bool], List[Subject]] = {}
    for s in lost_ones(rest):
        poisoned = poisoned_nodes(case, s)
        own = s.address in outer or not any(held.worth == LOST for held in s.held)
        if poisoned and (own or s.by_done):
            groups.setdefault((poisoned[0], may_be_left(case, [s])), []).append(s)
    explained = {subject.address for chosen in groups.values() for subject in chosen}
    again = _taken_off_again(case, [s for s in rest if s.address not in explained])
    return [*(_deleted(case, offset, chosen) for (offset, _), chosen in groups.items()), *again]


_POISONS_APART = {0x22, 0x100, 0x100100}
"""LIST_POISON2 - LIST_POISON1: since v5.3, v4.3, and before (include/linux/poison.h)."""


def _deleted(case: Case, offset: int, chosen: List[Subject]) -> Finding:
    by = _poisoner(case, offset, chosen)
    alike = [s for s in case.subjects if s.lists.get(offset) == LIST_DELETED]
    text = f"+{offset:#x} list node: poisoned by {by} in {of(alike, case)}"
    evidence = [Evidence("list", text, chosen[0].address + offset)]
    number = len(chosen)
    within = case.uncleared and has_free_pointer(case, offset)
    if within and all(subject.untouched for subject in chosen):
        return _old_poison(case, offset, chosen, evidence)
    changed = changed_numbers(case, chosen)
    evidence += numbers_evidence(case, chosen, changed)
    evidence += [*idle_evidence(chosen), *no_pointer(chosen, case)]
    poison = (
        f"{by} has poisoned the list node at +{offset:#x}, and nothing in use leads to"
        f" {it(number)}.{_last_list(offset, chosen)}{numbers_text(case, changed)}"
        f"{idle_text(case, chosen)}"
    )
    left = may_be_left(case, chosen)
    if left:
        sentence = (
            f"{objects(number, 'is', 'are')} on no list: {poison} This fits an object that was"
            " taken off and not freed: look at who takes them off the list."
        )
    else:
        sentence = (
            f"{objects(number, 'was', 'were')} taken off a list and not freed: {poison} Look at"
            f" who takes {it(number)} off the list: one of its ways does not free"
            f" {it(number)}, or somebody else had a reference and did not drop it."
        )
    if all(s.values.get(offset, 0) & 1 for s in chosen):
        sentence += (
            f" Or +{offset:#x} is a number, not the end of an hlist_nulls list, and what looks like"
            " poison is its owner's, too."
        )
    others = unlinked_at(case, chosen)
    if others:
        other = min(others)
        sentence += (
            f" Or they were taken off it as they should be, and were lost at +{other:#x}, where"
            " living objects are on a list: that node points to itself."
        )
    if any(s.by_done for s in chosen):
        sentence += (
            " Some point to others, as RCU leaves its callbacks when they have run; if that is a"
            " chain of their own, they were lost as one."
        )
    who, never = "", f"{'this one' if number == 1 else 'these'} never wrote there"
    # Where the free pointer was in the node, this owner has written the poison over it.
    written = within and not left
    if case.uncleared and not written:
        who = " is the last owner's of that memory, which an allocation here need not clear, or"
    but = f", though at +{case.cache.offset:#x}" if who and not left else ""
    sentence += (
        f" Or the poison{who} was copied from another object, and {never}{but}: then look for a"
        " way out between the allocation and the first write to the node."
        + _untouched(case, chosen)
        + shapes_text(case, chosen)
        + ends_text(case, chosen)
    )
    evidence += ends_evidence(case, chosen)
    return Finding(_off(left), LIKELY, [s.address for s in chosen], evidence, sentence)


def _poisoner(case: Case, offset: int, chosen: List[Subject]) -> str:
    """Who poisons a node so: the _rcu forms keep its next."""
    apart = {s.values.get(offset + case.word, 0) - s.values.get(offset, 0) for s in chosen}
    if apart <= _POISONS_APART:
        return "list_del() or hlist_del()"
    known = all(offset in s.values for s in chosen)
    if known and not apart & _POISONS_APART:
        # Only a hlist_nulls list has an end that is odd.
        odd = sum(s.values[offset] & 1 for s in chosen)
        if odd:
            others = "" if odd == len(chosen) else "list_del_rcu(), hlist_del_rcu() or "
            return f"{others}hlist_nulls_del_rcu()"
        return "list_del_rcu() or hlist_del_rcu()"
    return "list_del(), hlist_del() or an _rcu form"


def _last_list(offset: int, chosen: List[Subject]) -> str:
    """The variable to which a kept next leads: a list's head, unless others were behind it."""
    names = {s.was_before[offset] for s in chosen if offset in s.was_before}
    if len(names) != 1:
        return ""
    (name,) = names
    return f" A next that was kept leads to {name}: that was on the list, its head for one."


def _old_poison(
    case: Case, offset: int, chosen: List[Subject], evidence: List[Evidence]
) -> Finding:
    """The poison of a last owner: the node's other word still is the free pointer since then.

    An insertion writes both words, and no removal writes a free pointer.
    """
    number, at = len(chosen), case.cache.offset
    sentence = (
        f"{objects(number, 'was', 'were')} lost before {'it was' if number == 1 else 'they were'}"
        f" set up: in the list node at +{offset:#x} the free pointer of when"
        f" {'it was' if number == 1 else 'they were'} free still stands, at +{at:#x}, beside the"
        " poison of list_del(). So that is the last owner's of that memory, as much else in"
        f" {it(number)} may be. Nothing in use leads to {it(number)}. Look for a way out between"
        " the allocation and the insertion into the list; unless objects of"
        f" {'its' if number == 1 else 'their'} sort never are on that list."
    )
    evidence += no_pointer(chosen, case)
    return Finding(NOT_SET_UP, LIKELY, [s.address for s in chosen], evidence, sentence)


def _off(left: bool) -> str:
    """The cause where that has to hold for what the last owner has left as well."""
    return OFF_THE_LIST if left else ""


def _untouched(case: Case, chosen: List[Subject]) -> str:
    """That some have not been written where their free pointer was, and what that speaks for."""
    number = sum(bool(subject.untouched) for subject in chosen)
    if not number or not case.uncleared:
        return ""
    which = f"{number} of them have" if number < len(chosen) else "They have"
    still = (
        f" {'It has' if len(chosen) == 1 else which} the allocator's own free pointer at"
        f" +{case.cache.offset:#x} still: nobody has written there since the allocation"
    )
    if case.twin_untouched:
        some = count(case.twin_untouched, "living object")
        return f"{still}, as in {some}, so that speaks neither for nor against it."
    return f"{still}, which speaks for that where all such objects are written there."


def _taken_off_again(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node, but all that an insertion writes, and more that only comes after it.

    That the words are written at the insertion, and not before, show objects of the same
    leftover that lack them; else a number has to be larger than all living objects have it. One
    that is no saturated count may be a state, of an object that failed before its insertion, too:
    then it is off the list.
    """
    findings = []
    for offset, unlinked in unlinked_at(case, rest).items():
        whole = [s for s in unlinked if _has_every_trace(case, [s]) and not _missing(case, s)]
        lack = [s for s in case.subjects if s.lists.get(offset) == LIST_EMPTY]
        lack = [s for s in lack if _tells(case, _missing(case, s))]
        chosen = [s for s in whole if lack or any_larger(changed_numbers(case, [s]))]
        if not chosen:
            continue
        number = len(chosen)
        changed = changed_numbers(case, chosen)
        left = may_be_left(case, chosen)
        # A larger number is a reference too many, or the state of what failed.
        sure = lack or any(each.value == SATURATED for each in changed)
        off = left or not sure
        what = (
            f"{objects(number, 'is', 'are')} on no list"
            if off
            else f"{objects(number, 'was', 'were')} taken off a list and not freed"
        )
        sentence = (
            f"{what}: the list node at"
            f" +{offset:#x} points to itself, as list_del_init() leaves it, and"
            f" {it(number, True)} {'has' if number == 1 else 'have'} what living objects have"
        )
        if lack:
            words = sorted(set.intersection(*(_missing(case, s) for s in lack)))
            named = ", ".join(f"+{at:#x}" for at in words[:EXAMPLES])
            sentence += f" and {count(len(lack), 'leaked object')} never got ({named})"
        sentence += (
            f". Nothing in use leads to {it(number)}.{numbers_text(case, changed)}"
            + (
                " This fits an object that was taken off and not freed: look at who takes objects"
                " off the list."
                if off
                else f" Look at who takes objects off the list: one of its ways does not free"
                f" {it(number)}, or somebody else had a reference and did not drop it."
            )
            + f" It also fits {'one that was' if number == 1 else 'objects that were'} never"
            f" linked, if {it(number, True)} got that before an insertion which failed"
            + (", or the last owner of that memory left it" if left else "")
            + ": then look at the ways out before the insertion."
        )
        sentence += _perhaps_own(case, offset, number)
        text = f"+{offset:#x} list_head: points to itself in {of(chosen, case)}"
        evidence = [Evidence("list", text, chosen[0].address + offset)]
        evidence += [*numbers_evidence(case, chosen, changed), *no_pointer(chosen, case)]
        found = [s.address for s in chosen]
        findings.append(Finding(_off(off), LIKELY, found, evidence, sentence))
    return findings


def never_linked(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node, and what each living object got at its insertion is missing, too.

    Who takes objects off may clear all of that again: then not a byte is another one.
    """
    findings = []
    for offset, chosen in unlinked_at(case, rest).items():
        missing = {s.address: _missing(case, s) for s in chosen}
        without = [
            s
            for s in chosen
            if _tells(case, missing[s.address])
            or (
                missing[s.address]
                and error_pointers(case, [s])
                and _unlike(case, missing[s.address])
            )
        ]
        if not without:
            continue
        words = sorted(set.intersection(*(missing[s.address] for s in without)))
        named = ", ".join(f"+{at:#x}" for at in words[:EXAMPLES])
        evidence = [
            Evidence(
                "list",
                f"+{offset:#x} list_head: points to itself in {of(without, case)}",
                without[0].address + offset,
            ),
            Evidence(
                "twin",
                f"{named}: zero, where none of {case.twin_profile.objects} living objects has zero",
                without[0].address + words[0],
            ),
            *no_pointer(without, case),
        ]
        number = len(without)
        sentence = (
            f"{objects(number, 'was', 'were')} never linked, unless who takes objects off clears"
            " all that the insertion wrote, or that is written later than the"
            f" insertion{_newer(case)}: the list node at +{offset:#x} points to itself, and {named}"
            f" {'is' if len(words) == 1 else 'are'} zero, where living objects are on a list and"
            " have values."
            " Look first for an error path between the allocation and the insertion into the"
            " list that does not free the object; then for who has such objects and never links"
            f" them.{failure(case, without)}{_perhaps_own(case, offset, number)}"
        )
        findings.append(Finding("", LIKELY, [s.address for s in without], evidence, sentence))
    return findings


def _newer(case: Case) -> str:
    """That living objects of another cache may be of the module as it was changed since."""
    others = any(twin.address != case.cache.address for twin in case.twins)
    return ", or only by a newer build of the module" if others else ""


def off_the_list(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node where living objects are linked: never linked, or taken off again.

    Those that lack something which all living ones have are told apart from the others: one
    leftover may have objects of both histories.
    """
    findings = []
    for offset, chosen in unlinked_at(case, rest).items():
        groups: Dict[Tuple[int, ...], List[Subject]] = {}
        for each in chosen:
            groups.setdefault(tuple(sorted(_missing(case, each))), []).append(each)
        alike = [members for members in groups.values() if len(members) >= _SEVERAL]
        if len(groups) > EXAMPLES or len(alike) < len(groups):
            # Chance tells single ones apart.
            groups = {(): chosen}
        for missing, members in groups.items():
            findings.append(_off_list(case, offset, members, missing))
    return findings


def _off_list(case: Case, offset: int, chosen: List[Subject], missing: Tuple[int, ...]) -> Finding:
    number = len(chosen)
    evidence = [
        Evidence(
            "list",
            f"+{offset:#x} list_head: points to itself in {of(chosen, case)}",
            chosen[0].address + offset,
        )
    ]
    sentence = f"{objects(number, 'is', 'are')} on no list: the list node at +{offset:#x} "
    changed = changed_numbers(case, chosen)
    evidence += numbers_evidence(case, chosen, changed)
    whole = not missing and _has_every_trace(case, chosen)
    later = any_larger(changed)
    sentence += (
        "points to itself, where living objects are on a list, and nothing in use leads to"
        f" {it(number)}."
    )
    sentence += numbers_text(case, changed) + failure(case, chosen) + idle_text(case, chosen)
    sentence += missing_text(case, missing, number)
    if later or whole:
        sentence += (
            " This fits an object that was taken off (list_del_init()) and not freed: look at"
            " who takes objects off, and at who else had a reference. It also fits one that was"
            f" never linked, if it gets what it has before its insertion{_or_left(case)}."
        )
    else:
        sentence += (
            " The contents fit both an object that was never linked and one that"
            " list_del_init() took off again: look at the ways out before the insertion, and"
            " at who takes objects off."
        )
    sentence += _perhaps_own(case, offset, number)
    sentence += shapes_text(case, chosen) + ends_text(case, chosen)
    evidence += [*idle_evidence(chosen), *no_pointer(chosen, case), *ends_evidence(case, chosen)]
    return Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)


def _or_left(case: Case) -> str:
    """That all of it may be from before the object's allocation, where that clears nothing."""
    return ", or has it from the last owner of that memory" if case.uncleared else ""


def _perhaps_own(case: Case, offset: int, number: int) -> str:
    """That a list_head may be no node, where living objects don't tell."""
    if heads_what(case, offset) != UNTOLD:
        return ""
    return (
        f" Or +{offset:#x} is no node but heads a list of {'its' if number == 1 else 'their'} own,"
        " with nothing on it: then the contents do not show where"
        f" {it(number, True)} {'was' if number == 1 else 'were'} lost."
    )


def _missing(case: Case, subject: Subject) -> Set[int]:
    """Words that are zero in the object and in no living one."""
    nodes = _node_words(subject)
    return {at for at in case.twin_traces if at not in nodes and subject.values.get(at) == 0}


def _node_words(subject: Subject) -> Set[int]:
    return {at + shift for at in subject.lists for shift in (0, 4, 8)}


def _tells(case: Case, missing: Set[int]) -> bool:
    """Whether words are missing that an insertion writes, and that removals leave alone.

    A pointer and a state are often cleared by who takes an object off; a number that is
    another one in each object (a time, a serial number) is not. Of an index 0 is the first.
    """
    return _unlike(case, missing) and len(missing) > 1 and case.twin_profile.objects >= _MANY


def _unlike(case: Case, missing: Set[int]) -> bool:
    traces = [case.twin_traces[at] for at in missing]
    return any(each.constant is None and not each.pointer and not each.small for each in traces)


def _has_every_trace(case: Case, chosen: List[Subject]) -> bool:
    """Whether they have each number that is another one in each living object: a time, ..."""
    unlike = [
        at
        for at, trace in case.twin_traces.items()
        if trace.constant is None and not trace.pointer and at not in _node_words(chosen[0])
    ]
    return bool(unlike) and all(s.values.get(at) for s in chosen for at in unlike)
