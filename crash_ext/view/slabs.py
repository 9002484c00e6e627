# SPDX-License-Identifier: GPL-3.0-or-later
"""The slabs of a selected cache, one after the other, and what was wrong with them."""

from __future__ import annotations

from typing import Iterator, List, Tuple

from crash_ext.kernel.absent import Absent
from crash_ext.slub.model import Cache, SlabObjects
from crash_ext.slub.objects import for_each_counted_slab, for_each_decoded_slab
from crash_ext.slub.session import Session
from crash_ext.view.choice import Choice, Wanted
from crash_ext.view.tally import Tally

_LARGE = 1 << 23
"""A cache is large if its slabs are more bytes than this: it isn't decoded before it is shown."""


class Slabs:
    """Of one cache."""

    def __init__(self, session: Session, cache: Cache, wanted: Wanted) -> None:
        self.problems: List[str] = []
        """What was wrong with the cache's lists and slabs, of those that were asked for."""
        self._session = session
        self._cache = cache
        self._wanted = wanted
        self._absent = Absent(session.reader)

    def each(self) -> Iterator[SlabObjects]:
        """All slabs, decoded."""
        return for_each_decoded_slab(
            self._session, self._cache, self.problems, self._wanted.lists_only
        )

    def all(self) -> List[SlabObjects]:
        """The same at once, without their memory: it may be more than fits."""
        session, found = self._session, []
        scanned = not self._wanted.lists_only
        total = len(session.page_index().of(self._cache.address)) if scanned else 0
        for decoded in self.each():
            found.append(decoded.without_memory())
            if total:
                session.progress(min(len(found), total), total)
        return found

    def counted(self, choice: Choice) -> Tuple[Tally, int, List[str]]:
        """The cache by its slabs' counters, how many objects -n and -f leave to show, problems."""
        tally, here = Tally(), 0
        problems: List[str] = []
        for count in for_each_counted_slab(
            self._session, self._cache, problems, self._wanted.lists_only
        ):
            tally.slabs += 1
            tally.objects += count.objects
            tally.allocated += count.allocated
            tally.unknown += count.unknown
            if choice.on_node(count.slab.node):
                here += count.objects if self._wanted.free else count.allocated
        tally.lacking = self._session.lacks(self._cache)
        return tally, here, problems

    def is_large(self, size: int) -> bool:
        """Whether a cache with so many bytes in slabs, or more, is large."""
        return size > _LARGE

    def add_problems(self, more: List[str]) -> None:
        """Those that aren't there yet."""
        known = set(self.problems)
        self.problems.extend(text for text in more if text not in known)

    def is_absent(self, decoded: SlabObjects) -> bool:
        """Whether a slab's memory isn't in the dump: said by ranges once all slabs are through."""
        slab = decoded.slab
        size = len(decoded.states) * self._cache.size
        return decoded.absent and self._absent.add(slab.base, size, slab.address)

    def all_problems(self) -> List[str]:
        """Also which memory was missing, of the slabs that is_absent() was asked about."""
        return self.problems + self._absent.lines("their objects are unknown")
