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

import re
from typing import (
    Callable,
    Counter,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
)

from crash_ext.contents.callbacks import (
    HRTIMER,
    KTHREAD_WORK,
    UNLOADED_CODE,
    WAIT,
    WORK,
    Callback,
)
from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.queues import DISABLED_TASKLET
from crash_ext.contents.words import HLIST_LINKED, LIST_DELETED, LIST_EMPTY, LIST_LINKED, RB_LINKED
from crash_ext.hexa import hexa
from crash_ext.kernel.say import count
from crash_ext.places.place import (
    FREED_INIT,
    MODULE,
    OBJECT,
    PAGE,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    VMALLOC,
    Place,
    words_of,
)
from crash_ext.reach.model import DEAD, IN_USE, LOST, MAYBE, PENDING, PERHAPS, REACHED, UNREACHED
from crash_ext.slub.model import FREE
from crash_ext.why.case import (
    ANOTHER,
    OWN,
    POISON,
    UNTOLD,
    ZEROES,
    Case,
    Evidence,
    Held,
    Subject,
    best_held,
)
from crash_ext.why.containers import IN_KERNFS, IN_KLIST, NODES
from crash_ext.why.lists import EITHER, HEADED, HEADLESS, LEAKED, OPEN, WAITED, Membership

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
    gone: int = 0
    """Objects beside these: of slabs that were freed, so that no object is there now."""

    @property
    def number(self) -> int:
        """All of its objects."""
        return len(self.objects) + self.gone


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
        " was not waited for before kmem_cache_destroy(); or who destroys the cache frees them"
        " only after that."
    )
    if case.emptied and number:
        sentence += " So were others, if it has more slabs than those: a destroy frees empty ones."
    if late and case.late_by_places:
        sentence += (
            " Which objects those are shows by where objects lie in their slabs, not by addresses."
        )
    strength = CERTAIN if number and not case.late_by_places else LIKELY
    return [Finding("", strength, late, evidence, sentence, case.gone)]


# --- held ---


def called_back(case: Case, rest: List[Subject]) -> List[Finding]:
    """A timer, a work item, RCU or a wait queue will call a function of them."""
    groups: Dict[Tuple[str, bool], List[Tuple[Subject, Held]]] = {}
    for subject in rest:
        for held in subject.held:
            if held.worth == IN_USE and held.callback is not None:
                callback = held.callback
                key = f"{callback.kind} {callback.function} {callback.sure} {callback.running}"
                lent = _in_lent_queue(subject, held.callback)
                groups.setdefault((key, lent), []).append((subject, held))
                break
    return [
        _running(members) if _callback_of(members).running else _waiting(members, lent)
        for (_, lent), members in groups.items()
    ]


def _callback_of(members: List[Tuple[Subject, Held]]) -> Callback:
    callback = members[0][1].callback
    assert callback is not None
    return callback


def _waiting(members: List[Tuple[Subject, Held]], lent: bool) -> Finding:
    subject, callback = members[0][0], _callback_of(members)
    queue = f", in workqueue {callback.queue}" if callback.queue else ""
    queue += f", by {callback.by}" if callback.by else ""
    what = f"{callback.kind} at +{callback.offset:#x}: {callback.function}"
    what += f"{_due(callback)}{queue}"
    number = len(members)
    verb = "is on" if number == 1 else "are on"
    waits = f"{verb} a wait queue" if callback.kind == WAIT else ""
    waits = waits or f"{'waits' if number == 1 else 'wait'} for {_article(callback.kind)}"
    sentence = (
        f"{count(number, 'object')} {waits}:"
        f" {callback.function} is still to be called for {_it(number)}{queue}. It was not"
        " cancelled or waited for before kmem_cache_destroy(), or was set up after that."
    )
    if callback.function.endswith(UNLOADED_CODE):
        sentence += " The module that had that function is gone: the call will crash."
    if callback.kind == DISABLED_TASKLET:
        sentence += " That waits for tasklet_enable()."
    if not callback.sure:
        what = f"perhaps a {what}"
        sentence += (
            f" Or that is no {callback.kind} but looks like one: a node of another list that"
            f" {'it is' if number == 1 else 'they are'} on, with a function beside it. Then"
            f" look for who should have taken {_it(number)} off."
        )
    elif lent:
        sentence += (
            " If the head of that queue is left over from who had its memory before, nothing"
            " is called any more: then look for who freed it with entries on it."
        )
    evidence = [Evidence("held", what, subject.address + callback.offset)]
    if callback.kind in (WAIT, KTHREAD_WORK) or not callback.sure:
        rings = subject.memberships.items()
        evidence += [
            Evidence("list", ring.text, subject.address)
            for at, ring in rings
            if callback.offset <= at < callback.offset + _ENTRY and ring.at
        ]
        evidence += _way(subject)
    sure = callback.sure and not lent and callback.kind != DISABLED_TASKLET
    sure = sure and bool(callback.kind != KTHREAD_WORK or callback.by)
    strength = CERTAIN if sure else LIKELY
    return Finding("", strength, [each.address for each, _ in members], evidence, sentence)


def _running(members: List[Tuple[Subject, Held]]) -> Finding:
    """The function may have given the object up, and the memory be another object by now."""
    held, callback = members[0][1], _callback_of(members)
    number = len(members)
    by = f" by {callback.by}" if callback.by else ""
    sentence = (
        f"{_objects(number, 'is', 'are')} in use by the function of {_article(callback.kind)} of"
        f" {'its own' if number == 1 else 'their own'}: {callback.function} is being called for"
        f" {_it(number)}{by}, and was not waited for before kmem_cache_destroy(). Or it has given"
        f" {_it(number)} up already, and {_it(number, True)} {'was' if number == 1 else 'were'}"
        " allocated again: then look at who allocated last."
    )
    what = f"{callback.kind} at +{callback.offset:#x}: {callback.function} runs{by}"
    evidence = [Evidence("held", what, held.holder)]
    return Finding("", LIKELY, [each.address for each, _ in members], evidence, sentence)


