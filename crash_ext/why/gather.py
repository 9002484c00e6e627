# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a Case: the leaked objects of a cache, what is in them, and in living ones.

In steps, so that several caches share one pass over memory: examine() and compare_with() for
each cache, holders.find_holders() for all of them together, then walk_lists() and the rules. Knows
the allocator and the other files of this folder; concludes nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Counter, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from crash_ext.contents.callbacks import BY_RCU, Callbacks
from crash_ext.contents.profile import Cell, spread
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_BROKEN,
    LIST_LINKED,
    MAX_ERRNO,
    POINTER,
    RB_LINKED,
    TEXT,
    Word,
    Words,
    second_poisons,
)
from crash_ext.places.place import OBJECT
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.kmalloc import several_types
from crash_ext.slub.model import Cache, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.slub.untouched import FreePointers
from crash_ext.why.bereft import LIST_NODES, find_bereft, place_of
from crash_ext.why.case import ANOTHER, OWN, POISON, UNTOLD, ZEROES, Case, Subject, Trace
from crash_ext.why.lists import Alive, Lists
from crash_ext.why.lostwith import usual_nodes
from crash_ext.why.oldlinks import NODE_WORDS
from crash_ext.why.waiters import find_waiters

EXAMINED = 20000
"""Leaked objects of a cache whose contents are looked at; of more, evenly spread ones."""
EXAMINED_BYTES = 8 << 20
"""Of contents that are looked at, whatever the objects' size: some ten seconds."""
COMPARED = 2000
"""Living objects that they are compared with."""
COMPARED_BYTES = 1 << 20
_FEWEST = 64
SAMPLES = 4
"""Objects whose words are kept, of the leaked and of the living ones."""
_HALF = 4
_SMALL = 255
"""A state or a count of references is a small number."""
_PAIR = 2
"""List_heads of a list of one entry."""
_ASKED = 16
"""Living objects of which each node is asked whether something will call them by it."""
_FEW = 4
"""Of a list of objects of kinds that are as many; a longer one is rarely an object's own."""
_POISON_FREE = 0x6B
_POISON_END = 0xA5


def allocated(slabs: Iterable[SlabObjects]) -> List[int]:
    """The addresses of the allocated objects of these slabs."""
    return [address for decoded in slabs for address in decoded.allocated()]


