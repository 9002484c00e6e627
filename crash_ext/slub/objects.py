# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of each object of a cache's slabs: free, allocated, on its way, or unknown.

One read for a slab, the freelists decoded in its bytes. An object is called free only
if a whole freelist or a sheaf has it, and allocated only if all freelists of its slab
are whole: their lengths must agree with the slab's counters, or nothing is claimed.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.hexa import hexa
from crash_ext.reader import Reader, ReadError
from crash_ext.report.text import plural
from crash_ext.slub.allocator import Slub
from crash_ext.slub.freelist import KEY_FORMS, Coding, Geometry, KeyForm, follow, links
from crash_ext.slub.kfence import KfenceObject
from crash_ext.slub.model import (
    ALLOCATED,
    FREE,
    UNKNOWN,
    Cache,
    Slab,
    SlabObjects,
    fast_slab_objects,
)
from crash_ext.slub.pending import for_each_pending_sheaf
from crash_ext.slub.quick import States, usual_states
from crash_ext.slub.redzone import cross_check
from crash_ext.slub.session import Session
from crash_ext.slub.settle import settling
from crash_ext.slub.sheaves import Freed, for_each_sheaf, read_sheaf
from crash_ext.slub.slabs import for_each_slab

_SAMPLES = 32
_NO_NOTES: Dict[int, str] = {}
"""Of each usual slab: nobody writes into it."""


def for_each_decoded_slab(
    session: Session, cache: Cache, problems: List[str], lists_only: bool = False
) -> Iterator[SlabObjects]:
    """The slabs of a cache with the state of each object.

    lists_only: only slabs that a list holds. What is wrong with the cache goes to
    `problems`; what is wrong with a slab is in the slab.
    """
    decoder = Decoder(session, cache, problems)
    decode = settling(session, cache, decoder.decode, problems)
    for slab in for_each_slab(session, cache, problems, lists_only):
        yield decode(slab)
    for found in session.kfence().of(cache.address):
        yield decoder.decode_kfence(found)
    if not lists_only:
        decoder.report_strays()


class SlabCount(NamedTuple):
    """What a slab's own counters say of its objects."""

    slab: Slab
    objects: int
    allocated: int
    unknown: int


def for_each_counted_slab(
    session: Session, cache: Cache, problems: List[str], lists_only: bool = False
) -> Iterator[SlabCount]:
    """for_each_decoded_slab(), by counters: without the memory of the objects.

    The same numbers, unless a slab is damaged in a way that its counters don't show. Those
    that its counters alone can't tell (a CPU allocates from it) are decoded.
    """
    decoder = Decoder(session, cache, problems)
    for slab in for_each_slab(session, cache, problems, lists_only):
        yield decoder.count(slab)
    for found in session.kfence().of(cache.address):
        yield _count(decoder.decode_kfence(found))
    if not lists_only:
        decoder.report_strays()


def _count(decoded: SlabObjects) -> SlabCount:
    return SlabCount(
        decoded.slab, len(decoded.states), decoded.count(ALLOCATED), decoded.count(UNKNOWN)
    )