def _in_lent_queue(subject: Subject, callback: Callback) -> bool:
    """Whether a wait queue or a kthread_worker has its head in memory that others had before.

    The lists of workqueues are where the kernel itself leads to: those have their names. A
    kthread_worker that its own thread has is in use.
    """
    if callback.kind not in (WAIT, WORK, KTHREAD_WORK) or callback.queue or callback.by:
        return False
    end = callback.offset + _ENTRY
    rings = subject.memberships.items()
    return any(ring.lent for at, ring in rings if callback.offset <= at < end)


def still_listed(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list whose head is in use.

    With one object of its kind on it a list doesn't tell which list_head is the head, and a
    single hlist_node is thin: living objects do, that are linked there; but each may have a list
    of its own there, with variables on it, unless the variable is a list_head and nothing more.
    In memory that others had before, what looks like the head may be one of theirs, or another
    kind of entry.
    """
    groups: Dict[Tuple[bool, str], List[Tuple[Subject, Membership]]] = {}
    for subject in rest:
        for offset, found in subject.memberships.items():
            usual = _usually_linked(case, offset)
            if subject.container.startswith("in the kset"):
                continue
            klist = subject.container.startswith(IN_KLIST)
            if found.verdict == HEADED or (found.verdict == EITHER and not _own(case, offset)):
                lone = subject.lists.get(offset) == HLIST_LINKED and found.nodes == 1
                # A next one, which leads back, is as good as one before it.
                lone = lone and not subject.values.get(offset)
                lone = (lone or found.verdict == EITHER) and not klist
                tells = usual and (found.verdict != EITHER or found.bare)
                sure = case.searched is not None and (tells or not lone) and not found.lent
                # Of memory that somebody has each page is another name; each CPU's own list is
                # one of the variable's.
                name = subject.keeper or _CPU.sub("", found.head)
                groups.setdefault((sure, name), []).append((subject, found))
                break
    findings = []
    for (sure, _), members in groups.items():
        number = len(members)
        heads = dict.fromkeys(found.at for _, found in members)
        shown = members[0][1]
        kind = "klist" if members[0][0].container.startswith(IN_KLIST) else "list"
        lists = f"a {kind} whose head is" if len(heads) == 1 else f"{len(heads)} {kind}s with heads"
        whose = shown.head if len(heads) == 1 else _CPU.sub("", shown.head)
        ways = {_led_to(subject, ring) for subject, ring in members if subject.path}
        led = ways.pop() if len(ways) == 1 else ""
        if led:
            whose += f", to which {led} leads,"
        elif members[0][0].keeper:
            if len({found.head for _, found in members}) > 1:
                whose = f"memory of {members[0][0].keeper}"
            else:
                whose += f", memory of {members[0][0].keeper},"
        sentence = (
            f"{_objects(number, 'is', 'are')} still on {lists} in use: {whose} has"
            f" {'it' if len(heads) == 1 else 'them'}. The list was not emptied for good before"
            " kmem_cache_destroy()."
        )
        if shown.verdict == EITHER and not sure:
            sentence += (
                " No other object of this kind is on it, so what seems the head may also be an"
                " entry of a list of the object's own: then look for who should have taken it off."
            )
        elif shown.lent:
            whose = "that" if len(heads) == 1 else "one of those"
            sentence += (
                f" If {whose} is another kind of entry, or left over from who had that memory"
                " before, the list's head is gone."
            )
        each = {found.text: subject.address for subject, found in reversed(members)}
        texts = list(dict.fromkeys(found.text for _, found in members))
        evidence = [Evidence("list", text, each[text]) for text in texts[:_EXAMPLES]]
        if led or (shown.at and members[0][0].container):
            evidence += _way(members[0][0])
        addresses = [subject.address for subject, _ in members]
        strength = CERTAIN if sure else LIKELY
        findings.append(Finding("", strength, addresses, evidence, sentence))
    return findings


def _led_to(subject: Subject, ring: Membership) -> str:
    """What leads to the object that has a list's head, where the way to the list shows it."""
    first = subject.path[0].place if subject.path else None
    if first is None or not any(0 <= step.holder - ring.at <= _PREV for step in subject.path[1:]):
        return ""
    return _root(first).rstrip(",")


def _own(case: Case, offset: int) -> bool:
    """Whether a list_head is one of the object's own: living objects show that.

    They have it empty, or it heads the list that it is on.
    """
    if case.twin_profile.objects < ENOUGH or case.mixed:
        return False
    return _usually_empty(case, offset) or _heads(case, offset) == OWN


def _heads(case: Case, offset: int) -> str:
    """What a list_head of living objects is: OWN, ANOTHER, or UNTOLD; of some it shows."""
    heads = case.twin_heads.get(offset, Counter())
    if heads[ANOTHER]:
        return ANOTHER
    return OWN if heads[OWN] else UNTOLD if heads[UNTOLD] else ANOTHER


def _usually_linked(case: Case, offset: int) -> bool:
    """Whether living objects are on a list by the list_head or hlist_node at an offset."""
    profile = case.twin_profile
    linked = profile.count_kind(offset, LIST_LINKED) + profile.count_kind(offset, HLIST_LINKED)
    enough = profile.objects >= ENOUGH and not case.mixed
    return enough and linked >= USUAL * profile.objects


def _comparable(case: Case, chosen: List[Subject]) -> bool:
    """Whether living objects are of the same type as these, as far as that shows.

    Where a cache has several types, a list node that stands where theirs is does.
    """
    profile = case.twin_profile
    if profile.objects < ENOUGH:
        return False
    if not case.mixed:
        return True
    nodes = {
        at
        for at in profile.offsets()
        if sum(profile.count_kind(at, kind) for kind in _NODE_KINDS) >= USUAL * profile.objects
    }
    return all(nodes.intersection(subject.lists) for subject in chosen)


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
        sentence = f"{_objects(number, 'is', 'are')} still held"
        if ring is not None:
            sentence += _by_ring(case, first, ring, number)
        elif first.container:
            each_its_own = _by_page(first) or first.container.endswith(IN_KERNFS)
            others = len({each.container for each in members}) > 1 and each_its_own
            sentence += f" {first.container}{', and the others likewise' if others else ''}."
        else:
            by = _by(case, best, first)
            like = number > 1 and len(_labels(members)) > 1 and not by.endswith(",")
            sentence += f": {by}{' or the like' if like else ''} leads to {_it(number)}."
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
            sentence += _by_entry(first, number)
        evidence = [_pointer(best, first.address)] if best is not None else []
        if ring is not None:
            evidence.append(Evidence("list", ring.text, first.address))
        evidence += _way(first)
        findings.append(Finding("", LIKELY, [s.address for s in members], evidence, sentence))
    return findings


_LEFT_OVER = (
    " Or it is left over: nobody cleared a slot after use, or the words of the last owner of"
    " that memory."
)
"""A consumed slot of a ring, one behind an array's count, memory that wasn't cleared: all
of them look like a pointer that is used."""


_ADRIFT = (
    " Nobody was found with the address at which that memory begins: its owner has another one,"
    " or it was lost itself, with what is in it."
)
"""Of a vmalloc area or of pages that somebody may have forgotten."""


_OLD_ROOT = (
    " Or its root is left over: somebody freed that memory with objects in it, and who has it now"
    " has not written there."
)


def _has_lent_root(case: Case, subject: Subject) -> bool:
    """Whether the way to an object goes through memory of others than its kind and tree nodes."""
    places = [step.place for step in subject.path if step.place is not None]
    return any(
        place.kind in (PAGE, VMALLOC)
        or (place.kind == OBJECT and place.label not in NODES and not _is_kin(case, place))
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
        f" Or what leads to {_it(number)} is an entry of a list of {its}, headed at"
        f" +{offset:#x}: that keeps nobody, and {_it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost elsewhere."
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
    living = "have that list empty" if _usually_empty(case, offset) else "head theirs, too"
    return (
        f": {ring.head} is on a list of {its}, for living objects {living}. What is on it was not"
        " taken off before kmem_cache_destroy(). Or that keeps nobody, and"
        f" {_it(number, True)} {'was' if number == 1 else 'were'} lost elsewhere."
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
    whose, found = _first_held(chosen, PERHAPS)
    number = len(chosen)
    where = f": {words_of(found.place)}, {found.why}" if found is not None else ""
    sentence = (
        f"{_objects(number, 'is', 'are')} perhaps held: what leads to {_it(number)} may be old"
        f"{where}. Whether somebody still knows {_it(number)} is unknown."
    )
    evidence = [_pointer(found, whose)] if found is not None else _way(chosen[0])
    return [Finding("", LIKELY, [s.address for s in chosen], list(evidence), sentence)]


def _first_held(subjects: Iterable[Subject], worth: str) -> Tuple[int, Optional[Held]]:
    """(address of the object, the first pointer to it of that worth)"""
    for subject in subjects:
        for held in subject.held:
            if held.worth == worth:
                return subject.address, held
    return 0, None


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
        f"{_objects(number, 'waits', 'wait')} for an RCU grace period: kfree_rcu() has"
        f" {_it(number)}, and frees {_it(number)} at its end. Before kmem_cache_destroy() that was"
        " not waited for (kvfree_rcu_barrier(), which a destroy itself calls from Linux 6.12 on; in"
        " kernels without it, call_rcu() and rcu_barrier() instead of kfree_rcu()); or"
        f" {_it(number, True)} {'was' if number == 1 else 'were'} held then, and given away since."
    )
    evidence = _way(given[0]) if len(given[0].path) > 1 else _root_of(given[0])
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
        f"{_objects(number, 'is', 'are')} referred to by an object that is freed but waits for"
        f" its RCU grace period ({what}). Who frees that object should have freed"
        f" {_it(number)}, or does so in an RCU callback that nobody waited for; or the pointer is"
        f" that of a child or a neighbour, and {_it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost elsewhere."
    )
    evidence = [_pointer(found, first.address)] if found is not None else []
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def by_handle(case: Case, rest: List[Subject]) -> List[Finding]:
    """No pointer, but their physical address or their page is in memory in use."""
    chosen = [subject for subject in rest if subject.hidden]
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'is', 'are')} perhaps held without a pointer: of"
        f" {hexa(chosen[0].address)} {chosen[0].hidden},"
        " memory that is in use. A device, a page table or an I/O request may still have"
        f" {_it(number)}; or a number is like it by chance."
    )
    evidence = [Evidence("held", s.hidden, s.address) for s in chosen[:_EXAMPLES]]
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


