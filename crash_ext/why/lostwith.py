# SPDX-License-Identifier: GPL-3.0-or-later
"""Of objects that nothing leads to: which are lost only with others, and with which.

A node's own pointers lead nowhere where its list or tree has gone on without it.
"""

from __future__ import annotations

from typing import Dict, List, Set

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import LIST_DELETED, LIST_LINKED, RB_LINKED
from crash_ext.kernel.pages import Memory
from crash_ext.reach.model import UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.allocator import Slub
from crash_ext.why.case import Case, Subject
from crash_ext.why.lists import HEADLESS, LEAKED
from crash_ext.why.oldlinks import NODE_WORDS, is_old_node, is_old_rcu
from crash_ext.why.together import sort_lost

_BLACK = 1
"""include/linux/rbtree_augmented.h, RB_BLACK: the colour in the lowest bit of the parent."""


def find_lost_with(slub: Slub, reach: Reach, cases: List[Case]) -> None:
    """Of objects that nothing leads to: which are lost only with others, and with which."""
    subjects = {s.address: s for case in cases for s in case.subjects if s.level == UNREACHED}
    if not subjects:
        return
    memory, word = Memory(slub.reader), slub.reader.word
    nodes: Dict[int, Dict[int, str]] = {}
    for case in cases:
        _note_erased(case)
        kinds = usual_nodes(case)
        for s in case.subjects:
            left = dict.fromkeys(s.passed, LIST_LINKED)
            if s.erased is not None:
                left[s.erased] = RB_LINKED
            nodes[s.address] = {**left, **kinds} if left else kinds
    edges = [
        (owner, target)
        for owner, target in reach.lost_edges()
        if owner not in subjects
        or not (
            _by_old_head(reach, memory, word, subjects[owner], target)
            or _by_node(reach, memory, word, subjects[owner], nodes[owner], target)
        )
    ]
    known = {edge for edge in edges if edge[0] in subjects}
    satellites = {owner for owner, target in edges if (target, owner) in known} - subjects.keys()

    def by_done(owner: int, target: int) -> bool:
        return all(
            is_old_rcu(memory, at, word)
            or (owner in subjects and _is_old(memory, word, subjects[owner], nodes[owner], at))
            for at in reach.pointers(owner, target)
        )

    edges = [
        (owner, target)
        for owner, target in edges
        if owner not in satellites or target not in satellites or not by_done(owner, target)
    ]
    led: Dict[int, List[int]] = {}
    for owner, target in edges:
        led.setdefault(target, []).append(owner)
    for address, found in sort_lost(edges, subjects).items():
        subject = subjects.get(address)
        if subject is not None:
            subject.leader, subject.ring = found.leader, found.ring
            subject.inner = found.inner or (found.ring and reach.is_inner(address))
            subject.by_done = subject.inner and all(
                owner in subjects
                and by_done(owner, address)
                and all(
                    # From rcu_head to rcu_head, in objects of one kind.
                    (memory.word(at) or 0) - address == at - owner
                    for at in reach.pointers(owner, address)
                )
                for owner in led[address]
            )
            if subject.by_done:
                owner = led[address][0]
                subject.done_at = next(iter(reach.pointers(owner, address))) - owner


def _note_erased(case: Case) -> None:
    """Notes in lost objects the rb_node that no tree has any more: rb_erase() leaves it as it was.

    Known by the colour: a parent with the lowest bit set (RB_BLACK), or that bit alone in a root.
    What a node led to when it was taken out has not led to it since: two that lead to each other
    are in one tree, or no such nodes.
    """
    every = {s.address: s for s in case.subjects if not s.away}
    lost = {address: s for address, s in every.items() if s.level == UNREACHED}
    if not lost:
        return
    black: Set[int] = set()
    parents: Set[int] = set()
    others: Set[int] = set()
    for s in every.values():
        if s.address in lost:
            others.update(s.lists)
        for at, value in s.values.items():
            peer = (value & ~3) - at
            if value == _BLACK or (value & 3 == _BLACK and peer in every):
                black.add(at)
            if peer in every and peer != s.address:
                parents.add(at)
    for at in sorted(black & parents - others):
        led = {
            s.address: {
                peer
                for word in range(at, at + NODE_WORDS[RB_LINKED] * case.word, case.word)
                for peer in [(s.values.get(word, 0) & ~3) - at]
                if peer in every and peer != s.address
            }
            for s in every.values()
        }
        for address, subject in lost.items():
            peers = led[address]
            here = peers and not any(address in led[peer] for peer in peers)
            if here and at not in subject.cleared:
                subject.erased = at


def usual_nodes(case: Case) -> Dict[int, str]:
    """Offset -> kind of the nodes of lists and trees that living objects are in."""
    profile = case.twin_profile
    if profile.objects < ENOUGH or case.mixed:
        return {}
    return {
        at: kind
        for at in profile.offsets()
        for kind in NODE_WORDS
        if profile.count_kind(at, kind) >= USUAL * profile.objects
    }


def _by_node(
    reach: Reach, memory: Memory, word: int, subject: Subject, nodes: Dict[int, str], target: int
) -> bool:
    """Whether only nodes lead there that keep nothing.

    Those that were taken out of their list or tree; and those on a list to what has its head.
    """
    heads = {
        at
        for at, ring in subject.memberships.items()
        if ring.verdict == LEAKED and reach.object_at(ring.at) == target
    }
    pointers = list(reach.pointers(subject.address, target))
    return bool(pointers) and all(
        any(0 <= at - subject.address - head < 2 * word for head in heads)
        or _is_old(memory, word, subject, nodes, at)
        for at in pointers
    )


def _is_old(memory: Memory, word: int, subject: Subject, nodes: Dict[int, str], at: int) -> bool:
    """Whether the pointer at an address is of a node of an object that was taken out."""
    offset = at - subject.address
    if subject.lists.get(offset) == LIST_DELETED:
        return True
    for node, kind in nodes.items():
        if node <= offset < node + NODE_WORDS[kind] * word:
            return is_old_node(memory, kind, subject.address + node, at, word)
    return _is_cleared(memory, word, subject, offset)


def _is_cleared(memory: Memory, word: int, subject: Subject, offset: int) -> bool:
    """Whether a pointer is a child's, of an rb_node that says itself that it is in no tree.

    RB_CLEAR_NODE() writes the parent alone (include/linux/rbtree.h), so the children's pointers
    stay; they lead to as far inside of the other object.
    """
    for node in (offset - word, offset - 2 * word):
        here = subject.address + node
        if node < 0 or subject.values.get(node) != here or node in subject.lists:
            continue
        child = memory.word(subject.address + offset) or 0
        parent = memory.word(child) or 0
        return parent & ~3 != here
    return False


def _by_old_head(reach: Reach, memory: Memory, word: int, subject: Subject, target: int) -> bool:
    """Whether only the node of a list whose head is gone leads there: where the head was.

    What lies there now has nothing to do with the object. Of a lone node both words are one.
    """
    values = subject.values
    rings = subject.memberships.values()
    if any(m.verdict == HEADLESS and m.at and reach.object_at(m.at) == target for m in rings):
        return True
    found = [at for at, value in values.items() if reach.object_at(value) == target]
    nodes = {subject.address + at for at in found}
    if any(memory.word(at) not in nodes for at in reach.pointers(target, subject.address)):
        return False  # what leads back, and not to a node that leads there, is no chance's
    return bool(found) and all(
        values[at] in (values.get(at + word), values.get(at - word)) for at in found
    )
