# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches what: one pass over memory in use, for the allocated objects of all caches.

From variables, pages in use and live stacks, through allocated objects, to allocated
objects. Free objects, free pages, dead stacks and the entries behind a sheaf's size lead
nowhere. Says what leads to an object, not what that means.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from crash_ext.kernel import pageuse
from crash_ext.kernel.backpointers import MEMBERS
from crash_ext.kernel.pageuse import PageUse
from crash_ext.kernel.runtimeconst import for_each_text_piece
from crash_ext.kernel.say import count
from crash_ext.kernel.search import Summary
from crash_ext.places.place import (
    MODULE,
    PAGE_STRUCT,
    PERCPU,
    REGISTER,
    SYMBOL,
    UNNAMED,
    VMALLOC,
    Place,
)
from crash_ext.places.places import Places
from crash_ext.reach.extents import Extents
from crash_ext.reach.heap import Heap
from crash_ext.reach.inner import find_inner
from crash_ext.reach.livestacks import Stacks
from crash_ext.reach.mark import Marks
from crash_ext.reach.model import MAYBE, REACHED, UNREACHED, Step, Way
from crash_ext.reach.pagewords import PageWords
from crash_ext.reach.sheaves import BEHIND_SHEAF, Sheaves
from crash_ext.reach.slots import for_each_unused
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session

_CHUNK_PAGES = 64
_TELL_PAGES = 1 << 12
_ENOUGH = 20
"""If more than one page in use of this many is missing, what they hold is anybody's guess."""
PATH = 64
"""Most steps of a path."""
_MAPPED = (SYMBOL, MODULE, PERCPU, VMALLOC, PAGE_STRUCT)
"""Kinds of places that have addresses outside of the direct map, and are in use."""


