# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a Case: the leaked objects of a cache, what is in them, and who points to them.

In steps, so that several caches share one pass over memory: examine() and compare_with() for
each cache, find_holders() for all of them together, then walk_lists() and the rules. Knows the
allocator and the other files of this folder; concludes nothing.
"""

from __future__ import annotations

from array import array
from typing import (
    Callable,
    Counter,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from crash_ext.contents.callbacks import BY_RCU, WAIT, Callback, Callbacks
from crash_ext.contents.profile import ENOUGH, USUAL, Cell, spread
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    POINTER,
    RB_LINKED,
    TEXT,
    Word,
    Words,
)
from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.pages import Memory
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import OBJECT, STACK, Place, words_of
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.hidden import Hidden, find_hidden
from crash_ext.reach.model import (
    DEAD,
    IN_USE,
    LOST,
    MAYBE,
    PENDING,
    PERHAPS,
    REACHED,
    UNREACHED,
    Step,
)
from crash_ext.reach.reach import Reach
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.kmalloc import kmalloc_size
from crash_ext.slub.model import ALLOCATED, RCU_PENDING, Cache, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.why.case import (
    ANOTHER,
    OWN,
    POISON,
    UNTOLD,
    ZEROES,
    Case,
    Held,
    Subject,
    Trace,
    best_held,
)
from crash_ext.why.containers import Containers
from crash_ext.why.lists import HEADLESS, LEAKED, Alive, Lists, is_gone
from crash_ext.why.oldlinks import NODE_WORDS, OLD_HEAD, is_old_head, is_old_node, is_old_rcu
from crash_ext.why.slots import NOT_COUNTED, Slots
from crash_ext.why.together import sort_lost

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
HOLDERS = 64
"""Pointers to one object that are kept."""

_LISTS = (LIST_EMPTY, LIST_LINKED, LIST_BROKEN, LIST_DELETED, HLIST_LINKED)
_HALF = 4
_SMALL = 255
"""A state or a count of references is a small number."""
_PAIR = 2
"""List_heads of a list of one entry."""
_ASKED = 16
"""Living objects of which each node is asked whether something will call them by it."""
_FEW = 4
"""Of a list of objects of kinds that are as many; a longer one is rarely an object's own."""
_NAMED = 1000
"""Objects of a case whose ways are followed one by one; of more, some of each kind."""
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
    for address, data in contents(session, cache, addresses[::step]):
        subject = Subject(address)
        case.subjects.append(subject)
        session.progress(len(case.subjects), number)
        if data is None:
            case.unreadable += 1
            subject.away = True
            continue
        subject.blank = _blank(data, poisoned)
        subject.values = _values(session, data, session.reader.word)
        subject.halves = _values(session, data, _HALF)
        words = explainer.explain(address, data)
        if len(case.samples) < SAMPLES:
            case.samples.append(words)
        case.profile.add(cells(words))
        subject.lists = {word.offset: word.kind for word in words if word.kind in _LISTS}
        subject.trees = [word.offset for word in words if word.kind == RB_LINKED]
    return case


def _is_uncleared(slub: Slub, cache: Cache) -> bool:
    """Whether the last owner's contents stay, but for allocations with __GFP_ZERO.

    init_on_alloc spares constructed objects and those that RCU readers may still see (mm/slab.h,
    slab_want_init_on_alloc()). Poison spares nothing. The static key's first word counts its uses.
    """
    mask = slub.layout.flags.mask
    if cache.flags & mask("POISON"):
        return False
    if cache.ctor or cache.flags & mask("TYPESAFE_BY_RCU"):
        return True
    return not read_symbol_number(slub.reader, "init_on_alloc", _HALF)


