# SPDX-License-Identifier: GPL-3.0-or-later
"""Who points to the leaked objects of all cases, and what each pointer is worth.

One search for all cases together; each pointer is judged by what leads to its holder. Knows
reach/ and what the kernel's own queues have; concludes nothing.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Set, Tuple

from crash_ext.contents.callbacks import BY_RCU, SRCU, WAIT, Callback, Callbacks
from crash_ext.contents.idle import IdleFinder
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
)
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.pages import Memory
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import OBJECT, STACK, Place
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import DEAD, IN_USE, LOST, MAYBE, PENDING, PERHAPS, REACHED, UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import ALLOCATED, RCU_PENDING, Cache
from crash_ext.why.case import Case, Held, Subject
from crash_ext.why.containers import Containers
from crash_ext.why.ends import find_ends
from crash_ext.why.handles import find_handles
from crash_ext.why.leaders import name_leaders
from crash_ext.why.lostwith import find_lost_with
from crash_ext.why.oldlinks import OLD_HEAD, is_old_head
from crash_ext.why.passed import find_passed
from crash_ext.why.shapes import find_shapes
from crash_ext.why.slots import NOT_COUNTED, Slots
from crash_ext.why.ways import show_ways

GIVEN_BACK = "in per-CPU memory that was given back"
_OLD = (OLD_HEAD, GIVEN_BACK, *NOT_COUNTED)
"""Why all that leads to an object may be old."""
HOLDERS = 64
"""Pointers to one object that are kept."""
_INT = 4


def _is_uncleared(slub: Slub, cache: Cache) -> bool:
    """Whether the last owner's contents stay, but for allocations with __GFP_ZERO.

    init_on_alloc, init_on_free and poison spare constructed objects and those that RCU readers
    may still see (mm/slab.h, slab_want_init_on_alloc(); mm/slub.c, __OBJECT_POISON). A static
    key's first word counts its uses.
    """
    mask = slub.layout.flags.mask
    if cache.ctor or cache.flags & mask("TYPESAFE_BY_RCU"):
        return True
    if cache.flags & mask("POISON"):
        return False
    keys = ("init_on_alloc", "init_on_free")
    return not any(read_symbol_number(slub.reader, key, _INT) for key in keys)


def find_holders(
    slub: Slub,
    places: Places,
    cases: List[Case],
    reach: Reach,
    callbacks: Callbacks,
    blocks: Blocks,
    progress: Callable[[int, int], None],
) -> None:
    """One pass over all memory for pointers to the objects of all cases, and their worth."""
    subjects: Dict[int, Tuple[Case, Subject]] = {}
    ranges: List[Tuple[int, int]] = []
    for case in cases:
        case.uncleared = _is_uncleared(slub, case.cache)
        for subject in case.subjects:
            subjects[subject.address] = (case, subject)
            ranges.append((subject.address, case.cache.object_size))
            subject.level = reach.level(subject.address)
    slots = Slots(slub.reader, callbacks)
    apart = {case.cache.address: _unlinked_nodes(case) for case in cases}
    memory = Memory(slub.reader)
    summary = Summary()
    for hit in find_pointers(slub.reader, Targets(ranges), summary, cap=HOLDERS, progress=progress):
        case, subject = subjects[hit.start]
        held = _holder(slub, places, reach, case, subject, hit.holder, hit.value)
        if held is None:
            continue
        nodes = apart[case.cache.address]
        used = held.worth == IN_USE
        if (
            used
            and hit.value in nodes
            and is_old_head(memory, held.holder, slub.reader.word, nodes)
        ):
            held = held._replace(worth=PERHAPS, why=OLD_HEAD)
        if held.worth == IN_USE and blocks.was_given_back(held.holder, held.place):
            held = held._replace(worth=PERHAPS, why=GIVEN_BACK)
        if held.worth == IN_USE:
            found = _callback(callbacks, slub, case, subject, hit.value)
            if found is not None and found.kind in BY_RCU:
                found = _waiting_for_rcu(callbacks, reach, subject, hit.value, found)
            if found is not None:
                held = held._replace(callback=found)
            else:
                held = _by_counters(slots, places, reach, held)
        subject.held.append(held)
    for case, subject in subjects.values():
        if subject.level == REACHED and _by_old_words_alone(subject):
            subject.level = MAYBE
        _find_queued(callbacks, slub, places, reach, case, subject)
    _find_idle(slub, places, callbacks, cases)
    find_ends(places, reach, cases)
    find_shapes(places, reach, cases)
    find_passed(places, cases)
    containers = Containers(places, callbacks, blocks, reach.path)
    show_ways(reach, places, cases, containers, blocks)
    _find_buckets(reach, containers, cases)
    find_lost_with(slub, reach, cases)
    name_leaders(places, cases)
    find_handles(slub, places, reach, cases, blocks)
    in_use, other = reach.summary.bytes, max(0, summary.bytes - reach.summary.bytes)
    text = f"{in_use >> 20} MB in use and {other >> 20} MB of other memory"
    for case in cases:
        case.searched = text
        case.incomplete = ", ".join(reach.not_searched())


def _holder(
    slub: Slub, places: Places, reach: Reach, case: Case, subject: Subject, holder: int, value: int
) -> Optional[Held]:
    """The pointer as one that may keep the object; None for what only looks like one."""
    if subject.address <= holder < subject.address + case.cache.size:
        return None
    place = places.name(holder)
    if _is_link(case, subject, place, value) or _is_neighbour(slub, places, subject, holder, value):
        return None
    known = places.own_address(holder)
    level, why = reach.holds(known if place is not None and place.kind == STACK else holder)
    worth = {REACHED: IN_USE, MAYBE: PERHAPS}.get(level, DEAD)
    if place is not None and place.kind == OBJECT and level != REACHED:
        if place.state == RCU_PENDING:
            worth, why = PENDING, ""
        elif place.state == ALLOCATED and reach.object_at(holder) is not None:
            worth = PERHAPS if level == MAYBE else DEAD if "sheaf" in why else LOST
    return Held(known, value, place, worth, why)


def _unlinked_nodes(case: Case) -> Set[int]:
    """Addresses of the objects' list_heads that say that they are on no list."""
    return {
        subject.address + offset
        for subject in case.subjects
        for offset, kind in subject.lists.items()
        if kind in (LIST_EMPTY, LIST_DELETED)
    }


