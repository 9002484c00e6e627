# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists and strings are read as far as memory goes, and no walk goes round for ever."""

from __future__ import annotations

from typing import List, Sequence

import pytest
from pytest_mock import MockerFixture

from crash_ext.hexa import hexa
from crash_ext.host.target import Target
from crash_ext.kernel.memory import read_string, walk_both_ways, walk_list
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.image import Image
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, problems, records

HEAD = 0xFFFF888000001000
PAGE = 4096


def _entry(number: int) -> int:
    return HEAD + 64 * number


def _ring(entries: Sequence[int]) -> Image:
    """A circular list of head and entries, in a page with nothing behind it."""
    image = Image()
    image.structs["list_head"] = (16, {"next": (0, 8), "prev": (8, 8)})
    image.map(HEAD, bytes(PAGE))
    ring = [HEAD, *map(_entry, entries)]
    for here, after in zip(ring, [*ring[1:], HEAD]):
        image.pointer(here, after)
        image.pointer(after + 8, here)
    return image


def _reader(image: Image) -> Target:
    return Target(FakeCrash(image))


def test_a_whole_list_is_walked_once_in_its_order() -> None:
    reader = _reader(_ring([3, 1, 2]))
    assert walk_list(reader, HEAD) == ([_entry(3), _entry(1), _entry(2)], [])
    assert walk_list(reader, HEAD, backward=True) == ([_entry(2), _entry(1), _entry(3)], [])
    assert walk_both_ways(reader, HEAD) == ([_entry(3), _entry(1), _entry(2)], [])


def test_an_empty_list_has_no_entries() -> None:
    assert walk_both_ways(_reader(_ring([])), HEAD) == ([], [])


@pytest.mark.parametrize("back_to", [1, 2, 3])
def test_a_cycle_ends_where_it_closes(back_to: int) -> None:
    image = _ring([1, 2, 3])
    image.pointer(_entry(3), _entry(back_to))
    entries, said = walk_list(_reader(image), HEAD)
    assert entries == [_entry(1), _entry(2), _entry(3)]
    assert said == [f"list {HEAD:x}: cycle: next of {_entry(3):x} is {_entry(back_to):x} again"]


@pytest.mark.parametrize("bad", [0, 0xDEAD000000000101, 7])
def test_what_is_no_list_entry_ends_the_walk(bad: int) -> None:
    image = _ring([1, 2, 3])
    image.pointer(_entry(2), bad)
    entries, said = walk_list(_reader(image), HEAD)
    assert entries == [_entry(1), _entry(2)]
    assert said == [f"list {HEAD:x}: next of {_entry(2):x} is {hexa(bad)}, no list entry"]


def test_a_list_longer_than_any_is_given_up(mocker: MockerFixture) -> None:
    mocker.patch("crash_ext.kernel.memory.LIST_BOUND", 2)
    entries, said = walk_list(_reader(_ring([1, 2, 3])), HEAD)
    assert entries == [_entry(1), _entry(2)]
    assert said == [f"list {HEAD:x}: more than 2 entries"]


def test_behind_a_break_the_entries_are_found_from_the_other_end_in_order() -> None:
    image = _ring([1, 2, 3, 4, 5])
    image.pointer(_entry(2), 0xDEAD000000000100)
    walk = walk_both_ways(_reader(image), HEAD)
    # prev of 3 still leads to 2: the backward walk comes home, and nothing is lost.
    assert walk.addresses == [_entry(number) for number in (1, 2, 3, 4, 5)]
    assert len(walk.problems) == 1


def test_an_entry_that_cannot_be_read_is_left_out_and_both_sides_stay() -> None:
    image = _ring([1, 2, 3, 4])
    image.unmap(_entry(2), 16)
    walk = walk_both_ways(_reader(image), HEAD)
    assert walk.addresses == [_entry(1), _entry(3), _entry(4)]
    assert len(walk.problems) == 2
    assert all(f"{_entry(2):x}" in said for said in walk.problems)


@pytest.mark.parametrize("name", ["6.2", "6.5"])
def test_caches_that_only_prev_leads_to_are_found(name: str) -> None:
    """v6.0 to v6.5: a reused struct closes slab_caches too early (commit 46a9ea668190)."""
    heap = Heap(LAYOUTS[name], seed=1)
    old = heap.cache("old", 84)
    dead = heap.cache("slab_test", 84)
    heap.slab(dead, {0})
    heap.cache("between", 84)
    heap.leave_behind(dead)
    again = heap.cache("slab_test", 84)
    assert again.address == dead.address
    rows = records(heap, "slabdup", "-a")
    listed = [row["name"] for row in of_type(rows, "cache")]
    assert sorted(listed) == sorted(
        ["slab_test", "between", "old", "kmem_cache", "kmem_cache_node"]
    )
    assert f"{old.address:x}" in {row["address"] for row in of_type(rows, "cache")}
    assert [said for said in problems(rows) if said.startswith("slab_caches: list ")] == [
        said for said in problems(rows) if "cycle: next of " in said
    ]
    assert len([said for said in problems(rows) if "cycle: next of " in said]) == 1


def _with_string(data: bytes, *, at: int = 0) -> Target:
    image = Image()
    image.structs["list_head"] = (16, {})
    image.map(HEAD, bytes(at) + data)
    return _reader(image)


@pytest.mark.parametrize("text", [b"", b"a", b"x" * 63, b"x" * 64, b"x" * 200])
def test_a_string_ends_at_its_nul(text: bytes) -> None:
    reader = _with_string(text + b"\0" + b"behind" * 20)
    assert read_string(reader, HEAD) == text


def test_a_string_up_to_a_hole_in_memory_is_read() -> None:
    text = b"slab_test"
    start = PAGE - len(text) - 1
    reader = _with_string(text + b"\0", at=start)
    assert read_string(reader, HEAD + start) == text


def test_a_string_without_an_end_is_cut() -> None:
    cut = read_string(_with_string(b"y" * PAGE), HEAD)
    assert cut is not None
    assert (set(cut), 1024 <= len(cut) < 1024 + 64) == ({ord("y")}, True)


def test_a_string_that_runs_into_a_hole_is_none() -> None:
    numbers: List[int] = [HEAD + PAGE - 10, 0xDEAD0000]
    reader = _with_string(b"y" * PAGE)
    assert [read_string(reader, address) for address in numbers] == [None, None]
