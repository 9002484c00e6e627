# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object of which cache is an address in? For many addresses.

slub/locate.py answers the same for one: it walks the cache's slabs each time. Here they
are walked once a cache, and a slab is decoded once.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional

from crash_ext.leak.place import OBJECT, Place, plus, text_of
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import CacheError, read_cache
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import STATE_NAMES, Cache, Slab
from crash_ext.slub.objects import Decoder
from crash_ext.slub.slabs import NO_LIST, for_each_slab

_SLABS = 1 << 17
_FRAMES = 1 << 19


class Decoded(NamedTuple):
    """What is kept of a slab. Where its objects are, and the state of each."""

    cache: Cache
    first: int
    """Address of object 0."""
    size: int
    """From one object to the next; of a page of KFENCE all that is behind it."""
    states: bytes
    label: str
    """The cache's name."""

    def place(self, address: int) -> Place:
        """What an address in the slab's memory is."""
        red = self.cache.red_left
        number = (address - self.first + red) // self.size
        if not 0 <= number < len(self.states):
            offset = address - self.first
            text = f"{self.label} (in its slab, in no object)"
            return Place(OBJECT, text, address, self.label, self.cache, None, offset)
        start = self.first + number * self.size
        state = self.states[number]
        text = f"{self.label} {start:x}{plus(address - start)}, {STATE_NAMES[state]}"
        return Place(OBJECT, text, address, self.label, self.cache, start, address - start, state)


class _CacheSlabs:
    """A cache's decoder, and its slabs that aren't just what their pages say."""

    def __init__(self, slub: Slub, cache: Cache, lists_only: bool) -> None:
        self.decoder = Decoder(slub, cache, [])
        self.special: Dict[int, Slab] = {}
        for slab in for_each_slab(slub, cache, [], lists_only):
            if slab.place != NO_LIST or slab.doubt is not None:
                self.special[slab.address] = slab


class SlabNames:
    """Names addresses in slabs.

    caches: gives every cache that is known, listed or not; called at the first question.
    """

    def __init__(self, slub: Slub, caches: Callable[[], List[Cache]], lists_only: bool) -> None:
        self._slub = slub
        self._caches = caches
        self._lists_only = lists_only
        self._known: Optional[Dict[int, Optional[Cache]]] = None
        self._slabs: Dict[int, Optional[Decoded]] = {}
        self._frames: Dict[int, Optional[Decoded]] = {}
        self._of_cache: Dict[int, _CacheSlabs] = {}
        self._page_size = slub.reader.page_size

    def decoded(self, address: int) -> Optional[Decoded]:
        """The slab that an address of the direct map lies in, None where that's none."""
        frame = address // self._page_size
        try:
            return self._frames[frame]
        except KeyError:
            pass
        if len(self._frames) >= _FRAMES:
            self._frames.clear()
        found = self._frames[frame] = self._find(address)
        return found

    def name(self, address: int) -> Optional[Place]:
        """The object that an address lies in, None where it's in no slab."""
        decoded = self.decoded(address)
        return None if decoded is None else decoded.place(address)

    def _find(self, address: int) -> Optional[Decoded]:
        slub = self._slub
        page = slub.reader.virt_to_page(address)
        if page is None:
            return None
        try:
            head = slub.descriptors.head(page)
            if head in self._slabs:
                return self._slabs[head]
            if not slub.descriptors.is_slab(slub.reader.read(head, slub.layout.page_size)):
                return None
            found = self._decode(head)
        except (ReadError, SlabError, CacheError):
            return None
        if len(self._slabs) >= _SLABS:
            self._slabs.clear()
        self._slabs[head] = found
        return found

    def _decode(self, head: int) -> Optional[Decoded]:
        slub = self._slub
        if slub.kfence().holds(head):
            return self._in_kfence(head)
        plain = slub.descriptors.read(head, NO_LIST)
        cache = self._cache(plain.cache)
        if cache is None or not cache.size:
            return None
        slabs = self._of_cache.get(cache.address)
        if slabs is None:
            slabs = self._of_cache[cache.address] = _CacheSlabs(slub, cache, self._lists_only)
        objects = slabs.decoder.decode(slabs.special.get(head, plain))
        return Decoded(cache, objects.first, cache.size, objects.states, text_of(cache.name))

    def _in_kfence(self, head: int) -> Optional[Decoded]:
        for found in self._slub.kfence().objects:
            cache = self._cache(found.cache) if found.page == head else None
            if cache is not None:
                state = bytes([found.state])
                # As if all of the page were its slot: the zone before it is the cache's.
                size = self._page_size
                plain = cache._replace(red_left=found.address - found.base)
                return Decoded(plain, found.address, size, state, text_of(cache.name))
        return None

    def _cache(self, address: int) -> Optional[Cache]:
        if self._known is None:
            self._known = {cache.address: cache for cache in self._caches()}
        if address not in self._known:
            slub = self._slub
            try:
                found: Optional[Cache] = read_cache(slub.reader, slub.layout, address, False)
            except (ReadError, CacheError):
                found = None
            self._known[address] = found
        return self._known[address]
