# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointers of the log are resolved with the dump's own key, or not at all."""

from __future__ import annotations

from typing import List

import pytest

from crash_ext.why.log.hashed import PointerHash, siphash_1u32, siphash_1u64, untagged
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import target
from tests.unit.logs import KEY, give_key, key_bytes

ADDRESSES = [0xFFFF888004A4D500, 0xFFFF888004A4D560]


def hashes(heap: Heap, *, key: bytes) -> PointerHash:
    give_key(heap, key)
    return PointerHash(target(heap))


def test_the_hash_is_siphash_2_4() -> None:
    """The reference implementation's vector for the message 00 01 ... 07."""
    assert siphash_1u64(KEY[0], *KEY) == 0x93F5F5799A932462


@pytest.mark.parametrize("name", ["5.10", "6.1-s390x"])
def test_a_hash_is_resolved_to_the_address_it_was_made_of(name: str) -> None:
    heap = Heap(LAYOUTS[name])
    found = hashes(heap, key=key_bytes(heap))
    assert found.known
    shown = [siphash_1u64(address, *KEY) & 0xFFFFFFFF for address in ADDRESSES]
    assert found.resolve([*shown, 0x1234, None, 0], ADDRESSES) == dict(zip(shown, ADDRESSES))


@pytest.mark.parametrize("key", [b"", bytes(16)])
def test_a_key_that_was_not_filled_yet_resolves_raw_addresses_only(key: bytes) -> None:
    heap = Heap(LAYOUTS["5.10"])
    found = hashes(heap, key=key)
    assert not found.known
    shown = siphash_1u64(ADDRESSES[0], 0, 0) & 0xFFFFFFFF
    assert found.resolve([shown, ADDRESSES[1]], ADDRESSES) == {ADDRESSES[1]: ADDRESSES[1]}


def test_without_a_key_nothing_is_claimed_of_hashes() -> None:
    assert not PointerHash(target(Heap(LAYOUTS["3.10"]))).known


def test_the_hash_of_32_bits_is_siphash_2_4() -> None:
    """The reference implementation's vector for the message 00 01 02 03."""
    assert siphash_1u32(0x03020100, *KEY) == 0xCF2794E0277187B7


def test_on_32_bits_a_hash_is_of_four_bytes() -> None:
    heap = Heap(LAYOUTS["5.10-i386"])
    found = hashes(heap, key=key_bytes(heap))
    addresses = [0xC2A4D500, 0xC2A4D560]
    shown = [siphash_1u32(address, *KEY) & 0xFFFFFFFF for address in addresses]
    assert found.known
    assert found.resolve([*shown, 0x1234], addresses) == dict(zip(shown, addresses))
    assert found.resolve(addresses, addresses) == dict(zip(addresses, addresses))


@pytest.mark.parametrize("symbol", ["kasan_init_sw_tags", "kasan_init_hw_tags", "kasan_init_tags"])
def test_a_pointer_of_arm64_is_compared_without_its_tag(symbol: str) -> None:
    heap = Heap(LAYOUTS["5.10"])
    heap.image.symbols[symbol] = 0xFFFFFFFF81000000
    found = hashes(heap, key=key_bytes(heap))
    tagged = ADDRESSES[0] & ~(0xFF << 56) | 0xF4 << 56
    assert untagged(tagged) == ADDRESSES[0]
    assert found.resolve([tagged], ADDRESSES) == {tagged: ADDRESSES[0]}
    assert found.stands_for(tagged, ADDRESSES[0])
    assert found.stands_for(siphash_1u64(tagged, *KEY) & 0xFFFFFFFF, ADDRESSES[0])
    assert not found.stands_for(tagged, ADDRESSES[1])
    assert not found.stands_for(siphash_1u64(tagged, *KEY) & 0xFFFFFFFF, ADDRESSES[1])


def test_where_no_tags_are_a_tagged_hash_stands_for_nothing() -> None:
    heap = Heap(LAYOUTS["5.10"])
    found = hashes(heap, key=key_bytes(heap))
    tagged = ADDRESSES[0] & ~(0xFF << 56) | 0xF4 << 56
    assert not found.stands_for(siphash_1u64(tagged, *KEY) & 0xFFFFFFFF, ADDRESSES[0])


@pytest.mark.parametrize("address", [0xC000000012345600, 0x83220B00, 0x9000000012345600])
def test_an_address_of_another_machine_has_no_tag(address: int) -> None:
    assert untagged(address) == address


def test_a_key_that_cannot_be_read_is_no_key() -> None:
    heap = Heap(LAYOUTS["5.10"])
    heap.image.symbols["ptr_key"] = 0x1000
    assert not PointerHash(target(heap)).known


def test_a_hash_that_two_addresses_share_stands_for_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heap = Heap(LAYOUTS["5.10"])
    found = hashes(heap, key=key_bytes(heap))
    addresses: List[int] = [*ADDRESSES, 0xFFFF888000000000]
    shown = {address: {address, 0x77} for address in ADDRESSES}
    shown[addresses[2]] = {addresses[2], 0x78}
    monkeypatch.setattr(found, "shown", shown.__getitem__)
    assert found.resolve([0x77, 0x78], addresses) == {0x78: addresses[2]}
