# SPDX-License-Identifier: GPL-3.0-or-later
"""What the memcg children of a cache hold of its objects, as evidence (kernels to v5.8).

Knows the slabs of a root and its children, decoded already; reads the cgroups' names.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Sequence

from crash_ext.kernel.say import count
from crash_ext.leak.family import cgroup_text
from crash_ext.leak.state import Held
from crash_ext.reader import Reader
from crash_ext.report.text import printable
from crash_ext.slub.model import ALLOCATED, UNKNOWN, Cache, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.why.case import Evidence

_SHOWN = 8
"""Children with a line of their own: a host may have a thousand cgroups."""


def held_by_each(
    session: Session, family: Sequence[Cache], slabs: Iterable[SlabObjects]
) -> List[Held]:
    """What each cache of a family holds; slabs: those of all of them."""
    slabs_of: Dict[int, List[SlabObjects]] = {cache.address: [] for cache in family}
    for decoded in slabs:
        slabs_of[decoded.slab.cache].append(decoded)
    return [
        Held(
            len(own),
            sum(decoded.count(ALLOCATED) for decoded in own),
            sum(decoded.count(UNKNOWN) for decoded in own),
            session.lacks(cache),
        )
        for cache, own in zip(family, slabs_of.values())
    ]


def children_evidence(
    reader: Reader, children: Sequence[Cache], holds: Sequence[Held]
) -> Iterator[Evidence]:
    """A line for each child that holds objects, the largest first; holds: what each one has."""
    busy = [each for each in zip(holds, children) if each[0].allocated]
    busy.sort(key=lambda each: -each[0].allocated)
    for held, child in busy[:_SHOWN]:
        text = f"{count(held.allocated, 'object')} in {count(held.slabs, 'slab')}"
        text = f"memcg child {printable(child.name)}: {text}{cgroup_text(reader, child)}"
        yield Evidence("state", text, child.address)
    rest = busy[_SHOWN:]
    if rest:
        objects = count(sum(held.allocated for held, _ in rest), "object")
        yield Evidence("state", f"{objects} in {len(rest)} more memcg children")
