# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are still there: one small function a cause, in one table.

Who holds an object is asked before what it looks like. A rule takes the objects that no
rule before it has explained, and returns those that it explains, with its evidence and its
sentence, or nothing. It is silent on thin evidence: what no rule explains stays unexplained.

A word in an object is no history: a list head that points to itself was never linked, or
taken off by list_del_init(), or heads a list of the object's own. `certain` needs evidence
that only one history leaves behind.

To add a cause, write its function and put it into RULES: the stronger evidence stands first.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.contents.callbacks import HRTIMER, RCU
from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.kernel.say import count
from crash_ext.places.place import (
    FREED_INIT,
    MODULE,
    OBJECT,
    PAGE,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    VMALLOC,
    Place,
)
from crash_ext.reach.model import (
    DEAD,
    IN_USE,
    LOST,
    MAYBE,
    PENDING,
    PERHAPS,
    REACHED,
    UNREACHED,
)
from crash_ext.slub.model import FREE
from crash_ext.why.case import POISON, Case, Evidence, Held, Subject
from crash_ext.why.lists import HEADED, HEADLESS, LEAKED, Membership

CERTAIN = "certain"
"""Memory allows no other history that we know of."""
LIKELY = "likely"
"""It fits, and nothing contradicts; another history could leave the same."""


class Finding(NamedTuple):
    """Some objects, and why they are still there."""

    cause: str
    """Name of the rule."""
    strength: str
    objects: List[int]
    evidence: List[Evidence]
    sentence: str
    """Of the conclusion; it begins with how many objects."""


class Rule(NamedTuple):
    """A cause."""

    cause: str
    """In a word or three, for tables and records."""
    strengths: Tuple[str, ...]
    """That its findings may have."""
    help: str
    """One line: the evidence."""
    find: Callable[[Case, List[Subject]], List[Finding]]


def conclude(case: Case) -> List[Finding]:
    """What the rules find, in the table's order; each object is in one finding at most."""
    found: List[Finding] = []
    rest = case.subjects
    for rule in RULES:
        for finding in rule.find(case, rest):
            strength = LIKELY if case.live else finding.strength
            found.append(finding._replace(cause=rule.cause, strength=strength))
            explained = set(finding.objects)
            rest = [subject for subject in rest if subject.address not in explained]
    return found


def unexplained(case: Case, findings: List[Finding]) -> List[int]:
    """The examined objects that are in no finding."""
    explained = {address for finding in findings for address in finding.objects}
    return [s.address for s in case.subjects if s.address not in explained]


# --- freed since ---


def freed_late(case: Case, rest: List[Subject]) -> List[Finding]:
    """Free now, but they kept the destroy from succeeding.

    Told by the log's report, which lists them; or by a leftover that holds none any more.
    """
    late = case.freed_late
    if not late and not case.gone and not case.emptied:
        return []
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
    strength = CERTAIN if number else LIKELY
    return [Finding("", strength, late, evidence, sentence)]


# --- held ---


def called_back(case: Case, rest: List[Subject]) -> List[Finding]:
    """A timer, a work item, RCU or a wait queue will call a function of them."""
    groups: Dict[str, List[Tuple[Subject, Held]]] = {}
    for subject in rest:
        for held in subject.held:
            if held.worth == IN_USE and held.callback is not None:
                key = f"{held.callback.kind} {held.callback.function}"
                groups.setdefault(key, []).append((subject, held))
                break
    findings = []
    for members in groups.values():
        subject, held = members[0]
        callback = held.callback
        assert callback is not None
        due = "" if callback.due is None else _due(callback.due)
        what = f"{callback.kind} at +{callback.offset:#x}: {callback.function}{due}"
        number = len(members)
        sentence = (
            f"{_objects(number, 'waits', 'wait')} for {_article(callback.kind)}:"
            f" {callback.function} is still to be called for {_it(number)}. It was not cancelled"
            " or waited for before kmem_cache_destroy()."
        )
        evidence = [
            Evidence("held", what, subject.address + callback.offset),
            *_way(subject),
        ]
        addresses = [each.address for each, _ in members]
        findings.append(Finding("", CERTAIN, addresses, evidence, sentence))
    return findings


