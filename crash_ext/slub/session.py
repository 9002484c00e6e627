# SPDX-License-Identifier: GPL-3.0-or-later
"""One kernel's SLUB for a session: what is walked or scanned once is kept here.

It does no decoding itself. A function that only reads takes Slub, one that asks for what is
kept takes Session: the files that find it for the first time lie below this one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Callable, Dict, List, Optional, Set, Type, TypeVar

from crash_ext.kernel.absent import range_lines
from crash_ext.kernel.kerneltypes import (
    KernelBtf,
    KernelTypes,
    kernel_types,
    read_kernel_btf,
)
from crash_ext.reader import Reader
from crash_ext.slub.aliases import UnknownOrder, find_alias, find_aliases
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import CacheList, list_caches, usual_nodes
from crash_ext.slub.freelist import KeyForm
from crash_ext.slub.kfence import Kfence, find_kfence
from crash_ext.slub.model import Cache
from crash_ext.slub.pending import Pending, find_deferred
from crash_ext.slub.scan import PageIndex, Progress, scan_pages

Kept = TypeVar("Kept")


class Session(Slub):
    """A kernel's SLUB, and what is known of this kernel so far.

    Raises UnsupportedAllocator where the kernel has another allocator.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self.key_forms: Optional[List[KeyForm]] = None
        """The forms of free pointers that this kernel's slabs bear out; None: not asked yet."""
        self.progress: Progress = lambda done, total: None
        """Told how far the page scan is."""
        self.live = False
        """The kernel is running: memory changes between two reads, and from command to command."""
        self._problems: List[str] = []
        self._caches: Optional[CacheList] = None
        self._index: Optional[PageIndex] = None
        self._deferred: Optional[Pending] = None
        self._kfence: Optional[Kfence] = None
        self._aliases: Optional[Dict[int, List[bytes]]] = None
        self._nodes: Optional[Set[int]] = None
        self._holes_told = False
        self._lacking: Set[int] = set()
        self._btf: Optional[KernelBtf] = None
        self._types: Optional[KernelTypes] = None
        self._kept: Dict[object, object] = {}
        self._kept_for_command: Dict[object, object] = {}

    def listed_caches(self) -> CacheList:
        """The caches of slab_caches, walked once until forget_caches()."""
        if self._caches is None:
            self._caches = list_caches(self)
        return self._caches

    def page_index(self) -> PageIndex:
        """All slab pages by cache: one scan over the page structures a session."""
        if self._index is None:
            skip = self.kfence().holds
            self._index = scan_pages(self, skip, self.progress)
        return self._index

    def tell_holes(self) -> None:
        """Slabs are missed: say, once in a command, which page structures can't be read."""
        if not self._holes_told:
            self._holes_told = True
            self._problems += range_lines(
                self.page_index().holes, "page structure", "slabs there can't be seen"
            )

    def lack(self, cache: Cache) -> None:
        """Slabs of a cache can't be found: what is counted of it is the least that it has."""
        self._lacking.add(cache.address)

    def lacks(self, cache: Cache) -> bool:
        """Whether slabs of a cache were missed, wherever they were last looked for."""
        return cache.address in self._lacking

    def deferred(self) -> Pending:
        """Objects whose free is put off, of all caches: looked for until forget_caches()."""
        if self._deferred is None:
            self._deferred = find_deferred(self, self._problems)
        return self._deferred

    def kfence(self) -> Kfence:
        """The KFENCE pool, read until forget_caches()."""
        if self._kfence is None:
            self._kfence = find_kfence(self, self._problems)
        return self._kfence

    def usual_nodes(self) -> Set[int]:
        """Those for which every cache has a struct, looked up until forget_caches()."""
        if self._nodes is None:
            self._nodes = usual_nodes(self)
        return self._nodes

    def aliases(self, cache: Cache) -> List[bytes]:
        """The other names under which a merged cache is in use, as sysfs has them."""
        names = self._all_aliases().get(cache.address, [])
        return [name for name in names if name != cache.name]

    def merged_into(self, name: bytes, whole: bool = False) -> List[int]:
        """struct kmem_cache * of the cache that sysfs has a name for, if it has one.

        whole: ask every entry of sysfs: in a damaged order a name may hide. Then there may
        be several.
        """
        if self._aliases is None and not whole:
            with suppress(UnknownOrder):
                found = find_alias(self.reader, name)
                return [] if found is None else [found]
        return [cache for cache, names in self._all_aliases().items() if name in names]

    def _all_aliases(self) -> Dict[int, List[bytes]]:
        if self._aliases is None:
            self._aliases = find_aliases(self.reader, self._problems)
        return self._aliases

    def types(self) -> KernelTypes:
        """The kernel's own types, read once, and its modules', read until forget_caches()."""
        if self._btf is None:
            self._btf = read_kernel_btf(self.reader)
        if self._types is None:
            self._types = kernel_types(self.reader, self._btf)
        return self._types

    def keep(self, kind: Type[Kept], make: Callable[[], Kept]) -> Kept:
        """The one `kind` of this session, made at the first question: for the floors above.

        On a running kernel each question gets a new one.
        """
        return make() if self.live else _the_one(self._kept, kind, make)

    def keep_for_command(self, kind: Type[Kept], make: Callable[[], Kept]) -> Kept:
        """The one `kind` until forget_caches()."""
        return _the_one(self._kept_for_command, kind, make)

    def take_problems(self) -> List[str]:
        """What was wrong with records that belong to no one cache; told once."""
        problems, self._problems = self._problems, []
        return problems

    @property
    def has_problems(self) -> bool:
        """Whether take_problems() has any."""
        return bool(self._problems)

    def forget_caches(self) -> None:
        """Walk the kernel's lists anew at the next question: a live kernel moves on."""
        self._caches = None
        self._deferred = None
        self._kfence = None
        self._aliases = None
        self._nodes = None
        self._types = None
        self._holes_told = False
        self._lacking.clear()
        self._kept_for_command.clear()

    def forget(self) -> None:
        """Scan the pages anew, too, and keep nothing of what was found by them."""
        self.forget_caches()
        self._index = None
        self._kept.clear()


def _the_one(kept: Dict[object, object], kind: Type[Kept], make: Callable[[], Kept]) -> Kept:
    found = kept.get(kind)
    if not isinstance(found, kind):
        found = kept[kind] = make()
    return found
