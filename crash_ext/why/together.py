# SPDX-License-Identifier: GPL-3.0-or-later
"""Of lost objects that point to each other: which was lost first, as far as pointers tell.

An object and the satellites that only it has, some of which point back, are one: the
satellites do not keep it. What is led to from there is lost with it. Objects of the case in
one ring were lost together. Knows addresses only.
"""

from __future__ import annotations

from typing import Container, Dict, Iterable, List, NamedTuple, Tuple


class Lost(NamedTuple):
    """How one object was lost, among those that nothing in use leads to."""

    leader: int = 0
    """The object that it was lost with: nothing leads to that one but its own satellites."""
    ring: bool = False
    """It and others of the case lead to each other."""
    inner: bool = False
    """Other lost objects lead to it, and none of those is only its own."""


def sort_lost(edges: Iterable[Tuple[int, int]], wanted: Container[int]) -> Dict[int, Lost]:
    """Lost object -> how it was lost, for those that edges mention.

    edges: (holder, object that it points into). wanted: the objects of the case.
    """
    to: Dict[int, List[int]] = {}
    for owner, target in edges:
        to.setdefault(owner, []).append(target)
        to.setdefault(target, [])
    rings = _rings(to)
    ring_of = {each: number for number, ring in enumerate(rings) for each in ring}
    led = {ring_of[t] for o, targets in to.items() for t in targets if ring_of[t] != ring_of[o]}
    found: Dict[int, Lost] = {}
    leaders: Dict[int, int] = {}
    # The rings come with those first that lead nowhere.
    for number in range(len(rings) - 1, -1, -1):
        ring = rings[number]
        ours = [each for each in ring if each in wanted]
        leader = leaders.get(number, 0)
        if number not in led:
            leader = ring[0] if len(ring) == 1 else ours[0] if len(ours) == 1 else 0
        for each in ring:
            if number in led:
                found[each] = Lost(leader, False, True)
            else:
                found[each] = Lost(0, len(ours) > 1, False)
            for target in to[each]:
                if leader and ring_of[target] != number:
                    leaders.setdefault(ring_of[target], leader)
    return found


def _rings(to: Dict[int, List[int]]) -> List[List[int]]:
    """The strongly connected parts, each before those that lead to it (Tarjan's way)."""
    order: Dict[int, int] = {}
    lowest: Dict[int, int] = {}
    stack: List[int] = []
    place: Dict[int, int] = {}
    rings: List[List[int]] = []
    for root in to:
        if root in order:
            continue
        walk: List[Tuple[int, int]] = [(root, 0)]
        while walk:
            each, at = walk.pop()
            if at == 0:
                order[each] = lowest[each] = len(order)
                place[each] = len(stack)
                stack.append(each)
            else:
                lowest[each] = min(lowest[each], lowest[to[each][at - 1]])
            targets = to[each]
            while at < len(targets):
                target = targets[at]
                at += 1
                if target not in order:
                    walk.append((each, at))
                    walk.append((target, 0))
                    break
                if target in place:
                    lowest[each] = min(lowest[each], order[target])
            else:
                if lowest[each] == order[each]:
                    rings.append(stack[place[each] :])
                    del stack[place[each] :]
                    for member in rings[-1]:
                        del place[member]
    return rings
