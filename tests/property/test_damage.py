# SPDX-License-Identifier: GPL-3.0-or-later
"""On a damaged heap every command ends, tells no lie and keeps nothing quiet.

One to three words are overwritten, or pages taken away, anywhere in what the allocator
knows of itself. verdict.py says what a lie is, and the few damages that nothing gives away.
"""

from __future__ import annotations

import os
from typing import List

from hypothesis import given, settings
from hypothesis import strategies as st

from mocks.damage import Plan
from mocks.heap import Heap
from mocks.strategies import crowded_heaps, damages
from tests.property.damaged import Memory, damaged
from tests.property.evidence import Touched
from tests.property.verdict import Before, judge, other_lines

CASES_A_HEAP = 8
HEAPS = int(os.environ.get("FUZZ_HEAPS", "400"))

CASE = st.lists(damages(), min_size=1, max_size=3)
PLANS = st.lists(CASE, min_size=CASES_A_HEAP, max_size=CASES_A_HEAP)


@settings(max_examples=HEAPS)
@given(heap=crowded_heaps(), cases=PLANS, data=st.data())
def test_damage_is_said_and_nothing_else_is_lost(
    heap: Heap, cases: List[List[Plan]], data: st.DataObject
) -> None:
    memory = Memory(heap.image)
    before = Before(heap)
    others = other_lines(heap)
    for plans in cases:
        done = damaged(heap, memory, plans)
        extra = data.draw(st.sampled_from(others))
        complaints = judge(before, Touched(heap, done), [extra])
        assert complaints == [], ([one.text for one in done], complaints)
