# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that memory leads to: in use, perhaps old, or until a grace period is over."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Set

from crash_ext.hexa import hexa
from crash_ext.kernel.say import before_verb
from crash_ext.places.place import OBJECT, PAGE, PAGE_STRUCT, PERCPU, STACK, VMALLOC, words_of
from crash_ext.reach.model import IN_USE, MAYBE, PENDING, PERHAPS, REACHED
from crash_ext.why.case import Case, Evidence, Held, Subject, best_held
from crash_ext.why.containers import IN_KERNFS, NODES
from crash_ext.why.finding import EXAMPLES, LIKELY, Finding
from crash_ext.why.kernelobjects import BY_KERNEL_OBJECT
from crash_ext.why.lists import EITHER, OPEN, WAITED, Membership
from crash_ext.why.phrases import first_held, is_kin, it, kinds, objects, pointer, root_text, way
from crash_ext.why.twins import off_a_list, usually_empty

_LEFT_OVER = (
    " Or it is left over: nobody cleared a slot after use, or the words of the last owner of"
    " that memory."
)
"""A consumed slot of a ring, one behind an array's count, memory that wasn't cleared: all
of them look like a pointer that is used."""
_CPU = re.compile(r" of cpu \d+")
_ADRIFT = (
    " Nobody else in use was found with an address of that memory: its owner has it in another"
    " form, or it was lost itself, with what is in it."
)
"""Of a vmalloc area or of pages that somebody may have forgotten."""
_OLD_ROOT = (
    " Or its root is left over: somebody freed that memory with objects in it, and who has it now"
    " has not written there."
)
_OFFSET = re.compile(r"\+0x[0-9a-f]+")
_PAGE = re.compile(r"(?<=struct page of )[0-9a-f]+")


_SHARE = 4
"""Of more objects than so many times those that fit, these fit by chance."""
_NEAR = 8
"""Words between the pointers to the beginning and to the end of a buffer, at most."""


def held(case: Case, rest: List[Subject]) -> List[Finding]:
    """Memory in use leads to them."""
    chosen = [s for s in rest if s.level == REACHED and not s.freed_by]
    groups: Dict[str, List[Subject]] = {}
    for subject in chosen:
        groups.setdefault(_holder_kind(case, subject), []).append(subject)
    findings = []
    for members in groups.values():
        first = next((each for each in members if each.path), members[0])
        best = best_held(first)
        number = len(members)
        ring = _ring_of(first)
        sentence = f"{objects(number, 'is', 'are')} still held"
        if ring is not None:
            sentence += _by_ring(case, first, ring, number)
        elif first.container:
            each_its_own = _by_page(first) or first.container.endswith(IN_KERNFS)
            each_its_own = each_its_own or first.container.startswith(BY_KERNEL_OBJECT)
            others = len({each.container for each in members}) > 1 and each_its_own
            container = _of_cpus(first.container, members)
            called = f", {first.kobject_name!r}" if first.kobject_name else ""
            if called and number > 1:
                called = f", the first one{called[1:]}"
            sentence += f" {container}{called}{', and the others likewise' if others else ''}."
        else:
            by = _of_cpus(_by(case, best, first), members)
            like = number > 1 and len(_labels(members)) > 1 and not by.endswith(",")
            sentence += f": {by}{' or the like' if like else ''} leads to {it(number)}."
        if ring is None:
            sentence += (
                " A reference was not dropped before kmem_cache_destroy(): look for who sets and"
                " who clears that pointer."
            )
            roots = {each.path[0].place for each in members if each.path}
            old = any(root is not None and root.kind in (PAGE, STACK) for root in roots)
            if old and not first.container:
                sentence += " A page or a stack may also keep words from a former use."
            elif not first.container.startswith("in "):
                # A tree or a chain clears its own slots; an array or an area does not.
                sentence += _LEFT_OVER
            elif any(_has_lent_root(case, each) for each in members):
                sentence += _OLD_ROOT
            sentence += _ADRIFT if first.adrift else ""
            sentence += _by_entry(first, number) + _by_end(case, members)
            sentence += off_a_list(case, members)
        evidence = [pointer(best, first.address)] if best is not None else []
        if ring is not None:
            evidence.append(Evidence("list", ring.text, first.address))
        evidence += way(first)
        findings.append(Finding("", LIKELY, [s.address for s in members], evidence, sentence))
    return findings


def _of_cpus(text: str, members: List[Subject]) -> str:
    """A text that names the memory of a CPU, where that of others has some of the objects."""
    places = {each.root for each in members} | {
        held.place for held in map(best_held, members) if held is not None
    }
    cpus = {
        found.group()
        for place in places
        for found in [_CPU.search(place.text) if place is not None else None]
        if found is not None and place is not None and place.kind == PERCPU
    }
    return _CPU.sub(" of several CPUs", text) if len(cpus) > 1 else text


