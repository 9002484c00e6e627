# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of each object of a slab: free, allocated, or unknown.

One read for the slab, the freelists decoded in its bytes. An object is called free
only if it's on a freelist that is whole, and allocated only if all freelists are:
chain lengths must agree with the slab's counters, or nothing is claimed.
"""

from __future__ import annotations

from typing import FrozenSet, Iterator, List, Optional, Tuple

from crash_ext.reader import ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.freelist import KEY_FORMS, Geometry, KeyForm, follow, key_of, word_reader
from crash_ext.slub.model import ALLOCATED, FREE, UNKNOWN, Cache, Slab, SlabObjects
from crash_ext.slub.slabs import for_each_slab

_SAMPLES = 32


def geometry(cache: Cache, slab: Slab) -> Geometry:
    """Where the slab's objects are."""
    return Geometry(
        slab.base + cache.red_left, cache.size, slab.objects, cache.red_left, cache.offset
    )


def decode_slab(slub: Slub, cache: Cache, slab: Slab) -> SlabObjects:
    """The slab with the state of each of its objects. Never raises on bad memory."""
    where = geometry(cache, slab)
    problem = _check_counters(slub, cache, slab)
    if problem is not None:
        # A damaged count must not make up objects.
        where = where._replace(objects=min(slab.objects, cache.objects))
        return _unknown(slab, where, problem, None)
    if not slab.freelist and not slab.cpu_freelist:
        if slab.inuse != slab.objects:
            text = f"no freelist, but inuse is {slab.inuse} of {slab.objects}"
            return _unknown(slab, where, text, None)
        states = bytes([ALLOCATED]) * slab.objects
        return SlabObjects(slab, where.first, states, None, frozenset(), None)
    try:
        memory = slub.reader.read(slab.base, slab.objects * cache.size)
    except ReadError as error:
        return _unknown(slab, where, f"slab memory: {error}", None)
    return _decode(slub, cache, slab, where, memory)


def key_forms(slub: Slub, caches: List[Cache]) -> List[KeyForm]:
    """The forms of hardened free pointers that this kernel's own slabs bear out.

    Asked once a session: slabs on partial lists are decoded in every form, and the form
    with more valid chains stands. Both are kept where no slab decides.
    """
    if slub.key_forms is None:
        votes = dict.fromkeys(KEY_FORMS, 0)
        for cache, slab in _samples(slub, caches):
            where = geometry(cache, slab)
            try:
                memory = slub.reader.read(slab.base, slab.objects * cache.size)
            except ReadError:
                continue
            for form in KEY_FORMS:
                if _chain_problem(slub, cache, slab, where, memory, form) is None:
                    votes[form] += 1
        most = max(votes.values())
        slub.key_forms = [form for form in KEY_FORMS if votes[form] == most]
    return slub.key_forms


def _samples(slub: Slub, caches: List[Cache]) -> Iterator[Tuple[Cache, Slab]]:
    taken = 0
    for cache in caches:
        if cache.random is None:
            continue
        for slab in for_each_slab(slub, cache, [], lists_only=True):
            if slab.freelist and _check_counters(slub, cache, slab) is None:
                yield cache, slab
                taken += 1
                break
        if taken >= _SAMPLES:
            return


def _check_counters(slub: Slub, cache: Cache, slab: Slab) -> Optional[str]:
    if not 0 < slab.objects <= cache.max_objects:
        return f"{slab.objects} objects in a slab of at most {cache.max_objects}"
    if slab.inuse > slab.objects:
        return f"inuse is {slab.inuse} of {slab.objects}"
    if cache.red_left + cache.offset + slub.reader.word > cache.size and slab.freelist:
        return f"free pointer at +{cache.offset:#x} is outside an object of {cache.size} bytes"
    return None


def _decode(slub: Slub, cache: Cache, slab: Slab, where: Geometry, memory: bytes) -> SlabObjects:
    forms: List[Optional[KeyForm]] = [None]
    if cache.random is not None:
        forms = list(key_forms(slub, slub.listed_caches().caches))
    problem = None
    for form in forms:
        states, cpu_free, problem = _states(slub, cache, slab, where, memory, form)
        if problem is None:
            return SlabObjects(slab, where.first, states, None, cpu_free, memory)
    return _unknown(slab, where, problem or "", memory)


def _states(
    slub: Slub,
    cache: Cache,
    slab: Slab,
    where: Geometry,
    memory: bytes,
    form: Optional[KeyForm],
) -> Tuple[bytes, FrozenSet[int], Optional[str]]:
    none: FrozenSet[int] = frozenset()
    words = word_reader(slub.reader.word, slub.reader.byteorder)
    key = key_of(form, cache.random, slub.reader.word)
    chain, problem = follow(memory, where, slab.freelist, key, words)
    expected = slab.objects - slab.inuse
    if problem is not None:
        return b"", none, f"freelist: {problem}, after {len(chain)} of {expected} free objects"
    if len(chain) != expected:
        return b"", none, f"freelist: {len(chain)} objects, but inuse leaves {expected} free"
    cpu_chain, problem = follow(memory, where, slab.cpu_freelist, key, words)
    if problem is not None:
        return b"", none, f"freelist of cpu {slab.cpu}: {problem}, after {len(cpu_chain)} objects"
    states = bytearray([ALLOCATED]) * slab.objects
    for index in chain:
        states[index] = FREE
    for index in cpu_chain:
        if states[index] == FREE:
            address = where.first + index * where.size
            return b"", none, f"freelist of cpu {slab.cpu}: {address:x} is on the slab's, too"
        states[index] = FREE
    return bytes(states), frozenset(cpu_chain), None


def _chain_problem(
    slub: Slub, cache: Cache, slab: Slab, where: Geometry, memory: bytes, form: KeyForm
) -> Optional[str]:
    return _states(slub, cache, slab._replace(cpu_freelist=0), where, memory, form)[2]


def _unknown(slab: Slab, where: Geometry, problem: str, memory: Optional[bytes]) -> SlabObjects:
    states = bytes([UNKNOWN]) * where.objects
    return SlabObjects(slab, where.first, states, problem, frozenset(), memory)
