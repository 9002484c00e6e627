# SPDX-License-Identifier: GPL-3.0-or-later
"""A freelist is followed as far as the kernel itself would trust it, and no further."""

from __future__ import annotations

import struct
from typing import Dict, List, Optional

import pytest

from crash_ext.hexa import hexa
from crash_ext.slub.freelist import (
    PLAIN_ADDRESS,
    SWAPPED_ADDRESS,
    Coding,
    Geometry,
    KeyForm,
    follow,
    links,
)
from crash_ext.slub.model import Chain

BASE = 0xFFFF888000100000
RANDOM = 0x0123456789ABCDEF
SLAB = Geometry(first=BASE + 16, size=64, objects=8, shift=16, link=24)


def _followed(
    memory: bytes, head: int, form: Optional[KeyForm] = None, random: int = RANDOM
) -> Chain:
    coding = Coding(form, random, 8, "little")
    return follow(SLAB, head, links(memory, SLAB, coding))


def _swab(value: int) -> int:
    return int.from_bytes(value.to_bytes(8, "little"), "big")


def _slab(links: Dict[int, int], form: Optional[KeyForm] = None) -> bytes:
    """The slab's bytes; links: object -> what its free pointer shall decode to."""
    memory = bytearray(SLAB.size * SLAB.objects)
    for index, target in links.items():
        address = SLAB.first + index * SLAB.size + SLAB.link
        key = 0
        if form is not None:
            key = RANDOM ^ (_swab(address) if form.swab else address)
        struct.pack_into("<Q", memory, address - BASE, target ^ key)
    return bytes(memory)


def _address(index: int) -> int:
    return SLAB.first + index * SLAB.size


@pytest.mark.parametrize("form", [None, PLAIN_ADDRESS, SWAPPED_ADDRESS])
def test_a_whole_chain_is_followed_in_its_order(form: Optional[KeyForm]) -> None:
    memory = _slab({5: _address(2), 2: _address(7), 7: 0}, form)
    assert _followed(memory, _address(5), form) == ([5, 2, 7], None)


def test_no_head_is_an_empty_chain() -> None:
    assert _followed(_slab({}), 0) == ([], None)


@pytest.mark.parametrize(
    "bad",
    [
        _address(3) + 8,
        _address(8),
        _address(0) - 64,
        BASE,
        0xDEAD,
        (1 << 64) - 1,
    ],
    ids=["inside an object", "behind the last", "before the first", "red zone", "small", "-1"],
)
def test_an_entry_that_is_no_object_ends_the_chain(bad: int) -> None:
    memory = _slab({5: bad})
    found, problem = _followed(memory, _address(5))
    assert found == [5]
    assert problem == f"{hexa(bad)} is no object of the slab"


def test_a_cycle_is_named_by_the_object_that_closes_it() -> None:
    memory = _slab({1: _address(4), 4: _address(6), 6: _address(4)})
    found, problem = _followed(memory, _address(1))
    assert (found, problem) == ([1, 4, 6], f"cycle: {_address(4):x} comes twice")


@pytest.mark.parametrize("other", [PLAIN_ADDRESS, SWAPPED_ADDRESS])
def test_the_other_form_of_key_does_not_decode(other: KeyForm) -> None:
    form = PLAIN_ADDRESS if other is SWAPPED_ADDRESS else SWAPPED_ADDRESS
    memory = _slab({5: _address(2), 2: 0}, form)
    _, problem = _followed(memory, _address(5), other)
    assert problem is not None


def test_another_caches_random_does_not_decode() -> None:
    memory = _slab({5: _address(2), 2: 0}, SWAPPED_ADDRESS)
    _, problem = _followed(memory, _address(5), SWAPPED_ADDRESS, RANDOM ^ 0x55)
    assert problem is not None


def test_big_endian_and_32_bit_words_are_read_in_their_order() -> None:
    slab = Geometry(first=0xC0001000, size=16, objects=4, shift=0, link=4)
    memory = bytearray(64)
    chain: List[int] = [3, 0, 2]
    for index, following in zip(chain, [*chain[1:], None]):
        target = 0 if following is None else slab.first + following * 16
        struct.pack_into(">I", memory, index * 16 + 4, target)
    link_of = links(bytes(memory), slab, Coding(None, 0, 4, "big"))
    assert follow(slab, slab.first + chain[0] * 16, link_of) == (chain, None)
