# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops in C end at any arguments of their types, and touch nothing beside them.

What a plain build shows is a crash at most; `make sanitize` runs this for a minute with the
sanitizers, which see the rest.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, List, Union

from hypothesis import given
from hypothesis import strategies as st

from tests.native import native_module

_NUMBERS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([2**power + more for power in (31, 32, 63) for more in (-1, 0, 1)]),
    st.sampled_from([2**64 - 1, 2**64 - 8]),
    st.integers(0, 2**64 - 1),
)
_BASE = 0x1000


@st.composite
def _buffers(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> memoryview:
    """Writable bytes, at odd addresses as well, full of numbers that mean something or not."""
    size = draw(sizes)
    words = draw(st.lists(_NUMBERS, max_size=6)) + [_BASE + at for at in range(0, 64, 8)]
    data = b"".join(word.to_bytes(8, "little") for word in words) + draw(st.binary(max_size=9))
    data = (data * (size // len(data) + 1))[:size]
    at = draw(st.sampled_from([0, 0, 1, 3]))
    return memoryview(bytearray(bytes(at) + data))[at:]


_ANY = _buffers(st.integers(0, 150))
_RANGES = st.integers(0, 6)


def _call(name: str, *arguments: Any) -> None:
    """What it answers is told elsewhere; here it has to come back."""
    with suppress(ValueError, TypeError, OverflowError, MemoryError):
        getattr(native_module(), name)(*arguments)


@given(st.lists(_NUMBERS, min_size=9, max_size=9), _ANY, st.integers(-1, 3))
def test_states(numbers: List[int], memory: memoryview, form: int) -> None:
    size, objects, shift, link, random, base, head, expected, small = numbers
    _call("states", size, objects, shift, link, form, random, memory, base, head, expected)
    _call("states", 8, small % 16, 0, 0, form, random, memory, base, base + 8, expected)


_ITEMS = st.lists(st.one_of(st.binary(max_size=9), _NUMBERS, st.none(), st.text(max_size=2)))


@given(_NUMBERS, st.lists(_NUMBERS, max_size=4), st.lists(st.binary(max_size=9), max_size=4))
def test_lines(size: int, firsts: List[int], states: List[bytes]) -> None:
    _call("lines", size, firsts, states)
    _call("lines", size, firsts[: len(states)], states[: len(firsts)])


@given(_NUMBERS, _ITEMS, _ITEMS)
def test_lines_of_anything(size: int, firsts: List[object], states: List[object]) -> None:
    _call("lines", size, firsts, states)


@given(
    st.tuples(_ANY, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, _ANY),
    st.tuples(st.text(max_size=5), st.text(max_size=5)),
    st.sampled_from([4, 8, 0, 3, -8]),
    st.booleans(),
)
def test_contents(case: Any, texts: Any, word: int, little: bool) -> None:
    memory, first, shift, size, length, chosen = case
    _call("contents", memory, first, shift, size, length, chosen, *texts, word, little)
    _call("contents", memory, first, shift % 9, size % 20, length % 40, chosen, *texts, 8, little)


def _wholes(draw: st.DrawFn, count: int, width: int) -> Union[memoryview, Any]:
    """A buffer for so many numbers, mostly."""
    off = draw(st.sampled_from([0, 0, 0, 0, 1, -1, width]))
    return draw(_buffers(st.just(max(0, count * width + off))))


@given(st.data())
def test_pointers_mark_and_spread(data: st.DataObject) -> None:
    draw = data.draw
    count = draw(_RANGES)

    @st.composite
    def shaped(inner: st.DrawFn, width: int) -> Any:
        return _wholes(inner, count, width)

    memory, blocks, edges = draw(_ANY), draw(_ANY), draw(_ANY)
    starts, sizes, levels, parents = (draw(shaped(width)) for width in (8, 4, 1, 8))
    word, shift = draw(st.sampled_from([8, 8, 4, 3])), draw(st.integers(-1, 65))
    foreign, level = draw(st.booleans()), draw(st.integers(-1, 3))
    address = draw(st.sampled_from([_BASE, _BASE + 4, 0, 2**64 - 8]))
    ranges = starts, sizes, blocks, shift
    _call("pointers", memory, word, foreign, *ranges)
    _call("mark", memory, address, word, foreign, *ranges, level, levels, parents)
    _call("spread", edges, starts, levels, parents)
    small = bytearray(b"".join(bytes([edge % 7, 0, 0, 0]) for edge in edges))
    _call("spread", small, starts, levels, parents)
    for some in (edges, small):
        _call("lost", some, levels, parents)
        _call("inner", some, count)
        _call("inner", some, address)
    _call("plain", memory, shift, count, word, levels, word, foreign, address, starts)