def _has_lent_root(case: Case, subject: Subject) -> bool:
    """Whether the way to an object goes through memory of others than its kind and tree nodes."""
    places = [step.place for step in subject.path if step.place is not None]
    return any(
        place.kind in (PAGE, VMALLOC)
        or (place.kind == OBJECT and place.label not in NODES and not is_kin(case, place))
        for place in places
    )


def _by_entry(subject: Subject, number: int) -> str:
    """That what leads to an object may be on a list of the object's own: that keeps nobody."""
    offset = subject.path[-1].offset if subject.path else -1
    ring = subject.memberships.get(offset)
    if ring is None or ring.verdict != OPEN or len(ring.members) > 1:
        return ""
    its = "its own" if number == 1 else "their own"
    return (
        f" Or what leads to {it(number)} is an entry of a list of {its}, headed at"
        f" +{offset:#x}: that keeps nobody, and {it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost elsewhere."
    )


def _by_end(case: Case, members: List[Subject]) -> str:
    """That what leads to an object may be the end of the one before it.

    Right behind the pointer to its beginning, which a table in the order of addresses has, too;
    near that, where no third object's address is; or in that one itself.
    """
    if members[0].container.startswith("in "):
        return ""
    size, near = case.cache.object_size, _NEAR * case.word
    held: Dict[int, int] = {h.holder: each.address for each in case.subjects for h in each.held}
    known = {each.address for each in case.subjects}
    found: List[int] = []
    inside: List[int] = []
    for each in members:
        holders = [h.holder for h in each.held if h.worth == IN_USE]
        if len(holders) == 1:
            around = range(holders[0] - near, holders[0] + near + 1, case.word)
            beside = {held[at] for at in around if at in held}
            before = held.get(holders[0] - case.word) == each.address - size
            if before or beside == {each.address, each.address - size}:
                found.append(each.address)
            elif each.address - size in known and each.address - size <= holders[0] < each.address:
                inside.append(each.address)
    where = "beside what leads to the object before" if found else "in the object before"
    found = found or inside
    if not found or len(found) * _SHARE < len(members):
        return ""
    others = " and others" if len(found) > 1 else ""
    which = it(1) if len(members) == 1 else f"{hexa(found[0])}{others}"
    return (
        f" What leads to {which} stands {where}: that may be the end of that one, and keeps nobody"
        " then."
    )


def _ring_of(subject: Subject) -> Optional[Membership]:
    """The list of the object's own by which it is held; none where its container is known."""
    if subject.container.startswith("in the kset"):
        return None
    rings = subject.memberships.values()
    return next((ring for ring in rings if ring.verdict in (WAITED, EITHER)), None)


def _by_ring(case: Case, subject: Subject, ring: Membership, number: int) -> str:
    """How a list of two holds an object: it may be the object's own."""
    its = "its own" if number == 1 else "their own"
    if ring.verdict == WAITED:
        tasks = "a task waits" if number == 1 else "tasks wait"
        return (
            f": {tasks} in {its} wait queue, mutex or semaphore ({ring.head}). The object was not"
            " to be given up before that task has gone on."
        )
    offset = next(at for at, found in subject.memberships.items() if found is ring)
    living = "have that list empty" if usually_empty(case, offset) else "head theirs, too"
    return (
        f": {ring.head} is on a list of {its}, for living objects {living}. What is on it was not"
        " taken off before kmem_cache_destroy(). Or that keeps nobody, and"
        f" {it(number, True)} {'was' if number == 1 else 'were'} lost elsewhere."
    )


def _labels(members: List[Subject]) -> Set[str]:
    return {
        held.place.label
        for subject in members
        for held in subject.held
        if held.place is not None and held.worth == IN_USE
    }


