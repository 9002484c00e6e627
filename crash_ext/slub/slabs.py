# SPDX-License-Identifier: GPL-3.0-or-later
"""Every slab of a cache, with the list it is on.

Per-CPU slabs, per-CPU partial slabs, the nodes' partial and full lists, and last the
slabs that no list holds, out of the page scan. Counted against the kernel's own
numbers. Knows slabs; objects are objects.py's.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional

from crash_ext.slub.allocator import Slub
from crash_ext.slub.caches import for_each_node
from crash_ext.slub.descriptor import SlabError
from crash_ext.slub.memory import walk_list
from crash_ext.slub.model import Cache, Node, Slab
from crash_ext.slub.percpu import for_each_cpu_slabs
from crash_ext.slub.settle import CHANGED

NO_LIST = "-"
_DEBUGGING = ("CONSISTENCY_CHECKS", "RED_ZONE", "POISON", "STORE_USER", "TRACE")
"""SLAB_DEBUG_FLAGS: a cache with one of these has no per-CPU slabs."""


class _Claim(NamedTuple):
    """A list says that this address is a slab of the cache."""

    address: int
    place: str
    node: Optional[int] = None
    cpu: Optional[int] = None
    cpu_freelist: int = 0
    doubt: Optional[str] = None


def for_each_slab(
    slub: Slub, cache: Cache, problems: List[str], lists_only: bool = False
) -> Iterator[Slab]:
    """The slabs of a cache, each once.

    lists_only: without the page scan, so full slabs that no list holds are missing.
    What is wrong (an unreadable list, a slab on two lists or of another cache, a count
    that differs from the kernel's) goes to `problems`, and the rest is still found.
    """
    seen: Dict[int, bool] = {}
    nodes = list(for_each_node(slub.reader, slub.layout, cache, problems))
    objects = 0
    for claim in _claims(slub, cache, nodes, seen, problems, lists_only):
        if claim.address in seen:
            if claim.place != NO_LIST:
                problems.append(
                    f"slab {claim.address:x}: on two lists, the second is {claim.place}"
                )
            continue
        seen[claim.address] = False
        try:
            slab = slub.descriptors.read(claim.address, claim.place, claim.node)
        except SlabError as error:
            problems.append(f"{claim.place}: {error}")
            continue
        if slab.cache != cache.address:
            problems.append(
                f"slab {slab.address:x}: on the list {claim.place} but of cache {slab.cache:x}"
            )
            continue
        seen[claim.address] = True
        objects += slab.objects
        doubt = claim.doubt or _no_cpu(slub, cache, slab)
        if not nodes and slab.objects != cache.objects:
            # See _on_no_list(). A struct without nodes was freed, and counts nothing any more.
            doubt = (
                f"{slab.objects} objects in a slab, but {cache.objects} by the struct, which has"
                " no node: it may be a later cache's"
            )
        if claim.cpu is not None or doubt is not None:
            slab = slab._replace(cpu=claim.cpu, cpu_freelist=claim.cpu_freelist, doubt=doubt)
        yield slab
    if not lists_only:
        known = len(problems)
        _compare_counts(nodes, sum(seen.values()), objects, problems)
        if slub.live and problems[known:]:
            now = list(for_each_node(slub.reader, slub.layout, cache, []))
            if now != nodes:
                problems[known:] = [f"{CHANGED}: {text}" for text in problems[known:]]
        unreadable = slub.page_index().unreadable
        if len(problems) > known or "nr_slabs" not in slub.layout.node:
            slub.tell_holes()
        if unreadable and "nr_slabs" not in slub.layout.node:
            problems.append(
                f"{unreadable} page structures can't be read, and this kernel doesn't count"
                " slabs: some may be missing"
            )


def _no_cpu(slub: Slub, cache: Cache, slab: Slab) -> Optional[str]:
    """Why a frozen slab that no CPU holds is doubtful: a lost CPU may have freed its objects.

    As long as there are per-CPU slabs (up to v6.19), they and only they are frozen; in a
    cache with debugging also a slab that has failed the kernel's own check.
    """
    if not slab.frozen or slub.layout.cpu is None or slab.place.startswith("cpu "):
        return None
    debugging = any(cache.flags & slub.layout.flags.mask(name) for name in _DEBUGGING)
    return None if debugging else "frozen, but no CPU has it"


def _claims(
    slub: Slub,
    cache: Cache,
    nodes: List[Node],
    seen: Dict[int, bool],
    problems: List[str],
    lists_only: bool,
) -> Iterator[_Claim]:
    """What the lists claim, and then, with `seen` filled from it, what the pages claim.

    seen: address -> whether it is a slab of the cache. A damaged link claims what is none.
    """
    for held in for_each_cpu_slabs(slub.reader, slub.layout, slub.descriptors, cache, problems):
        if held.slab:
            yield _Claim(held.slab, f"cpu {held.cpu}", None, held.cpu, held.freelist)
        for address in held.partial:
            yield _Claim(address, f"cpu {held.cpu} partial")
    for node in nodes:
        yield from _listed(slub, node, "partial", problems)
    for node in nodes:
        # Only caches with SLAB_STORE_USER put slabs there, in every kernel.
        if "full" in slub.layout.node:
            yield from _listed(slub, node, "full", problems)
    if not lists_only:
        yield from _on_no_list(slub, cache, nodes, seen)


def _on_no_list(
    slub: Slub, cache: Cache, nodes: List[Node], seen: Dict[int, bool]
) -> Iterator[_Claim]:
    """The slabs that only their pages give to the cache.

    A kernel of v6.0 to v6.5 frees the struct of a cache whose destroy failed (see
    caches.list_caches()), and hands it out for the next cache: then pages of the dead
    cache name the new one, too. Its own count of slabs gives that away, but not which
    of them are whose.
    """
    unlisted = [address for address in slub.page_index().of(cache.address) if address not in seen]
    counts = [node.nr_slabs for node in nodes]
    doubt = None
    if None not in counts and nodes:
        room = sum(count or 0 for count in counts) - sum(seen.values())
        if len(unlisted) > room:
            doubt = (
                f"{len(unlisted)} slabs on no list name this cache, but by its count only"
                f" {max(room, 0)} can be its own"
            )
    for address in unlisted:
        yield _Claim(address, NO_LIST, doubt=doubt)


def _listed(slub: Slub, node: Node, member: str, problems: List[str]) -> Iterator[_Claim]:
    head = node.address + slub.layout.node.offset(member)
    walk = walk_list(slub.reader, head)
    problems.extend(f"node {node.number}: {member}: {text}" for text in walk.problems)
    link = slub.layout.slab.offset(slub.layout.slab_list)
    for entry in walk.addresses:
        yield _Claim(entry - link, member, node.number)
    if member == "partial" and not walk.problems and len(walk.addresses) != node.nr_partial:
        problems.append(
            f"node {node.number}: partial: {len(walk.addresses)} slabs,"
            f" nr_partial says {node.nr_partial}"
        )


def _compare_counts(nodes: List[Node], slabs: int, objects: int, problems: List[str]) -> None:
    """nr_slabs and total_objects are there with CONFIG_SLUB_DEBUG only."""
    counted = [node.nr_slabs for node in nodes if node.nr_slabs is not None]
    if len(counted) == len(nodes) and nodes and sum(counted) != slabs:
        problems.append(f"{slabs} slabs found, nr_slabs says {sum(counted)}")
    totals = [node.total_objects for node in nodes if node.total_objects is not None]
    if len(totals) == len(nodes) and nodes and sum(totals) != objects:
        problems.append(f"{objects} objects found, total_objects says {sum(totals)}")
