# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects of which only pointers tell: from freed memory, from lost objects, from nobody."""

from __future__ import annotations

from typing import Counter, Dict, Iterator, List, Optional, Set, Tuple

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import HLIST_LINKED, LIST_EMPTY, LIST_LINKED, RB_LINKED
from crash_ext.hexa import hexa
from crash_ext.places.place import words_of
from crash_ext.reach.model import DEAD, LOST, REACHED
from crash_ext.reach.sheaves import BEHIND_SHEAF
from crash_ext.why.case import Case, Evidence, Held, Subject
from crash_ext.why.ends import ends_evidence, ends_text
from crash_ext.why.finding import EXAMPLES, LIKELY, Finding
from crash_ext.why.idle import idle_evidence, idle_links, idle_text
from crash_ext.why.leaders import lost_holder
from crash_ext.why.lists import LEAKED, OPEN
from crash_ext.why.lostwith import usual_nodes
from crash_ext.why.numbers import (
    changed_numbers,
    failure,
    missing_text,
    missing_words,
    numbers_evidence,
    numbers_text,
)
from crash_ext.why.oldlinks import NODE_WORDS
from crash_ext.why.phrases import (
    first_held,
    in_free_object,
    it,
    kinds,
    lost_ones,
    no_pointer,
    objects,
    or_left,
    outer_ones,
    pointer,
)
from crash_ext.why.tell_shapes import kobject_nodes, shapes_text
from crash_ext.why.twins import heads_lists, is_own_list, off_a_list, usually_empty

_NODES = (LIST_LINKED, HLIST_LINKED, RB_LINKED)
_STRAYS, _MANY = 2, 4
_LISTS = 4
"""List_heads that are told."""
_UNWRITTEN = (0x6B6B6B6B, 0x6B6B6B6B6B6B6B6B)
"""include/linux/poison.h, POISON_FREE: what an allocation leaves where SLAB_POISON is set."""


def held_by_freed(case: Case, rest: List[Subject]) -> List[Finding]:
    """The only pointers to them lie in objects that were freed."""
    holders: Dict[int, Held] = {}
    outer = outer_ones(rest)
    for subject in outer:
        freed = [h for h in subject.held if h.worth == DEAD and in_free_object(h.place)]
        freed = [h for h in freed if h.why != BEHIND_SHEAF]
        told = [h for h in subject.held if h.worth != LOST and h.why != BEHIND_SHEAF]
        if freed and len(freed) == len(told):
            holders[subject.address] = freed[0]
    holders = _without_strays(holders, len(outer) - len(holders))
    if not holders or _older_than_slab(list(holders.values())):
        return []
    evidence = [pointer(held, address) for address, held in list(holders.items())[:EXAMPLES]]
    number = len(holders)
    sentence = (
        f"{objects(number, 'is', 'are')} referred to by freed memory only:"
        f" {kinds(holders.values())}. Perhaps what owned {it(number)} was freed without"
        f" freeing {it(number)}; or the {'pointer is' if number == 1 else 'pointers are'} of who"
        " had that memory before."
    )
    return [Finding("", LIKELY, list(holders), evidence, sentence)]


def _without_strays(holders: Dict[int, Held], others: int) -> Dict[int, Held]:
    """Without the one or two that freed objects of a kind lead to, beside many lost objects that
    none leads to: there the pointer is of who had that memory before, and the loss is one.
    """
    like: Dict[Tuple[str, int], List[int]] = {}
    for address, found in holders.items():
        place = found.place
        key = ("", 0) if place is None else (place.label, place.offset)
        like.setdefault(key, []).append(address)
    few = {
        address
        for group in like.values()
        if len(group) <= _STRAYS and others >= _MANY * len(group)
        for address in group
    }
    return {address: found for address, found in holders.items() if address not in few}


