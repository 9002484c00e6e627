# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy on damaged heaps: it ends, and what it finds agrees with what the others say.

No object is explained that slabobjs doesn't call allocated (the log's are another matter: a
built heap has none), none twice, and none that isn't there is counted.
"""

from __future__ import annotations

import os
from typing import List

from hypothesis import given, settings
from hypothesis import strategies as st

from mocks.damage import Plan
from mocks.heap import Heap
from mocks.strategies import crowded_heaps, damages
from tests.property.damaged import Console, Memory, damaged, of_type

HEAPS = int(os.environ.get("FUZZ_HEAPS", "30"))
_READS = 200_000
"""A built heap has some hundred pages."""

CASES = st.lists(st.lists(damages(), min_size=0, max_size=3), min_size=4, max_size=4)


@settings(max_examples=HEAPS)
@given(heap=crowded_heaps(), cases=CASES)
def test_what_it_explains_is_what_slabobjs_lists(heap: Heap, cases: List[List[Plan]]) -> None:
    memory = Memory(heap.image)
    addresses = [f"{address:x}" for address in dict.fromkeys(c.address for c in heap.caches)]
    for plans in cases:
        done = [one.text for one in damaged(heap, memory, plans)]
        console = Console(heap.image)
        said = console.run(["slabwhy", "-j", *addresses])
        assert said.reads < _READS, done
        records = said.records()
        findings = list(of_type(records, "finding"))
        for cache in of_type(records, "cache"):
            listed = console.run(["slabobjs", "-j", "-b", "0", cache["address"]]).records()
            allocated = [row["address"] for row in of_type(listed, "object")]
            assert len(allocated) == cache["allocated"], (done, cache)
            own = [row for row in findings if row["cache"] == cache["address"]]
            explained = [address for row in own for address in row["objects"]]
            assert len(explained) == len(set(explained)), (done, own)
            assert set(explained) <= set(allocated), (done, own)
        told = {row["cache"] for row in of_type(records, "conclusion")}
        assert told == {row["address"] for row in of_type(records, "cache")}
