# SPDX-License-Identifier: GPL-3.0-or-later
"""Every slab of a cache, with the list it is on.

Per-CPU slabs, per-CPU partial slabs, the nodes' partial and full lists, and last the
slabs that no list holds, out of the page scan. Counted against the kernel's own
numbers. Knows slabs; objects are objects.py's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import follow_list, read_word
from crash_ext.reader import ReadError
from crash_ext.report.text import plural
from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import for_each_node
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.model import Cache, Node, Slab
from crash_ext.slub.percpu import for_each_cpu_slabs
from crash_ext.slub.session import Session
from crash_ext.slub.settle import CHANGED

NO_LIST = "-"
_AHEAD = 256
_DEBUGGING = ("CONSISTENCY_CHECKS", "RED_ZONE", "POISON", "STORE_USER", "TRACE")
"""SLAB_DEBUG_FLAGS: a cache with one of these has no per-CPU slabs."""


_Claimed = Tuple[int, str, Optional[int], Optional[bytes], Optional[int], int, Optional[str]]
"""The fields of a _Claim: as a plain tuple it is made in a quarter of the time."""


_Seen = Dict[int, Optional[int]]
"""Address -> objects of the cache's slab there; None where there's none of its slabs: a
damaged link leads anywhere."""


class _Claim(NamedTuple):
    """A list says that this address is a slab of the cache."""

    address: int
    place: str
    node: Optional[int] = None
    page: Optional[bytes] = None
    """What its descriptor holds, where it was read."""
    cpu: Optional[int] = None
    cpu_freelist: int = 0
    doubt: Optional[str] = None


def for_each_slab(
    session: Session, cache: Cache, problems: List[str], lists_only: bool = False
) -> Iterator[Slab]:
    """The slabs of a cache, each once.

    lists_only: without the page scan, so full slabs that no list holds are missing.
    What is wrong (an unreadable list, a slab on two lists or of another cache, a count
    that differs from the kernel's) goes to `problems`, and the rest is still found. Where
    slabs are missed by it, session.lacks() says so behind the last one.
    """
    seen: _Seen = {}
    own = cache.address
    missed: List[str] = []
    nodes = list(for_each_node(session, cache, missed, session.usual_nodes()))
    read = session.descriptors.read
    frozen_by_cpus = session.layout.cpu is not None and not _debugging(session, cache)
    lost = session.kfence().lost
    # Nothing is asked twice in this loop: it runs for each slab.
    for address, place, node, page, cpu, cpu_freelist, claimed in _claims(
        session, cache, nodes, seen, missed, lists_only
    ):
        if missed:
            problems += missed
            missed.clear()
            session.lack(cache)
        if address in seen:
            if place != NO_LIST:
                problems.append(f"slab {hexa(address)}: on two lists, the second is {place}")
            continue
        seen[address] = None
        try:
            slab = read(address, place, node, page)
        except SlabError as error:
            problems.append(f"{place}: {error}")
            session.lack(cache)
            continue
        if slab.cache != own:
            problems.append(
                f"slab {hexa(address)}: on the list {place} but of cache {hexa(slab.cache)}"
            )
            session.lack(cache)
            continue
        seen[address] = slab.objects
        doubt = claimed
        if doubt is None and slab.frozen and frozen_by_cpus and cpu is None:
            doubt = _no_cpu(slab)
        if not nodes:
            doubt = doubt or _of_another(session, cache, slab)
        if lost and place == NO_LIST and slab.objects == 1:
            # Such is what a page of the pool looks like.
            doubt = doubt or "it may be a page of the KFENCE pool: unknown"
        if cpu is not None or doubt is not None:
            slab = slab._replace(cpu=cpu, cpu_freelist=cpu_freelist, doubt=doubt)
        yield slab
    if missed:
        problems += missed
        session.lack(cache)
    if not lists_only:
        known = len(problems)
        if _compare_counts(nodes, *_own(seen), problems):
            session.lack(cache)
        if session.live and problems[known:]:
            now = list(for_each_node(session, cache, []))
            if now != nodes:
                problems[known:] = [f"{CHANGED}: {text}" for text in problems[known:]]
        unreadable = session.page_index().unreadable
        # Without CONFIG_SLUB_DEBUG no slab is counted, and none of a struct that was freed.
        counted = bool(nodes) and "nr_slabs" in session.layout.node
        if len(problems) > known or not counted:
            session.tell_holes()
        if unreadable and not counted:
            problems.append(
                f"{unreadable} page structures can't be read, and nothing counts the cache's"
                " slabs: some may be missing"
            )
            session.lack(cache)


def _of_another(slub: Slub, cache: Cache, slab: Slab) -> Optional[str]:
    """Why a slab that names a struct without nodes is doubtful.

    See _on_no_list(). Such a struct was freed, and counts nothing any more.
    """
    may_be = "by the struct, which has no node: it may be a later cache's"
    if slab.objects != cache.objects:
        return f"{plural(slab.objects, 'object')} in a slab, but {cache.objects} {may_be}"
    page = slub.reader.page_size
    wanted = -(-cache.objects * cache.size // page)
    pages = slub.descriptors.pages(slab.address, wanted)
    if pages < wanted:
        return f"a slab of {pages * page} bytes, but {wanted * page} {may_be}"
    return None


def _debugging(slub: Slub, cache: Cache) -> bool:
    return any(cache.flags & slub.layout.flags.mask(name) for name in _DEBUGGING)


def _no_cpu(slab: Slab) -> Optional[str]:
    """Why a frozen slab that no CPU holds is doubtful: a lost CPU may have freed its objects.

    As long as there are per-CPU slabs (up to v6.19), they and only they are frozen; in a
    cache with debugging also a slab that has failed the kernel's own check.
    """
    return None if slab.place.startswith("cpu ") else "frozen, but no CPU has it"


def _claims(
    session: Session,
    cache: Cache,
    nodes: List[Node],
    seen: _Seen,
    problems: List[str],
    lists_only: bool,
) -> Iterator[_Claimed]:
    """What the lists claim, and then, with `seen` filled from it, what the pages claim."""
    for held in for_each_cpu_slabs(session, cache, problems):
        if held.slab:
            yield _Claim(held.slab, f"cpu {held.cpu}", cpu=held.cpu, cpu_freelist=held.freelist)
        for address in held.partial:
            yield _Claim(address, f"cpu {held.cpu} partial")
    for node in nodes:
        yield from _listed(session, node, "partial", problems)
    for node in nodes:
        # Only caches with SLAB_STORE_USER put slabs there, in every kernel.
        if "full" in session.layout.node:
            yield from _listed(session, node, "full", problems)
    if not lists_only:
        yield from _on_no_list(session, cache, nodes, seen)


def _on_no_list(session: Session, cache: Cache, nodes: List[Node], seen: _Seen) -> Iterator[_Claim]:
    """The slabs that only their pages give to the cache.

    A kernel of v6.0 to v6.5 frees the struct of a cache whose destroy failed (see
    caches.list_caches()), and hands it out for the next cache: then pages of the dead
    cache name the new one, too. Its own counts give that away, but not which of them are
    whose.
    """
    unlisted = [
        address for address in session.page_index().of(cache.address) if address not in seen
    ]
    doubt = _too_many(session, cache, nodes, seen, unlisted)
    for address in unlisted:
        yield _Claim(address, NO_LIST, doubt=doubt)


def _too_many(
    slub: Slub, cache: Cache, nodes: List[Node], seen: _Seen, unlisted: List[int]
) -> Optional[str]:
    """Why not all slabs on no list can be the cache's own, None where they can."""
    counts = [node.nr_slabs for node in nodes]
    if None in counts or not nodes:
        return None
    names = "names" if len(unlisted) == 1 else "name"
    what = f"{plural(len(unlisted), 'slab')} on no list {names} this cache, but by its count"
    slabs, _ = _own(seen)
    room = sum(count or 0 for count in counts) - slabs
    if len(unlisted) > room:
        return f"{what} only {max(room, 0)} can be its own"
    if len(unlisted) < room:
        # Slabs are missing, or that count is damaged: it is held against the other one. What
        # a damaged slab says of itself takes no room.
        most = cache.max_objects
        known = sum(count for count in seen.values() if count is not None and count <= most)
        left = sum(node.total_objects or 0 for node in nodes) - known
        found = 0
        for address in unlisted:
            with suppress(SlabError):
                objects = slub.descriptors.read(address, NO_LIST).objects
                found += objects if objects <= most else 0
        if found > left:
            return f"{what} only {max(left, 0)} of their {found} objects can be its own"
    return None


def _own(seen: _Seen) -> Tuple[int, int]:
    """How many slabs of the cache are known, and how many objects they have."""
    objects = [count for count in seen.values() if count is not None]
    return len(objects), sum(objects)


def _listed(slub: Slub, node: Node, member: str, problems: List[str]) -> Iterator[_Claimed]:
    """Each slab as the list leads to it: what is to come may be long.

    Its descriptor is read once, for what it says and for the way on, and some ahead of the
    slabs: many lie in a page, which crash keeps only until some others are read.
    """
    reader = slub.reader
    read, word = reader.read, reader.word
    head = node.address + slub.layout.node.offset(member)
    link = slub.layout.slab.offset(slub.layout.slab_list)
    length, next_in = slub.descriptors.length, slub.descriptors.next_in
    page: Optional[bytes] = None

    def next_of(at: int) -> int:
        return next_in(page)[0] if page else read_word(reader, at)

    number = node.number
    wrong: List[str] = []
    ahead: List[_Claimed] = []
    count = 0
    for entry in follow_list(head, word, next_of, "next", wrong):
        count += 1
        address = entry - link
        try:
            page = read(address, length)
        except ReadError:
            page = None
        ahead.append((address, member, number, page, None, 0, None))
        if len(ahead) >= _AHEAD:
            yield from ahead
            ahead = []
    yield from ahead
    problems.extend(f"node {node.number}: {member}: {text}" for text in wrong)
    if member == "partial" and not wrong and count != node.nr_partial:
        problems.append(
            f"node {node.number}: partial: {plural(count, 'slab')},"
            f" nr_partial says {node.nr_partial}"
        )


def _compare_counts(nodes: List[Node], slabs: int, objects: int, problems: List[str]) -> bool:
    """Whether the kernel counts more: nr_slabs, total_objects (with CONFIG_SLUB_DEBUG only)."""
    counted = [node.nr_slabs for node in nodes if node.nr_slabs is not None]
    if len(counted) == len(nodes) and nodes and sum(counted) != slabs:
        problems.append(f"{plural(slabs, 'slab')} found, nr_slabs says {sum(counted)}")
    totals = [node.total_objects for node in nodes if node.total_objects is not None]
    if len(totals) == len(nodes) and nodes and sum(totals) != objects:
        problems.append(f"{plural(objects, 'object')} found, total_objects says {sum(totals)}")
    return sum(counted) > slabs or sum(totals) > objects
