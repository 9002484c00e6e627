# SPDX-License-Identifier: GPL-3.0-or-later
"""From an address to the slab and the object that it lies in.

The slab's own page says whose it is, so two caches of one name can't be mixed up.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import read_cache
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.kfence import PLACE
from crash_ext.slub.model import Cache, SlabObjects
from crash_ext.slub.objects import Decoder
from crash_ext.slub.session import Session
from crash_ext.slub.settle import settling
from crash_ext.slub.slabs import NO_LIST, for_each_slab


class Located(NamedTuple):
    """The slab that an address lies in, or is the descriptor of."""

    cache: Cache
    objects: SlabObjects
    number: Optional[int]
    """Of the object whose slot holds the address; None behind the last object."""
    offset: int
    """Of the address from that object's start; negative in its left red zone."""


def locate_address(session: Session, caches: List[Cache], address: int) -> Optional[Located]:
    """The slab slot that an address of the direct map lies in; None where it's in no slab.

    caches: those that are known. The slab's own cache is read where it isn't one of them.
    Raises ReadError, CacheError or SlabError where the page names a cache that can't be one.
    """
    page = session.reader.virt_to_page(address)
    if page is None:
        return None
    found = locate_page(session, caches, page)
    if found is None:
        return None
    if found.objects.slab.place == PLACE:
        return found._replace(number=0, offset=address - found.objects.first)
    slot, rest = divmod(address - found.objects.slab.base, found.cache.size)
    inside = 0 <= slot < len(found.objects.states)
    return found._replace(number=slot if inside else None, offset=rest - found.cache.red_left)


def locate_page(session: Session, caches: List[Cache], page: int) -> Optional[Located]:
    """The slab that a struct page * (head or tail) or struct slab * belongs to, or None.

    Raises as locate_address().
    """
    if session.reader.page_to_virt(page) is None:
        return None
    try:
        head = session.descriptors.head(page)
        marked = session.descriptors.is_slab(session.reader.read(head, session.layout.page_size))
    except ReadError:
        return None
    if not marked:
        return None
    if session.kfence().holds(head):
        return _in_kfence(session, caches, head)
    owner = session.descriptors.read(head, NO_LIST).cache
    cache = _cache(session, caches, owner)
    return Located(cache, _with_place(session, cache, head), None, 0)


def _cache(slub: Slub, caches: List[Cache], address: int) -> Cache:
    for known in caches:
        if known.address == address:
            return known
    return read_cache(slub, address, listed=False)


def _in_kfence(session: Session, caches: List[Cache], page: int) -> Located:
    for found in session.kfence().objects:
        if found.page == page:
            return Located(_cache(session, caches, found.cache), found.as_slab(), None, 0)
    raise SlabError(f"slab {hexa(page)}: a page of the KFENCE pool without an allocated object")


def _with_place(session: Session, cache: Cache, address: int) -> SlabObjects:
    """Decode one slab, looked up among all of the cache's.

    Its list says what else is free in it, and all others whether it is the cache's at all.
    """
    decode = settling(session, cache, Decoder(session, cache, []).decode, [])
    for lists_only in (True, False):
        for slab in for_each_slab(session, cache, [], lists_only):
            if slab.address == address:
                return decode(slab)
    return decode(session.descriptors.read(address, NO_LIST))