# --- lost: nothing in use leads to them ---


def never_written(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing but the poison that the allocator leaves in an object that it hands out.

    A buffer that a device was given, by an address of its own, and has not filled yet looks so,
    too; and without red zones a free object that a damaged freelist has lost.
    """
    chosen = [subject for subject in _lost(rest) if subject.blank == POISON]
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'was', 'were')} never written: {_it(number, True)}"
        f" {'holds' if number == 1 else 'hold'} nothing but the poison of a free object, and"
        f" nothing in use leads to {_it(number)}. Look for a way out between the allocation and"
        f" the first write; or for a device that was given {_it(number)} to fill"
        f" {_it(number)}."
    )
    if not case.red_zones:
        sentence += (
            f" Without red zones {_it(number, True)} may also be free, cut off from a freelist."
        )
    text = f"{_of(chosen, case)}: all poison (0x6b), as the allocator left it"
    found = [Evidence("contents", text, chosen[0].address), *_no_pointer(chosen, case)]
    return [Finding("", LIKELY, [s.address for s in chosen], found, sentence)]


def all_zeroes(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing but zeroes: as an allocation that clears leaves them, or wiped since."""
    chosen = [subject for subject in _lost(rest) if subject.blank == ZEROES]
    if not chosen or not _zeroes_tell(case):
        return []
    number = len(chosen)
    sentence = (
        f"{_objects(number, 'holds', 'hold')} nothing but zeroes: never written since an"
        " allocation that clears (__GFP_ZERO, init_on_alloc) or of memory that was zero, or"
        f" cleared after use. Nothing in use leads to {_it(number)}. Look for a way out between"
        " the allocation and the first write to the object; and at who clears objects before"
        " giving them up."
    )
    text = f"{_of(chosen, case)}: all zeroes"
    found = [Evidence("contents", text, chosen[0].address), *_no_pointer(chosen, case)]
    return [Finding("", LIKELY, [s.address for s in chosen], found, sentence)]


def _zeroes_tell(case: Case) -> bool:
    """Whether all zeroes are odd here: living objects aren't; or there are none to ask."""
    if case.twin_profile.objects >= ENOUGH:
        return case.twin_blank < (1 - USUAL) * case.twin_profile.objects
    return case.cache.ctor == 0


def no_head(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list that nobody can reach any more."""
    on: Dict[int, List[Membership]] = {}
    for s in _lost(rest):
        for offset, ring in s.memberships.items():
            # What was alone on a list of the object's own was freed: that loses no object.
            own = ring.nodes == 1 and s.lists.get(offset) != HLIST_LINKED and _own(case, offset)
            if ring.verdict == HEADLESS and not own:
                on.setdefault(s.address, []).append(ring)
    headless = [s for s in rest if s.address in on]
    bare = [s for s in headless if not any(m.at for m in on[s.address])]
    gone = [s for s in headless if any(m.at for m in on[s.address])]
    stands = [s for s in gone if any(m.stands for m in on[s.address])]
    left = {subject.address for subject in stands}
    gone = [s for s in gone if s.address not in left]
    return [
        *_on_rings(
            case,
            gone,
            on,
            "on a list whose head is gone: the memory that had it was freed or overwritten, or"
            " its module was unloaded, and nothing in use leads to the list. Who gave up the"
            " head should have emptied the list first.",
        ),
        *_on_rings(
            case,
            stands,
            on,
            "on a list whose head doesn't lead back any more: it was overwritten"
            " (INIT_LIST_HEAD(), a new table, another owner of that memory) or its module was"
            " unloaded; or who took them off left their pointers as they were (list_replace(),"
            " __list_del(), __hlist_del()), or they are copies of others that were on it. Nothing"
            " in use leads to the list. Look at who writes the head, and at who takes objects off.",
        ),
        *_on_rings(
            case,
            bare,
            on,
            "in a ring of list nodes that has no head beside them: the head was taken out of the"
            " ring or overwritten, or one of them is the head; or the ring never has one, and they"
            " were lost elsewhere. Nothing in use leads to the ring.",
        ),
    ]


def _on_rings(
    case: Case, chosen: List[Subject], on: Dict[int, List[Membership]], why: str
) -> List[Finding]:
    if not chosen:
        return []
    number = len(chosen)
    shown = {s.address: on[s.address][-1] for s in chosen}
    each = list(dict.fromkeys(found.text for found in shown.values()))
    first = {found.text: address for address, found in reversed(list(shown.items()))}
    evidence = [Evidence("list", text, first[text]) for text in each[:_EXAMPLES]]
    sentence = f"{_objects(number, 'is', 'are')} {why}"
    if all(found.nodes == 1 and found.at for found in shown.values()):
        sentence += (
            " Or the list is the object's own, and what was alone on it was freed without being"
            " taken off: then the object was lost elsewhere."
        )
    off = {at for s in chosen for at in _poisoned(case, s)} or set(_unlinked(case, chosen))
    if off:
        sentence += (
            f" At +{min(off):#x} {'it is' if number == 1 else 'some are'} on no list, any more or"
            " ever: that may be the reason instead."
        )
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def taken_off(case: Case, rest: List[Subject]) -> List[Finding]:
    """Taken off a list, and nothing in use leads to them: list_del() has poisoned the node.

    list_del_rcu() leaves the pointer to the next one: that leads from one such object to
    another, and says nothing of how the other was lost. Nor does poison in a node that living
    objects have poisoned, too: all of them are taken off that list.
    """
    outer = {subject.address for subject in _outer(rest)}
    groups: Dict[int, List[Subject]] = {}
    for s in _lost(rest):
        poisoned = _poisoned(case, s)
        own = s.address in outer or not any(held.worth == LOST for held in s.held)
        if poisoned and (own or s.by_done):
            groups.setdefault(poisoned[0], []).append(s)
    explained = {subject.address for chosen in groups.values() for subject in chosen}
    again = _taken_off_again(case, [s for s in rest if s.address not in explained])
    return [*(_deleted(case, offset, chosen) for offset, chosen in groups.items()), *again]


def _poisoned(case: Case, subject: Subject) -> List[int]:
    """Offsets of the nodes that list_del() has poisoned, but not in living objects as well."""
    profile = case.twin_profile
    enough = profile.objects >= ENOUGH and not case.mixed
    usual = USUAL * profile.objects if enough else profile.objects + 1
    return [
        at
        for at, kind in subject.lists.items()
        if kind == LIST_DELETED and profile.count_kind(at, LIST_DELETED) < usual
    ]


def _deleted(case: Case, offset: int, chosen: List[Subject]) -> Finding:
    text = f"+{offset:#x} list node: poisoned by list_del() in {_of(chosen, case)}"
    evidence = [Evidence("list", text, chosen[0].address + offset)]
    number = len(chosen)
    changed = _changed_numbers(case, chosen)
    evidence += _numbers_evidence(case, chosen, changed)
    evidence += _no_pointer(chosen, case)
    sentence = (
        f"{_objects(number, 'was', 'were')} taken off a list and not freed: list_del(),"
        f" hlist_del() or an _rcu form has poisoned the list node at +{offset:#x}, and nothing in"
        f" use leads to {_it(number)}.{_numbers(case, changed)} Look at who takes them off the"
        " list: one of its ways does not free them."
    )
    others = _unlinked(case, chosen)
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
    sentence += (
        " Or the poison is the last owner's of that memory, or was copied from another object, and"
        f" {'this one' if number == 1 else 'these'} never wrote there: then look for a way out"
        " between the allocation and the first write to the node."
    )
    return Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)


def _taken_off_again(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node, but all that an insertion writes, and more that only comes after it.

    That the words are written at the insertion, and not before, show objects of the same
    leftover that lack them; else a number has to be larger than all living objects have it.
    """
    findings = []
    for offset, unlinked in _unlinked(case, rest).items():
        whole = [s for s in unlinked if _has_every_trace(case, [s]) and not _missing(case, s)]
        lack = [s for s in case.subjects if s.lists.get(offset) == LIST_EMPTY]
        lack = [s for s in lack if _tells(case, _missing(case, s))]
        chosen = [s for s in whole if lack or _any_larger(_changed_numbers(case, [s]))]
        if not chosen:
            continue
        number = len(chosen)
        changed = _changed_numbers(case, chosen)
        sentence = (
            f"{_objects(number, 'was', 'were')} taken off a list and not freed: the list node at"
            f" +{offset:#x} points to itself, as list_del_init() leaves it, and"
            f" {_it(number, True)} {'has' if number == 1 else 'have'} what living objects have"
        )
        if lack:
            words = sorted(set.intersection(*(_missing(case, s) for s in lack)))
            named = ", ".join(f"+{at:#x}" for at in words[:_EXAMPLES])
            sentence += f" and {count(len(lack), 'leaked object')} never got ({named})"
        sentence += (
            f". Nothing in use leads to {_it(number)}.{_numbers(case, changed)} Look at who takes"
            " objects off the list: one of its ways does not free them. It also fits"
            f" {'one that was' if number == 1 else 'objects that were'} never linked, if"
            f" {_it(number, True)} got that before an insertion which failed, or the last owner of"
            " that memory left it: then look at the ways out before the insertion."
        )
        sentence += _perhaps_own(case, offset, number)
        text = f"+{offset:#x} list_head: points to itself in {_of(chosen, case)}"
        evidence = [Evidence("list", text, chosen[0].address + offset)]
        evidence += [*_numbers_evidence(case, chosen, changed), *_no_pointer(chosen, case)]
        findings.append(Finding("", LIKELY, [s.address for s in chosen], evidence, sentence))
    return findings


def never_linked(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node, and what each living object got at its insertion is missing, too.

    Who takes objects off may clear all of that again: then not a byte is another one.
    """
    findings = []
    for offset, chosen in _unlinked(case, rest).items():
        missing = {s.address: _missing(case, s) for s in chosen}
        without = [
            s
            for s in chosen
            if _tells(case, missing[s.address])
            or (missing[s.address] and _failed(case, [s]) and _unlike(case, missing[s.address]))
        ]
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
            " all that the insertion wrote, or that is written later than the insertion: the list"
            f" node at +{offset:#x} points to itself, and {named}"
            f" {'is' if len(words) == 1 else 'are'} zero, where living objects are on a list and"
            " have values."
            " Look first for an error path between the allocation and the insertion into the"
            " list that does not free the object; then for who has such objects and never links"
            f" them.{_failure(case, without)}{_perhaps_own(case, offset, number)}"
        )
        findings.append(Finding("", LIKELY, [s.address for s in without], evidence, sentence))
    return findings


def off_the_list(case: Case, rest: List[Subject]) -> List[Finding]:
    """Empty list node where living objects are linked: never linked, or taken off again.

    Those that lack something which all living ones have are told apart from the others: one
    leftover may have objects of both histories.
    """
    findings = []
    for offset, chosen in _unlinked(case, rest).items():
        groups: Dict[Tuple[int, ...], List[Subject]] = {}
        for each in chosen:
            groups.setdefault(tuple(sorted(_missing(case, each))), []).append(each)
        alike = [members for members in groups.values() if len(members) >= _SEVERAL]
        if len(groups) > _EXAMPLES or len(alike) < len(groups):
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
            f"+{offset:#x} list_head: points to itself in {_of(chosen, case)}",
            chosen[0].address + offset,
        )
    ]
    sentence = f"{_objects(number, 'is', 'are')} on no list: the list node at +{offset:#x} "
    changed = _changed_numbers(case, chosen)
    evidence += _numbers_evidence(case, chosen, changed)
    whole = not missing and _has_every_trace(case, chosen)
    later = _any_larger(changed)
    sentence += (
        "points to itself, where living objects are on a list, and nothing in use leads to"
        f" {_it(number)}."
    )
    sentence += _numbers(case, changed) + _failure(case, chosen)
    if missing:
        named = ", ".join(f"+{at:#x}" for at in missing[:_EXAMPLES])
        sentence += (
            f" In {_it(number)} {named} {'is' if len(missing) == 1 else 'are'} zero, where all"
            f" {case.twin_profile.objects} living objects have a value: not written yet, or"
            " cleared since."
        )
    if later or whole:
        sentence += (
            " This fits an object that was taken off (list_del_init()) and not freed: look at"
            " who takes objects off. It also fits one that was never linked, if it gets what"
            f" it has before its insertion{_or_left(case)}."
        )
    else:
        sentence += (
            " The contents fit both an object that was never linked and one that"
            " list_del_init() took off again: look at the ways out before the insertion, and"
            " at who takes objects off."
        )
    sentence += _perhaps_own(case, offset, number)
    evidence += _no_pointer(chosen, case)
    return Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)


def _unlinked(case: Case, rest: List[Subject]) -> Dict[int, List[Subject]]:
    """Offset -> lost objects whose list node there is empty where living ones are linked.

    Not of a list that living objects have empty, too: a mutex's, a wait queue's, their own;
    nor of one that living objects head themselves, nor of the link of what will call them.
    """
    profile = case.twin_profile
    found: Dict[int, List[Subject]] = {}
    taken: Set[int] = set()
    if profile.objects < ENOUGH:
        return found
    for offset in sorted({offset for s in rest for offset in s.lists}):
        if profile.count_kind(offset, LIST_LINKED) < USUAL * profile.objects:
            continue
        if offset in case.twin_calls or _heads(case, offset) == OWN:
            continue
        chosen = [
            s for s in _outer(rest) if s.lists.get(offset) == LIST_EMPTY and s.address not in taken
        ]
        if chosen:
            found[offset] = chosen
            taken.update(s.address for s in chosen)
    return found


def _or_left(case: Case) -> str:
    """That all of it may be from before the object's allocation, where that clears nothing."""
    return ", or has it from the last owner of that memory" if case.uncleared else ""


def _perhaps_own(case: Case, offset: int, number: int) -> str:
    """That a list_head may be no node, where living objects don't tell."""
    if _heads(case, offset) != UNTOLD:
        return ""
    return (
        f" Or +{offset:#x} is no node but heads a list of {'its' if number == 1 else 'their'} own,"
        " with nothing on it: then the contents do not show where"
        f" {_it(number, True)} {'was' if number == 1 else 'were'} lost."
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
    another one in each object (a time, a serial number) is not.
    """
    return _unlike(case, missing) and len(missing) > 1 and case.twin_profile.objects >= _MANY


def _unlike(case: Case, missing: Set[int]) -> bool:
    return any(
        case.twin_traces[at].constant is None and not case.twin_traces[at].pointer for at in missing
    )


def _failed(case: Case, chosen: List[Subject]) -> Dict[int, int]:
    """Offset -> number of an error that they have (ERR_PTR()) where living ones have a pointer."""
    if not _comparable(case, chosen):
        return {}
    found: Dict[int, int] = {}
    for at, trace in case.twin_traces.items():
        values = {subject.values.get(at, 0) for subject in chosen}
        value = values.pop() if len(values) == 1 and trace.pointer else 0
        # A 32-bit number, a status, is no pointer of 64 bits.
        error = (1 << 8 * case.word) - value
        if 0 < error <= _ERRORS:
            found[at] = error
    return found


def _failure(case: Case, chosen: List[Subject]) -> str:
    """Which step failed, as far as an error in place of a pointer shows."""
    failed = _failed(case, chosen)
    if not failed:
        return ""
    at, error = min(failed.items())
    return (
        f" +{at:#x} is the error -{error} where all {case.twin_profile.objects} living objects"
        " have a pointer: what belongs there could not be had, so look at the way out after that;"
        " or who ended the object's use put the error there."
    )


def _has_every_trace(case: Case, chosen: List[Subject]) -> bool:
    """Whether they have each number that is another one in each living object: a time, ..."""
    unlike = [
        at
        for at, trace in case.twin_traces.items()
        if trace.constant is None and not trace.pointer and at not in _node_words(chosen[0])
    ]
    return bool(unlike) and all(s.values.get(at) for s in chosen for at in unlike)


class _Changed(NamedTuple):
    """A number that is another one than in each living object."""

    offset: int
    value: int
    living: int

    def text(self, case: Case) -> str:
        """In words."""
        objects = f"all {case.twin_profile.objects} living objects"
        value = f"{self.value:x}" if self.value == _SATURATED else self.value
        return f"+{self.offset:#x} is {value} where {objects} have {self.living}"


def _changed_numbers(case: Case, chosen: List[Subject]) -> List[_Changed]:
    """Small numbers that all living objects have alike, and these have others: states, counts."""
    if not _comparable(case, chosen):
        return []
    found = []
    for at, living in sorted(case.twin_numbers.items()):
        values = {subject.halves.get(at, 0) for subject in chosen}
        if len(values) == 1:
            (value,) = values
            if (0 < value <= _SMALL and value != living) or value == _SATURATED:
                found.append(_Changed(at, value, living))
    return found[:_EXAMPLES]


def _numbers_evidence(
    case: Case, chosen: List[Subject], changed: List[_Changed]
) -> Iterator[Evidence]:
    for each in changed:
        yield Evidence("twin", each.text(case), chosen[0].address + each.offset)


def _numbers(case: Case, changed: List[_Changed]) -> str:
    """The numbers that differ from living objects', as a sentence, and what they may be."""
    if not changed:
        return ""
    text = f" {changed[0].text(case)}"
    for each in changed[1:]:
        text += f", +{each.offset:#x} is {each.value} where these have {each.living}"
    if any(each.value == _SATURATED for each in changed):
        return text + (
            ": as a saturated count of references is (refcount_t), after too many gets or a put too"
            " many: then no put frees the object any more."
        )
    if _any_larger(changed):
        text += (
            ": another state, or another sort of object; or a count of references, and one was not"
            " dropped (look for a get without its put)"
        )
    return text + "."


def _any_larger(changed: List[_Changed]) -> bool:
    return any(each.value > each.living for each in changed)


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
        f" {_kinds(holders.values())}. Perhaps what owned {_it(number)} was freed without"
        f" freeing {_it(number)}."
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
    groups: Dict[Tuple[bool, str], List[Subject]] = {}
    for subject in _lost(rest):
        if subject.inner or subject.ring:
            on = next((m for m in subject.memberships.values() if m.verdict == LEAKED), None)
            head = on.head if on is not None else ""
            groups.setdefault((subject.ring, head), []).append(subject)
    for (ring, head), chosen in sorted(groups.items()):
        whose, held = _first_held(chosen, LOST)
        evidence = [_pointer(held, whose)] if held is not None else []
        for subject in chosen:
            on = next((m for m in subject.memberships.values() if m.verdict == LEAKED), None)
            if not evidence and on is not None:
                evidence.append(Evidence("list", on.text, subject.address))
        evidence += _open_lists(chosen)
        number = len(chosen)
        first = next((s.leader for s in chosen if s.leader), 0)
        top = _top_of_tree(chosen)
        sentence = f"{_objects(number, 'is', 'are')} lost with others: "
        if head:
            sentence += (
                f"{_it(number, True)} {'is' if number == 1 else 'are'} on a list whose head lies in"
                f" {head}, and nothing in use leads to that. Look for the reason there."
            )
        elif ring and top is not None:
            sentence += (
                f"{_it(number, True)} and other lost objects are in an rb tree, and nothing in use"
                f" leads to any of them. The pointer to its topmost node, in {hexa(top)}, is gone:"
                " the tree was lost as a whole; or who went through it to free each of them"
                " (rbtree_postorder_for_each_entry_safe() leaves the nodes as they are) did not."
            )
        elif ring:
            sentence += (
                f"{_it(number, True)} and other lost objects lead to each other, and nothing in"
                " use leads to any of them. Memory does not show which was lost first."
            )
            sentence += _off_a_list(case, chosen)
        else:
            sentence += f"only lost objects lead to {_it(number)}."
            if first:
                sentence += f" Look at {hexa(first)} for the reason: nothing points to that one."
            sentence += _left_pointers(case, chosen)
        findings.append(Finding("", LIKELY, [s.address for s in chosen], evidence, sentence))
    return findings


def _left_pointers(case: Case, chosen: List[Subject]) -> str:
    """That the pointers to them may be left over, and what speaks for that."""
    number = len(chosen)
    text = (
        " Or those pointers are left over (rb_erase(), list_replace() and RCU leave a node's own,"
        f" and an owner may not clear its), and {'it' if number == 1 else 'each'} was lost by"
        " itself."
    )
    return text + _off_a_list(case, chosen)


def _off_a_list(case: Case, chosen: List[Subject]) -> str:
    off = [subject for subject in chosen if _poisoned(case, subject)]
    if not off:
        return ""
    at = _poisoned(case, off[0])[0]
    return f" {_objects(len(off), 'was', 'were')} taken off a list: +{at:#x} is poisoned."


def _top_of_tree(chosen: List[Subject]) -> Optional[int]:
    """The object with the topmost node of an rb tree that all of them are in."""
    common = set.intersection(*(set(subject.trees) for subject in chosen))
    for offset in sorted(common):
        # A node without a parent is black: 1.
        tops = [s.address for s in chosen if s.values.get(offset) == 1]
        if len(tops) == 1:
            return tops[0]
    return None


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
        f" number).{_outside(case, chosen)}"
    )
    changed = _changed_numbers(case, chosen)
    evidence = [*_numbers_evidence(case, chosen, changed), *_no_pointer(chosen, case)]
    evidence += _open_lists(chosen)
    sentence += _numbers(case, changed) + _failure(case, chosen)
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def _open_lists(chosen: List[Subject]) -> Iterator[Evidence]:
    """Lists that they are on and whose head can't be named."""
    texts: Dict[str, int] = {}
    for subject in chosen:
        for offset, ring in subject.memberships.items():
            if ring.verdict == OPEN:
                texts.setdefault(ring.text, subject.address + offset)
    for text, address in list(texts.items())[:_EXAMPLES]:
        yield Evidence("list", text, address)


def _outside(case: Case, chosen: List[Subject]) -> str:
    """What the contents show of how they were lost, as far as they show anything."""
    number = len(chosen)
    profile = case.twin_profile
    # Of an object whose contents are not in the dump nothing is known, nor that it is on no list.
    known = not any(s.away for s in chosen)
    if profile.objects >= ENOUGH and known and not case.mixed:
        for kind, what, ways in (
            (HLIST_LINKED, "in a hash list", "hlist_del_init()"),
            (RB_LINKED, "in an rb tree", "rb_erase()"),
            (LIST_LINKED, "on a list", "list_replace(), or with its pointers cleared"),
        ):
            for offset in profile.offsets():
                if profile.count_kind(offset, kind) < USUAL * profile.objects:
                    continue
                if any(offset in at for s in chosen for at in (s.lists, s.trees, s.unread)):
                    continue
                if offset in case.twin_calls or _heads_lists(case, kind, offset):
                    continue
                if kind == RB_LINKED and any(s.values.get(offset) == 1 for s in chosen):
                    # Black and without a parent: perhaps the only node of its tree.
                    continue
                if all(s.values.get(offset) in _UNWRITTEN for s in chosen):
                    return (
                        f" At +{offset:#x} living objects are {what}, and"
                        f" {'this has' if number == 1 else 'these have'} the poison of a free"
                        " object there: given up before that was written, so never inserted."
                    )
                return (
                    f" At +{offset:#x} living objects are {what}, and"
                    f" {'this is' if number == 1 else 'these are'} not: never inserted, or taken"
                    f" out again ({ways})."
                )
    empty = [at for at, kind in sorted(chosen[0].lists.items()) if kind == LIST_EMPTY]
    same = [at for at in empty if all(s.lists.get(at) == LIST_EMPTY for s in chosen)]
    own = [at for at in same if _own(case, at)]
    same = [at for at in same if at not in own]
    for at in own:
        if not _usually_empty(case, at):
            return (
                f" {'Its' if number == 1 else 'Their'} own list at +{at:#x} is empty, where living"
                f" objects have entries on theirs; that does not show where {_it(number, True)}"
                f" {'was' if number == 1 else 'were'} lost."
            )
    if profile.objects >= ENOUGH and known:
        for at, call in sorted(case.twin_calls.items()):
            usual = sum(profile.count_kind(at, kind) for kind in _NODES) >= USUAL * profile.objects
            if usual and not any(s.lists.get(at) in _NODES or at in s.trees for s in chosen):
                return (
                    f" The {call.kind} at +{call.offset:#x} ({call.function}) is pending in living"
                    f" objects, and not in {'this' if number == 1 else 'these'}: never started, or"
                    " over."
                )
    if same:
        return (
            f" The list_head at +{same[0]:#x} points to itself: a node that was never linked, or"
            " that list_del_init() took off a list; or an empty list of the object's own."
        )
    return (
        f" The contents do not show where {_it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost."
    )


def _heads_lists(case: Case, kind: str, offset: int) -> bool:
    return kind == LIST_LINKED and _heads(case, offset) != ANOTHER


def _usually_empty(case: Case, offset: int) -> bool:
    profile = case.twin_profile
    return profile.count_kind(offset, LIST_EMPTY) >= USUAL * profile.objects


RULES: Tuple[Rule, ...] = (
    Rule(
        "freed late",
        (CERTAIN, LIKELY),
        "the log lists them and they are free, or none is left",
        freed_late,
    ),
    Rule(
        "called back",
        (CERTAIN, LIKELY),
        "a timer, work, RCU or a wait queue has them",
        called_back,
    ),
    Rule("still listed", (CERTAIN, LIKELY), "on a list whose head is in use", still_listed),
    Rule("held", (LIKELY,), "memory in use leads to them", held),
    Rule("perhaps held", (LIKELY,), "memory that may be old leads to them", perhaps_held),
    Rule("until grace", (LIKELY,), "what waits for an RCU grace period has them", until_grace),
    Rule(
        "held by handle", (LIKELY,), "memory in use has their physical address or page", by_handle
    ),
    Rule("never written", (LIKELY,), "nothing but the poison of a free object", never_written),
    Rule("all zeroes", (LIKELY,), "nothing but zeroes: never written, or cleared", all_zeroes),
    Rule("no head", (LIKELY,), "on a list without a head, or whose head is gone", no_head),
    Rule("taken off", (LIKELY,), "list_del() or list_del_init() took them off", taken_off),
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

_NODE_KINDS = (LIST_LINKED, LIST_EMPTY, LIST_DELETED, HLIST_LINKED)
_EXAMPLES = 3
_NODES = (LIST_LINKED, HLIST_LINKED, RB_LINKED)
_UNWRITTEN = (0x6B6B6B6B, 0x6B6B6B6B6B6B6B6B)
"""include/linux/poison.h, POISON_FREE: what an allocation leaves where SLAB_POISON is set."""
_PREV = 8
"""Bytes: a list_head's prev lies so far behind its next at the most."""
_ENTRY = 32
"""Bytes of a work_struct or a wait_queue_entry before the end of its list_head, at most."""
_OFFSET = re.compile(r"\+0x[0-9a-f]+")
_CPU = re.compile(r" of cpu \d+$")
_PAGE = re.compile(r"(?<=struct page of )[0-9a-f]+")
_SEVERAL = 2
"""Objects that are alike are no chance."""
_MANY = 5
"""Living objects at least, for a word that none of them lacks to mean much."""
_SMALL = 255
"""A state is a small number."""
_SATURATED = 0xC0000000
"""include/linux/refcount.h, REFCOUNT_SATURATED: INT_MIN / 2."""
_ERRORS = 4095
"""include/linux/err.h, MAX_ERRNO: an error as a pointer is one of the last addresses."""


def _lost(subjects: Iterable[Subject]) -> List[Subject]:
    """Those that nothing in use leads to, so far as memory was searched."""
    return [subject for subject in subjects if subject.level == UNREACHED]


def _outer(subjects: Iterable[Subject]) -> List[Subject]:
    """Of the lost ones those to which no other lost object leads."""
    return [subject for subject in _lost(subjects) if not subject.inner]


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
    if root is not None and subject.container:
        # Of nodes and the like each has its own: the words before "at" or ":" are its kind.
        kind = _OFFSET.sub("", subject.container.split(" at ")[0].split(":")[0].split(",")[0])
        if kind.startswith("in the kset"):
            return kind
        return f"{kind if root.kind != PAGE else ''} {root.kind} {root.label}"
    if root is not None and best is not None and _is_kin(case, best.place):
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


def _is_kin(case: Case, place: Optional[Place]) -> bool:
    """Whether a place lies in an object of the same kind: one that leads on, and no root."""
    return place is not None and place.cache is not None and place.cache.address in case.kin


def _by(case: Case, best: Optional[Held], subject: Subject) -> str:
    """Who holds an object, for a sentence: the root of the way to it, and its last pointer.

    Of a long way the last one first: the root may be anybody's whose objects lead to those of
    others, as one entry of /proc leads to all of them. Not so among objects of one kind.
    """
    root = subject.path[0].place if subject.path else None
    if best is not None and best.place is not None:
        last = _kinds([best])
        if root is not None and best.place.kind == OBJECT and root.kind != OBJECT:
            top, between = _root(root).rstrip(","), len(subject.path) - 2
            if between > 0 and not _is_kin(case, best.place):
                others = "another" if between == 1 else f"{between} others"
                return f"{last}, which {top} reaches by way of {others},"
            return f"{top}, by way of {last},"
        return last + ("," if best.place.kind == PAGE else "")
    last_place = subject.path[-1].place if subject.path else None
    if root is not None and last_place is not None and last_place.kind == OBJECT:
        return f"{_root(root).rstrip(',')}, by way of an object of {last_place.label},"
    return _root(root) if root is not None else "memory in use"


def _root(place: Place) -> str:
    if place.kind == PAGE:
        return place.text + ","
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


def _due(callback: Callback) -> str:
    if callback.due is None:
        return ""
    if callback.seconds is None:
        text = f"{abs(callback.due)} ticks"
    else:
        text = f"{abs(callback.seconds):.1f} s"
    return f", due in {text}" if callback.due >= 0 else f", {text} overdue"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aiR' or kind == HRTIMER else 'a'} {kind}"


def _no_pointer(chosen: List[Subject], case: Case) -> Iterator[Evidence]:
    """That nothing in use leads to them; and what else points to them."""
    text = f"nothing in use leads to {_of(chosen, case)}; {case.searched} searched"
    if case.incomplete:
        text += f", {case.incomplete}"
    yield Evidence("reference", text, chosen[0].address)
    stale = [held for subject in chosen for held in subject.held if held.worth == DEAD]
    if stale:
        text = f"{count(len(stale), 'old pointer')}, the first in {words_of(stale[0].place)}"
        yield Evidence("reference", f"{text} ({stale[0].why})", stale[0].holder)


def _pointer(held: Held, address: int) -> Evidence:
    offset = held.value - address
    inside = f" (+{offset:#x} of it)" if offset else ""
    text = f"pointer to {hexa(address)}{inside} in {words_of(held.place)}"
    if held.worth in (DEAD, PERHAPS) and held.why:
        text += f" ({held.why})"
    return Evidence("reference", text, held.holder)


def _kinds(held: Iterable[Held]) -> str:
    """Who points, without repeating what holds many of them."""
    labels: Dict[str, None] = {}
    for place in (each.place for each in held if each.place is not None):
        if place.kind == OBJECT:
            state = "a freed object" if _in_free_object(place) else "an object"
            labels[f"{state} of {place.label}"] = None
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
