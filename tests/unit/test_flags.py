# SPDX-License-Identifier: GPL-3.0-or-later
"""The flags of a cache are named by the numbers that its own kernel gives them."""

from __future__ import annotations

import pytest

from crash_ext.slub.flags import Flags
from mocks.flags import flag
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records, target

EVERY = ("RED_ZONE", "POISON", "STORE_USER", "TYPESAFE_BY_RCU", "PANIC", "HWCACHE_ALIGN")


@pytest.mark.parametrize("name", ["3.10", "6.1", "6.9", "6.12", "7.0", "7.3"])
def test_each_flag_has_its_own_kernels_number(name: str) -> None:
    flags = Flags(target(Heap(LAYOUTS[name])))
    assert {each: flags.mask(each) for each in EVERY} == {
        each: flag(LAYOUTS[name], each) for each in EVERY
    }


def test_up_to_v6_8_the_numbers_are_those_of_the_header() -> None:
    flags = Flags(target(Heap(LAYOUTS["6.1"])))
    assert flags.names(0x42000) == ["HWCACHE_ALIGN", "PANIC"]
    assert flags.names(0x80010C00) == ["RED_ZONE", "POISON", "STORE_USER", "__OBJECT_POISON"]


def test_from_v6_9_on_an_enumerator_decides_whatever_the_number_was() -> None:
    """Linux kernel commit cc61eb851461 (in v6.9): the bits shift with the configuration."""
    heap = Heap(LAYOUTS["6.12"])
    heap.image.enums["_SLAB_RED_ZONE"] = 5
    flags = Flags(target(heap))
    assert flags.mask("RED_ZONE") == 0x20
    assert "RED_ZONE" not in flags.names(0x400)


def test_a_flag_that_the_kernel_does_not_have_has_no_bit() -> None:
    flags = Flags(target(Heap(LAYOUTS["6.9"])))
    assert flags.mask("NO_OBJ_EXT") == 0


def test_a_value_that_meant_two_things_has_both_names() -> None:
    flags = Flags(target(Heap(LAYOUTS["5.10"])))
    assert flags.names(0x10000000) == ["NO_USER_FLAGS|DEACTIVATED"]


@pytest.mark.parametrize(("name", "unknown"), [("6.1", 0x3), ("6.12", 0xF0000000)])
def test_bits_without_a_name_are_one_number_and_none_is_lost(name: str, unknown: int) -> None:
    flags = Flags(target(Heap(LAYOUTS[name])))
    assert flags.names(unknown | flags.mask("PANIC")) == ["PANIC", f"{unknown:#x}"]


def test_an_enumerator_that_is_no_bit_is_not_believed() -> None:
    heap = Heap(LAYOUTS["6.12"])
    heap.image.enums["_SLAB_TRACE"] = 64
    assert Flags(target(heap)).mask("TRACE") == 0


def test_caches_of_one_name_are_compared_flag_by_flag() -> None:
    heap = Heap(LAYOUTS["6.12"])
    heap.cache("slab_test", 84, flags=heap.flag("PANIC"))
    heap.cache("slab_test", 84, store_user=True)
    rows = of_type(records(heap, "slabdup", "slab_test"), "field")
    told = {row["field"]: (list(row["values"].values()), row["differs"]) for row in rows}
    assert told["STORE_USER"] == ([True, False], True)
    assert told["PANIC"] == ([False, True], True)
    assert "POISON" not in told