def compare_with(
    slub: Slub,
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
    poisoned = bool(twin.flags & slub.layout.flags.mask("POISON"))
    for address, data in contents(slub, twin, addresses[::step]):
        if data is not None:
            case.twin_blank += _blank(data, poisoned) is not None
            words = explainer.explain(address, data)
            if callbacks is not None:
                _ask_nodes(explainer, callbacks, case, address, data, words)
            _narrow_numbers(case, _values(slub, data, _HALF))
            _narrow(case, explainer, _values(slub, data, slub.reader.word), words)
            if len(case.samples) < 2 * SAMPLES:
                case.samples.append(words)
            case.twin_profile.add(cells(words))


def several_types(cache: Cache) -> str:
    """Why the objects of a cache are of several types, or may be; "" if they are of one."""
    if kmalloc_size(cache) is not None:
        return "a kmalloc cache has objects of many types"
    if cache.refcount > 1:
        return (
            f"{cache.refcount} caches were merged into this one: its objects may be of many types"
        )
    return ""


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
    lowest = explainer.lowest
    for word in words:
        if word.kind == TEXT:
            for at in range(word.offset - word.offset % 8, word.offset + word.size, 4):
                values.pop(at, None)
    if not case.twin_profile.objects:
        case.twin_traces = {
            at: Trace(value, value >= lowest) for at, value in values.items() if value
        }
        return
    kept: Dict[int, Trace] = {}
    for at, trace in case.twin_traces.items():
        value = values.get(at)
        if value:
            constant = trace.constant if value == trace.constant else None
            kept[at] = Trace(constant, trace.pointer or value >= lowest)
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
    name = explainer.places.name
    _find_bereft(explainer, case)
    _find_unread(explainer, case)
    lists = Lists(
        *(explainer.memory, slub.reader.word, name, known.keys(), case.kin, alive),
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


def _find_bereft(explainer: Words, case: Case) -> None:
    """Nodes that were alone on a list whose head is gone: next and prev are one address.

    Such a pair is common enough elsewhere. It counts where living objects are on a list
    there, or where the address is in memory that was given back. Of a hlist next is NULL, and
    only living objects tell.
    """
    word = explainer.word
    enough = case.twin_profile.objects >= ENOUGH and not case.mixed
    usual = USUAL * case.twin_profile.objects if enough else None
    hashed = [
        at
        for at in case.twin_profile.offsets()
        if usual is not None and case.twin_profile.count_kind(at, HLIST_LINKED) >= usual
    ]
    for subject in case.subjects:
        for at in hashed:
            head = subject.values.get(at + word, 0)
            if at not in subject.lists and subject.values.get(at) == 0 and head > explainer.lowest:
                subject.lists[at] = HLIST_LINKED
        for at, value in subject.values.items():
            if value != subject.values.get(at + word) or value < explainer.lowest:
                continue
            here = subject.address + at
            if at in subject.lists or subject.address <= value < here + case.cache.object_size:
                continue
            back, forth = (explainer.memory.word(value + word), explainer.memory.word(value))
            if here in (back, forth):
                continue
            linked = case.twin_profile.count_kind(at, LIST_LINKED)
            place = explainer.places.name(value)
            if (usual is not None and linked >= usual) or (place is not None and is_gone(place)):
                subject.lists[at] = LIST_BROKEN


def _find_unread(explainer: Words, case: Case) -> None:
    """Nodes that can't be told, for what they lead to isn't in the dump."""
    nodes, word = _nodes(case), explainer.word
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


def find_holders(
    slub: Slub,
    places: Places,
    cases: List[Case],
    reach: Reach,
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
    callbacks = Callbacks(places)
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
        if held.worth == IN_USE:
            found = _callback(callbacks, slub, case, subject, hit.value)
            if found is not None and (
                found.kind not in BY_RCU or _waits_for_rcu(callbacks, reach, subject, hit.value)
            ):
                held = held._replace(callback=found)
            else:
                held = _by_counters(slots, places, reach, held)
        subject.held.append(held)
    for case, subject in subjects.values():
        if subject.level == REACHED and _by_old_words_alone(subject):
            subject.level = MAYBE
        _find_queued(callbacks, slub, places, reach, case, subject)
    blocks = Blocks(places, reach)
    _show_paths(reach, places, cases, Containers(places, callbacks, blocks, reach.path), blocks)
    _find_inner(slub, reach, cases)
    _find_hidden(slub, places, reach, cases)
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
        path = reach.path(held.holder)
        above = places.own_address(path[-1].holder) if path else 0
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
    old = all(held.worth == PERHAPS and held.why in (OLD_HEAD, *NOT_COUNTED) for held in in_use)
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


def _waits_for_rcu(callbacks: Callbacks, reach: Reach, subject: Subject, value: int) -> bool:
    return callbacks.in_rcu_chain(reach.path(subject.address), value)


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


def _show_paths(
    reach: Reach, places: Places, cases: List[Case], containers: Containers, blocks: Blocks
) -> None:
    """The ways to some objects, and what they lead through: to the first of each kind.

    What holds the first ones of a kind holds the others, if it is the same for all of those.
    """
    shown: Dict[Tuple[int, str], List[Subject]] = {}
    others: Dict[Tuple[int, str], List[Subject]] = {}
    for number, case in enumerate(cases):
        few = len(case.subjects) <= _NAMED
        for subject in case.subjects:
            if not subject.level:
                continue
            kind = ",".join(sorted({holder_label(held) for held in subject.held}))
            kind += " ".join(ring.text for ring in subject.memberships.values())
            if few or len(shown.get((number, kind), ())) < SAMPLES:
                subject.path = _path(reach, places, subject)
                subject.root = subject.path[0].place if subject.path else None
                shown.setdefault((number, kind), []).append(subject)
            else:
                others.setdefault((number, kind), []).append(subject)
    first_steps = [subject.path[0] for each in shown.values() for subject in each if subject.path]
    blocks.look_for((step.holder, step.place) for step in first_steps)
    for (number, _), alike in shown.items():
        for subject in alike:
            subject.container = containers.name(cases[number], subject, best_held(subject))
    for key, alike in others.items():
        first, *more = shown[key]
        if all((s.container, s.root) == (first.container, first.root) for s in more):
            for subject in alike:
                subject.container, subject.root = first.container, first.root


def _path(reach: Reach, places: Places, subject: Subject) -> List[Step]:
    """The pointers that lead to an object; not by a slot that is known to be no longer in use."""
    path, best = reach.path(subject.address), best_held(subject)
    old = {held.holder for held in subject.held if held.worth == PERHAPS}
    if best is None or best.place is None or not path:
        return path
    if places.own_address(path[-1].holder) not in old:
        return path
    above = reach.path(best.holder) if best.place.kind == OBJECT else []
    if any(step.target == subject.address for step in above):
        return path
    last = Step(best.holder, best.place, subject.address, best.value - subject.address)
    return [*above, last]


def holder_label(held: Held) -> str:
    """What holds an object, the same for all pointers of one thing."""
    if held.callback is not None:
        return f"{held.callback.kind} {held.callback.function}"
    if held.place is None:
        return ""
    return f"{held.place.kind} {held.place.label} {held.place.offset}"


def _find_inner(slub: Slub, reach: Reach, cases: List[Case]) -> None:
    """Of objects that nothing leads to: which are lost only with others, and with which."""
    subjects = {s.address: s for case in cases for s in case.subjects if s.level == UNREACHED}
    if not subjects:
        return
    memory, word = Memory(slub.reader), slub.reader.word
    nodes = {s.address: kinds for case in cases for kinds in [_nodes(case)] for s in case.subjects}
    edges = [
        (owner, target)
        for owner, target in reach.lost_edges()
        if owner not in subjects
        or not (
            _by_old_head(reach, word, subjects[owner], target)
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


def _nodes(case: Case) -> Dict[int, str]:
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
    if not nodes and not heads and LIST_DELETED not in subject.lists.values():
        return False
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
    return False


def _by_old_head(reach: Reach, word: int, subject: Subject, target: int) -> bool:
    """Whether only the node of a list whose head is gone leads there: where the head was.

    What lies there now has nothing to do with the object. Of a lone node both words are one.
    """
    values = subject.values
    rings = subject.memberships.values()
    if any(m.verdict == HEADLESS and m.at and reach.object_at(m.at) == target for m in rings):
        return True
    found = [at for at, value in values.items() if reach.object_at(value) == target]
    return bool(found) and all(
        values[at] in (values.get(at + word), values.get(at - word)) for at in found
    )


def _find_hidden(slub: Slub, places: Places, reach: Reach, cases: List[Case]) -> None:
    """The two more looks at objects that nothing leads to: by physical address, by page.

    At a page's start a number that fits is often chance: it counts beside those of others.
    """
    lost = {s.address: (case, s) for case in cases for s in case.subjects if s.level == UNREACHED}
    beside: Dict[Tuple[int, int], int] = {}
    round_ones: List[Hidden] = []
    for found in find_hidden(slub, reach, array("Q", sorted(lost))):
        case, subject = lost[found.address]
        page = (case.cache.address, found.holder // slub.reader.page_size)
        if found.round:
            round_ones.append(found)
        else:
            beside[page] = found.holder
            subject.hidden = _hidden_text(places, found)
    for found in round_ones:
        case, subject = lost[found.address]
        if (case.cache.address, found.holder // slub.reader.page_size) in beside:
            subject.hidden = subject.hidden or _hidden_text(places, found)


def _hidden_text(places: Places, found: Hidden) -> str:
    place = places.name(found.holder)
    where = words_of(place)
    return f"{found.text} at {hexa(found.holder)}, {where}"


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
