# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges against a search of all of them."""

from __future__ import annotations

from random import Random
from typing import List, NamedTuple, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.kernel.ranges import Ranges


class Piece(NamedTuple):
    start: int
    end: int


_gaps = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12)
"""(addresses between a range and the one before, its length)"""


def apart(gaps: List[Tuple[int, int]]) -> List[Piece]:
    pieces, at = [], 0
    for gap, length in gaps:
        pieces.append(Piece(at + gap, at + gap + length))
        at += gap + length
    return pieces


@given(_gaps, st.randoms(use_true_random=False))
def test_an_address_is_in_the_range_that_holds_it_and_in_no_other(
    gaps: List[Tuple[int, int]], order: Random
) -> None:
    pieces = apart(gaps)
    mixed = list(pieces)
    order.shuffle(mixed)
    table = Ranges(mixed)
    assert list(table) == pieces
    assert table.span == ((pieces[0].start, pieces[-1].end) if pieces else (0, 0))
    for address in range(-1, table.span[1] + 2):
        holding = [piece for piece in pieces if piece.start <= address < piece.end]
        assert table.at(address) == (holding[0] if holding else None)


@given(_gaps, st.integers(-1, 40), st.integers(0, 12))
def test_a_range_starts_in_a_stretch_or_none_does(
    gaps: List[Tuple[int, int]], start: int, length: int
) -> None:
    pieces = apart(gaps)
    found = any(start <= piece.start < start + length for piece in pieces)
    assert Ranges(pieces).any_start_in(start, start + length) is found


def test_of_two_that_overlap_the_later_start_answers() -> None:
    table = Ranges([Piece(0, 10), Piece(4, 6)])
    assert table.at(3) == Piece(0, 10)
    assert table.at(5) == Piece(4, 6)
    assert table.at(7) is None
