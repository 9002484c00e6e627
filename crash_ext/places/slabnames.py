# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object of which cache is an address in? For many addresses.

slub/locate.py answers the same for one: it walks the cache's slabs each time. Here they
are walked once a cache, and a slab is decoded once; neither where a command has decoded the
cache before.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.places.place import OBJECT, Place, plus
from crash_ext.reader import ReadError
from crash_ext.report.text import text_of
from crash_ext.slub.caches import CacheError, read_cache
from crash_ext.slub.decoded import decoded_before
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import STATE_NAMES, Cache, Slab
from crash_ext.slub.objects import Decoder
from crash_ext.slub.session import Session
from crash_ext.slub.slabs import NO_LIST, for_each_slab

_SLABS = 1 << 17
_FRAMES = 1 << 19


class Decoded(NamedTuple):
    """What is kept of a slab. Where its objects are, and the state of each."""

    cache: Cache
    start: int
    """Address of the first slot: red zones come before their objects."""
    shift: int
    """Of an object in its slot."""
    size: int
    """Of a slot. In the KFENCE pool all of a page is one."""
    states: bytes
    label: str
    """The cache's name."""

    def number_of(self, address: int) -> Optional[int]:
        """Of the object in whose slot an address lies; None behind the last one."""
        number = (address - self.start) // self.size
        return number if 0 <= number < len(self.states) else None

    def place(self, address: int) -> Place:
        """What an address in the slab's memory is."""
        number = self.number_of(address)
        if number is None:
            text = f"{self.label} (in its slab, in no object)"
            return Place(OBJECT, text, address, self.label, self.cache)
        object_ = self.start + number * self.size + self.shift
        offset, state = address - object_, self.states[number]
        text = f"{self.label} {hexa(object_)}{plus(offset)}, {STATE_NAMES[state]}"
        return Place(OBJECT, text, address, self.label, self.cache, object_, offset, state)


class _CacheSlabs:
    """The states of the objects in a cache's slabs."""

    def __init__(self, session: Session, cache: Cache, lists_only: bool) -> None:
        self._of = (session, cache, lists_only)
        before = decoded_before(session, cache, lists_only)
        self._states = {decoded.slab.address: decoded.states for decoded in before}
        self._decoder: Optional[Decoder] = None
        self._special: Dict[int, Slab] = {}
        """Slabs that aren't just what their pages say."""

    def states(self, plain: Slab) -> bytes:
        """plain: the slab by what its page says."""
        known = self._states.get(plain.address)
        return self._decode(plain) if known is None else known

    def _decode(self, plain: Slab) -> bytes:
        if self._decoder is None:
            session, cache, lists_only = self._of
            self._decoder = Decoder(session, cache, [])
            for slab in for_each_slab(session, cache, [], lists_only):
                if slab.cpu is not None or slab.doubt is not None:
                    self._special[slab.address] = slab
        return self._decoder.decode(self._special.get(plain.address, plain)).states


class SlabNames:
    """Names addresses in slabs.

    caches: gives every cache that is known, listed or not; called at the first question.
    """

    def __init__(
        self, session: Session, caches: Callable[[], List[Cache]], lists_only: bool
    ) -> None:
        self._session = session
        self._caches = caches
        self._lists_only = lists_only
        self._known: Optional[Dict[int, Optional[Cache]]] = None
        self._slabs: Dict[int, Optional[Decoded]] = {}
        self._frames: Dict[int, Optional[Decoded]] = {}
        self._of_cache: Dict[int, _CacheSlabs] = {}
        self._page_size = session.reader.page_size

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
        session = self._session
        page = session.reader.virt_to_page(address)
        if page is None:
            return None
        try:
            head = session.descriptors.head(page)
            if head in self._slabs:
                return self._slabs[head]
            if not session.descriptors.is_slab(session.reader.read(head, session.layout.page_size)):
                return None
            found = self._decode(head)
        except (ReadError, SlabError, CacheError):
            return None
        if len(self._slabs) >= _SLABS:
            self._slabs.clear()
        self._slabs[head] = found
        return found

    def _decode(self, head: int) -> Optional[Decoded]:
        session = self._session
        if session.kfence().holds(head):
            return self._in_kfence(head)
        plain = session.descriptors.read(head, NO_LIST)
        cache = self._cache(plain.cache)
        if cache is None or not cache.size:
            return None
        slabs = self._of_cache.get(cache.address)
        if slabs is None:
            slabs = self._of_cache[cache.address] = _CacheSlabs(session, cache, self._lists_only)
        red, states = cache.red_left, slabs.states(plain)
        return Decoded(cache, plain.base, red, cache.size, states, text_of(cache.name))

    def _in_kfence(self, head: int) -> Optional[Decoded]:
        for found in self._session.kfence().objects:
            cache = self._cache(found.cache) if found.page == head else None
            if cache is not None:
                shift, states = found.address - found.base, bytes([found.state])
                label = text_of(cache.name)
                return Decoded(cache, found.base, shift, self._page_size, states, label)
        return None

    def _cache(self, address: int) -> Optional[Cache]:
        if self._known is None:
            self._known = {cache.address: cache for cache in self._caches()}
        if address not in self._known:
            session = self._session
            try:
                found: Optional[Cache] = read_cache(session, address, False)
            except (ReadError, CacheError):
                found = None
            self._known[address] = found
        return self._known[address]
