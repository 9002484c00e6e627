# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of lists whose head doesn't lead back: what tells them from any other pointers?

Such a node is a pair of pointers like many another. Knows what stands where the head was, what
living objects have there, and other lost ones.
"""

from __future__ import annotations

from functools import reduce
from math import gcd
from typing import Counter, Dict, List, Optional, Set

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import (
    HLIST_HEAD,
    HLIST_LINKED,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    Words,
)
from crash_ext.places.place import FREED_VMALLOC, MODULE, OBJECT, PERCPU, SYMBOL, Place
from crash_ext.slub.kmalloc import several_types
from crash_ext.slub.model import ALLOCATED
from crash_ext.why.case import Case, Subject
from crash_ext.why.lists import is_gone

LIST_NODES = (LIST_EMPTY, LIST_LINKED, LIST_BROKEN, LIST_DELETED, HLIST_LINKED)
"""Kinds of words that are nodes of lists."""
_BUCKETS = 4
"""So many different buckets of a table that was freed tell it from a buffer's pieces."""


def find_bereft(explainer: Words, case: Case) -> None:
    """Nodes that were alone on a list whose head is gone: next and prev are one address.

    Such a pair is common enough elsewhere. It counts where living objects are on a list
    there, or other leaked ones, or where the address is in memory that was given back, or is that
    of an empty list's head. Of an hlist next is NULL, and living objects tell, others that leaked,
    or a table.
    """
    for at in _in_freed_tables(explainer, case):
        for subject in case.subjects:
            if _gone_bucket(explainer, subject, at) is not None:
                subject.lists[at] = HLIST_LINKED
    word = explainer.word
    enough = case.twin_profile.objects >= ENOUGH and not case.mixed
    usual = USUAL * case.twin_profile.objects if enough else None
    hashed = {
        at
        for at in case.twin_profile.offsets()
        if usual is not None and case.twin_profile.count_kind(at, HLIST_LINKED) >= usual
    }
    if not several_types(case.cache):
        hashed |= _in_hash_lists(case)
    beside = {} if several_types(case.cache) else _linked_to(explainer, case)
    for subject in case.subjects:
        for at in hashed:
            head = subject.values.get(at + word, 0)
            if at not in subject.lists and subject.values.get(at) == 0 and head > explainer.lowest:
                subject.lists[at] = HLIST_LINKED
        for at, value in subject.values.items():
            if value != subject.values.get(at + word) or value < explainer.lowest:
                continue
            if value % word:
                # Bits, as a cred has them: no pointer.
                continue
            here = subject.address + at
            if at in subject.lists or subject.address <= value < here + case.cache.object_size:
                continue
            back, forth = (explainer.memory.word(value + word), explainer.memory.word(value))
            if here in (back, forth):
                continue
            linked = case.twin_profile.count_kind(at, LIST_LINKED)
            if usual is not None and _in_lists(case, at) <= case.twin_profile.objects - usual:
                # Two pointers to one object: task_struct's parent and real_parent.
                continue
            head = value // explainer.places.session.reader.page_size in beside.get(at, ())
            # What a ring buffer's two pointers lead to is data.
            head = head or (at in beside and min(back or 0, forth or 0) >= explainer.lowest)
            alike = head or (usual is not None and linked >= usual)
            emptied = back == value == forth and _is_member(explainer, value)
            if alike or emptied or _was_head(explainer, value):
                subject.lists[at] = LIST_BROKEN


def _in_hash_lists(case: Case) -> Set[int]:
    """Where several of the leaked objects themselves are in a hash list."""
    counts = Counter(
        at for s in case.subjects for at, kind in s.lists.items() if kind == HLIST_LINKED
    )
    return {at for at, number in counts.items() if number >= ENOUGH}


def _in_freed_tables(explainer: Words, case: Case) -> List[int]:
    """Where objects have an hlist_node whose bucket was in memory that was given back.

    Pointers into that memory may be to pieces of a buffer, too: such pieces are of one size, and
    buckets lie at any multiple of a pointer.
    """
    buckets: Dict[int, Set[int]] = {}
    for subject in case.subjects:
        for at in subject.values:
            place = _gone_bucket(explainer, subject, at)
            if place is not None:
                buckets.setdefault(at, set()).add(place.address)
    return [
        at
        for at, found in sorted(buckets.items())
        if len(found) >= _BUCKETS
        and reduce(gcd, (each - min(found) for each in found)) == explainer.word
    ]


def _gone_bucket(explainer: Words, subject: Subject, at: int) -> Optional[Place]:
    """What a first hlist_node's pprev leads to, where that was given back; None else."""
    word = explainer.word
    head = subject.values.get(at + word, 0)
    if head < explainer.lowest or head % word:
        return None
    following = subject.values.get(at)
    if following and (
        following < explainer.lowest
        or explainer.memory.word(following + word) != subject.address + at
    ):
        return None
    if subject.lists.get(at) not in (None, HLIST_HEAD):
        return None
    place = place_of(explainer, head)
    return place if place is not None and is_gone(place) else None


def _was_head(explainer: Words, address: int) -> bool:
    """Whether a list may have had its head there, in memory that was given back.

    At the start of an area or an object a buffer begins, to which several words may point.
    """
    place = place_of(explainer, address)
    if place is not None and place.kind == OBJECT and place.offset == 0:
        return False
    buffer = place is not None and place.kind == FREED_VMALLOC and not place.label
    starts = address % explainer.places.session.reader.page_size == 0
    return is_gone(place) and not (buffer and starts)


def _is_member(explainer: Words, address: int) -> bool:
    """Whether only a struct list_head begins there: pointers to a structure lead to its start."""
    place = place_of(explainer, address)
    if place is None or place.kind not in (OBJECT, SYMBOL, MODULE, PERCPU):
        return False
    if place.offset or place.kind == OBJECT:
        return place.offset > 0 and place.state in (None, ALLOCATED)
    behind = place_of(explainer, address + 2 * explainer.word)
    return behind is not None and (behind.kind, behind.offset) == (place.kind, 0)


def _linked_to(explainer: Words, case: Case) -> Dict[int, Set[int]]:
    """Offset -> the numbers of the pages to which nodes there lead that are on lists."""
    word, size = explainer.word, explainer.places.session.reader.page_size
    found: Dict[int, Set[int]] = {}
    for subject in case.subjects:
        for at, kind in subject.lists.items():
            if kind in (LIST_LINKED, LIST_BROKEN):
                ends = (subject.values.get(at + shift, 0) // size for shift in (0, word))
                found.setdefault(at, set()).update(ends)
    return found


def _in_lists(case: Case, offset: int) -> int:
    """Living objects that have a list node at an offset, linked or not."""
    return sum(case.twin_profile.count_kind(offset, kind) for kind in LIST_NODES)


def place_of(explainer: Words, address: int) -> Optional[Place]:
    """What is at an address, or was: in a stack of a task that has ended, in vfree()'d memory."""
    places = explainer.places
    return places.ended_stack(address) or places.name(address) or places.freed_vmalloc(address)
