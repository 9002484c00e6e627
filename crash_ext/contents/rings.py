# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists found from one of their nodes: how long, and headed by what?

A node doesn't say whether it is a list's head, nor whether it's a list_head or an
hlist_node: that shows only where the list ends, if at all.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import MODULE, PERCPU, STACK, SYMBOL, VMALLOC, Place, plus
from crash_ext.places.places import Places
from crash_ext.report.text import plural

RING = "ring"
"""next leads back: struct list_head."""
CHAIN = "chain"
"""next ends in NULL or, as in hlist_nulls lists, in an odd number: struct hlist_node."""
BROKEN = "broken"
"""A next that can't be read, or whose prev leads elsewhere."""
OPEN = "open"
"""It wasn't walked to its end: there are too many nodes."""

_KEPT = 1 << 20
"""Nodes that are walked and remembered, of all lists together: some 130 MB."""
_STATIC = 64
"""Nodes of a list, at most, that are in no object: each is to be named."""
_HEADS = (SYMBOL, MODULE, PERCPU, STACK, VMALLOC)


class Ring(NamedTuple):
    """A list."""

    kind: str
    """RING, CHAIN, BROKEN or OPEN."""
    nodes: int
    """Of a RING all, the head too; else those from the asked node on, as far as it's known."""
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
            kind, more = self._walk(node, nodes)
            if kind == RING:
                ring = Ring(RING, len(nodes), self._head(nodes))
                self._known.update(dict.fromkeys(nodes, ring))
            else:
                # The later a node comes, the fewer are behind it.
                for number, each in enumerate(nodes):
                    self._known[each] = Ring(kind, len(nodes) - number + more, None)
                ring = Ring(kind, len(nodes) + more, None)
        return ring

    def _walk(self, start: int, nodes: List[int]) -> Tuple[str, int]:
        """Collect the nodes from `start` on; the list's kind, and how many more it has."""
        memory, word = self._memory, self._word
        room = _KEPT - len(self._known)
        at = start
        while len(nodes) < room:
            nodes.append(at)
            following = memory.word(at)
            if following == start:
                return RING, 0
            if following == 0 or (following is not None and following & 1):
                return CHAIN, 0
            # Every step has to lead back: then no cycle can be entered but the whole ring.
            if following is None or memory.word(following + word) != at:
                return BROKEN, 0
            known = self._known.get(following)
            if known is not None:
                return known.kind, known.nodes
            at = following
        return OPEN, 0

    def _head(self, nodes: List[int]) -> Optional[Place]:
        """The one node that isn't in the same place of the same kind of object as all others."""
        first: Dict[object, int] = {}
        often: Dict[object, int] = {}
        for node in nodes:
            decoded = self._places.decoded(node)
            key: object = None
            if decoded is not None:
                key = (decoded.cache.address, (node - decoded.start) % decoded.size)
            first.setdefault(key, node)
            often[key] = often.get(key, 0) + 1
        rare = min(often, key=lambda key: often[key])
        if len(often) != 2 or len(nodes) < 3 or often[rare] > 1:
            return self._only_static(nodes, first, often)
        return self._places.name(first[rare])

    def _only_static(
        self, nodes: List[int], first: Dict[object, int], often: Dict[object, int]
    ) -> Optional[Place]:
        """Of two nodes, or of objects of several kinds: the only node that is in none.

        Of several variables the one that begins with its node: the others are entries, too.
        """
        if often.get(None, 0) not in range(1, _STATIC + 1) or len(nodes) < 2:
            return None
        if often[None] == 1:
            place = self._places.name(first[None])
            return place if place is not None and place.kind in _HEADS else None
        outside = (node for node in nodes if self._places.decoded(node) is None)
        named = [self._places.name(node) for node in outside]
        begun = [each for each in named if each is not None and not each.offset]
        alone = len(begun) == 1 and begun[0].kind in (SYMBOL, MODULE, PERCPU)
        return begun[0] if alone else None


def describe(ring: Ring) -> str:
    """A list in words: "headed by slabtest_live_list [slabtest], 548 entries"."""
    if ring.kind == OPEN:
        return f"{plural(ring.nodes, 'node')} or more"
    if ring.kind == BROKEN:
        return f"broken or unreadable, {plural(ring.nodes, 'node')} on"
    if ring.kind == CHAIN:
        return f"{ring.nodes - 1} behind it"
    if ring.head is None:
        return f"{ring.nodes} nodes, the head among them"
    entries = ring.nodes - 1
    count = f"{entries} entry" if entries == 1 else f"{entries} entries"
    head, what = ring.head, ring.head.text
    if head.object is not None:
        # Without its state.
        what = f"{head.label} {hexa(head.object)}{plus(head.offset)}"
    return f"headed by {what}, {count}"
