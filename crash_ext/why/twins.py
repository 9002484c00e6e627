# SPDX-License-Identifier: GPL-3.0-or-later
"""What living objects have where leaked ones are on no list: which nodes can be compared.

A list_head that living objects have empty, or head a list with, is the object's own and says
nothing of the list that it should be on.
"""

from __future__ import annotations

from typing import Counter, Dict, List, Set

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import HLIST_LINKED, LIST_DELETED, LIST_EMPTY, LIST_LINKED
from crash_ext.why.case import ANOTHER, OWN, UNTOLD, Case, Subject
from crash_ext.why.phrases import objects, outer_ones

_NODE_KINDS = (LIST_LINKED, LIST_EMPTY, LIST_DELETED, HLIST_LINKED)


def is_own_list(case: Case, offset: int) -> bool:
    """Whether a list_head is one of the object's own: living objects show that.

    They have it empty, or it heads the list that it is on.
    """
    if case.twin_profile.objects < ENOUGH or case.mixed:
        return False
    return usually_empty(case, offset) or heads_what(case, offset) == OWN


def heads_what(case: Case, offset: int) -> str:
    """What a list_head of living objects is: OWN, ANOTHER, or UNTOLD; of some it shows."""
    heads = case.twin_heads.get(offset, Counter())
    if heads[ANOTHER]:
        return ANOTHER
    return OWN if heads[OWN] else UNTOLD if heads[UNTOLD] else ANOTHER


def comparable(case: Case, chosen: List[Subject]) -> bool:
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


def poisoned_nodes(case: Case, subject: Subject) -> List[int]:
    """Offsets of the nodes that list_del() has poisoned, but not in living objects as well."""
    profile = case.twin_profile
    enough = profile.objects >= ENOUGH and not case.mixed
    usual = USUAL * profile.objects if enough else profile.objects + 1
    return [
        at
        for at, kind in subject.lists.items()
        if kind == LIST_DELETED and profile.count_kind(at, LIST_DELETED) < usual
        if at not in case.no_nodes or not _ends(subject, at)
    ]


def _ends(subject: Subject, node: int) -> bool:
    """Whether a poisoned node's next is a list's end, as a number may look, too."""
    following = subject.values.get(node, 0)
    return not following or bool(following & 1)


def off_a_list(case: Case, chosen: List[Subject]) -> str:
    """That list_del() has poisoned the nodes of some of these, in a sentence; "" for none."""
    off = [subject for subject in chosen if poisoned_nodes(case, subject)]
    if not off:
        return ""
    at = poisoned_nodes(case, off[0])[0]
    if case.uncleared:
        return (
            f" {objects(len(off), 'is', 'are')} off a list, or"
            f" {'has' if len(off) == 1 else 'have'} that from the last owner of the memory:"
            f" +{at:#x} is poisoned."
        )
    return f" {objects(len(off), 'was', 'were')} taken off a list: +{at:#x} is poisoned."


def has_free_pointer(case: Case, node: int) -> bool:
    """Whether the free pointer of an object of the cache lies in its node at an offset."""
    return node <= case.cache.offset < node + 2 * case.word


def unlinked_at(case: Case, rest: List[Subject]) -> Dict[int, List[Subject]]:
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
        if offset in case.twin_calls or heads_what(case, offset) == OWN:
            continue
        chosen = [
            s
            for s in outer_ones(rest)
            if s.lists.get(offset) == LIST_EMPTY and s.address not in taken
        ]
        if chosen:
            found[offset] = chosen
            taken.update(s.address for s in chosen)
    return found


def heads_lists(case: Case, kind: str, offset: int) -> bool:
    """Whether a linked list_head of living objects is the head of a list of their own."""
    return kind == LIST_LINKED and heads_what(case, offset) != ANOTHER


def usually_empty(case: Case, offset: int) -> bool:
    """Whether living objects have an empty list_head there."""
    profile = case.twin_profile
    return profile.count_kind(offset, LIST_EMPTY) >= USUAL * profile.objects
