# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that nothing leads to and that were allocated just before the dump: in doubt."""

from __future__ import annotations

from typing import Dict, List

import pytest

from mocks.history import HZ, History
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages

STORE_USER = 0x10000


def lost(*ago: int, noted: bool = True) -> List[Dict[str, List[str]]]:
    """Of a cache whose lost objects were allocated so many jiffies before the dump."""
    pages = Pages()
    flags = STORE_USER if noted else 0
    cache = pages.heap.cache("slab_test", 64, flags=flags)
    slab = pages.heap.slab(cache, set(range(len(ago))))
    history = History(pages.heap)
    for index, jiffies in enumerate(ago):
        pages.image.write(slab.object(index), b"lost!".ljust(64, b"\0"))
        if noted:
            history.track(slab, index, [0xFFFFFFFF81001000 + index], ago=jiffies)
    whole(pages)
    found = of_type(records(pages.heap, "slablost", "slab_test"), "lost")
    return [{key: row[key] for key in ("definitely", "possibly", "possibly_why")} for row in found]


def test_what_was_allocated_a_moment_ago_is_possibly_lost() -> None:
    (row,) = lost(HZ // 10 - 1, HZ // 10, 0, 100 * HZ)
    assert len(row["definitely"]) == 2
    text = "allocated less than 0.1 s before the dump: perhaps on its way to an owner"
    assert row["possibly_why"] == [text, text]


def test_more_than_the_cpus_have_in_hand_are_lost() -> None:
    (row,) = lost(*[0] * 20)
    assert (len(row["definitely"]), row["possibly"]) == (20, [])


@pytest.mark.parametrize("ago", [HZ, 2 * HZ, 3600 * HZ])
def test_what_is_older_is_lost(ago: int) -> None:
    (row,) = lost(ago)
    assert len(row["definitely"]) == 1
    assert row["possibly"] == []


def test_where_no_moment_is_noted_nothing_is_in_doubt_for_its_age() -> None:
    (row,) = lost(0, 0, noted=False)
    assert len(row["definitely"]) == 2
