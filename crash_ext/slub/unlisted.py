# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches that are not on slab_caches, found by what still holds or names them.

Linux kernel commit 4ec10268ed98 ("mm, slab: unlink slabinfo, sysfs and debugfs
immediately") (in v6.12) takes a cache off the list even where its destroy fails. Its
struct stays allocated in the boot cache `kmem_cache`, and its slabs still name it.
What such a cache is, a leftover or one in creation, is not said here.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Set

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_word
from crash_ext.reader import ReadError
from crash_ext.report.text import plural
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import CacheError, read_cache
from crash_ext.slub.decoded import for_each_slab_decoded_once
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session


def find_unlisted(session: Session, problems: List[str], lists_only: bool = False) -> List[Cache]:
    """The caches that slab_caches doesn't hold, by address.

    lists_only: without the page scan; then caches are missed whose struct lies in a full
    slab of the boot cache. What can't be a cache goes to `problems`.
    """
    listed = {cache.address for cache in session.listed_caches().caches}
    found: Dict[int, Cache] = {}
    for address in _boot_cache_objects(session, problems, lists_only):
        if address not in listed:
            _try(
                session,
                address,
                found,
                problems,
                f"{hexa(address)}: an object of the cache kmem_cache",
            )
    if not lists_only:
        for address, slabs in sorted(session.page_index().slabs.items()):
            if address not in listed and address not in found:
                pages = plural(len(slabs), "slab page")
                what = f"{hexa(address)}: named by {pages}, {hexa(slabs[0])} the first"
                _try(session, address, found, problems, what)
    for address in dict.fromkeys(one.cache for one in session.kfence().objects):
        if address not in listed and address not in found:
            # The pool's reading has reported what is none.
            _try(session, address, found, [], "")
    return [found[address] for address in sorted(found)]


def _boot_cache_objects(session: Session, problems: List[str], lists_only: bool) -> Iterator[int]:
    symbol = session.reader.symbol("kmem_cache")
    if symbol is None:
        problems.append("the kernel has no symbol kmem_cache: caches off the list may be missed")
        return
    try:
        boot = read_cache(session, read_word(session.reader, symbol), listed=True)
    except (ReadError, CacheError) as error:
        problems.append(f"the boot cache kmem_cache: {error}")
        return
    own: List[str] = []
    seen: Set[int] = set()
    for decoded in for_each_slab_decoded_once(session, boot, own, lists_only):
        if decoded.problem is not None:
            own.append(f"slab {hexa(decoded.slab.address)}: {decoded.problem}")
        for address in decoded.allocated():
            if address not in seen:
                seen.add(address)
                yield address
    problems.extend(f"the boot cache kmem_cache: {text}" for text in own)


def _try(slub: Slub, address: int, found: Dict[int, Cache], problems: List[str], what: str) -> None:
    try:
        found[address] = read_cache(slub, address, listed=False)
    except (ReadError, CacheError) as error:
        problems.append(f"{what}: {error}")
