# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are still there: one small function a cause, in one table.

A rule takes the objects that no rule before it has explained, and returns those that it
explains, with its evidence and its sentence, or nothing. It is silent on thin evidence: what
no rule explains is said to be unexplained. To add a cause, write its function and put it
into RULES: the stronger evidence stands first.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.kernel.say import count
from crash_ext.places.place import MODULE, OBJECT, PERCPU, SYMBOL, Place
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING
from crash_ext.why.case import POISON, Case, Evidence, Held, Subject
from crash_ext.why.lists import HEADED, HEADLESS, LEAKED, Membership

CERTAIN = "certain"
"""The evidence leaves no other explanation for how the objects are now."""
LIKELY = "likely"
"""It fits, and nothing contradicts; another history could leave the same."""


class Finding(NamedTuple):
    """Some objects, and why they are still there."""

    cause: str
    """In a word or two, for tables and records."""
    strength: str
    objects: List[int]
    evidence: List[Evidence]
    sentence: str
    """Of the conclusion; it begins with how many objects."""


Rule = Callable[[Case, List[Subject]], Optional[Finding]]


def conclude(case: Case) -> List[Finding]:
    """What the rules find, in the table's order; each object is in one finding at the most."""
    found: List[Finding] = []
    rest = case.subjects
    for rule in RULES:
        finding = rule(case, rest)
        if finding is not None:
            found.append(finding)
            explained = set(finding.objects)
            rest = [subject for subject in rest if subject.address not in explained]
    return found


def unexplained(case: Case, findings: List[Finding]) -> List[int]:
    """The examined objects that are in no finding."""
    explained = {address for finding in findings for address in finding.objects}
    return [s.address for s in case.subjects if s.address not in explained]


