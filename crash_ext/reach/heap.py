# SPDX-License-Identifier: GPL-3.0-or-later
"""All allocated objects of a kernel by their addresses, and whose each of them is.

Numbered in that order: the mark pass keeps a byte and a word for each number. Decodes every
slab, once; pages of slabs count as slabs' from then on. Knows nothing of pointers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import compress
from typing import Callable, Dict, Iterable, Iterator, List, Set, Tuple

from crash_ext.kernel import pageuse
from crash_ext.kernel.pageuse import PageUse
from crash_ext.kernel.search import Targets
from crash_ext.reach.extents import Extents
from crash_ext.reach.sheaves import may_have_sheaves
from crash_ext.slub.decoded import decoded_before
from crash_ext.slub.model import ALLOCATED, ONLY_ALLOCATED, UNKNOWN, Cache
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session


class Heap:
    """The allocated objects of these caches. Worked out on creation."""

    def __init__(
        self,
        session: Session,
        caches: Iterable[Cache],
        use: PageUse,
        progress: Callable[[int, int], None],
    ) -> None:
        self._session = session
        self.unknown = 0
        """Objects of damaged slabs: they may hold what they point to."""
        self.caches = list(caches)
        self.kmalloced = Extents()
        """Slabs whose objects may be sheaves."""
        self._slabs = array("Q")
        """The first object of each slab with allocated ones, ascending."""
        self._owners = array("I")
        """Whose each of them is: a number in `caches`."""
        self.allocated = array("Q", bytes(8)) * len(self.caches)
        """Allocated objects of each of the caches."""
        self.problems: Dict[int, List[str]] = {}
        """What is wrong with some of the caches, by their number."""
        self.targets = self._objects(use, progress)

    def owner(self, number: int) -> int:
        """Whose an object is: a number in `caches`."""
        return self._owners[bisect_right(self._slabs, self.targets.starts[number]) - 1]

    def slab_of(self, number: int) -> Tuple[int, int]:
        """(the first object of the slab that an object is in, the number of the next slab's)."""
        slab = bisect_right(self._slabs, self.targets.starts[number]) - 1
        if slab + 1 == len(self._slabs):
            return self._slabs[slab], len(self.targets.starts)
        return self._slabs[slab], bisect_left(self.targets.starts, self._slabs[slab + 1], number)

    def numbers(self, start: int, end: int) -> range:
        """The numbers of the objects that begin between two addresses."""
        starts = self.targets.starts
        return range(bisect_left(starts, start), bisect_left(starts, end))

    def starts(self, numbers: range) -> array[int]:
        """The addresses of objects by their numbers."""
        return self.targets.starts[numbers.start : numbers.stop]

    def named(self, name: str) -> Set[int]:
        """struct kmem_cache * of the caches of that name."""
        return {cache.address for cache in self.caches if cache.name == name.encode()}

    def allocated_of(self, caches: Set[int]) -> int:
        """Allocated objects of some caches, by their struct kmem_cache *."""
        pairs = zip(self.caches, self.allocated)
        return sum(number for cache, number in pairs if cache.address in caches)

    def starts_of(self, caches: Set[int]) -> Iterator[int]:
        """The starts of their allocated objects, ascending."""
        for slab, owner in enumerate(self._owners):
            if self.caches[owner].address in caches:
                last = slab + 1 == len(self._slabs)
                end = self.targets.high if last else self._slabs[slab + 1]
                yield from self.starts(self.numbers(self._slabs[slab], end))

    def _objects(self, use: PageUse, progress: Callable[[int, int], None]) -> Targets:
        """The allocated objects; the pages of their slabs count as slabs'."""
        size = self._session.reader.page_size
        pool = self._session.kfence()
        guarded = (pool.end_page - pool.first_page) // self._session.layout.page_size
        # Pages of KFENCE's pool are never given back: what lies in them may be free.
        use.put_page(pool.first_page, pageuse.SLAB, guarded)
        slabs: List[Tuple[int, int, int, bytes]] = []
        done = 0
        total = sum(map(len, self._session.page_index().slabs.values()))
        for owner, cache in enumerate(self.caches):
            sheaves = may_have_sheaves(self._session, cache)
            problems: List[str] = []
            slabs_of = decoded_before(self._session, cache, False)
            for decoded in slabs_of or for_each_decoded_slab(self._session, cache, problems):
                done += 1
                progress(min(done, total), total)
                states, slab = decoded.states, decoded.slab
                length = decoded.length or cache.object_size
                # A red zone on the left is a part of each object's size, the first one's, too.
                pages = -(-len(states) * cache.size // size)
                unknown = states.count(UNKNOWN)
                self.unknown += unknown
                use.put(slab.base, max(1, pages), pageuse.MAYBE if unknown else pageuse.SLAB)
                if sheaves and ALLOCATED in states:
                    self.kmalloced.add(slab.base, max(1, pages) * size)
                if ALLOCATED in states and length:
                    slabs.append((decoded.first, owner, length, states))
            if problems:
                self.problems[owner] = problems
        self.kmalloced.sort()
        slabs.sort()
        starts, sizes = array("Q"), array("I")
        behind = 0
        for first, owner, length, states in slabs:
            if first < behind:
                # Two caches claim one slab: the first has it.
                continue
            stride = self.caches[owner].size
            behind = first + stride * (len(states) - 1) + length
            before = len(starts)
            starts.extend(
                compress(
                    range(first, first + stride * len(states), stride),
                    states.translate(ONLY_ALLOCATED),
                )
            )
            number = len(starts) - before
            sizes.extend(array("I", (length,)) * number)
            self._slabs.append(first)
            self._owners.append(owner)
            self.allocated[owner] += number
        return Targets.of_arrays(starts, sizes)