class Decoder:
    """Decodes slabs of one cache; what its CPUs and nodes hold back is looked up once."""

    def __init__(self, session: Session, cache: Cache, problems: List[str]) -> None:
        self._reader = session.reader
        self._descriptors = session.descriptors
        self._cache = cache
        self._problems = problems
        forms: List[Optional[KeyForm]] = [None]
        if cache.random is not None:
            forms = list(key_forms(session))
        self._codings = [_coding(session, cache, form) for form in forms]
        self._held = _in_sheaves(session, cache, problems)
        self._held_order = sorted(self._held)
        self._deferred = session.deferred()
        self._holding = bool(self._held or self._deferred)
        self._claimed = 0
        self._red_zones = bool(cache.flags & session.layout.flags.mask("RED_ZONE"))
        self._usual: Optional[States] = None
        self._usual_objects, self._usual_bytes = cache.objects, cache.objects * cache.size
        self._red_left, self._stride, self._read = cache.red_left, cache.size, session.reader.read
        inside = cache.red_left + cache.offset + session.reader.word <= cache.size
        if len(self._codings) == 1 and inside and not self._red_zones:
            where = Geometry(
                cache.red_left, cache.size, cache.objects, cache.red_left, cache.offset
            )
            self._usual = usual_states(where, self._codings[0], session.reader.native)

    def decode(self, slab: Slab) -> SlabObjects:
        """The slab with the state of each of its objects. Never raises on bad memory.

        First as a usual slab, in which nothing needs a second look.
        """
        # All members at once, none twice: this runs for each slab.
        _, base, _, freelist, inuse, objects, _, _, _, _, doubt, cpu_freelist = slab
        if (
            self._usual is not None
            and objects == self._usual_objects
            and doubt is None
            and not cpu_freelist
            and freelist
            and 0 <= inuse < objects
            and not (self._holding and self._holds(slab))
        ):
            try:
                memory = self._read(base, self._usual_bytes)
            except ReadError:
                return self._carefully(slab)
            states = self._usual(memory, base, freelist, objects - inuse)
            if states is not None:
                first = base + self._red_left
                return fast_slab_objects(
                    (slab, first, self._stride, states, None, _NO_NOTES, memory, None, False)
                )
        return self._carefully(slab)

    def count(self, slab: Slab) -> SlabCount:
        """What decode() would count, as far as counters tell."""
        cache = self._cache
        if slab.cpu_freelist or slab.doubt or check_counters(cache, slab, self._reader):
            return _count(self.decode(slab))
        held = self._held_in(_geometry(cache, slab)) if self._holds(slab) else {}
        return SlabCount(slab, slab.objects, slab.inuse - len(held), 0)

    def _holds(self, slab: Slab) -> bool:
        """Whether a sheaf or a list of deferred frees has an address in the slab."""
        if slab.base in self._deferred:
            return True
        order = self._held_order
        if not order:
            return False
        first = slab.base + self._cache.red_left
        at = bisect_left(order, first)
        return at < len(order) and order[at] < first + slab.objects * self._cache.size

    def _carefully(self, slab: Slab) -> SlabObjects:
        cache = self._cache
        where = _geometry(cache, slab)
        held = self._held_in(where)
        problem = slab.doubt or check_counters(cache, slab, self._reader)
        if problem is not None:
            # A damaged count must not make up objects, nor take them from the next slab.
            room = self._descriptors.pages(slab.address, 1 << cache.order) * self._reader.page_size
            objects = min(slab.objects, cache.objects, max(1, room // cache.size))
            return _unknown(slab, where._replace(objects=objects), problem, None)
        memory: Optional[bytes] = None
        states = bytearray([ALLOCATED]) * slab.objects
        notes: Dict[int, str] = {}
        if slab.freelist or slab.cpu_freelist:
            try:
                memory = self._reader.read(slab.base, slab.objects * cache.size)
            except ReadError as error:
                found = _unknown(slab, where, f"slab memory: {error}", None)
                return found._replace(absent=True)
            for coding in self._codings:
                chains = _chains(slab, where, memory, coding)
                problem = chains[2]
                if problem is None:
                    break
            if problem is not None:
                return _unknown(slab, where, problem, memory)
            for index in chains[0]:
                states[index] = FREE
            for index in chains[1]:
                states[index] = FREE
                notes[index] = f"cpu {slab.cpu} cache"
        elif slab.inuse != slab.objects:
            text = f"no freelist, but inuse is {slab.inuse} of {slab.objects}"
            return _unknown(slab, where, text, None)
        for index, freed in held.items():
            if states[index] != ALLOCATED:
                address = where.first + index * where.size
                text = f"{hexa(address)} is free in the slab and in {freed.note}, too"
                return _unknown(slab, where, text, memory)
            states[index] = freed.state
            notes[index] = freed.note
        if self._red_zones:
            memory = self._cross_check(slab, where, memory, states, held)
        return SlabObjects(slab, where.first, where.size, bytes(states), None, notes, memory)

    def _cross_check(
        self,
        slab: Slab,
        where: Geometry,
        memory: Optional[bytes],
        states: bytearray,
        deferred: Dict[int, Freed],
    ) -> Optional[bytes]:
        """Let the red zones contradict the states; the slab's memory, where it can be read."""
        if memory is None:
            try:
                memory = self._reader.read(slab.base, slab.objects * self._cache.size)
            except ReadError:
                return None
        word = self._reader.word
        verdict = cross_check(self._cache, where, memory, bytes(states), word, deferred)
        states[:] = verdict.states
        self._problems.extend(verdict.remarks)
        return memory

    def decode_kfence(self, found: KfenceObject) -> SlabObjects:
        """An object of the KFENCE pool. A sheaf may have been filled with it."""
        objects = found.as_slab()
        freed = self._held.get(found.address)
        if freed is None:
            return objects
        self._claimed += 1
        return objects._replace(states=bytes([freed.state]), notes={0: freed.note})

    def report_strays(self) -> None:
        """After all slabs: say how many objects in sheaves were in none of them."""
        # A slab of a running kernel may be decoded more than once.
        strays = len(self._held) - self._claimed
        if strays == 1:
            self._problems.append(
                "1 entry of a sheaf is no object of the cache: its object is counted as allocated"
            )
        elif strays > 0:
            self._problems.append(
                f"{strays} entries of sheaves are no objects of the cache:"
                " their objects are counted as allocated"
            )

    def _held_in(self, where: Geometry) -> Dict[int, Freed]:
        """The slab's objects that sheaves or lists of deferred frees hold, by index."""
        found: Dict[int, Freed] = {}
        order = self._held_order
        at = bisect_left(order, where.first)
        end = where.first + where.objects * where.size
        while at < len(order) and order[at] < end:
            index, rest = divmod(order[at] - where.first, where.size)
            if not rest:
                found[index] = self._held[order[at]]
                self._claimed += 1
            at += 1
        base = where.first - where.shift
        for address, freed in self._deferred.get(base, {}).items():
            index, rest = divmod(address - where.first, where.size)
            right = 0 if freed.start else where.link
            if not 0 <= index < where.objects or (freed.state == FREE and rest != right):
                what = "object" if freed.start else "free pointer of an object"
                self._problems.append(f"{freed.note}: {hexa(address)} is no {what} of the cache")
            else:
                found[index] = freed
        return found


def key_forms(session: Session) -> List[KeyForm]:
    """The forms of hardened free pointers that this kernel's own slabs bear out.

    Asked once a session: slabs on partial lists are decoded in every form, and the form
    with more valid chains stands. Both are kept where no slab decides.
    """
    if session.key_forms is None:
        votes = dict.fromkeys(KEY_FORMS, 0)
        for cache, slab in _samples(session):
            where = _geometry(cache, slab)
            try:
                memory = session.reader.read(slab.base, slab.objects * cache.size)
            except ReadError:
                continue
            for form in KEY_FORMS:
                coding = _coding(session, cache, form)
                if _chains(slab._replace(cpu_freelist=0), where, memory, coding)[2] is None:
                    votes[form] += 1
        most = max(votes.values())
        session.key_forms = [form for form in KEY_FORMS if votes[form] == most]
    return session.key_forms


def check_counters(cache: Cache, slab: Slab, reader: Reader) -> Optional[str]:
    """What is wrong with a slab's counters, None where they can be."""
    if not 0 < slab.objects <= cache.max_objects:
        return f"{plural(slab.objects, 'object')} in a slab of at most {cache.max_objects}"
    if slab.inuse > slab.objects:
        return f"inuse is {slab.inuse} of {slab.objects}"
    if not _fills_pages(cache, slab.objects, reader.page_size):
        many, fill = plural(slab.objects, "object"), "fills" if slab.objects == 1 else "fill"
        return f"{many} of {cache.size} bytes {fill} no power of two of pages"
    if slab.freelist and cache.red_left + cache.offset + reader.word > cache.size:
        return f"free pointer at +{cache.offset:#x} is outside an object of {cache.size} bytes"
    return None


def _fills_pages(cache: Cache, objects: int, page_size: int) -> bool:
    """Whether this many objects are what order_objects() in mm/slub.c gives for some order."""
    if objects in (cache.objects, cache.max_objects):
        return True
    size = page_size
    while size // cache.size < objects:
        size *= 2
    # One less: up to v4.17 some bytes at a slab's end may be reserved.
    return size // cache.size in (objects, objects + 1)


def _samples(session: Session) -> Iterator[Tuple[Cache, Slab]]:
    taken = 0
    for cache in session.listed_caches().caches:
        if cache.random is None:
            continue
        for slab in for_each_slab(session, cache, [], lists_only=True):
            if slab.freelist and check_counters(cache, slab, session.reader) is None:
                yield cache, slab
                taken += 1
                break
        if taken >= _SAMPLES:
            return


def _geometry(cache: Cache, slab: Slab) -> Geometry:
    return Geometry(
        slab.base + cache.red_left, cache.size, slab.objects, cache.red_left, cache.offset
    )


def _coding(slub: Slub, cache: Cache, form: Optional[KeyForm]) -> Coding:
    return Coding(form, cache.random or 0, slub.reader.word, slub.reader.byteorder)


def _chains(
    slab: Slab, where: Geometry, memory: bytes, coding: Coding
) -> Tuple[List[int], List[int], Optional[str]]:
    """Objects on the slab's freelist, on its CPU's, and what is wrong with them."""
    expected = slab.objects - slab.inuse
    link_of = links(memory, where, coding)
    chain, problem = follow(where, slab.freelist, link_of)
    if problem is not None:
        return [], [], f"freelist: {problem}, after {len(chain)} of {expected} free objects"
    if len(chain) != expected:
        return [], [], f"freelist: {plural(len(chain), 'object')}, but inuse leaves {expected} free"
    if not slab.cpu_freelist:
        return chain, [], None
    cpu_chain, problem = follow(where, slab.cpu_freelist, link_of)
    if problem is not None:
        return (
            [],
            [],
            f"freelist of cpu {slab.cpu}: {problem}, after {plural(len(cpu_chain), 'object')}",
        )
    both = set(chain).intersection(cpu_chain)
    if both:
        address = where.first + min(both) * where.size
        return [], [], f"freelist of cpu {slab.cpu}: {hexa(address)} is on the slab's, too"
    return chain, cpu_chain, None


def _in_sheaves(session: Session, cache: Cache, problems: List[str]) -> Dict[int, Freed]:
    """Address -> how it is freed, of the objects in the cache's sheaves."""
    if session.layout.sheaves is None or not cache.cpu_sheaves:
        return {}
    before = len(problems)
    sheaves = list(for_each_sheaf(session, cache, problems))
    known: Set[int] = {sheaf.address for sheaf in sheaves}
    sheaves += for_each_pending_sheaf(session, session.page_index(), cache, known, problems)
    held: Dict[int, Freed] = {}
    for sheaf in sheaves:
        for address, freed in read_sheaf(session, cache, sheaf, problems).items():
            if address in held:
                problems.append(
                    f"{hexa(address)}: in {held[address].note} and in {freed.note}, too"
                )
            held[address] = freed
    if len(problems) > before:
        problems.append("the objects in the lost sheaves are counted as allocated")
    return held


def _unknown(slab: Slab, where: Geometry, problem: str, memory: Optional[bytes]) -> SlabObjects:
    states = bytes([UNKNOWN]) * where.objects
    return SlabObjects(slab, where.first, where.size, states, problem, {}, memory)
