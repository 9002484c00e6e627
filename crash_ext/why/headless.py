# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects on a list that nobody can reach any more."""

from __future__ import annotations

from typing import Dict, List

from crash_ext.contents.words import HLIST_LINKED
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.finding import EXAMPLES, LIKELY, Finding
from crash_ext.why.lists import HEADLESS, Membership
from crash_ext.why.phrases import lost_ones, objects, or_left
from crash_ext.why.twins import is_own_list, poisoned_nodes, unlinked_at


def no_head(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list that nobody can reach any more."""
    on: Dict[int, List[Membership]] = {}
    for s in lost_ones(rest):
        for offset, ring in s.memberships.items():
            # What was alone on a list of the object's own was freed: that loses no object.
            own = (
                ring.nodes == 1
                and s.lists.get(offset) != HLIST_LINKED
                and is_own_list(case, offset)
            )
            if ring.verdict == HEADLESS and not own:
                on.setdefault(s.address, []).append(ring)
    headless = [s for s in rest if s.address in on]
    bare = [s for s in headless if not any(m.at for m in on[s.address])]
    gone = [s for s in headless if any(m.at for m in on[s.address])]
    stands = [s for s in gone if any(m.stands for m in on[s.address])]
    local = [s for s in gone if all(m.local for m in on[s.address])]
    left = {subject.address for subject in (*stands, *local)}
    gone = [s for s in gone if s.address not in left]
    left = {subject.address for subject in local}
    stands = [s for s in stands if s.address not in left]
    heads = {m.head for s in stands for m in on[s.address]}
    named = f", {heads.pop()}," if len(heads) == 1 and any(heads) else ""
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
            f"on a list whose head{named} doesn't lead back any more: it was overwritten"
            " (INIT_LIST_HEAD(), a new table, another owner of that memory) or its module was"
            " unloaded; or who took them off left their pointers as they were (list_replace(),"
            " __list_del(), __hlist_del()), or they are copies of others that were on it. Nothing"
            " in use leads to the list. Look at who writes the head, and at who takes objects off.",
        ),
        *_on_rings(
            case,
            local,
            on,
            "on a list whose head was on a stack, a local variable (unless vmalloc() had that"
            " memory for another use before): its function has returned with objects on that list,"
            " or set it anew; or who took them off left their pointers as they were"
            " (list_replace(), __list_del(), __hlist_del()), or they are copies of others that were"
            " on it. Nothing in use leads to the list. Look at who moves objects to a list of its"
            " own (list_splice_init(), list_move()), and at its ways out.",
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


def _is_guess(case: Case, subject: Subject) -> bool:
    """Whether a node is one by its pprev alone: no living object has one there."""
    return any(
        kind == HLIST_LINKED
        and subject.values.get(at) == 0
        and not case.twin_profile.count_kind(at, HLIST_LINKED)
        and at in subject.memberships
        and subject.memberships[at].verdict == HEADLESS
        for at, kind in subject.lists.items()
    )


def _on_rings(
    case: Case, chosen: List[Subject], on: Dict[int, List[Membership]], why: str
) -> List[Finding]:
    if not chosen:
        return []
    number = len(chosen)
    shown = {s.address: on[s.address][-1] for s in chosen}
    each = list(dict.fromkeys(found.text for found in shown.values()))
    first = {found.text: address for address, found in reversed(list(shown.items()))}
    evidence = [Evidence("list", text, first[text]) for text in each[:EXAMPLES]]
    sentence = f"{objects(number, 'is', 'are')} {why}"
    if all(found.nodes == 1 and found.at for found in shown.values()):
        sentence += (
            " Or the list is the object's own, and what was alone on it was freed without being"
            " taken off: then the object was lost elsewhere. Or that is no list but two pointers to"
            " one thing (a parent; the first and the last of a queue)."
        )
        if number > 1 and len({found.at for found in shown.values()}) == 1:
            # Each insertion puts the head on a list of its own.
            sentence += " Or list_add() was given its two arguments in the wrong order."
    if all(_is_guess(case, s) for s in chosen):
        sentence += (
            " Or that is no node of a hash list but a pointer to a word of what was freed (an"
            " array of numbers)."
        )
    sentence += or_left(case, chosen)
    off = {at for s in chosen for at in poisoned_nodes(case, s)} or set(unlinked_at(case, chosen))
    if off:
        sentence += (
            f" At +{min(off):#x} {'it is' if number == 1 else 'some are'} on no list, any more or"
            " ever: that may be the reason instead."
        )
    return [Finding("", LIKELY, [s.address for s in chosen], evidence, sentence)]
