# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several lost objects was lost first, and which only with it."""

from __future__ import annotations

from typing import List, Set, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.why.together import Lost, sort_lost

OUTER = Lost()


def test_what_nothing_points_to_leads_the_others() -> None:
    found = sort_lost([(1, 2), (2, 3)], {2, 3})
    assert found == {1: OUTER, 2: Lost(1, False, True), 3: Lost(1, False, True)}


def test_a_satellite_that_points_back_does_not_keep_its_object() -> None:
    """percpu_ref_data has its percpu_ref's address."""
    found = sort_lost([(1, 50), (50, 1)], {1})
    assert found[1] == OUTER


def test_an_object_with_a_satellite_leads_what_either_points_to() -> None:
    found = sort_lost([(1, 50), (50, 1), (50, 60), (60, 2), (2, 60)], {1, 2})
    assert found[1] == OUTER
    assert found[2] == Lost(1, False, True)


def test_objects_that_lead_to_each_other_were_lost_together() -> None:
    found = sort_lost([(1, 2), (2, 1), (2, 3)], {1, 2, 3})
    assert found[1] == found[2] == Lost(0, True, False)
    assert found[3] == Lost(0, False, True), "no ring has it: only a ring leads to it"


Edge = Tuple[int, int]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25),
    st.sets(st.integers(0, 9)),
)
def test_it_is_what_following_every_edge_shows(edges: List[Edge], wanted: Set[int]) -> None:
    def behind(first: int) -> Set[int]:
        front, seen = [first], set()
        while front:
            each = front.pop()
            for owner, target in edges:
                if owner == each and target not in seen:
                    seen.add(target)
                    front.append(target)
        return seen

    found = sort_lost(edges, wanted)
    nodes = {each for edge in edges for each in edge}
    assert set(found) == nodes
    for each in nodes:
        ring = {other for other in nodes if each in behind(other) and other in behind(each)}
        ring.add(each)
        above = {other for other in nodes if each in behind(other)} - ring
        assert found[each].inner == bool(above)
        assert found[each].ring == (not above and len(ring & wanted) > 1)
        leader = found[each].leader
        assert not leader or (each in behind(leader) and each != leader)
