# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: what words usually are, and where leaked objects differ from living ones."""

from __future__ import annotations

from typing import List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.contents.profile import Cell, Difference, Profile, Usual, differences, runs, spread

LINKED = Cell(0x20, 16, "linked", "list_head, linked")
EMPTY = Cell(0x20, 16, "empty", "list_head, empty")
NAME = Cell(0, 8, "text", "text")


def profile(*groups: Tuple[int, List[Cell]]) -> Profile:
    return Profile.of(cells for count, cells in groups for _ in range(count))


def test_a_word_that_differs_in_the_leaked_objects_is_named_with_both_counts() -> None:
    live = profile((267, [NAME, LINKED]))
    leaked = profile((5, [NAME, EMPTY]))
    assert list(differences(live, leaked)) == [
        Difference(0x20, 16, Usual("list_head, linked", 267, 267), Usual("list_head, empty", 5, 5))
    ]


def test_what_living_objects_disagree_on_says_nothing_of_the_leaked() -> None:
    live = profile((6, [LINKED]), (4, [EMPTY]))
    assert not list(differences(live, profile((5, [EMPTY]))))


def test_two_living_objects_make_no_rule() -> None:
    assert not list(differences(profile((2, [LINKED])), profile((5, [EMPTY]))))


def test_a_few_odd_ones_among_the_leaked_make_no_difference() -> None:
    assert not list(differences(profile((9, [LINKED])), profile((6, [LINKED]), (5, [EMPTY]))))


def test_neighbours_of_one_pattern_are_one_run_that_counts_its_weakest_offset() -> None:
    found = runs(
        profile(
            (
                3,
                [
                    Cell(0, 8, "text", "text"),
                    Cell(8, 8, "text", "text"),
                    Cell(16, 8, "number", "number"),
                ],
            ),
            (
                1,
                [
                    Cell(0, 8, "text", "text"),
                    Cell(8, 8, "zero", "zero"),
                    Cell(16, 8, "number", "number"),
                ],
            ),
        )
    )
    assert [(run.start, run.end, run.pattern, run.number) for run in found] == [
        (0, 16, "text", 3),
        (16, 24, "number", 4),
    ]


def test_a_structure_hides_the_words_inside_it() -> None:
    found = runs(profile((3, [LINKED, Cell(0x28, 8, "number", "number")])))
    assert [run.pattern for run in found] == ["list_head, linked"]


_CELLS = st.lists(
    st.builds(Cell, st.integers(0, 64), st.integers(1, 16), st.just("k"), st.sampled_from("abc")),
    max_size=6,
    unique_by=lambda cell: cell.offset,
)


@given(st.lists(_CELLS, max_size=8), st.lists(_CELLS, max_size=8))
def test_any_objects_can_be_compared(live: List[List[Cell]], leaked: List[List[Cell]]) -> None:
    ours, theirs = Profile.of(live), Profile.of(leaked)
    for found in differences(ours, theirs):
        assert found.live.pattern != found.leaked.pattern
        assert found.live.clear
    ends = [0]
    for run in runs(ours):
        assert run.start >= ends[-1]
        assert run.number <= run.total == len(live)
        ends.append(run.end)
    assert not list(differences(ours, ours))


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_a_spread_takes_no_more_than_allowed_from_first_to_last(total: int, limit: int) -> None:
    step, number = spread(total, limit)
    assert number == len(range(0, total, step)) <= limit
