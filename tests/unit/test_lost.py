# SPDX-License-Identifier: GPL-3.0-or-later
"""slablost: what is perhaps held keeps what it leads to: that is not lost for certain either."""

from __future__ import annotations

from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


def test_what_only_a_possibly_lost_object_leads_to_is_possibly_lost() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3, 4, 5}), pages.image
    pages.set(0, _refcount=1)
    one, two, three, four, five = (slab.object(index) for index in range(1, 6))
    image.pointer(pages.start + 0x10, one - image.page_offset)
    image.pointer(one + 8, two)
    image.pointer(two + 8, three)
    image.pointer(four + 8, five)
    whole(pages)
    (found,) = of_type(records(pages.heap, "slablost", "slab_test"), "lost")
    told = (found["definitely"], found["indirectly"], found["possibly"])
    assert told == (
        [f"{four:016x}"],
        [f"{five:016x}"],
        [f"{each:016x}" for each in (one, two, three)],
    )
    first, *others = found["possibly_why"]
    assert first.startswith("its physical address stands at")
    assert others == [
        f"only an object that is possibly lost leads to it: {each:016x}" for each in (one, two)
    ]


def test_slabwhy_says_of_what_a_hidden_holder_leads_to_that_it_is_perhaps_held() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3, 4}), pages.image
    pages.set(0, _refcount=1)
    one, two, three, four = (slab.object(index) for index in range(1, 5))
    image.pointer(pages.start + 0x10, one - image.page_offset)
    for holder, target in ((one, two), (two, three), (four, four + 8)):
        image.pointer(holder + 8, target)
    whole(pages)
    pages.heap.leave_behind(slab.cache)
    rows = records(pages.heap, "slabwhy", "slab_test")
    held = of_type(rows, "finding")[0]
    assert held["cause"] == "held by handle"
    assert held["objects"] == [f"{each:016x}" for each in (one, two, three)]
    of = "of that one its physical address stands at"
    texts = [row["text"] for row in of_type(rows, "evidence") if row["topic"] == "held"]
    assert texts[1].startswith(f"only {one:016x} has a pointer, and {of}")
    assert texts[2].startswith(f"only what {one:016x} leads to has a pointer, and {of}")
