# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists found from one of their nodes: how long, and headed by what?

A node doesn't say whether it is a list's head, nor whether it's a list_head or an
hlist_node: that shows only where the list ends, if at all.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from crash_ext.leak.memo import Memory
from crash_ext.leak.place import MODULE, OBJECT, PERCPU, STACK, SYMBOL, VMALLOC, Place
from crash_ext.leak.places import Places

RING = "ring"
"""next leads back: struct list_head."""
CHAIN = "chain"
"""next ends in NULL: struct hlist_node."""
OPEN = "open"
"""It wasn't walked to its end."""

_BOUND = 1 << 18
"""Nodes of a list that are walked."""
_KEPT = 1 << 19
"""Nodes whose list is remembered."""
_HEADS = (SYMBOL, MODULE, PERCPU, STACK, VMALLOC)


class Ring(NamedTuple):
    """A list."""

    kind: str
    """RING, CHAIN or OPEN."""
    nodes: int
    """All that were walked, the head too; of a CHAIN those from the asked node on."""
    head: Optional[Place]
    """What the head lies in, where it's the only node of its kind."""


class Rings:
    """Walks lists of one kernel, each once."""

    def __init__(self, places: Places, memory: Memory, word: int) -> None:
        self._places = places
        self._memory = memory
        self._word = word
        self._known: Dict[int, Ring] = {}

    def of(self, node: int) -> Ring:
        """The list that a node (address of its struct list_head or hlist_node) is on."""
        ring = self._known.get(node)
        if ring is None:
            nodes: List[int] = []
            kind = self._walk(node, nodes)
            head = self._head(nodes) if kind == RING else None
            ring = Ring(kind, len(nodes), head)
            if len(self._known) + len(nodes) > _KEPT:
                self._known.clear()
            for number, each in enumerate(nodes):
                # Behind a node of a chain there are fewer the later it comes.
                rest = len(nodes) - number
                self._known[each] = ring._replace(nodes=rest) if kind == CHAIN else ring
        return ring

    def _walk(self, start: int, nodes: List[int]) -> str:
        """Collect the nodes from `start` on."""
        memory, word = self._memory, self._word
        at = start
        while len(nodes) < _BOUND:
            nodes.append(at)
            following = memory.word(at)
            if following == start:
                return RING
            if following == 0:
                return CHAIN
            # Every step has to lead back: then no cycle can be entered but the whole ring.
            if following is None or memory.word(following + word) != at:
                return OPEN
            at = following
        return OPEN

    def _head(self, nodes: List[int]) -> Optional[Place]:
        """The one node that isn't in the same place of the same kind of object as all others."""
        first: Dict[object, int] = {}
        often: Dict[object, int] = {}
        for node in nodes:
            decoded = self._places.decoded(node)
            key: object = None
            if decoded is not None:
                key = (decoded.cache.address, (node - decoded.first) % decoded.size)
            first.setdefault(key, node)
            often[key] = often.get(key, 0) + 1
        if len(often) != 2 or len(nodes) < 3:
            return self._only_static(nodes, first, often)
        rare = min(often, key=lambda key: often[key])
        return self._places.name(first[rare]) if often[rare] == 1 else None

    def _only_static(
        self, nodes: List[int], first: Dict[object, int], often: Dict[object, int]
    ) -> Optional[Place]:
        """Of two nodes, or of objects of several kinds: the only node that is in none."""
        if often.get(None) != 1 or len(nodes) < 2:
            return None
        place = self._places.name(first[None])
        return place if place is not None and place.kind in _HEADS else None


def describe(ring: Ring) -> str:
    """A list in words: "headed by slabtest_live_list [slabtest], 548 entries"."""
    if ring.kind == OPEN:
        if ring.nodes >= _BOUND:
            return f"more than {ring.nodes} nodes"
        return f"broken or unreadable, {ring.nodes} nodes on"
    if ring.kind == CHAIN:
        return f"{ring.nodes - 1} behind it"
    if ring.head is None:
        return f"{ring.nodes} nodes, the head among them"
    entries = ring.nodes - 1
    count = f"{entries} entry" if entries == 1 else f"{entries} entries"
    what = ring.head.text.split(", ")[0] if ring.head.kind == OBJECT else ring.head.text
    return f"headed by {what}, {count}"
