# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user's NAME or ADDRESS stands for: caches, a slab, or an object.

An address is identity and answered from the memory it points to; a name is a label,
and stands for every cache that has it, with the memcg children of each.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import List, NamedTuple, Optional

from crash_ext.leak.family import Families
from crash_ext.leak.nearest import nearest
from crash_ext.reader import ReadError
from crash_ext.slub.caches import CacheError
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.locate import Located, locate_address, locate_page
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session


class SelectionError(Exception):
    """The argument stands for nothing; the text says why."""


class Selection(NamedTuple):
    """What an argument stands for: a whole cache, or one slab of it, or one object."""

    cache: Cache
    slab: Optional[Located] = None
    """Set for a slab or an object: slab.number says which object, None for all."""
    alias: str = ""
    """The argument, where it is another name of a merged cache."""


def select(session: Session, caches: List[Cache], argument: str) -> List[Selection]:
    r"""What NAME or ADDRESS stands for. Raises SelectionError.

    ADDRESS (hexadecimal, with or without 0x): of a struct kmem_cache, of a slab's struct
    page or struct slab, or inside an object. A NAME that reads as a number is written
    \NAME, as in crash's own kmem.
    """
    if argument.startswith("\\"):
        return _by_name(session, caches, argument[1:])
    address = _hexadecimal(argument)
    if address is None:
        return _by_name(session, caches, argument)
    return [_by_address(session, caches, argument, address)]


def _hexadecimal(argument: str) -> Optional[int]:
    digits = argument[2:] if argument[:2] in ("0x", "0X") else argument
    if not digits or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        return None
    return int(digits, 16)


def _by_name(session: Session, caches: List[Cache], name: str) -> List[Selection]:
    # crash takes double quotes off, and leaves these.
    if len(name) > 2 and name[0] == name[-1] == "'":
        name = name[1:-1]
    wanted = name.encode("utf-8", "surrogateescape")
    found = _of_name(caches, wanted, session.merged_into(wanted))
    found = found or _of_name(caches, wanted, session.merged_into(wanted, whole=True))
    if not found and any(sign in name for sign in "*?["):
        found = _by_pattern(caches, name)
    if not found:
        raise SelectionError(f"{name}: no cache has this name{_proposal(session, caches, name)}")
    return found


def _of_name(caches: List[Cache], name: bytes, merged: List[int]) -> List[Selection]:
    """merged: the caches that have the name as an alias."""
    families = Families(caches)
    found: List[Selection] = []
    for cache in caches:
        if cache.name == name:
            found += map(Selection, families.with_children(cache))
        elif cache.address in merged:
            found.append(Selection(cache, None, name.decode("utf-8", "surrogateescape")))
            found += map(Selection, families.children(cache))
    return found


def _proposal(session: Session, caches: List[Cache], name: str) -> str:
    names = [each for cache in caches for each in (cache.name, *session.aliases(cache)) if each]
    near = nearest(name, (each.decode("utf-8", "surrogateescape") for each in names))
    return f": did you mean {' or '.join(near)}?" if near else ""


def _by_pattern(caches: List[Cache], pattern: str) -> List[Selection]:
    """The caches whose names a shell's pattern fits."""
    return [
        Selection(cache)
        for cache in caches
        if fnmatchcase((cache.name or b"").decode("utf-8", "surrogateescape"), pattern)
    ]


def _by_address(session: Session, caches: List[Cache], argument: str, address: int) -> Selection:
    for cache in caches:
        if cache.address == address:
            return Selection(cache)
    if address >> 8 * session.reader.word:
        raise SelectionError(f"{argument}: wider than an address")
    try:
        found = locate_page(session, caches, address)
        if found is None:
            found = locate_address(session, caches, address)
    except (ReadError, CacheError, SlabError) as error:
        raise SelectionError(f"{argument}: {error}") from error
    if found is None:
        if any(cache.name == argument.encode() for cache in caches):
            raise SelectionError(
                f"{argument}: an address; for the cache of this name: \\{argument}"
            )
        raise SelectionError(f"{argument}: not the address of a cache, a slab or an object")
    return Selection(found.cache, found)