def still_listed(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list whose head is in use."""
    return _on_rings(
        rest,
        HEADED,
        CERTAIN if case.searched else LIKELY,
        "still on a list whose head is in use: the list was not emptied before"
        " kmem_cache_destroy().",
    )


def held(case: Case, rest: List[Subject]) -> List[Finding]:
    """Memory in use leads to them."""
    chosen = [subject for subject in rest if subject.level == REACHED]
    groups: Dict[str, List[Subject]] = {}
    for subject in chosen:
        groups.setdefault(_holder_kind(_best(subject)), []).append(subject)
    findings = []
    for members in groups.values():
        first = next((each for each in members if each.path), members[0])
        best = _best(first)
        number = len(members)
        by = _by(best, first)
        if len({each.place.label for s in members for each in s.held if each.place}) > 1:
            by += " or the like"
        sentence = (
            f"{_objects(number, 'is', 'are')} still held: {by} leads to {_it(number)}. A reference"
            " was not dropped before kmem_cache_destroy(): look for who sets and who clears that"
            " pointer."
        )
        roots = {each.path[0].place for each in members if each.path}
        if any(root is not None and root.kind in (PAGE, STACK) for root in roots):
            sentence += " A page or a stack may also keep words from a former use."
        evidence = [_pointer(best, first.address)] if best is not None else []
        evidence += _way(first)
        findings.append(Finding("", LIKELY, [s.address for s in members], evidence, sentence))
    return findings


def perhaps_held(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only memory that may be old leads to them."""
    chosen = [s for s in rest if s.level == MAYBE or any(held.worth == PERHAPS for held in s.held)]
    if not chosen:
        return []
    found = next((h for s in chosen for h in s.held if h.worth == PERHAPS), None)
    number = len(chosen)
    where = f": {_holder(found.place)}, {found.why}" if found is not None else ""
    sentence = (
        f"{_objects(number, 'is', 'are')} perhaps held: what leads to {_it(number)} may be old"
        f"{where}. Whether somebody still knows {_it(number)} cannot be told."
    )
    evidence = [_pointer(found, chosen[0].address)] if found is not None else _way(chosen[0])
    return [Finding("", LIKELY, [s.address for s in chosen], list(evidence), sentence)]


def until_grace(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only objects that wait for an RCU grace period lead to them."""
    chosen = [s for s in rest if any(held.worth == PENDING for held in s.held)]
    if not chosen:
        return []
    found = next(h for h in chosen[0].held if h.worth == PENDING)
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'is', 'are')} referred to by an object that is freed but waits for"
        f" its RCU grace period ({_holder(found.place)}). Who frees that object should have freed"
        f" {_it(number)}, or does so in an RCU callback that nobody waited for."
    )
    evidence = [_pointer(found, chosen[0].address)]
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def by_handle(case: Case, rest: List[Subject]) -> List[Finding]:
    """No pointer, but their physical address or their page is in memory in use."""
    chosen = [subject for subject in rest if subject.hidden]
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'is', 'are')} perhaps held without a pointer: {chosen[0].hidden}, in"
        " memory that is in use. A device, a page table or an I/O request may still have"
        f" {_it(number)}; or a number is like it by chance."
    )
    evidence = [Evidence("held", s.hidden, s.address) for s in chosen[:_EXAMPLES]]
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


# --- lost: nothing in use leads to them ---


def never_written(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing but what the allocator leaves in an object that it hands out."""
    blank = [subject for subject in _lost(rest) if subject.blank is not None]
    poisoned = [subject for subject in blank if subject.blank == POISON]
    if not poisoned and not _zeroes_tell(case):
        return []
    chosen = poisoned or blank
    if not chosen:
        return []
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
    sure = first.blank == POISON and case.red_zones and not _dead_pointers(chosen)
    strength = CERTAIN if sure else LIKELY
    found = [Evidence("contents", f"{_of(chosen, case)}: {evidence}", first.address)]
    found += _no_pointer(chosen, case)
    return [Finding("", strength, [s.address for s in chosen], found, sentence)]


def _zeroes_tell(case: Case) -> bool:
    """Whether all zeroes are odd here: living objects aren't; or there are none to ask."""
    if case.twin_profile.objects >= ENOUGH:
        return case.twin_blank < (1 - USUAL) * case.twin_profile.objects
    return case.cache.ctor == 0


def no_head(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list that nobody can reach any more."""
    headless = [
        s for s in _lost(rest) if any(m.verdict == HEADLESS for m in s.memberships.values())
    ]
    bare = [s for s in headless if not any(m.at for m in s.memberships.values())]
    gone = [s for s in headless if any(m.at for m in s.memberships.values())]
    return [
        *_on_rings(
            gone,
            HEADLESS,
            LIKELY,
            "on a list whose head is gone: the memory that had it was freed, and nothing in use"
            " leads to the list. Who freed the head should have emptied the list first.",
        ),
        *_on_rings(
            bare,
            HEADLESS,
            LIKELY,
            "in a ring of list nodes that has no head beside them: the head was taken out of the"
            " ring or overwritten, or one of them is the head. Nothing in use leads to the ring.",
        ),
    ]


def _on_rings(rest: List[Subject], verdict: str, strength: str, why: str) -> List[Finding]:
    on: Dict[int, Membership] = {}
    for subject in rest:
        for found in subject.memberships.values():
            if found.verdict == verdict:
                on[subject.address] = found
    if not on:
        return []
    each = list(dict.fromkeys(found.text for found in on.values()))
    first = {found.text: address for address, found in reversed(list(on.items()))}
    evidence = [Evidence("list", text, first[text]) for text in each[:_EXAMPLES]]
    sentence = f"{_objects(len(on), 'is', 'are')} {why}"
    return [Finding("", strength, list(on), evidence, sentence)]


def taken_off(case: Case, rest: List[Subject]) -> List[Finding]:
    """Taken off a list, and nothing in use leads to them: list_del() has poisoned the node."""
    chosen = [s for s in _outer(rest) if LIST_DELETED in s.lists.values()]
    if not chosen:
        return []
    offset = next(at for at, kind in chosen[0].lists.items() if kind == LIST_DELETED)
    text = f"+{offset:#x} list_head: poisoned by list_del() in {_of(chosen, case)}"
    evidence = [
        Evidence("list", text, chosen[0].address + offset),
        *_no_pointer(chosen, case),
    ]
    sentence = (
        f"{_objects(len(chosen), 'was', 'were')} taken off a list and not freed: list_del() has"
        f" poisoned the list node at +{offset:#x}, and nothing in use leads to"
        f" {_it(len(chosen))}. Look at who takes them off the list: one of its ways does not"
        " free them."
    )
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def never_linked(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node, and what each living object got at its insertion is missing, too.

    Who takes objects off may clear all of that again: then not a byte is another one.
    """
    findings = []
    for offset, chosen in _unlinked(case, rest).items():
        missing = {s.address: _missing(case, s) for s in chosen}
        without = [s for s in chosen if _tells(case, missing[s.address])]
        if not without:
            continue
        words = sorted(set.intersection(*(missing[s.address] for s in without)))
        named = ", ".join(f"+{at:#x}" for at in words[:_EXAMPLES])
        evidence = [
            Evidence(
                "list",
                f"+{offset:#x} list_head: points to itself in {_of(without, case)}",
                without[0].address + offset,
            ),
            Evidence(
                "twin",
                f"{named}: zero, where none of {case.twin_profile.objects} living objects has zero",
                without[0].address + words[0],
            ),
            *_no_pointer(without, case),
        ]
        number = len(without)
        sentence = (
            f"{_objects(number, 'was', 'were')} never linked, unless who takes objects off clears"
            f" all that the insertion wrote: the list node at +{offset:#x} points to itself, and"
            f" {named} are zero, where living objects are on a list and have values."
            " Look first for an error path between the allocation and the insertion into the"
            " list that does not free the object."
        )
        findings.append(Finding("", LIKELY, [s.address for s in without], evidence, sentence))
    return findings


def off_the_list(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node where living objects are linked: never linked, or taken off again."""
    findings = []
    for offset, chosen in _unlinked(case, rest).items():
        number = len(chosen)
        evidence = [
            Evidence(
                "list",
                f"+{offset:#x} list_head: points to itself in {_of(chosen, case)}",
                chosen[0].address + offset,
            )
        ]
        sentence = f"{_objects(number, 'is', 'are')} on no list: the list node at +{offset:#x} "
        changed = _changed_state(case, chosen)
        if changed is not None:
            at, living, value = changed
            text = f"+{at:#x}: {value} where all living objects have {living}"
            evidence.append(Evidence("twin", text, chosen[0].address + at))
            sentence += (
                f"points to itself, where living objects are on a list, and +{at:#x} is {value}"
                f" where these have {living}. Nothing in use leads to {_it(number)}. This fits an"
                " object that was taken off (list_del_init()) and not freed; it also fits one that"
                " was never linked and has another state."
            )
        else:
            sentence += (
                "points to itself, where living objects are on a list, and nothing in use leads to"
                f" {_it(number)}. The contents fit both an object that was never linked and one"
                " that list_del_init() took off again: look at the ways out before the insertion,"
                " and at who takes objects off."
            )
        evidence += _no_pointer(chosen, case)
        findings.append(Finding("", LIKELY, [s.address for s in chosen], evidence, sentence))
    return findings


def _unlinked(case: Case, rest: List[Subject]) -> Dict[int, List[Subject]]:
    """Offset -> lost objects whose list node there is empty where living ones are linked.

    Not of a list that living objects have empty, too: a mutex's, a wait queue's, their own.
    """
    profile = case.twin_profile
    found: Dict[int, List[Subject]] = {}
    taken: Set[int] = set()
    if profile.objects < ENOUGH:
        return found
    for offset in sorted({offset for s in rest for offset in s.lists}):
        if profile.count_kind(offset, LIST_LINKED) < USUAL * profile.objects:
            continue
        chosen = [
            s for s in _outer(rest) if s.lists.get(offset) == LIST_EMPTY and s.address not in taken
        ]
        if chosen:
            found[offset] = chosen
            taken.update(s.address for s in chosen)
    return found


def _missing(case: Case, subject: Subject) -> Set[int]:
    """Words that are zero in the object and in no living one."""
    nodes = {at + shift for at in subject.lists for shift in (0, 4, 8)}
    return {at for at in case.twin_traces if at not in nodes and subject.values.get(at) == 0}


def _tells(case: Case, missing: Set[int]) -> bool:
    """Whether words are missing that an insertion writes, and that removals leave alone.

    A pointer and a state are often cleared by who takes an object off; a number that is
    another one in each object (a time, a serial number) is not.
    """
    unlike = [
        at
        for at in missing
        if case.twin_traces[at].constant is None and not case.twin_traces[at].pointer
    ]
    return bool(unlike) and len(missing) > 1 and case.twin_profile.objects >= _MANY


def _changed_state(case: Case, chosen: List[Subject]) -> Optional[Tuple[int, int, int]]:
    """(offset, value in living objects, in these) of a small number that is another one here."""
    for at, trace in sorted(case.twin_traces.items()):
        if trace.constant is None or trace.pointer or trace.constant > _SMALL:
            continue
        values = {subject.values.get(at, 0) for subject in chosen}
        if len(values) == 1:
            (value,) = values
            if 0 < value <= _SMALL and value != trace.constant:
                return at, trace.constant, value
    return None


def held_by_freed(case: Case, rest: List[Subject]) -> List[Finding]:
    """The only pointers to them lie in objects that were freed."""
    holders: Dict[int, Held] = {}
    for subject in _outer(rest):
        freed = [h for h in subject.held if h.worth == DEAD and _in_free_object(h.place)]
        if freed and len(freed) == len([h for h in subject.held if h.worth != LOST]):
            holders[subject.address] = freed[0]
    if not holders or _older_than_slab(list(holders.values())):
        return []
    evidence = [_pointer(held, address) for address, held in list(holders.items())[:_EXAMPLES]]
    number = len(holders)
    sentence = (
        f"{_objects(number, 'is', 'are')} referred to by freed memory only:"
        f" {_kinds(holders.values())} has the last pointer. Perhaps what owned"
        f" {_it(number)} was freed without freeing {_it(number)}."
    )
    return [Finding("", LIKELY, list(holders), evidence, sentence)]


def _in_free_object(place: Optional[Place]) -> bool:
    return place is not None and place.kind == OBJECT and place.state == FREE


def _older_than_slab(holders: List[Held]) -> bool:
    """Whether the pointers are from the pages' former life: an array that was there before.

    Pointers that owners had stand at one place of each; those of an array at any.
    """
    places = [held.place for held in holders if held.place is not None]
    offsets = {place.offset for place in places}
    return len(places) > 1 and len(offsets) > max(1, len(places) // 2)


def lost_with_others(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only objects that nothing leads to lead to them: lost with those."""
    findings = []
    groups: Dict[bool, List[Subject]] = {}
    for subject in _lost(rest):
        if subject.inner:
            groups.setdefault(subject.ring, []).append(subject)
    for ring, chosen in sorted(groups.items()):
        held = next((h for s in chosen for h in s.held if h.worth == LOST), None)
        evidence = [_pointer(held, chosen[0].address)] if held is not None else []
        for subject in chosen:
            on = next((m for m in subject.memberships.values() if m.verdict == LEAKED), None)
            if not evidence and on is not None:
                evidence.append(Evidence("list", on.text, subject.address))
        number = len(chosen)
        first = next((s.leader for s in chosen if s.leader), 0)
        sentence = f"{_objects(number, 'is', 'are')} lost with others: "
        if ring:
            sentence += (
                f"{_it(number, True)} and other lost objects lead to each other, and nothing in"
                " use leads to any of them. Memory does not show which was lost first."
            )
        else:
            sentence += f"only lost objects lead to {_it(number)}."
            if first:
                sentence += f" Look at {first:x} for the reason: nothing points to that one."
        findings.append(Finding("", LIKELY, [s.address for s in chosen], evidence, sentence))
    return findings


def lost(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing in use leads to them, and their contents do not show why."""
    chosen = _outer(rest)
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'is', 'are')} lost: nothing in use leads to {_it(number)}, so nobody"
        f" can free {_it(number)} any more, unless {_it(number, True)}"
        f" {'is' if number == 1 else 'are'} kept by a handle that is no pointer (an index, a frame"
        f" number). The contents do not show where {_it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost."
    )
    evidence = list(_no_pointer(chosen, case))
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


RULES: Tuple[Rule, ...] = (
    Rule(
        "freed late",
        (CERTAIN, LIKELY),
        "the log lists them and they are free, or none is left",
        freed_late,
    ),
    Rule("called back", (CERTAIN,), "a timer, work, RCU or a wait queue has them", called_back),
    Rule("still listed", (CERTAIN, LIKELY), "on a list whose head is in use", still_listed),
    Rule("held", (LIKELY,), "memory in use leads to them", held),
    Rule("perhaps held", (LIKELY,), "memory that may be old leads to them", perhaps_held),
    Rule("until grace", (LIKELY,), "what waits for an RCU grace period has them", until_grace),
    Rule(
        "held by handle", (LIKELY,), "memory in use has their physical address or page", by_handle
    ),
    Rule(
        "never written",
        (CERTAIN, LIKELY),
        "nothing but poison, or zeroes where others have more",
        never_written,
    ),
    Rule("no head", (LIKELY,), "on a list without a head, or whose head is gone", no_head),
    Rule("taken off", (LIKELY,), "list_del() has poisoned their node", taken_off),
    Rule(
        "never linked",
        (LIKELY,),
        "on no list, and what an insertion writes is missing",
        never_linked,
    ),
    Rule("off the list", (LIKELY,), "on no list, where living objects are on one", off_the_list),
    Rule("held by freed", (LIKELY,), "freed objects have the only pointers", held_by_freed),
    Rule("lost with others", (LIKELY,), "lost objects have the only pointers", lost_with_others),
    Rule("lost", (LIKELY,), "nothing in use leads to them", lost),
)
"""In order: who holds them, then what they look like."""

_EXAMPLES = 3
_MANY = 8
"""Living objects at least, for a word that none of them lacks to mean much."""
_SMALL = 255
"""A state is a small number."""


def _lost(subjects: Iterable[Subject]) -> List[Subject]:
    """Those that nothing in use leads to, so far as memory was searched."""
    return [subject for subject in subjects if subject.level == UNREACHED]


def _outer(subjects: Iterable[Subject]) -> List[Subject]:
    """Of the lost ones those to which no other lost object leads."""
    return [subject for subject in _lost(subjects) if not subject.inner]


def _dead_pointers(subjects: Iterable[Subject]) -> bool:
    """Whether memory that isn't in use points to one: somebody may have had it."""
    return any(held.worth != LOST for subject in subjects for held in subject.held)


_RANKS = (SYMBOL, MODULE, PERCPU, STACK)


def _best(subject: Subject) -> Optional[Held]:
    """The pointer in use that tells most: in a variable, before one in an object."""
    in_use = [held for held in subject.held if held.worth == IN_USE]
    return min(in_use, key=_rank, default=None)


def _rank(held: Held) -> int:
    place = held.place
    if place is None:
        return len(_RANKS) + 1
    return _RANKS.index(place.kind) if place.kind in _RANKS else len(_RANKS)


def _holder_kind(held: Optional[Held]) -> str:
    if held is None or held.place is None:
        return ""
    place = held.place
    # Of memory without names each address is another label.
    alike = place.kind in (PERCPU, STACK, PAGE, VMALLOC)
    return place.kind if alike else f"{place.kind} {place.label}"


def _by(best: Optional[Held], subject: Subject) -> str:
    """Who holds an object, for a sentence: the root of the way to it, and its last pointer."""
    root = subject.path[0].place if subject.path else None
    if best is not None and best.place is not None:
        last = _kinds([best])
        if root is not None and best.place.kind == OBJECT and root.kind != OBJECT:
            return f"{_root(root)}, by way of {last},"
        return last
    return _root(root) if root is not None else "memory in use"


def _root(place: Place) -> str:
    return place.label if place.kind in (SYMBOL, MODULE) and place.label else place.text


def _way(subject: Subject) -> Iterator[Evidence]:
    """The path from memory in use, where it has more than one step."""
    if len(subject.path) < 2:
        return
    steps = [step.place.text if step.place is not None else "?" for step in subject.path]
    shown = steps if len(steps) <= _STEPS else [*steps[:2], "..", *steps[-2:]]
    last = subject.path[-1]
    text = f"{' -> '.join(shown)} -> +{last.offset:#x}"
    yield Evidence("path", text, subject.path[0].holder)


_STEPS = 5


def _due(ticks: int) -> str:
    return f", due in {ticks} ticks" if ticks >= 0 else f", {-ticks} ticks overdue"


def _article(kind: str) -> str:
    return f"{'an' if kind in (HRTIMER, RCU) else 'a'} {kind}"


def _no_pointer(chosen: List[Subject], case: Case) -> Iterator[Evidence]:
    """That nothing in use leads to them; and what else points to them."""
    text = f"nothing in use leads to {_of(chosen, case)}; {case.searched} searched"
    if case.incomplete:
        text += f", {case.incomplete}"
    yield Evidence("reference", text, chosen[0].address)
    stale = [held for subject in chosen for held in subject.held if held.worth == DEAD]
    if stale:
        text = f"{count(len(stale), 'old pointer')}, the first in {_holder(stale[0].place)}"
        yield Evidence("reference", f"{text} ({stale[0].why})", stale[0].holder)


def _pointer(held: Held, address: int) -> Evidence:
    offset = held.value - address
    inside = f" (+{offset:#x} of it)" if offset else ""
    text = f"pointer to {address:x}{inside} in {_holder(held.place)}"
    if held.worth in (DEAD, PERHAPS) and held.why:
        text += f" ({held.why})"
    return Evidence("reference", text, held.holder)


def _holder(place: Optional[Place]) -> str:
    return place.text if place is not None else "memory that can't be named"


def _kinds(held: Iterable[Held]) -> str:
    """Who points, without repeating what holds many of them."""
    labels: Dict[str, None] = {}
    for each in held:
        if each.place is None:
            labels["memory that can't be named"] = None
        elif each.place.kind == OBJECT:
            state = "a freed object" if _in_free_object(each.place) else "an object"
            labels[f"{state} of {each.place.label}"] = None
        elif each.place.kind == UNLOADED:
            labels["the memory of an unloaded module"] = None
        elif each.place.kind == FREED_INIT:
            labels["a module's init memory, which is freed"] = None
        elif each.place.kind in (PERCPU, STACK):
            labels[each.place.text] = None
        else:
            labels[each.place.label or each.place.text] = None
    names = list(labels)
    more = f" and {len(names) - _EXAMPLES} others" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more


def _objects(number: int, one: str, many: str) -> str:
    return f"{count(number, 'object')} {one if number == 1 else many}"


def _of(chosen: List[Subject], case: Case) -> str:
    return f"{len(chosen)} of {count(len(case.subjects), 'object')}"


def _it(number: int, subject: bool = False) -> str:
    if number == 1:
        return "it"
    return "they" if subject else "them"
