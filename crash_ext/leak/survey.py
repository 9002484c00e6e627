# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache with what it holds: slabs, objects, how many allocated, and its state."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.absent import Absent
from crash_ext.leak.family import Families, cgroup_text, children_text
from crash_ext.leak.state import Held, State, judge
from crash_ext.slub.kfence import PLACE
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, UNKNOWN, Cache, Slab
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session


class NodeCount(NamedTuple):
    """What one NUMA node holds of a cache."""

    partial: int
    """Slabs on the node's partial list."""
    slabs: int
    objects: int
    allocated: int


class Survey(NamedTuple):
    """A cache, counted."""

    cache: Cache
    state: State
    slabs: int
    objects: int
    allocated: int
    free: int
    pending: int
    """Freed, and waiting for an RCU grace period."""
    unknown: int
    """Objects of slabs whose records contradict themselves."""
    lacking: bool
    """Not all of its slabs were found."""
    bytes: int
    """Memory of the slabs."""
    kfence: int
    """Of these bytes in KFENCE's pool: given to the cache for a while, an object a page."""
    nodes: Dict[int, NodeCount]
    """By node; -1 for slabs whose node is unknown."""
    problems: List[str]
    """What was wrong, a line each."""
    children: Tuple[Survey, ...] = ()
    """Of a root: its memcg children, counted by themselves. The numbers above are its own."""

    @property
    def own(self) -> Held:
        """What the cache holds without its memcg children."""
        return Held(self.slabs, self.allocated, self.unknown, self.lacking)

    @property
    def whole_slabs(self) -> int:
        """Slabs, those of the memcg children included."""
        return self.slabs + sum(child.slabs for child in self.children)

    @property
    def whole_objects(self) -> int:
        """Objects, those of the memcg children included."""
        return self.objects + sum(child.objects for child in self.children)

    @property
    def whole_allocated(self) -> int:
        """Allocated objects, those of the memcg children included."""
        return self.allocated + sum(child.allocated for child in self.children)

    @property
    def more_allocated(self) -> bool:
        """Whether there may be more allocated objects, in memcg children, too."""
        return self.own.more or any(child.own.more for child in self.children)

    @property
    def more_slabs(self) -> bool:
        """Whether there may be more slabs, in memcg children, too."""
        return self.lacking or any(child.lacking for child in self.children)

    @property
    def whole_bytes(self) -> int:
        """Memory of the slabs, those of the memcg children included."""
        return self.bytes + sum(child.bytes for child in self.children)


def survey_family(
    session: Session, cache: Cache, families: Families, lists_only: bool = False
) -> Survey:
    """Count a cache and, where it is a root, its memcg children: every slab is decoded.

    lists_only: only slabs that a list holds.
    """
    children = tuple(
        _survey(session, child, cache, (), lists_only) for child in families.children(cache)
    )
    return _survey(session, cache, families.root(cache), children, lists_only)


def _survey(
    session: Session,
    cache: Cache,
    root: Optional[Cache],
    children: Tuple[Survey, ...],
    lists_only: bool,
) -> Survey:
    problems: List[str] = []
    counts = {ALLOCATED: 0, FREE: 0, UNKNOWN: 0, RCU_PENDING: 0}
    slabs = 0
    damaged: List[str] = []
    absent = Absent(session.reader)
    held = pooled = 0
    nodes: Dict[int, NodeCount] = {}
    for decoded in for_each_decoded_slab(session, cache, problems, lists_only):
        slab = decoded.slab
        size = _slab_bytes(session.reader.page_size, len(decoded.states) * cache.size)
        if decoded.absent and absent.add(slab.base, size, slab.address):
            pass
        elif decoded.problem is not None:
            damaged.append(f"slab {hexa(slab.address)}: {decoded.problem}")
        slabs += 1
        held += size
        pooled += size if slab.place == PLACE else 0
        for state in counts:
            counts[state] += decoded.count(state)
        _count_node(nodes, slab, len(decoded.states), decoded.count(ALLOCATED))
    if damaged:
        # One line a cache: one damage may have hit thousands of its slabs.
        more = f" (and {len(damaged) - 1} more of its slabs)" if len(damaged) > 1 else ""
        problems.append(damaged[0] + more)
    problems += absent.summary("their objects are unknown")
    lacking = session.lacks(cache)
    own = Held(slabs, counts[ALLOCATED], counts[UNKNOWN], lacking)
    within = [child.own for child in children]
    judged = judge(
        cache,
        own.plus(within),
        slab_mutex_held(session.reader),
        root,
        children_text(within),
        cgroup_text(session.reader, cache),
    )
    return Survey(
        cache=cache,
        state=judged,
        slabs=slabs,
        objects=sum(counts.values()),
        allocated=counts[ALLOCATED],
        free=counts[FREE],
        pending=counts[RCU_PENDING],
        unknown=counts[UNKNOWN],
        lacking=lacking,
        bytes=held,
        kfence=pooled,
        nodes=nodes,
        problems=problems,
        children=children,
    )


def _slab_bytes(page_size: int, objects_bytes: int) -> int:
    """Pages come in powers of two, and objects fill more than half of them."""
    size = page_size
    while size < objects_bytes:
        size *= 2
    return size


def _count_node(nodes: Dict[int, NodeCount], slab: Slab, objects: int, allocated: int) -> None:
    number = -1 if slab.node is None else slab.node
    old = nodes.get(number, NodeCount(0, 0, 0, 0))
    nodes[number] = NodeCount(
        old.partial + (slab.place == "partial"),
        old.slabs + 1,
        old.objects + objects,
        old.allocated + allocated,
    )
