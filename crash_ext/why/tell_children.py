# SPDX-License-Identifier: GPL-3.0-or-later
"""What the memcg children of a cache hold of its objects, as evidence (kernels to v5.8).

Knows the slabs of a root and its children, decoded already; reads the cgroups' names.
"""

from __future__ import annotations

from collections import Counter
from typing import Iterable, Iterator, List, Sequence

from crash_ext.kernel.say import count
from crash_ext.leak.family import cgroup_text
from crash_ext.reader import Reader
from crash_ext.report.text import printable
from crash_ext.slub.model import ALLOCATED, Cache, SlabObjects
from crash_ext.why.case import Evidence

_SHOWN = 8
"""Children with a line of their own: a host may have a thousand cgroups."""


def held_by_children(children: Sequence[Cache], slabs: Iterable[SlabObjects]) -> List[int]:
    """The number of allocated objects of each child. slabs: of the whole family."""
    held: Counter[int] = Counter()
    for decoded in slabs:
        held[decoded.slab.cache] += decoded.count(ALLOCATED)
    return [held[child.address] for child in children]


def children_evidence(
    reader: Reader, children: Sequence[Cache], slabs: Sequence[SlabObjects]
) -> Iterator[Evidence]:
    """A line for each child that holds objects, the largest first."""
    numbers = held_by_children(children, slabs)
    busy = sorted(zip(numbers, children), key=lambda each: -each[0])
    busy = [each for each in busy if each[0]]
    for number, child in busy[:_SHOWN]:
        own = sum(decoded.slab.cache == child.address for decoded in slabs)
        held = f"{count(number, 'object')} in {count(own, 'slab')}{cgroup_text(reader, child)}"
        text = f"memcg child {printable(child.name)}: {held}"
        yield Evidence("state", text, child.address)
    rest = busy[_SHOWN:]
    if rest:
        objects = count(sum(number for number, _ in rest), "object")
        yield Evidence("state", f"{objects} in {len(rest)} more memcg children")