def perhaps_held(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only memory that may be old leads to them."""
    chosen = [s for s in rest if s.level == MAYBE or any(held.worth == PERHAPS for held in s.held)]
    if not chosen:
        return []
    whose, found = first_held(chosen, PERHAPS)
    number = len(chosen)
    where = f": {words_of(found.place)}, {found.why}" if found is not None else ""
    sentence = (
        f"{objects(number, 'is', 'are')} perhaps held: what leads to {it(number)} may be old"
        f"{where}. Whether somebody still knows {it(number)} is unknown." + off_a_list(case, chosen)
    )
    evidence = [pointer(found, whose)] if found is not None else way(chosen[0])
    return [Finding("", LIKELY, [s.address for s in chosen], list(evidence), sentence)]


def until_grace(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only objects that wait for an RCU grace period lead to them."""
    given = [s for s in rest if s.kfree_rcu]
    chosen = [
        s
        for s in rest
        if not s.kfree_rcu and (s.freed_by or any(held.worth == PENDING for held in s.held))
    ]
    return [*_given_to_kfree_rcu(given), *_by_pending(chosen)]


def _given_to_kfree_rcu(given: List[Subject]) -> List[Finding]:
    if not given:
        return []
    number = len(given)
    sentence = (
        f"{objects(number, 'waits', 'wait')} for an RCU grace period: kfree_rcu() has"
        f" {it(number)}, and frees {it(number)} at its end. Before kmem_cache_destroy() that was"
        " not waited for (kvfree_rcu_barrier(), which a destroy itself calls from Linux 6.12 on; in"
        " kernels without it, call_rcu() and rcu_barrier() instead of kfree_rcu()); or"
        f" {it(number, True)} {'was' if number == 1 else 'were'} held then, and given away since."
    )
    evidence = way(given[0]) if len(given[0].path) > 1 else _root_of(given[0])
    return [Finding("", LIKELY, [s.address for s in given], list(evidence), sentence)]


def _root_of(subject: Subject) -> Iterator[Evidence]:
    for step in subject.path[:1]:
        yield Evidence("held", f"noted by kfree_rcu() in {words_of(step.place)}", step.holder)


def _by_pending(chosen: List[Subject]) -> List[Finding]:
    if not chosen:
        return []
    first = chosen[0]
    found = next((h for h in first.held if h.worth == PENDING), None) or best_held(first)
    what = first.freed_by or words_of(found.place if found is not None else None)
    number = len(chosen)
    sentence = (
        f"{objects(number, 'is', 'are')} referred to by an object that is freed but waits for"
        f" its RCU grace period ({what}). Who frees that object should have freed"
        f" {it(number)}, or does so in an RCU callback that nobody waited for; or the pointer is"
        f" that of a child or a neighbour, and {it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost elsewhere."
    )
    evidence = [pointer(found, first.address)] if found is not None else []
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def by_handle(case: Case, rest: List[Subject]) -> List[Finding]:
    """No pointer, but their physical address or their page is in memory in use."""
    chosen = [subject for subject in rest if subject.hidden]
    if not chosen:
        return []
    number = len(chosen)
    # Of a chain the one that the holder has.
    first = min(chosen, key=lambda subject: len(subject.hidden))
    sentence = (
        f"{objects(number, 'is', 'are')} perhaps held without a pointer: of"
        f" {hexa(first.address)} {first.hidden},"
        " memory that is in use. A device, a page table or an I/O request may still have"
        f" {it(number)}; or a number is like it by chance."
    )
    chosen.sort(key=lambda subject: subject is not first)
    evidence = [Evidence("held", s.hidden, s.address) for s in chosen[:EXAMPLES]]
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def _holder_kind(case: Case, subject: Subject) -> str:
    """The same for objects that one thing holds."""
    root = subject.root
    ring = _ring_of(subject)
    best = best_held(subject)
    if ring is not None:
        return ring.verdict
    if _by_page(subject):
        # Each page has its own: what is said of them and who has them is the kind.
        return _PAGE.sub("", subject.container)
    if subject.container.endswith(IN_KERNFS):
        return IN_KERNFS
    if subject.container.startswith(BY_KERNEL_OBJECT):
        return next(kind for kind in BY_KERNEL_OBJECT if subject.container.startswith(kind))
    if root is not None and subject.container:
        # Of nodes and the like each has its own: the words before "at" or ":" are its kind.
        kind = _OFFSET.sub("", subject.container.split(" at ")[0].split(":")[0].split(",")[0])
        if kind.startswith("in the kset"):
            return kind
        return f"{kind if root.kind != PAGE else ''} {root.kind} {root.label}"
    if root is not None and best is not None and is_kin(case, best.place):
        return f"{root.kind} {root.label}"
    if best is None or best.place is None:
        return ""
    place = best.place
    # Of memory without names each address is another label.
    alike = place.kind in (PERCPU, STACK, PAGE, VMALLOC)
    return place.kind if alike else f"{place.kind} {place.label}"


def _by_page(subject: Subject) -> bool:
    """Whether a page structure has it: page->private, mostly."""
    root = subject.root
    return root is not None and root.kind == PAGE_STRUCT and bool(subject.container)


def _by(case: Case, best: Optional[Held], subject: Subject) -> str:
    """Who holds an object, for a sentence: the root of the way to it, and its last pointer.

    Of a long way the last one first: the root may be anybody's whose objects lead to those of
    others, as one entry of /proc leads to all of them. Not so among objects of one kind.
    """
    root = subject.path[0].place if subject.path else None
    if best is not None and best.place is not None:
        last = kinds([best])
        if root is not None and best.place.kind == OBJECT and root.kind != OBJECT:
            top, between = root_text(root), len(subject.path) - 2
            if between > 0 and not is_kin(case, best.place):
                others = "another" if between == 1 else f"{between} others"
                return f"{last}, which {before_verb(top)} reaches by way of {others},"
            return f"{top}, by way of {last},"
        return before_verb(last)
    last_place = subject.path[-1].place if subject.path else None
    if root is not None and last_place is not None and last_place.kind == OBJECT:
        return f"{root_text(root)}, by way of an object of {last_place.label},"
    return before_verb(root_text(root)) if root is not None else "memory in use"