def _by_counters(slots: Slots, places: Places, reach: Reach, held: Held) -> Held:
    """A pointer in an array that has counters: worth less where those don't count it."""
    above = 0
    if held.place is not None and held.place.kind == OBJECT:
        step = reach.pointer_to(held.holder)
        above = places.own_address(step.holder) if step is not None else 0
    found = slots.of(held.holder, above)
    return held if found is None or found.used else held._replace(worth=PERHAPS, why=found.why)


def _by_old_words_alone(subject: Subject) -> bool:
    """Whether all that leads to an object is a head of a list that it is on no longer, or a
    slot that its array doesn't count.

    Neighbours on a list and in a tree lead to it, too, and aren't among those who hold it.
    """
    in_use = [held for held in subject.held if held.worth in (IN_USE, PERHAPS)]
    if not in_use:
        return False
    if all(held.why == OLD_HEAD for held in in_use):
        return True
    linked = subject.trees or any(
        kind in (LIST_LINKED, HLIST_LINKED) for kind in subject.lists.values()
    )
    old = all(held.worth == PERHAPS and held.why in _OLD for held in in_use)
    return old and not linked


def _find_queued(
    callbacks: Callbacks, slub: Slub, places: Places, reach: Reach, case: Case, subject: Subject
) -> None:
    """The pending structure whose link is on a list, in a chain of RCU's, or in a queue.

    What is before it there is a neighbour: the list's head has them all.
    """
    if any(held.callback is not None for held in subject.held) or subject.level != REACHED:
        return
    for offset, ring in subject.memberships.items():
        at = subject.address + offset
        found = _callback(callbacks, slub, case, subject, at)
        if found is not None and found.kind not in BY_RCU and ring.at:
            place = places.name(ring.at)
            subject.held.append(Held(ring.at, at, place, IN_USE, "", found))
            return
    queued = callbacks.queued(subject.address, case.cache.object_size)
    if queued is not None:
        holder, found = queued
        at = subject.address + found.offset
        subject.held.append(Held(holder, at, places.name(holder), IN_USE, "", found))


def _waiting_for_rcu(
    callbacks: Callbacks, reach: Reach, subject: Subject, value: int, found: Callback
) -> Optional[Callback]:
    """What may be a callback of RCU's as what it is; None for one that isn't on its lists."""
    path = reach.path(subject.address)
    if not callbacks.in_rcu_chain(path, value):
        return None
    if callbacks.by_srcu(path, value):
        return found._replace(kind=SRCU, queue=callbacks.srcu_struct(path))
    return found


def _callback(
    callbacks: Callbacks, slub: Slub, case: Case, subject: Subject, value: int
) -> Optional[Callback]:
    data = slub.reader.try_read(subject.address, case.cache.object_size)
    if data is None:
        return None
    found = callbacks.at(subject.address, data, value - subject.address)
    if found is not None and found.kind == WAIT:
        ring = subject.memberships.get(value - subject.address)
        if ring is not None and ring.at and not callbacks.may_be_wait_queue(ring.at):
            return None
    return found


def _find_buckets(reach: Reach, containers: Containers, cases: List[Case]) -> None:
    """Of lost objects: an end of a rhashtable's chain, which has the bucket's address.

    include/linux/rhashtable.h, RHT_NULLS_MARKER(): with the lowest bit set; removal leaves it.
    """
    tables: Dict[int, str] = {}
    for case in cases:
        for subject in case.subjects:
            if subject.level != UNREACHED or subject.blank:
                continue
            for at, value in subject.values.items():
                table = reach.object_at(value - 1) if value & 1 else None
                if table is None or reach.level(table) != REACHED:
                    continue
                if table not in tables:
                    tables[table] = containers.bucket_of(table)
                if tables[table]:
                    subject.bucket[at] = tables[table]


def _find_idle(slub: Slub, places: Places, callbacks: Callbacks, cases: List[Case]) -> None:
    finder = IdleFinder(places, callbacks)
    for case in cases:
        for subject in case.subjects:
            if subject.level == UNREACHED and not subject.blank:
                data = slub.reader.try_read(subject.address, case.cache.object_size)
                subject.idle = finder.of(subject.address, data or b"")


def _is_link(case: Case, subject: Subject, place: Optional[Place], value: int) -> bool:
    """A list's link in an object of the same kind, which may have been freed since."""
    offset = value - subject.address
    if offset not in subject.lists or place is None or place.cache is None:
        return False
    return place.cache.address in case.kin and 0 <= place.offset - offset < 16


def _is_neighbour(slub: Slub, places: Places, subject: Subject, holder: int, value: int) -> bool:
    """next or prev of the list_heads before and behind the object on a list."""
    offset = value - subject.address
    if offset not in subject.lists:
        return False
    word, order = slub.reader.word, slub.reader.byteorder
    try:
        data = slub.reader.read(value, 2 * word)
    except ReadError:
        return False
    following = int.from_bytes(data[:word], order)
    previous = int.from_bytes(data[word:], order)
    known = places.own_address(holder)
    return known == previous or known - word == following
