# SPDX-License-Identifier: GPL-3.0-or-later
"""host/native.c trusts no argument. `make sanitize` runs this with both sanitizers."""

from __future__ import annotations

import struct
from typing import Any, List

import pytest

from tests.native import native_module


def _native() -> Any:
    """Without types: what is handed over here is of none that are allowed."""
    return native_module()


def _odd(data: bytes) -> memoryview:
    """The bytes at an address that no word may have on a strict machine."""
    return memoryview(bytearray(b"\0" + data))[1:]


def _numbers(*values: int) -> bytes:
    return struct.pack(f"={len(values)}Q", *values)


class Shrinking:
    """A number that empties the lists that it is in, when it is asked for its value."""

    def __init__(self, *lists: List[Any]) -> None:
        self._lists = lists

    def __index__(self) -> int:
        for one in self._lists:
            one.clear()
        return 0


def test_lines_takes_plain_numbers_only() -> None:
    """__index__() may change the lists while they are walked."""
    firsts: List[Any] = []
    states: List[Any] = [b"\1" * 100 for _ in range(100)]
    firsts += [Shrinking(firsts, states) for _ in range(100)]
    with pytest.raises(TypeError):
        _native().lines(8, firsts, states)
    assert len(states) == 100
    assert _native().lines(8, [0x1000], [b"\1\0\1"]) == "0000000000001000\n0000000000001010\n"


def test_contents_leaves_other_text_than_ascii_to_python() -> None:
    """The string is made for as many characters as there are bytes."""
    for before, after in (("é", "]"), ("[", "é")):
        assert _native().contents(bytes(8), 0, 0, 8, 8, b"\1", before, after, 8, True) is None


STARTS, SIZES = _numbers(0x1000, 0x1100), struct.pack("=2I", 0x10, 0x10)
BLOCKS = b"\1\1"
MEMORY = _numbers(0x1104, 0x77, 0x1008)


@pytest.mark.parametrize("place", [bytes, _odd])
def test_words_may_lie_anywhere(place: Any) -> None:
    native = _native()
    starts, sizes = place(STARTS), place(SIZES)
    found = native.pointers(place(MEMORY), 8, False, starts, sizes, place(BLOCKS), 8)
    assert found == _numbers(0, 1, 16, 0)
    # A root marks the second object, whose word leads to the first.
    levels, parents = _odd(bytes(2)), _odd(bytes(16))
    if place is bytes:
        levels, parents = memoryview(bytearray(2)), memoryview(bytearray(16))
    root = place(_numbers(0x1108))
    assert not native.mark(root, 0x9000, 8, False, starts, sizes, BLOCKS, 8, 1, levels, parents)
    assert (bytes(levels), bytes(parents)) == (b"\0\1", _numbers(0, 0x9000))
    word = place(_numbers(0x1000))
    edges = native.mark(word, 0x1100, 8, False, starts, sizes, BLOCKS, 8, 0, levels, parents)
    assert edges == struct.pack("=2I", 1, 0)
    window = memoryview(bytearray(edges)) if place is bytes else _odd(edges)
    assert native.spread(window, starts, levels, parents) == b""
    assert (bytes(levels), bytes(parents)) == (b"\1\1", _numbers(0x1100, 0x9000))


@pytest.mark.parametrize("length", [1, 7, 9])
def test_halves_of_words_are_refused(length: int) -> None:
    native = _native()
    some = bytes(length)
    with pytest.raises(ValueError, match="pointers"):
        native.pointers(MEMORY, 8, False, some, some, BLOCKS, 8)
    with pytest.raises(ValueError, match="mark"):
        native.mark(MEMORY, 0, 8, False, some, some, BLOCKS, 8, 1, bytearray(1), bytearray(length))
    with pytest.raises(ValueError, match="spread"):
        native.spread(bytearray(some), STARTS, bytearray(2), bytearray(16))
    with pytest.raises(ValueError, match="spread"):
        native.spread(bytearray(), some, bytearray(length // 8), bytearray(length))
    with pytest.raises(ValueError, match="lost"):
        native.lost(some, bytes(2), bytes(16))
    with pytest.raises(ValueError, match="inner"):
        native.inner(bytearray(some), 2)
    with pytest.raises(ValueError, match="plain"):
        native.plain(bytes(8), 0, 8, 8, b"\1", 8, False, 0, some)