def freed_late(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Free now, but they kept the destroy from succeeding.

    Told by the log's report, which lists them; or by a leftover that holds none any more.
    """
    late = case.freed_late
    if not late and not case.gone and not case.emptied:
        return None
    evidence = []
    if late:
        listed = count(case.reported + case.gone, "object")
        text = f"{len(late)} of {listed} that the log lists: free now"
        evidence.append(Evidence("log", text, late[0]))
    if case.emptied:
        evidence.append(Evidence("state", "no object is allocated any more", case.cache.address))
    number = len(late) + case.gone
    who = _objects(number, "was", "were") if number else "The objects were"
    sentence = (
        f"{who} freed late: allocated when the cache was destroyed, and freed after that."
        " Something that frees them (a work item, a timer, an RCU callback, a last reference)"
        " was not waited for before kmem_cache_destroy()."
    )
    return Finding("freed late", CERTAIN, late, evidence, sentence)


def never_written(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Nothing but what the allocator leaves in an object that it hands out."""
    blank = [subject for subject in rest if subject.blank is not None]
    poisoned = [subject for subject in blank if subject.blank == POISON]
    if not poisoned and not _zeroes_tell(case):
        return None
    chosen = poisoned or blank
    if not chosen:
        return None
    first = chosen[0]
    if first.blank == POISON:
        what = "the poison of a free object"
        evidence = "all poison (0x6b), as the allocator left it"
    else:
        what = "zeroes"
        evidence = "all zeroes"
    sentence = (
        f"{_objects(len(chosen), 'was', 'were')} never written: allocated and then dropped, for"
        f" they hold nothing but {what}. Look for a way out between the allocation and the first"
        " write to the object."
    )
    return Finding(
        "never written",
        CERTAIN if first.blank == POISON else LIKELY,
        [subject.address for subject in chosen],
        [Evidence("contents", f"{_of(chosen, case)}: {evidence}", first.address)],
        sentence,
    )


def _zeroes_tell(case: Case) -> bool:
    """Whether all zeroes are odd here: living objects aren't; or there are none to ask."""
    if case.twin_profile.objects >= ENOUGH:
        return case.twin_blank < (1 - USUAL) * case.twin_profile.objects
    return case.cache.ctor == 0


def held(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Something that lives on points to them, and it is no list's link."""
    holders = {s.address: [h for h in s.held if _lives(case, h.place)] for s in rest}
    chosen = [subject for subject in rest if holders[subject.address]]
    if not chosen:
        return None
    evidence = [
        _pointer(holders[subject.address][0], subject.address) for subject in chosen[:_EXAMPLES]
    ]
    kinds = _kinds(holders[subject.address][0] for subject in chosen)
    sentence = (
        f"{_objects(len(chosen), 'is', 'are')} still held: {kinds} points to"
        f" {_it(len(chosen))}. A reference was not dropped before kmem_cache_destroy(): look for"
        " who sets and who clears that pointer."
    )
    return Finding("held", LIKELY, [s.address for s in chosen], evidence, sentence)


def still_listed(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """They are on a list whose head lives on."""
    return _on_rings(
        case,
        rest,
        HEADED,
        "still listed",
        CERTAIN,
        "still on a list whose head lives on: the list was not emptied before"
        " kmem_cache_destroy().",
    )


def no_head(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """They are on a list that nobody can reach any more."""
    return _on_rings(
        case,
        rest,
        HEADLESS,
        "no head",
        LIKELY,
        "on a list that nobody heads any more: what had the list's head was freed while they"
        " were on it, so nobody could find them to free them.",
    )


def _on_rings(
    case: Case, rest: List[Subject], verdict: str, cause: str, strength: str, why: str
) -> Optional[Finding]:
    on: Dict[int, Membership] = {}
    for subject in rest:
        for found in subject.memberships.values():
            if found.verdict == verdict:
                on[subject.address] = found
    if not on:
        return None
    each = list(dict.fromkeys(found.text for found in on.values()))
    first = {found.text: address for address, found in reversed(list(on.items()))}
    evidence = [Evidence("list", text, first[text]) for text in each[:_EXAMPLES]]
    sentence = f"{_objects(len(on), 'is', 'are')} {why}"
    return Finding(cause, strength, list(on), evidence, sentence)


def never_linked(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """A list head that points to itself, where living objects are on a list."""
    for offset in sorted({offset for s in rest for offset in s.lists}):
        chosen = [s for s in rest if s.lists.get(offset) == LIST_EMPTY]
        usual = case.twin_profile.count_kind(offset, LIST_LINKED)
        others = case.twin_profile.objects
        told = others >= ENOUGH and usual >= USUAL * others
        # Without a twin a list_head of their own (children, say) would look the same.
        alone = not others and len(chosen) >= ENOUGH and len(chosen) == len(case.subjects)
        if not chosen or not (told or (alone and case.searched and _unheld(chosen))):
            continue
        text = f"+{offset:#x} list_head: points to itself in {_of(chosen, case)}"
        evidence = [Evidence("list", text, chosen[0].address + offset)]
        was = "was" if len(chosen) == 1 else "were"
        sentence = (
            f"{_objects(len(chosen), was, was)} initialised and never linked: the list head at"
            f" +{offset:#x} still points to itself"
            + (", where living objects are on a list. " if told else ". ")
            + f"{'It was' if len(chosen) == 1 else 'They were'} lost between the allocation and"
            " the insertion into the list: look for an error path between the two that doesn't"
            " free the object."
        )
        strength = CERTAIN if told and case.searched and _unheld(chosen) else LIKELY
        addresses = [subject.address for subject in chosen]
        return Finding("never linked", strength, addresses, evidence, sentence)
    return None


def held_by_freed(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """The only pointers to them lie in objects that were freed."""
    if not case.searched:
        return None
    holders: Dict[int, Held] = {}
    for subject in rest:
        freed = [h for h in subject.held if h.place is not None and _freed(h.place)]
        if freed and not any(_maybe_lives(h.place) for h in subject.held):
            holders[subject.address] = freed[0]
    if not holders:
        return None
    evidence = [_pointer(held, address) for address, held in list(holders.items())[:_EXAMPLES]]
    sentence = (
        f"{_objects(len(holders), 'is', 'are')} referred to by freed memory only:"
        f" {_kinds(holders.values())} has the last pointer. What owned"
        f" {_it(len(holders))} was freed without freeing {_it(len(holders))}."
    )
    return Finding("held by freed", LIKELY, list(holders), evidence, sentence)


def held_by_leaked(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Other leaked objects point to them, and nothing else does."""
    evidence: Dict[int, Evidence] = {}
    for subject in rest:
        for found in subject.memberships.values():
            if found.verdict == LEAKED:
                evidence[subject.address] = Evidence("list", found.text, subject.address)
        told = [held for held in subject.held if _told(held)]
        alone = case.searched and told and not subject.memberships
        if alone and all(_leaked(case, held.place) for held in told):
            evidence[subject.address] = _pointer(told[0], subject.address)
    if not evidence:
        return None
    sentence = (
        f"{_objects(len(evidence), 'is', 'are')} referred to by other leaked objects only. What"
        f" lost those lost {_it(len(evidence))}, too: look for the reason there."
    )
    examples = list(evidence.values())[:_EXAMPLES]
    return Finding("held by leaked", LIKELY, list(evidence), examples, sentence)


def forgotten(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Taken off a list, and nobody has a pointer to them."""
    if not case.searched:
        return None
    chosen = [s for s in rest if LIST_DELETED in s.lists.values() and not any(map(_told, s.held))]
    if not chosen:
        return None
    offset = next(at for at, kind in chosen[0].lists.items() if kind == LIST_DELETED)
    text = f"+{offset:#x} list_head: poisoned by list_del() in {_of(chosen, case)}"
    evidence = [
        Evidence("list", text, chosen[0].address + offset),
        *_no_pointer(chosen, case),
    ]
    sentence = (
        f"{_objects(len(chosen), 'was', 'were')} taken off a list and forgotten: list_del() has"
        f" poisoned the list head at +{offset:#x}, and nothing in use points to"
        f" {_it(len(chosen))}. Look at who removes them from the list: one of its ways doesn't"
        " free them."
    )
    return Finding("forgotten", CERTAIN, [s.address for s in chosen], evidence, sentence)


def unreferenced(case: Case, rest: List[Subject]) -> Optional[Finding]:
    """Nothing in memory points to them: lost, but nothing says where."""
    if not case.searched:
        return None
    chosen = [s for s in rest if not any(map(_told, s.held)) and not s.memberships]
    if not chosen:
        return None
    evidence = list(_no_pointer(chosen, case))
    sentence = (
        f"{_objects(len(chosen), 'is', 'are')} lost: nothing in use points to {_it(len(chosen))},"
        f" so nobody can free {_it(len(chosen))} any more. At which point"
        f" {'it was' if len(chosen) == 1 else 'they were'} dropped the contents don't tell."
    )
    return Finding("unreferenced", CERTAIN, [s.address for s in chosen], evidence, sentence)


RULES: Tuple[Rule, ...] = (
    freed_late,
    never_written,
    held,
    still_listed,
    no_head,
    never_linked,
    held_by_freed,
    held_by_leaked,
    forgotten,
    unreferenced,
)

_EXAMPLES = 3


def _lives(case: Case, place: Optional[Place]) -> bool:
    """A holder that somebody can reach: a variable, or an object of a cache that is in use.

    Leaked objects that point to each other hold nothing. Per-CPU memory has stacks in it,
    which aren't told from its variables.
    """
    if place is None:
        return False
    if place.kind in (SYMBOL, MODULE):
        return True
    if place.kind != OBJECT or place.state != ALLOCATED:
        return False
    return not _leaked(case, place)


def _leaked(case: Case, place: Optional[Place]) -> bool:
    """An allocated object of this cache, or of another one that was destroyed."""
    if place is None or place.kind != OBJECT or place.cache is None or _freed(place):
        return False
    return place.cache.address == case.cache.address or place.cache.refcount == 0


def _maybe_lives(place: Optional[Place]) -> bool:
    """A holder that may be in use: a variable, or an object that isn't free.

    Not a stack, whose dead part is full of old pointers, nor memory that can't be named.
    """
    if place is None:
        return False
    return place.kind in (SYMBOL, MODULE, PERCPU) or (place.kind == OBJECT and not _freed(place))


def _freed(place: Place) -> bool:
    return place.kind == OBJECT and place.state in (FREE, RCU_PENDING)


def _told(held: Held) -> bool:
    """Whether a pointer is one that counts; stale stacks and free pages are full of old ones."""
    return _maybe_lives(held.place)


def _no_pointer(chosen: List[Subject], case: Case) -> Iterator[Evidence]:
    """That nothing in use points to them; and what does that may be old."""
    text = f"no pointer to {_of(chosen, case)} in {case.searched} that is in use"
    yield Evidence("reference", text, chosen[0].address)
    stale = [held for subject in chosen for held in subject.held]
    if stale:
        text = (
            f"{count(len(stale), 'pointer')} in stacks, free memory or pages, maybe old: the first"
        )
        yield Evidence("reference", f"{text} in {_holder(stale[0].place)}", stale[0].holder)


def _unheld(subjects: List[Subject]) -> bool:
    return not any(_told(held) for subject in subjects for held in subject.held)


def _pointer(held: Held, address: int) -> Evidence:
    where = held.place.text if held.place is not None else "memory that can't be named"
    return Evidence("reference", f"{held.holder:x} points to {held.value:x}: {where}", address)


def _kinds(holders: Iterable[Held]) -> str:
    """What the holders are, each kind once."""
    names: List[str] = []
    for holder in holders:
        name = _holder(holder.place)
        if name not in names:
            names.append(name)
    return " and ".join(names[:_EXAMPLES]) + (" and others" if len(names) > _EXAMPLES else "")


def _holder(place: Optional[Place]) -> str:
    """What holds a pointer, the same for all objects of a kind."""
    if place is None:
        return "memory that can't be named"
    if place.kind == OBJECT:
        state = "a freed" if _freed(place) else "an allocated"
        return f"{state} object of {place.label} (at {place.offset:+#x})"
    return place.text


def _objects(number: int, singular: str, plural: str) -> str:
    return f"{count(number, 'object')} {singular if number == 1 else plural}"


def _it(number: int) -> str:
    return "it" if number == 1 else "them"


def _of(chosen: List[Subject], case: Case) -> str:
    return f"{len(chosen)} of {count(len(case.subjects), 'object')}"
