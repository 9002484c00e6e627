# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost objects that point to freed memory, or to other lost objects, say so."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import pytest

from mocks.landscape import Landscape
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages

LOST = "to memory of parents that nothing in use leads to, either, perhaps what"
FREED = "to freed memory of parents, perhaps what"
AREA = "to vmalloc memory that was freed (an hlist_node points back to its bucket), perhaps what"


def told(target: str, objects: Sequence[int] = (1, 2, 3)) -> List[Tuple[str, str]]:
    """(cause, sentence) of a leftover whose objects 1 and 2 point at +0x18 to such memory."""
    pages = Pages()
    land = Landscape(pages.heap)
    slab = pages.zeroed(set(objects))
    pages.heap.leave_behind(slab.cache)
    first, _ = land.area([pages.page(1)])
    land.area([pages.page(2)])
    parents = pages.heap.slab(pages.heap.cache("parents", 64), {1})
    targets = {
        "lost": parents.object(1) + 8,
        "freed": parents.object(2) + 8,
        "area": first + 8 * pages.image.page_size,
    }
    for index in objects:
        pages.image.pointer(slab.object(index) + 24, targets[target] if index < 3 else 1 << 40)
    whole(pages)
    rows = of_type(records(pages.heap, "slabwhy", f"{slab.cache.address:x}"), "finding")
    return [(str(row["cause"]), str(row["text"])) for row in rows]


@pytest.mark.parametrize(("target", "text"), [("lost", LOST), ("freed", FREED), ("area", AREA)])
def test_what_lost_objects_point_to_tells_whose_they_were(target: str, text: str) -> None:
    ((cause, sentence),) = told(target)
    assert cause == "lost"
    # What lies behind is zero, as rcu_do_batch() leaves the function of a callback.
    link = "" if target == "lost" else ", or what RCU left in a callback that has run"
    assert sentence.endswith(f" 2 of 3 point at +0x18 {text} they belonged to or owned{link}.")


def test_pointers_of_few_tell_nothing() -> None:
    ((_, sentence),) = told("freed", (2, 3, 4, 5))
    assert "point at" not in sentence