def _older_than_slab(holders: List[Held]) -> bool:
    """Whether the pointers are from the pages' former life: an array that was there before.

    Pointers that owners had stand at one place of each; those of an array at any.
    """
    places = [held.place for held in holders if held.place is not None]
    offsets = {place.offset for place in places}
    sizes = {place.cache.object_size for place in places if place.cache is not None}
    # At each word of the objects: whoever had an object did not fill it so.
    whole = len(offsets) >= ENOUGH and max(sizes, default=0) <= 8 * len(offsets)
    return len(places) > 1 and (whole or len(offsets) > max(1, len(places) // 2))


def lost_with_others(case: Case, rest: List[Subject]) -> List[Finding]:
    """Only objects that nothing leads to lead to them: lost with those."""
    findings = []
    groups: Dict[Tuple[bool, str], List[Subject]] = {}
    apart = {subject.address for subject in _by_done(rest)}
    for subject in lost_ones(rest):
        if (subject.inner or subject.ring) and subject.address not in apart:
            on = next((m for m in subject.memberships.values() if m.verdict == LEAKED), None)
            head = on.head if on is not None else ""
            groups.setdefault((subject.ring, head), []).append(subject)
    for (ring, head), chosen in sorted(groups.items()):
        whose, held = first_held(chosen, LOST)
        evidence = [pointer(held, whose)] if held is not None else []
        for subject in chosen:
            on = next((m for m in subject.memberships.values() if m.verdict == LEAKED), None)
            if not evidence and on is not None:
                evidence.append(Evidence("list", on.text, subject.address))
        evidence += _open_lists(chosen)
        number = len(chosen)
        first = next((s.leader for s in chosen if s.leader), 0)
        top = _top_of_tree(chosen)
        root = "" if top is None else _root_of(chosen, top)
        sentence = f"{objects(number, 'is', 'are')} lost with others: "
        if head:
            sentence += (
                f"{it(number, True)} {'is' if number == 1 else 'are'} on a list whose head, or"
                f" another kind of entry, lies in {head}, and nothing in use leads to that. Look"
                " for the reason there."
            )
        elif ring and root:
            sentence += (
                f"{it(number, True)} {'is' if number == 1 else 'are'} in an rb tree whose root lies"
                f" in {root}, and nothing in use leads to that. Look for the"
                " reason there."
            )
        elif ring and top is not None:
            sentence += (
                f"{it(number, True)} and other lost objects are in an rb tree, and nothing in use"
                f" leads to any of them. The pointer to its topmost node, in {hexa(top)}, is gone:"
                " the tree was lost as a whole; or who went through it to free each of them"
                " (rbtree_postorder_for_each_entry_safe() leaves the nodes as they are) did not."
            )
        elif ring:
            sentence += (
                f"{it(number, True)}{'' if _closed(chosen) else ' and other lost objects'} lead to"
                " each other, and nothing in use leads to any of them. Memory does not show which"
                " was lost first."
            )
            sentence += off_a_list(case, chosen)
        if head or ring:
            sentence += or_left(case, chosen) + ends_text(case, chosen)
            evidence += ends_evidence(case, chosen)
        else:
            sentence += f"only lost objects lead to {it(number)}."
            beside = first or lost_holder(chosen[0])
            what = case.leaders.get(beside, "")
            what = f", {what}," if what else ""
            if first:
                sentence += (
                    f" Look at {hexa(first)}{what} for the reason: nothing in use points to it."
                )
            elif beside:
                sentence += f" Look for the reason at {hexa(beside)}{what} and at what leads to it."
            sentence += _left_pointers(case, chosen)
        findings.append(Finding("", LIKELY, [s.address for s in chosen], evidence, sentence))
    return findings


def _closed(chosen: List[Subject]) -> bool:
    """Whether none but they themselves lead to them."""
    own = {subject.address for subject in chosen}
    places = [h.place for s in chosen for h in s.held if h.worth == LOST]
    return len(own) > 1 and all(place is not None and place.object in own for place in places)


def _left_pointers(case: Case, chosen: List[Subject]) -> str:
    """That the pointers to them may be left over, and what speaks for that."""
    number = len(chosen)
    text = (
        " Or those pointers are left over (rb_erase(), list_replace() and RCU leave a node's own,"
        f" and an owner may not clear its{_or_last(case)}), and"
        f" {'it' if number == 1 else 'each'} was lost by itself."
    )
    return text + off_a_list(case, chosen)


def _or_last(case: Case) -> str:
    """That pointers may be from before an object's allocation, where that clears nothing."""
    return ", nor an allocation what the last owner wrote" if case.uncleared else ""


def _top_of_tree(chosen: List[Subject]) -> Optional[int]:
    """The object with the topmost node of an rb tree that all of them are in."""
    common = set.intersection(*(set(subject.trees) for subject in chosen))
    for offset in sorted(common):
        # A node without a parent is black: 1.
        tops = [s.address for s in chosen if s.values.get(offset) == 1]
        if len(tops) == 1:
            return tops[0]
    return None


def _root_of(chosen: List[Subject], top: int) -> str:
    """The lost object that has the pointer to the topmost node of a tree; "" for none."""
    own = {subject.address for subject in chosen}
    held = [h for s in chosen if s.address == top for h in s.held if h.worth == LOST]
    places = [h.place for h in held if h.place is not None and h.place.object not in own]
    return next((words_of(place) for place in places if place.object), "")


def lost(case: Case, rest: List[Subject]) -> List[Finding]:
    """Nothing in use leads to them, and their contents do not show why."""
    done = _by_done(rest)
    chosen = outer_ones(rest) + done
    if not chosen:
        return []
    number = len(chosen)
    sentence = (
        f"{objects(number, 'is', 'are')} lost: nothing in use leads to {it(number)}, so nobody"
        f" can free {it(number)} any more, unless {it(number, True)}"
        f" {'is' if number == 1 else 'are'} kept by a handle that is no pointer (an index, a frame"
        " number, an encoded or unaligned address)."
    )
    idle, silent = idle_text(case, chosen), _silent(number)
    outside = _outside(case, chosen)
    shown = shapes_text(case, chosen) + idle + _done_text(done)
    sentence += shown if outside == silent and shown else outside + shown
    changed = changed_numbers(case, chosen)
    evidence = [*numbers_evidence(case, chosen, changed), *no_pointer(chosen, case)]
    evidence += [*_open_lists(chosen), *idle_evidence(chosen)]
    sentence += numbers_text(case, changed) + failure(case, chosen)
    sentence += missing_text(case, missing_words(case, chosen, _node_words(case)), number)
    sentence += ends_text(case, chosen)
    evidence += ends_evidence(case, chosen)
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]


def _by_done(rest: List[Subject]) -> List[Subject]:
    """Those to which only what may be the next of an RCU callback that has run leads.

    Where the first of them, to which nothing leads, is among the rest, too.
    """
    outer = {subject.address for subject in outer_ones(rest)}
    return [s for s in lost_ones(rest) if s.by_done and not s.ring and s.leader in outer]


def _done_text(done: List[Subject]) -> str:
    if not done:
        return ""
    at, leader = done[0].done_at, done[0].leader
    return (
        f" At +{at:#x} {'one leads' if len(done) == 1 else 'some lead'} to another's, with a zero"
        " behind: so RCU leaves an rcu_head whose function it has called, which then did not free"
        " the object, and hlist_del_init_rcu() a node that it takes off. If that is a chain of"
        f" their own, they were lost as one: look at {hexa(leader)}, to which nothing points."
    )


def _node_words(case: Case) -> Set[int]:
    """The words of the nodes that living objects have."""
    return {
        at + shift
        for at, kind in usual_nodes(case).items()
        for shift in range(0, NODE_WORDS[kind] * case.word, 4)
    }


def _open_lists(chosen: List[Subject]) -> Iterator[Evidence]:
    """Lists that they are on and whose head can't be named."""
    texts: Dict[str, int] = {}
    for subject in chosen:
        for offset, ring in subject.memberships.items():
            if ring.verdict == OPEN:
                texts.setdefault(ring.text, subject.address + offset)
    for text, address in list(texts.items())[:EXAMPLES]:
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
                if offset in case.twin_calls or heads_lists(case, kind, offset):
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
    beside = _unlike_others(case, chosen) if known else ""
    if beside:
        return beside
    # A kobject's list_head is its kset's: those of classes and buses have none.
    told = {*idle_links(chosen), *kobject_nodes(chosen)}
    empty = [at for at, kind in sorted(chosen[0].lists.items()) if kind == LIST_EMPTY]
    empty = [at for at in empty if at not in told]
    same = [at for at in empty if all(s.lists.get(at) == LIST_EMPTY for s in chosen)]
    own = [at for at in same if is_own_list(case, at)]
    same = [at for at in same if at not in own]
    for at in own:
        if not usually_empty(case, at):
            return (
                f" {'Its' if number == 1 else 'Their'} own list at +{at:#x} is empty, where living"
                f" objects have entries on theirs; that does not show where {it(number, True)}"
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
    if len(same) > 1:
        return (
            f" The list_heads at {_all_of(same)} point to themselves: nodes that were never linked,"
            " or that list_del_init() took off a list; or empty lists of the object's own (a wait"
            " queue, a mutex and a completion have one)."
        )
    if same:
        return (
            f" The list_head at +{same[0]:#x} points to itself: a node that was never linked, or"
            " that list_del_init() took off a list; or an empty list of the object's own."
        )
    return _silent(number)


def _all_of(offsets: List[int]) -> str:
    """Offsets in words: "+0x8, +0x20 and +0x38"."""
    shown = [f"+{at:#x}" for at in offsets[:_LISTS]]
    if len(offsets) > _LISTS:
        return f"{', '.join(shown)} and {len(offsets) - _LISTS} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _unlike_others(case: Case, chosen: List[Subject]) -> str:
    """That they are in no tree or hash list where the other objects of a leftover are.

    Where living objects tell nothing. An empty list_head may be one of an object's own.
    """
    held = [s for s in case.subjects if s.level == REACHED]
    if case.twin_profile.objects >= ENOUGH or len(held) < ENOUGH or case.mixed:
        return ""
    for kind, what, way in (
        (RB_LINKED, "in an rb tree", "rb_erase()"),
        (HLIST_LINKED, "in a hash list", "hlist_del_init()"),
    ):
        counts: Counter[int] = Counter()
        for s in held:
            # What will call them has them, in a timer wheel for one, and takes them out itself.
            links = {h.value - s.address for h in s.held if h.callback is not None}
            counts.update(at for at in _nodes_of(s, kind) if at not in links)
        for at, number in sorted(counts.items()):
            inside = any(at in _nodes_of(s, kind) or at in s.unread for s in chosen)
            alone = kind == RB_LINKED and any(s.values.get(at) == 1 for s in chosen)
            # Neither hlist_del_init() nor who never inserted it leaves a bucket's address.
            alone |= kind == HLIST_LINKED and any(s.values.get(at + case.word) for s in chosen)
            if number >= USUAL * len(held) and not inside and not alone:
                return (
                    f" At +{at:#x} {number} of {len(held)} objects of this cache to which"
                    f" something leads are {what}, and"
                    f" {'this is' if len(chosen) == 1 else 'these are'} not: never inserted, or"
                    f" taken out again ({way}); or another sort of object."
                )
    return ""


def _nodes_of(subject: Subject, kind: str) -> List[int]:
    """Where an object has nodes of that kind."""
    if kind == RB_LINKED:
        return subject.trees
    return [at for at, found in subject.lists.items() if found == kind]


def _silent(number: int) -> str:
    return (
        f" The contents do not show where {it(number, True)}"
        f" {'was' if number == 1 else 'were'} lost."
    )