def examine(
    session: Session, explainer: Words, cache: Cache, kin: Iterable[Cache], addresses: List[int]
) -> Case:
    """The case of a cache with these allocated objects; of very many, evenly spread ones.

    kin: its memcg children, or the caches that it is one of. Says how far it is: a word takes
    some microseconds.
    """
    case = Case(cache)
    case.word = session.reader.word
    case.kin.update(each.address for each in kin)
    case.total = len(addresses)
    case.red_zones = bool(cache.flags & session.layout.flags.mask("RED_ZONE"))
    limit = min(EXAMINED, max(_FEWEST, EXAMINED_BYTES // cache.object_size))
    step, number = spread(len(addresses), limit)
    poisoned = bool(cache.flags & session.layout.flags.mask("POISON"))
    pointers = FreePointers(session, [cache, *kin])
    for address, data in contents(session, cache, addresses[::step]):
        subject = Subject(address)
        case.subjects.append(subject)
        session.progress(len(case.subjects), number)
        if data is None:
            case.unreadable += 1
            subject.away = True
            continue
        subject.blank = _blank(data, poisoned)
        subject.untouched = pointers.stand(address, data)
        subject.values = _values(session, data, session.reader.word)
        subject.halves = _values(session, data, _HALF)
        words = explainer.explain(address, data)
        if len(case.samples) < SAMPLES:
            case.samples.append(words)
        case.profile.add(cells(words))
        subject.lists = {word.offset: word.kind for word in words if word.kind in LIST_NODES}
        subject.trees = [word.offset for word in words if word.kind == RB_LINKED]
        case.no_nodes.update(_numbers_before_poison(explainer, subject.values))
    return case


def _numbers_before_poison(explainer: Words, values: Dict[int, int]) -> Iterator[int]:
    """Where a number is before LIST_POISON2 that no deletion leaves: no pointer, and no list's end.

    Then the poison is a number, too; in other objects of the cache as well.
    """
    poisons = second_poisons(explainer.word)
    for at, value in values.items():
        before = values.get(at - explainer.word, 0) if value in poisons else 0
        if (
            0 < before < explainer.lowest
            and not before & 1
            and before not in explainer.first_poison
        ):
            yield at - explainer.word


def compare_with(
    session: Session,
    explainer: Words,
    case: Case,
    family: Sequence[Cache],
    addresses: List[int],
    callbacks: Optional[Callbacks],
) -> None:
    """Add a living cache of the same name to what the leaked objects are compared with.

    family: with its memcg children, the root first; addresses: of objects of them all.
    callbacks: to ask what their nodes are; None where nothing will be concluded from those.
    """
    twin = family[0]
    case.twins.append(twin)
    case.mixed = case.mixed or several_types(twin)
    case.kin.update(each.address for each in family)
    limit = min(COMPARED, max(_FEWEST, COMPARED_BYTES // twin.object_size))
    step, _ = spread(len(addresses), limit)
    poisoned = bool(twin.flags & session.layout.flags.mask("POISON"))
    pointers = FreePointers(session, family)
    for address, data in contents(session, twin, addresses[::step]):
        if data is not None:
            case.twin_untouched += pointers.stand(address, data) or 0
            case.twin_blank += _blank(data, poisoned) is not None
            words = explainer.explain(address, data)
            if callbacks is not None:
                _ask_nodes(explainer, callbacks, case, address, data, words)
            _narrow_numbers(case, _values(session, data, _HALF))
            _narrow(case, explainer, _values(session, data, session.reader.word), words)
            if len(case.samples) < 2 * SAMPLES:
                case.samples.append(words)
            case.twin_profile.add(cells(words))


def _values(slub: Slub, data: bytes, word: int) -> Dict[int, int]:
    order = slub.reader.byteorder
    return {
        at: int.from_bytes(data[at : at + word], order)
        for at in range(0, len(data) - word + 1, word)
    }


def _ask_nodes(
    explainer: Words,
    callbacks: Callbacks,
    case: Case,
    address: int,
    data: bytes,
    words: Sequence[Word],
) -> None:
    """What nodes of a living object are: timers' links and the like, heads of its own lists."""
    for word in words:
        at = word.offset
        if word.kind in NODE_WORDS and case.twin_profile.objects < _ASKED:
            found = callbacks.at(address, data, at)
            if found is not None and found.kind not in BY_RCU and found.sure:
                case.twin_calls.setdefault(at, found)
        if word.kind == LIST_LINKED and at not in case.twin_calls:
            heads = case.twin_heads.setdefault(at, Counter())
            heads[_who_heads(explainer, case, address, at)] += 1


def _who_heads(explainer: Words, case: Case, address: int, offset: int) -> str:
    """Whether the linked list_head of a living object heads a list of its own."""
    node, read = address + offset, explainer.memory.word
    ring = explainer.rings.of(node)
    if ring.nodes == _PAIR:
        return OWN if _waits(explainer, read(node) or 0) else UNTOLD
    if ring.head is not None:
        return OWN if ring.head.object == address else ANOTHER
    at = read(node)
    for _ in range(_FEW):
        if not at or at == node:
            return UNTOLD
        place = explainer.places.name(at)
        if place is None or place.kind != OBJECT or place.cache is None:
            return ANOTHER
        if place.cache.address in case.kin and place.offset == offset:
            return ANOTHER
        at = read(at)
    return ANOTHER


def _narrow(case: Case, explainer: Words, values: Dict[int, int], words: Sequence[Word]) -> None:
    """Keep as traces what this living object has, too; no text, which may be a shorter one."""
    lowest, errors = explainer.lowest, (1 << 8 * case.word) - MAX_ERRNO
    for word in words:
        if word.kind == TEXT:
            for at in range(word.offset - word.offset % 8, word.offset + word.size, 4):
                values.pop(at, None)
    if not case.twin_profile.objects:
        case.twin_traces = {
            at: Trace(value, address, value <= _SMALL, address)
            for at, value in values.items()
            for address in [lowest <= value < errors]
            if value
        }
        return
    kept: Dict[int, Trace] = {}
    for at, trace in case.twin_traces.items():
        value = values.get(at)
        if value:
            constant = trace.constant if value == trace.constant else None
            small = trace.small or value <= _SMALL
            address = lowest <= value < errors
            kept[at] = Trace(constant, trace.pointer or address, small, trace.pointers and address)
    case.twin_traces = kept


def _narrow_numbers(case: Case, halves: Dict[int, int]) -> None:
    """Keep the small numbers that this living object has, too: states, counts of references."""
    if not case.twin_profile.objects:
        case.twin_numbers = {at: value for at, value in halves.items() if 0 < value <= _SMALL}
        return
    kept = {at: value for at, value in case.twin_numbers.items() if halves.get(at) == value}
    case.twin_numbers = kept


def cells(words: Iterable[Word]) -> List[Cell]:
    """An object's explained words as a profile counts them."""
    return [Cell(word.offset, word.size, word.kind, _pattern(word)) for word in words]


def _pattern(word: Word) -> str:
    if word.kind == POINTER and word.target is not None:
        return f"pointer to {word.target.label or word.target.kind}"
    return word.kind


def walk_lists(slub: Slub, explainer: Words, case: Case, alive: Alive) -> None:
    """Find the lists that the objects are on. alive: whether what is at an address holds."""
    known = {subject.address: subject for subject in case.subjects}
    find_bereft(explainer, case)
    _find_unread(explainer, case)
    lists = Lists(
        *(
            explainer.memory,
            slub.reader.word,
            partial(place_of, explainer),
            known.keys(),
            case.kin,
            alive,
        ),
        waits=lambda node: _waits(explainer, node),
        lowest=explainer.lowest,
    )
    for kinds, walk in (((LIST_LINKED, LIST_BROKEN), lists.rings), ((HLIST_LINKED,), lists.chains)):
        by_offset: Dict[int, List[int]] = {}
        for subject in case.subjects:
            for offset, kind in subject.lists.items():
                if kind in kinds:
                    by_offset.setdefault(offset, []).append(subject.address)
        for offset, starts in by_offset.items():
            for address, found in walk(offset, starts).items():
                known[address].memberships[offset] = found
    find_waiters(explainer, case)


def _find_unread(explainer: Words, case: Case) -> None:
    """Nodes that can't be told, for what they lead to isn't in the dump."""
    nodes, word = usual_nodes(case), explainer.word
    for subject in case.subjects:
        for at, kind in nodes.items():
            values = [subject.values.get(at + word * n, 0) for n in range(NODE_WORDS[kind])]
            if any(v >= explainer.lowest and explainer.memory.word(v & ~3) is None for v in values):
                subject.unread.add(at)


def _waits(explainer: Words, node: int) -> bool:
    """Whether a list_head on a stack is the entry of the task that sleeps there.

    wait_queue_entry.private and swait_queue.task lie before it, mutex_waiter.task,
    rwsem_waiter.task and semaphore_waiter.task behind it.
    """
    task = explainer.places.tasks.at(node)
    if task is None:
        return False
    word, read = explainer.word, explainer.memory.word
    return task.address in [read(node + at * word) for at in (-2, -1, 2)]


def contents(
    slub: Slub, cache: Cache, addresses: Iterable[int]
) -> Iterator[Tuple[int, Optional[bytes]]]:
    """Each object with its bytes; None where they can't be read."""
    for address in addresses:
        try:
            yield address, slub.reader.read(address, cache.object_size)
        except ReadError:
            yield address, None


def _blank(data: bytes, poisoned: bool) -> Optional[str]:
    if not any(data):
        return ZEROES
    if poisoned and data == bytes([_POISON_FREE]) * (len(data) - 1) + bytes([_POISON_END]):
        return POISON
    return None