class Reach:
    """What leads to each allocated object of a kernel. Worked out on creation."""

    def __init__(
        self,
        session: Session,
        caches: Iterable[Cache],
        places: Places,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._session = session
        self._reader = session.reader
        self._places = places
        self._progress = progress
        self.use = PageUse(session.reader)
        self.heap = Heap(session, caches, self.use, progress)
        self._targets = self.heap.targets
        self._stale = Extents()
        """Behind the entries of sheaves: ascending, as memory is read."""
        self._blank = self._without_worth()
        every = self.heap.caches
        largest = max((cache.order for cache in every), default=0)
        self._page_words = PageWords(session, self.use, self._targets, 1 << largest)
        self._sunk = Extents()
        """What was left out, for nothing but what it leads to has it."""
        self._sheaves = Sheaves(session, self._targets, every, self.heap.kmalloced)
        self._constant = [
            (self._reader.symbol(first) or 0, self._reader.symbol(last) or 0)
            for first, last in (("_stext", "_etext"), ("__start_rodata", "__end_rodata"))
        ]
        self._aged: Set[int] = set()
        """Numbers of objects that old links alone lead to; of caches that were asked about."""
        self._old_links: Dict[int, str] = {}
        """Address of such a link -> why it may be old."""
        self._inner: Optional[bytes] = None
        self._lost_edges: Optional[array[int]] = None
        self._registers: Dict[int, Place] = {}
        self._stacks = Stacks(session.reader, places, self.use)
        self._in_registers = self._reader.registers()
        self._mark()

    # --- answers ---

    @property
    def blind(self) -> str:
        """Why what leads to objects is unknown, or nothing: too much of memory is away."""
        missing = self.summary.unreadable * self._reader.page_size
        if missing * _ENOUGH <= self.summary.bytes:
            return ""
        return (
            f"{self.summary.unreadable} pages in use are not in the dump: what leads to objects"
            " is unknown"
        )

    def not_searched(self, lost: bool = True) -> List[str]:
        """What may lead to objects and could not be looked at, in words.

        lost: nothing leads to some, so far as that is known.
        """
        found = []
        if self.summary.unreadable:
            found.append(f"{count(self.summary.unreadable, 'page')} in use not in the dump")
        if lost and not self._in_registers:
            found.append("no registers of CPUs in the dump")
        return found

    @property
    def objects(self) -> int:
        """Allocated objects of all caches."""
        return len(self._targets.starts)

    def object_at(self, address: int) -> Optional[int]:
        """The start of the allocated object that an address lies in."""
        number = self._targets.index(address)
        return None if number < 0 else self._targets.starts[number]

    def cache_at(self, address: int) -> int:
        """The number in `caches` of the cache whose allocated object an address lies in; -1."""
        number = self._targets.index(address)
        return -1 if number < 0 else self.heap.owner(number)

    def level(self, address: int) -> Optional[int]:
        """REACHED, MAYBE or UNREACHED of the allocated object that an address lies in.

        None: in none.
        """
        number = self._targets.index(address)
        if number < 0:
            return None
        return MAYBE if number in self._aged else self._marks.levels[number]

    def age(self, objects: Iterable[int], links: Iterable[int], why: str) -> None:
        """From now on these objects are MAYBE; and so is what the pointers at links lead to."""
        self._aged.update(self._targets.index(address) for address in objects)
        self._old_links.update(dict.fromkeys(links, why))

    def lead(self, address: int, holder: int) -> None:
        """From now on the way to an object that something leads to is by this pointer."""
        self._marks.lead(self._targets.index(address), holder)

    def reached_from(self, address: int) -> int:
        """The start of the object with the pointer by which an object was reached; 0: none."""
        targets = self._targets
        holder = self._marks.parent(targets.index(address))
        owner = targets.index(holder) if holder else -1
        return targets.starts[owner] if owner >= 0 else 0

    def unreached(self) -> Iterator[int]:
        """The starts of all objects that nothing leads to, ascending."""
        levels, starts = self._marks.levels, self._targets.starts
        at = levels.find(UNREACHED)
        while at >= 0:
            yield starts[at]
            at = levels.find(UNREACHED, at + 1)

    def not_reached(self) -> Dict[int, List[int]]:
        """Number of a cache in `caches` -> the first object of each of its slabs with one.

        An object, that is, which nothing leads to, or only memory that may be old.
        """
        levels, heap = self._marks.levels, self.heap
        found: Dict[int, List[int]] = {}
        for level in (UNREACHED, MAYBE):
            at = levels.find(level)
            while at >= 0:
                first, behind = heap.slab_of(at)
                of_cache = found.setdefault(heap.owner(at), [])
                if not of_cache or of_cache[-1] != first:
                    of_cache.append(first)
                at = levels.find(level, behind)
        return found

    def levels(self, numbers: range) -> bytes:
        """The levels of objects by their numbers."""
        return bytes(self._marks.levels[numbers.start : numbers.stop])

    def path(self, address: int) -> List[Step]:
        """The pointers from memory in use to the object that an address lies in.

        The first step lies in a root. Empty for an object that nothing leads to; of a very
        long one the middle is left out.
        """
        targets, marks = self._targets, self._marks
        number = targets.index(address)
        way: List[int] = []
        seen: Set[int] = set()
        while number >= 0 and marks.levels[number] and number not in seen:
            seen.add(number)
            way.append(number)
            holder = marks.parent(number)
            number = targets.index(holder) if holder else -1
        if len(way) > PATH:
            # Both ends of a long chain.
            way = way[: PATH // 2] + way[-PATH // 2 :]
        return [self._step(number) for number in reversed(way)]

    def pointer_to(self, address: int) -> Optional[Step]:
        """The last step of path(), without the way to there; None where nothing leads to it."""
        number = self._targets.index(address)
        return self._step(number) if number >= 0 and self._marks.levels[number] else None

    def ways(self, addresses: Iterable[int]) -> Iterator[Way]:
        """The path to each of these objects that has one, in short.

        A path may be as long as the list is: what is common to several is walked once.
        """
        index, levels = self._targets.index, self._marks.levels
        asked = [(address, index(address)) for address in addresses]
        numbers = [number for _, number in asked if number >= 0 and levels[number]]
        roots = self._walk_up(numbers, lambda at, above: True)
        entries = self._walk_up(
            numbers, lambda at, above: self.heap.owner(at) == self.heap.owner(above)
        )
        for address, number in asked:
            if number in roots:
                steps = (self._step(each) for each in (roots[number], entries[number], number))
                yield Way(address, *steps)

    def _walk_up(self, numbers: Iterable[int], on: Callable[[int, int], bool]) -> Dict[int, int]:
        """Number of an object -> of the last one on the way up from it.

        on: whether to go on from an object to the one that points to it.
        """
        index, levels, parent = self._targets.index, self._marks.levels, self._marks.parent
        found = dict.fromkeys(numbers, -1)
        for number in list(found):
            passed: List[int] = []
            at, last, left = number, found[number], self.objects
            while last < 0:
                if at in found:
                    passed.append(at)
                holder, left = parent(at), left - 1
                above = index(holder) if holder else -1
                if above < 0 or not levels[above] or not left or not on(at, above):
                    last = at
                else:
                    at, last = above, found.get(above, -1)
            found.update(dict.fromkeys(passed, last))
        return found

    def _step(self, number: int) -> Step:
        """The pointer that an object was marked by."""
        start, holder = self._targets.starts[number], self._marks.parent(number)
        if not holder:
            return Step(0, self._registers[number], start, 0)
        owner = self._targets.index(holder)
        if owner >= 0:
            holder = self._pointer_in(owner, number)
        return Step(holder, self._places.name(holder), start, self._offset(holder, start))

    def holds(self, holder: int) -> Tuple[int, str]:
        """What a pointer at an address is worth: a level, and why it isn't REACHED.

        holder: an address of the direct map, or another one of memory.
        """
        number, old = self._targets.index(holder), self._old_links.get(holder, "")
        if number >= 0:
            if self._is_stale(holder):
                return UNREACHED, BEHIND_SHEAF
            level = MAYBE if number in self._aged else self._marks.levels[number]
            if level == REACHED:
                return (MAYBE, old) if old else (REACHED, "")
            return level, "in an object that nothing leads to"
        stack = self._stacks.of(holder)
        if stack is not None:
            if holder < stack.start:
                return UNREACHED, _WHY[pageuse.STACK]
            if holder in stack.doubtful:
                return MAYBE, "left in the frame of kthread(), maybe old"
            whose = "a running task" if stack.task.address else "an idle task"
            return (REACHED, "") if stack.sure else (MAYBE, f"on the stack of {whose}")
        if self._sunk.of(holder, holder + 1):
            return UNREACHED, "in memory that nothing has but what it leads to"
        if self._is_stale(holder):
            return UNREACHED, "in a slot, a part of a stack or per-CPU memory that is not in use"
        use = self.use.of(holder)
        if use is None:
            place = self._places.name(holder)
            known = place is not None and place.kind in _MAPPED
            return (REACHED, "") if known else (UNREACHED, f"in {UNNAMED}")
        if use == pageuse.USED:
            return REACHED, ""
        if use == pageuse.MAYBE:
            return MAYBE, "in a page that may be free"
        return UNREACHED, _WHY[use]

    def is_constant(self, address: int) -> bool:
        """Whether an address of the direct map shows the kernel's own code or constants."""
        own = self._places.image.alias(address)
        return own is not None and any(start <= own < end for start, end in self._constant)

    def lost_edges(self) -> Iterator[Tuple[int, int]]:
        """(holder's start, object's start) of the pointers among objects that nothing leads to."""
        starts, edges = self._targets.starts, self._edges()
        for one, other in zip(edges[::2], edges[1::2]):
            yield starts[one], starts[other]

    def led_to(self, addresses: Iterable[int]) -> Iterator[Tuple[int, int]]:
        """(start, holder's start) of what lost objects at these addresses lead to, near ones first.

        Only of objects that nothing leads to; through any number of them.
        """
        starts = self._targets.starts
        front = [self._targets.index(address) for address in addresses]
        if not front:
            return
        edges = self._edges()
        pairs = sorted(zip(edges[::2], edges[1::2]))
        seen = set(front)
        while front:
            following = []
            for owner in front:
                at = bisect_left(pairs, (owner, 0))
                while at < len(pairs) and pairs[at][0] == owner:
                    target = pairs[at][1]
                    if target not in seen:
                        seen.add(target)
                        following.append(target)
                        yield starts[target], starts[owner]
                    at += 1
            front = following

    def pointers(self, owner: int, target: int) -> Iterator[int]:
        """Addresses of the words of one object that point into another; both by their starts."""
        return self._pointers_in(self._targets.index(owner), self._targets.index(target))

    def inner(self, numbers: range) -> bytes:
        """For objects by their numbers a byte: 1 if a lost one leads to that one, which is lost.

        Of a ring that is lost as a whole the first has 0.
        """
        if self._inner is None:
            self._inner = find_inner(self._edges(), self.objects, self._reader.native)
        return self._inner[numbers.start : numbers.stop]

    def is_inner(self, address: int) -> bool:
        """Whether a lost object leads to the one, which is lost, that an address lies in."""
        number = self._targets.index(address)
        return number >= 0 and self.inner(range(number, number + 1)) == b"\1"

    def _edges(self) -> array[int]:
        if self._lost_edges is None:
            self._lost_edges = self._marks.lost_edges(self._read)
        return self._lost_edges

    def _read(self, address: int, size: int) -> Optional[bytes]:
        """Memory, without what is no pointer there."""
        data = self._reader.try_read(address, size)
        return None if data is None else self._without_stale(address, data)

    # --- what the pass is told ---

    def leave_out(self, pieces: Iterable[Tuple[int, int]]) -> None:
        """Go through memory once more, without these (address, bytes) of the direct map."""
        self._sunk = Extents.made_of(pieces)
        self._mark()

    def take_back(self, left: Iterable[Tuple[int, int]], back: Iterable[Tuple[int, int]]) -> None:
        """Let these count after all that were left out; `left` are those that still don't."""
        self._sunk = Extents.made_of(left)
        for start, size in back:
            data = self._read(start, size)
            if data is not None:
                self._marks.scan_root(start, data, REACHED)
        self._finish()

    # --- the pass ---

    def _mark(self) -> None:
        self.summary = Summary()
        self._stale = Extents()
        self._page_words.extents = Extents()
        self._marks = Marks(self._reader, self._targets)
        self._scan()
        self._finish()

    def _finish(self) -> None:
        self._registers, self._inner, self._lost_edges = {}, None, None
        self._marks.finish(self._read)
        if self._take_registers():
            self._marks.finish(self._read)

    @property
    def _unused(self) -> Tuple[Extents, ...]:
        return (self._stale, self._blank, self._page_words.extents, self._sunk)

    def _without_worth(self) -> Extents:
        """Words that hold nothing: KFENCE's own pointer to each of its objects, unused slots.

        In the direct map: up to v6.5 KFENCE's records lie in the kernel's image.
        """
        at = self._reader.offset("kfence_metadata", "addr")
        found = Extents()
        for record in self._session.kfence().objects if at is not None else ():
            address = record.metadata + (at or 0)
            if self._reader.virt_to_page(address) is None:
                address += self._places.image.shift or 0
            found.add(address, self._reader.word)
        for start, length in for_each_unused(self._reader):
            found.add(start, length)
        for name, member in MEMBERS:
            offset = self._reader.offset(name, member)
            for start in self.heap.starts_of(self.heap.named(name)) if offset is not None else ():
                found.add(start + (offset or 0), self._reader.word)
        found.sort()
        return found

    def _take_registers(self) -> bool:
        """What a CPU has in a register is held, though no memory has a pointer to it.

        Asked when the rest is done: where memory leads to an object, that says more. Returns
        whether a register holds one that nothing else does.
        """
        marks = self._marks
        for cpu, registers in self._in_registers.items():
            for name, value in registers.items():
                number = marks.targets.index(value)
                if number >= 0 and marks.levels[number] != REACHED:
                    marks.mark(number, REACHED)
                    text = f"register {name} of cpu {cpu}"
                    self._registers[number] = Place(REGISTER, text, 0, text)
        return bool(self._registers)

    def _scan(self) -> None:
        marks, reader = self._marks, self._reader
        if not marks.targets.starts:
            return
        for stack in self._stacks.live:
            data = reader.try_read(stack.start, stack.end - stack.start)
            if data is not None:
                others = bytearray(data)
                for address in stack.doubtful:
                    at = address - stack.start
                    marks.scan_root(address, data[at : at + reader.word], MAYBE)
                    others[at : at + reader.word] = bytes(reader.word)
                marks.scan_root(stack.start, bytes(others), REACHED if stack.sure else MAYBE)
        for start in self._stacks.waiting:
            # The next one in RCU's line.
            data = reader.try_read(start, reader.word)
            if data is not None:
                marks.scan_root(start, data, REACHED)
        for start, data in for_each_text_piece(reader):
            marks.scan_root(start, data, REACHED)
        # Roots first: then most objects are reached when their own pointers are seen.
        kinds = (pageuse.USED, pageuse.MAYBE, pageuse.SLAB)
        total = sum(span.kinds.count(kind) for span in self.use.spans for kind in kinds)
        done = told = 0
        for kind in kinds:
            for address, pages in self._runs(kind):
                for start, data in self._pieces(address, pages, self.summary):
                    if kind == pageuse.SLAB:
                        for old in self._sheaves.stale(start, data):
                            self._stale.add(*old)
                        marks.scan_objects(start, self._without_stale(start, data))
                    else:
                        sure = REACHED if kind == pageuse.USED else MAYBE
                        if sure == REACHED:
                            self._page_words.meet(start, data)
                        marks.scan_root(start, self._without_stale(start, data), sure)
                done += pages
                if done - told >= _TELL_PAGES:
                    told = done
                    self._progress(done, total)
        self._progress(total, total)

    def used(self) -> Iterator[Tuple[int, bytes]]:
        """(address, bytes) of the memory that may lead to objects: live stacks, pages in use."""
        for stack in self._stacks.live:
            data = self._reader.try_read(stack.start, stack.end - stack.start)
            if data is not None:
                yield stack.start, data
        for kind in (pageuse.USED, pageuse.SLAB):
            for address, pages in self._runs(kind):
                for start, data in self._pieces(address, pages, Summary()):
                    yield start, self._without_stale(start, data)

    def _runs(self, kind: int) -> Iterator[Tuple[int, int]]:
        """(address, pages) of each run of pages of a kind, cut to a few pages."""
        size = self._reader.page_size
        for span in self.use.spans:
            kinds = span.kinds
            at = kinds.find(kind)
            while at >= 0:
                end = at + 1
                limit = min(len(kinds), at + _CHUNK_PAGES)
                while end < limit and kinds[end] == kind:
                    end += 1
                yield span.base + at * size, end - at
                at = kinds.find(kind, end)

    def _pieces(self, address: int, pages: int, summary: Summary) -> Iterator[Tuple[int, bytes]]:
        """What can be read of some pages; summary: counts it."""
        size = self._reader.page_size
        data = self._reader.try_read(address, pages * size)
        if data is not None:
            summary.bytes += len(data)
            yield address, data
        elif pages > 1:
            half = pages // 2
            yield from self._pieces(address, half, summary)
            yield from self._pieces(address + half * size, pages - half, summary)
        else:
            summary.unreadable += 1

    def _without_stale(self, address: int, data: bytes) -> bytes:
        """Memory with the old entries of sheaves, and what else holds nothing, blanked."""
        end = address + len(data)
        old = [span for extents in self._unused for span in extents.of(address, end)]
        if not old:
            return data
        blanked = bytearray(data)
        for start, behind in old:
            low, high = max(0, start - address), min(len(data), behind - address)
            blanked[low:high] = bytes(high - low)
        return bytes(blanked)

    def _is_stale(self, address: int) -> bool:
        return any(extents.of(address, address + 1) for extents in self._unused)

    def _offset(self, holder: int, start: int) -> int:
        """Where in the object the pointer at an address points."""
        word = self._reader.word
        data = self._reader.try_read(holder, word)
        return 0 if data is None else int.from_bytes(data, self._reader.byteorder) - start

    def _pointer_in(self, owner: int, target: int) -> int:
        """Address of a word of one object that points into another; the object's where none is."""
        return next(self._pointers_in(owner, target), self._targets.starts[owner])

    def _pointers_in(self, owner: int, target: int) -> Iterator[int]:
        targets, word, order = (
            self._targets,
            self._reader.word,
            self._reader.byteorder,
        )
        start, end = targets.starts[owner], targets.end(owner)
        low, high = targets.starts[target], targets.end(target)
        data = self._reader.try_read(start, end - start)
        if data is not None:
            for at in range(-start % word, len(data) - word + 1, word):
                if low <= int.from_bytes(data[at : at + word], order) < high:
                    yield start + at


_WHY: Dict[int, str] = {
    pageuse.FREE: "in a free page",
    pageuse.USER: "in a page of a process or of the page cache",
    pageuse.SLAB: "in a free object",
    pageuse.STACK: "in the dead part of a stack",
    pageuse.DEAD_STACK: "in the stack of a task that has ended",
}
