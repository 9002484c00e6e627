# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the objects that nothing leads to: which of them are lost only with others.

A tree or a chain is lost with the one that nothing points to. In a ring each is led to by
the others; there the one with the lowest address stands for all. Knows numbers only.
"""

from __future__ import annotations

from array import array
from typing import Dict, List, Optional

from crash_ext.reader import Native


def find_inner(edges: array[int], count: int, native: Optional[Native]) -> bytes:
    """For each object a byte: 1 if another one leads to it, but for the first of a ring.

    edges: pairs, an object and another one that it points into; count: of objects, numbered
    from 0. In time that grows with the edges, however the rings hang together.
    """
    if native is not None:
        return native.inner(edges, count)
    targets: Dict[int, List[int]] = {}
    for owner, target in zip(edges[::2], edges[1::2]):
        targets.setdefault(owner, []).append(target)
    # From these all others are led to; of a ring that nothing else leads to, the first is in it.
    marks = bytearray(count)
    firsts: List[int] = []
    for each in sorted(targets):
        if not marks[each]:
            marks[each] = 1
            firsts.append(each)
            _follow(each, targets, marks)
    # An earlier one of them can't lead to a later one, which was met for the first time then.
    marks = bytearray(count)
    for each in reversed(firsts):
        if not marks[each]:
            _follow(each, targets, marks)
    return bytes(marks)


def _follow(first: int, targets: Dict[int, List[int]], marks: bytearray) -> None:
    """Mark what the edges lead to from an object, itself left out; marked ones are done with."""
    front = [first]
    while front:
        for target in targets.get(front.pop(), ()):
            if target != first and not marks[target]:
                marks[target] = 1
                front.append(target)
