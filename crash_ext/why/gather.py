# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a Case: the leaked objects of a cache, what is in them, and who points to them.

In steps, so that several caches share one pass over memory: examine() and compare_with() for
each cache, find_holders() for all of them together, then walk_lists() and the rules. Knows the
allocator and the other files of this room; concludes nothing.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from crash_ext.contents.profile import Cell, spread
from crash_ext.contents.words import (
    HLIST_LINKED,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    POINTER,
    Word,
    Words,
)
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import Place
from crash_ext.places.places import Places
from crash_ext.reach.references import is_sheaf
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import ALLOCATED, Cache, SlabObjects
from crash_ext.why.case import POISON, ZEROES, Case, Held, Subject
from crash_ext.why.lists import Lists

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
_POISON_FREE = 0x6B
_POISON_END = 0xA5


def allocated(slabs: Iterable[SlabObjects], size: int) -> List[int]:
    """The addresses of the allocated objects of these slabs; size: from one to the next."""
    found: List[int] = []
    for decoded in slabs:
        first, states = decoded.first, decoded.states
        index = states.find(ALLOCATED)
        while index >= 0:
            found.append(first + index * size)
            index = states.find(ALLOCATED, index + 1)
    return found


def examine(slub: Slub, explainer: Words, cache: Cache, addresses: List[int]) -> Case:
    """The case of a cache with these allocated objects; of very many, evenly spread ones.

    Says how far it is: a word takes some microseconds.
    """
    case = Case(cache)
    case.total = len(addresses)
    limit = min(EXAMINED, max(_FEWEST, EXAMINED_BYTES // cache.object_size))
    step, number = spread(len(addresses), limit)
    poisoned = bool(cache.flags & slub.layout.flags.mask("POISON"))
    for address, data in contents(slub, cache, addresses[::step]):
        subject = Subject(address)
        case.subjects.append(subject)
        slub.progress(len(case.subjects), number)
        if data is None:
            case.unreadable += 1
            continue
        subject.blank = _blank(data, poisoned)
        words = explainer.explain(address, data)
        if len(case.samples) < SAMPLES:
            case.samples.append(words)
        case.profile.add(cells(words))
        subject.lists = {word.offset: word.kind for word in words if word.kind in _LISTS}
    return case


def compare_with(
    slub: Slub, explainer: Words, case: Case, twin: Cache, addresses: List[int]
) -> None:
    """Add a living cache of the same name to what the leaked objects are compared with."""
    case.twins.append(twin)
    limit = min(COMPARED, max(_FEWEST, COMPARED_BYTES // twin.object_size))
    step, _ = spread(len(addresses), limit)
    poisoned = bool(twin.flags & slub.layout.flags.mask("POISON"))
    for address, data in contents(slub, twin, addresses[::step]):
        if data is not None:
            case.twin_blank += _blank(data, poisoned) is not None
            words = explainer.explain(address, data)
            if len(case.samples) < 2 * SAMPLES:
                case.samples.append(words)
            case.twin_profile.add(cells(words))


def cells(words: Iterable[Word]) -> List[Cell]:
    """An object's explained words as a profile counts them."""
    return [Cell(word.offset, word.size, word.kind, _pattern(word)) for word in words]


def _pattern(word: Word) -> str:
    if word.kind == POINTER and word.target is not None:
        return f"pointer to {word.target.label or word.target.kind}"
    return word.kind


def walk_lists(slub: Slub, explainer: Words, case: Case) -> None:
    """Find the lists that the objects are on."""
    known = {subject.address: subject for subject in case.subjects}
    peers = {case.cache.address, *(twin.address for twin in case.twins)}
    name = explainer.places.name
    lists = Lists(explainer.memory, slub.reader.word, name, known.keys(), peers)
    for kinds, walk in (((LIST_LINKED, LIST_BROKEN), lists.rings), ((HLIST_LINKED,), lists.chains)):
        by_offset: Dict[int, List[int]] = {}
        for subject in case.subjects:
            for offset, kind in subject.lists.items():
                if kind in kinds:
                    by_offset.setdefault(offset, []).append(subject.address)
        for offset, starts in by_offset.items():
            for address, found in walk(offset, starts).items():
                known[address].memberships[offset] = found


def find_holders(
    slub: Slub, places: Places, cases: List[Case], progress: Callable[[int, int], None]
) -> Summary:
    """One pass over all memory for pointers to the objects of all cases."""
    subjects: Dict[int, Tuple[Case, Subject]] = {}
    ranges: List[Tuple[int, int]] = []
    for case in cases:
        for subject in case.subjects:
            subjects[subject.address] = (case, subject)
            ranges.append((subject.address, case.cache.object_size))
    summary = Summary()
    for hit in find_pointers(slub.reader, Targets(ranges), summary, cap=HOLDERS, progress=progress):
        case, subject = subjects[hit.start]
        held = _holder(slub, places, case, subject, hit.holder, hit.value)
        if held is not None:
            subject.held.append(held)
    text = f"{summary.bytes >> 20} MB of dumped memory"
    for case in cases:
        case.searched = text
    return summary


def _holder(
    slub: Slub, places: Places, case: Case, subject: Subject, holder: int, value: int
) -> Optional[Held]:
    """The pointer as one that may keep the object; None for what only looks like one."""
    if subject.address <= holder < subject.address + case.cache.size:
        return None
    place = places.name(holder)
    if (
        is_sheaf(slub, case.cache, place)
        or _is_link(case, subject, place, value)
        or _is_neighbour(slub, places, subject, holder, value)
    ):
        return None
    return Held(holder, value, place)


def _is_link(case: Case, subject: Subject, place: Optional[Place], value: int) -> bool:
    """A list's link in an object of the same kind, which may have been freed since."""
    offset = value - subject.address
    if offset not in subject.lists or place is None or place.cache is None:
        return False
    kin = {case.cache.address, *(twin.address for twin in case.twins)}
    return place.cache.address in kin and 0 <= place.offset - offset < 16


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
