# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the objects that nothing leads to: which of them are lost only with others.

A tree or a chain is lost with the one that nothing points to. In a ring each is led to by
the others; there the one with the lowest address stands for all. Knows numbers only.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Set, Tuple


def find_inner(lost: Iterable[int], edges: Iterable[Tuple[int, int]]) -> Set[int]:
    """The lost objects that another lost one leads to.

    edges: (object, another one that it points into), both lost.
    """
    targets: Dict[int, List[int]] = {}
    pointed: Set[int] = set()
    for owner, target in edges:
        targets.setdefault(owner, []).append(target)
        pointed.add(target)
    order = sorted(lost)
    inner = _follow([each for each in order if each not in pointed], targets)
    # What is pointed to and was not met is in a ring, or behind one.
    for each in order:
        if each in pointed and each not in inner:
            inner |= _follow([each], targets) - {each}
    return inner


def _follow(front: List[int], targets: Dict[int, List[int]]) -> Set[int]:
    """What the edges lead to from some objects; of these only those that are led to."""
    found: Set[int] = set()
    while front:
        for target in targets.get(front.pop(), ()):
            if target not in found:
                found.add(target)
                front.append(target)
    return found
