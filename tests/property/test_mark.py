# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark pass reaches what a plain search from the roots reaches: in C, and in Python.

Heaps of chains, trees, rings and random pointers, tagged ones and ones into the middle,
with words that look like pointers and are none.
"""

from __future__ import annotations

import signal
from array import array
from types import SimpleNamespace
from typing import Dict, List, NamedTuple, Optional, Set, Tuple, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.kernel.search import Targets
from crash_ext.reach.inner import find_inner
from crash_ext.reach.mark import Marks, Read
from crash_ext.reach.model import MAYBE, REACHED, UNREACHED
from crash_ext.reader import Native, Reader
from tests.native import native_module

BASE = 0xFFFF_8880_0123_0000
ROOTS = 0xFFFF_FFFF_8100_0000


class Shape(NamedTuple):
    """What the objects of a heap are."""

    word: int
    order: str
    size: int
    """Bytes of an object."""
    stride: int
    memory: bytes
    """All objects', gaps included."""
    sure: bytes
    perhaps: bytes
    """Words of roots, and of memory that may be one."""


def _base(word: int) -> int:
    return BASE if word == 8 else BASE & 0x7FFF_FFFF | 0x4000_0000


@st.composite
def _heaps(draw: st.DrawFn) -> Shape:
    word = draw(st.sampled_from([8, 8, 8, 4]))
    order = draw(st.sampled_from(["little", "little", "big"]))
    size = word * draw(st.integers(1, 5))
    stride = size + word * draw(st.integers(0, 2))
    count = draw(st.integers(1, 24))
    base = _base(word)
    memory = bytearray(stride * count)

    def pointer(index: int) -> int:
        inside = draw(st.sampled_from([0, 0, 0, 1, 2, 3, size - 1, size, stride - 1]))
        return base + index * stride + inside

    def put(where: bytearray, at: int, value: int) -> None:
        where[at : at + word] = value.to_bytes(word, order)  # type: ignore[arg-type]

    kind = draw(st.sampled_from(["chain", "ring", "tree", "random"]))
    for index in range(count):
        to: List[int] = []
        if kind == "chain" and index + 1 < count:
            to = [index + 1]
        elif kind == "ring":
            to = [(index + 1) % count]
        elif kind == "tree":
            to = [child for child in (2 * index + 1, 2 * index + 2) if child < count]
        elif kind == "random":
            to = draw(st.lists(st.integers(0, count - 1), max_size=3))
        for number, target in enumerate(to[: stride // word]):
            put(memory, index * stride + number * word, pointer(target))
    noise = [0, 1, base - 1, base + stride * count, 2 ** (8 * word) - 1]
    roots = []
    for _ in range(2):
        values = draw(
            st.lists(
                st.one_of(st.sampled_from(noise), st.builds(pointer, st.integers(0, count - 1))),
                max_size=3,
            )
        )
        root = bytearray(word * len(values))
        for number, value in enumerate(values):
            put(root, number * word, value)
        roots.append(bytes(root))
    return Shape(word, order, size, stride, bytes(memory), roots[0], roots[1])


def _targets(shape: Shape) -> Targets:
    base = _base(shape.word)
    return Targets((base + at, shape.size) for at in range(0, len(shape.memory), shape.stride))


def _marks(shape: Shape, native: Optional[Native], pieces: int) -> Marks:
    reader = cast(Reader, SimpleNamespace(word=shape.word, byteorder=shape.order, native=native))
    marks = Marks(reader, _targets(shape))
    marks.scan_root(ROOTS, shape.sure, REACHED)
    marks.scan_root(ROOTS + 4096, shape.perhaps, MAYBE)
    step = shape.word * pieces
    for at in range(0, len(shape.memory), step):
        marks.scan_objects(_base(shape.word) + at, shape.memory[at : at + step])
    marks.finish(_reads(shape.memory, _base(shape.word)))
    return marks


def _reads(memory: bytes, base: int) -> Read:
    return lambda address, size: memory[address - base : address - base + size]


def _values(data: bytes, shape: Shape) -> List[int]:
    word = shape.word
    return [
        int.from_bytes(data[at : at + word], shape.order)  # type: ignore[arg-type]
        for at in range(0, len(data), word)
    ]


def _hit(value: int, shape: Shape) -> Optional[int]:
    """Number of the object that a value lies in: by the definition."""
    number, inside = divmod(value - _base(shape.word), shape.stride)
    count = len(shape.memory) // shape.stride
    return number if 0 <= number < count and inside < shape.size else None


def _expected(shape: Shape) -> Tuple[List[int], Dict[int, Set[int]]]:
    edges: Dict[int, Set[int]] = {}
    for number in range(len(shape.memory) // shape.stride):
        own = shape.memory[number * shape.stride :][: shape.size]
        hits = {_hit(value, shape) for value in _values(own, shape)}
        edges[number] = {hit for hit in hits if hit is not None and hit != number}
    levels = [UNREACHED] * len(edges)
    for level, data in ((REACHED, shape.sure), (MAYBE, shape.perhaps)):
        front = [hit for hit in (_hit(v, shape) for v in _values(data, shape)) if hit is not None]
        while front:
            number = front.pop()
            if levels[number] < level:
                levels[number] = level
                front.extend(edges[number])
    return levels, edges


_WAYS = (None, native_module())


_EDGES = st.sampled_from([0, 3, 1 << 20])
"""So many edges are kept before those of no more use are dropped."""


@given(_heaps(), st.integers(1, 40), _EDGES)
def test_what_is_reached_is_what_a_plain_search_reaches(
    shape: Shape, pieces: int, kept: int
) -> None:
    levels, _ = _expected(shape)
    for native in _WAYS:
        with patch("crash_ext.reach.mark._EDGES", kept):
            assert list(_marks(shape, native, pieces).levels) == levels


@given(_heaps(), st.integers(1, 40), _EDGES)
def test_each_parent_leads_back_to_a_root(shape: Shape, pieces: int, kept: int) -> None:
    levels, edges = _expected(shape)
    for native in _WAYS:
        with patch("crash_ext.reach.mark._EDGES", kept):
            marks = _marks(shape, native, pieces)
        for first, level in enumerate(levels):
            number = first
            seen: Set[int] = set()
            while level:
                assert number not in seen
                seen.add(number)
                parent = marks.parent(number)
                owner = marks.targets.index(parent)
                if owner < 0:
                    sure = ROOTS <= parent < ROOTS + len(shape.sure)
                    perhaps = ROOTS + 4096 <= parent < ROOTS + 4096 + len(shape.perhaps)
                    assert sure or (level == MAYBE and perhaps)
                    break
                assert number in edges[owner]
                assert levels[owner] >= level
                number = owner


@given(_heaps(), _EDGES)
def test_the_pointers_among_lost_objects_are_known(shape: Shape, kept: int) -> None:
    levels, edges = _expected(shape)
    lost = {number for number, level in enumerate(levels) if level == UNREACHED}
    expected = {(one, other) for one in lost for other in edges[one] if other in lost}
    for native in _WAYS:
        with patch("crash_ext.reach.mark._EDGES", kept):
            marks = _marks(shape, native, 7)
            found = marks.lost_edges(_reads(shape.memory, _base(shape.word)))
            assert set(zip(found[::2], found[1::2])) == expected


def test_edges_that_are_of_no_more_use_are_dropped() -> None:
    """Many objects have a third pointer to one that a root has, too: then none of these is kept."""
    first, more, size = 64, 45, 32
    words = array("Q", bytes(size * (first + more)))
    for number in range(4, first + more):
        third = 2 if number < first else 3
        words[4 * number : 4 * number + 3] = array("Q", [BASE, BASE + size, BASE + third * size])
    memory = words.tobytes()
    for native in _WAYS:
        reader = cast(Reader, SimpleNamespace(word=8, byteorder="little", native=native))
        marks = Marks(reader, Targets((BASE + n * size, size) for n in range(first + more)))
        with patch("crash_ext.reach.mark._EDGES", 100):
            marks.scan_objects(BASE, memory[: first * size])
            # Two of the three have their place beside the object.
            assert len(marks._edges) == 2 * (first - 4)
            marks.scan_root(ROOTS, (BASE + 2 * size).to_bytes(8, "little"), REACHED)
            marks.scan_objects(BASE + first * size, memory[first * size :])
        assert len(marks._edges) == 2 * more
        assert marks._forgotten is None


@pytest.mark.parametrize("reached", [True, False])
def test_the_window_of_edges_is_bounded(reached: bool) -> None:
    """A tree with its parents, from the leaves up: three edges an object, and nothing is missed."""
    count, size = 3000, 32
    words = array("Q", bytes(size * count))
    for number in range(count):
        near = [(number - 1) // 2, 2 * number + 1, 2 * number + 2]
        near = [each for each in near if 0 <= each < count]
        for at, each in enumerate(near):
            words[4 * (count - 1 - number) + at] = BASE + (count - 1 - each) * size
    memory = words.tobytes()
    for native in _WAYS:
        reader = cast(Reader, SimpleNamespace(word=8, byteorder="little", native=native))
        marks = Marks(reader, Targets((BASE + n * size, size) for n in range(count)))
        root = BASE + (count - 1) * size
        with patch("crash_ext.reach.mark._EDGES", 50):
            for at in range(0, len(memory), 1024):
                marks.scan_objects(BASE + at, memory[at : at + 1024])
                assert len(marks._edges) <= 2 * (50 + 1024 // 8)
            if reached:
                marks.scan_root(ROOTS, root.to_bytes(8, "little"), REACHED)
            marks.finish(_reads(memory, BASE))
        assert marks.levels.count(REACHED) == (count if reached else 0)
        edges = marks.lost_edges(_reads(memory, BASE))
        assert len(set(zip(edges[::2], edges[1::2]))) == (0 if reached else 2 * (count - 1))


def test_a_long_chain_is_followed_without_recursion() -> None:
    """A list of 100,000 objects, the last one first in memory."""
    count, size = 100_000, 16
    words = array("Q", bytes(size * count))
    for number in range(1, count):
        words[2 * number] = BASE + (number - 1) * size
    for native in _WAYS:
        reader = cast(Reader, SimpleNamespace(word=8, byteorder="little", native=native))
        marks = Marks(reader, Targets((BASE + n * size, size) for n in range(count)))
        marks.scan_objects(BASE, words.tobytes())
        marks.scan_root(ROOTS, (BASE + (count - 1) * size).to_bytes(8, "little"), REACHED)
        marks.finish(_reads(words.tobytes(), BASE))
        assert marks.levels.count(REACHED) == count
        assert len(marks._edges) == 0


class _Stop(Exception):
    """Ctrl-C."""


def test_a_signal_stops_a_long_chain_in_c() -> None:
    """Where one word leads to a million objects, Ctrl-C is seen before the last is marked."""
    count, size = 5_000_000, 8
    words = array("Q", range(BASE + size, BASE + size * (count + 1), size))
    words[-1] = 0
    reader = cast(Reader, SimpleNamespace(word=8, byteorder="little", native=native_module()))
    targets = Targets.of_arrays(
        array("Q", range(BASE, BASE + size * count, size)), array("I", [size]) * count
    )
    marks = Marks(reader, targets)
    marks.scan_objects(BASE, words.tobytes())

    def stop(_number: int, _frame: object) -> None:
        raise _Stop

    before = signal.signal(signal.SIGPROF, stop)
    try:
        # Of this process's own time: another one's doesn't count.
        signal.setitimer(signal.ITIMER_PROF, 0.001)
        with pytest.raises(_Stop):
            marks.scan_root(ROOTS, BASE.to_bytes(8, "little"), REACHED)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert 0 < marks.levels.count(REACHED) < count


def _strongly(edges: Set[Tuple[int, int]], count: int) -> Set[int]:
    """What is inner, by the definition: led to by an object that it doesn't lead to, or a ring's
    member that isn't its first."""
    to: Dict[int, Set[int]] = {}
    for first in range(count):
        seen: Set[int] = set()
        front = [first]
        while front:
            here = front.pop()
            for one, other in edges:
                if one == here and other not in seen:
                    seen.add(other)
                    front.append(other)
        to[first] = seen
    return {
        each
        for each in range(count)
        if any(each in to[by] and (by not in to[each] or by < each) for by in to if by != each)
    }


@given(
    st.integers(1, 9).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.sets(
                st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                    lambda pair: pair[0] != pair[1]
                )
            ),
        )
    )
)
def test_who_is_lost_with_others(case: Tuple[int, Set[Tuple[int, int]]]) -> None:
    count, edges = case
    expected = bytes(each in _strongly(edges, count) for each in range(count))
    flat = [end for edge in edges for end in edge]
    for native in _WAYS:
        assert find_inner(array("I", flat), count, native) == expected
