# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects that something holds without a pointer, in words: the two more looks at them.

reach/hidden.py finds physical addresses and pages in memory in use. What such an object leads
to, by a pointer or by a physical address as descriptors are chained, is held with it.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Deque, Dict, List

from crash_ext.hexa import hexa
from crash_ext.kernel.say import before_verb
from crash_ext.places.place import OBJECT, SYMBOL, words_of
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.hidden import FLAGS, Hidden, find_hidden
from crash_ext.reach.model import UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.slub.allocator import Slub
from crash_ext.why.case import Case, Subject
from crash_ext.why.kernelobjects import KernelObjects

_FAR = 2
"""Steps of a way whose beginning still says who has what it leads to."""


def find_handles(
    slub: Slub, places: Places, reach: Reach, cases: List[Case], blocks: Blocks
) -> None:
    """What holds objects that nothing leads to: by physical address, by page."""
    lost = {s.address: s for case in cases for s in case.subjects if s.level == UNREACHED}
    handles = list(find_hidden(slub, reach, array("Q", sorted(lost))))
    blocks.look_for((found.holder, places.name(found.holder)) for found in handles)
    kernels = KernelObjects(places)
    for found in handles:
        subject = lost[found.address]
        if not found.round or not subject.hidden:
            subject.hidden = _text(places, reach, blocks, kernels, found)
    _find_chained(slub, lost)
    _find_led(reach, lost)


def _find_chained(slub: Slub, lost: Dict[int, Subject]) -> None:
    """An object of which one that is perhaps held has the physical address: a chain's next."""
    start = slub.reader.phys_to_virt(0)
    first = {address: address for address, subject in lost.items() if subject.hidden}
    texts = {address: lost[address].hidden for address in first}
    waiting: Deque[int] = deque(first)
    while waiting and start is not None:
        owner = waiting.popleft()
        root = first[owner]
        for value in lost[owner].values.values():
            target = start + (value & ~FLAGS)
            if target in lost and target not in first:
                first[target] = root
                waiting.append(target)
                where = "" if owner == root else "what is chained like that to "
                lost[target].hidden = (
                    f"its physical address stands in {where}{hexa(root)}, and of that one"
                    f" {texts[root]}"
                )


def _find_led(reach: Reach, lost: Dict[int, Subject]) -> None:
    """What an object that is perhaps held leads to is perhaps held, too."""
    first = {address: address for address, subject in lost.items() if subject.hidden}
    texts = {address: lost[address].hidden for address in first}
    for address, holder in reach.led_to(list(first)):
        root = first[address] = first[holder]
        if address in lost:
            who = f"only {hexa(root)} has a pointer"
            if root != holder:
                who = f"only what {hexa(root)} leads to has a pointer"
            lost[address].hidden = f"{who}, and of that one {texts[root]}"


def _text(
    places: Places, reach: Reach, blocks: Blocks, kernels: KernelObjects, found: Hidden
) -> str:
    place = places.name(found.holder)
    who = "" if place is None else blocks.owner(found.holder, place)
    owned = f" ({before_verb(who)} has that memory)" if who else ""
    if place is not None and place.kind == OBJECT:
        path = reach.path(found.holder)
        first = path[0].place if path else None
        kernel = kernels.name(path[-1]) if path else ""
        if first is not None and first.kind == SYMBOL and len(path) > _FAR:
            # A variable of the kernel's leads to many.
            first = path[-1].place
        owned = f" (to which {before_verb(words_of(first))} leads)" if path else ""
        owned = f" (held {kernel})" if kernel else owned
    return f"{found.text} at {hexa(found.holder)}, {words_of(place)}{owned}"
