# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointers as printk's %p shows them, and which addresses they may stand for.

Since Linux kernel commit ad67b74d2469 ("printk: hash addresses printed with %p") (in
v4.15) %p prints a keyed hash: the lower 32 bits of SipHash-2-4 of the pointer, which has
8 bytes or 4. The dump has the key, so an address can be hashed and compared. KASAN by tags
(arm64) keeps a tag in a pointer's top byte, which is hashed with it.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, Optional, Set, Tuple

from crash_ext.kernel.memory import read_symbol
from crash_ext.reader import Reader

_MASK = (1 << 64) - 1
_TAG_BYTE = 0xFF << 56
_UPPER_HALF = 1 << 55
"""Bit 55 of an arm64 address: the kernel's half, whatever the tag above it."""
# Linux kernel commit 60a3a5fe950f ("kasan, arm64: rename kasan_init_tags and mark as
# __init") (in v5.11). Hardware (MTE) has tags of 4 bits.
_TAGS = (
    ("kasan_init_hw_tags", range(0xF0, 0xFF)),
    ("kasan_init_sw_tags", range(0xFF)),
    ("kasan_init_tags", range(0xFF)),
)


def untagged(pointer: int) -> int:
    """A 64-bit pointer without arm64's tag; any other as it is."""
    return pointer | _TAG_BYTE if pointer & _UPPER_HALF else pointer


def siphash_1u64(value: int, key0: int, key1: int) -> int:
    """SipHash-2-4 of one 64 bit number, as lib/siphash.c has it; 64 bits."""
    return _siphash((value, 8 << 56), key0, key1)


def siphash_1u32(value: int, key0: int, key1: int) -> int:
    """SipHash-2-4 of one 32 bit number, as lib/siphash.c has it; 64 bits."""
    return _siphash((4 << 56 | value,), key0, key1)


def _siphash(words: Iterable[int], key0: int, key1: int) -> int:
    """words: the message's, and the length in the last one's top byte."""
    state = (
        0x736F6D6570736575 ^ key0,
        0x646F72616E646F6D ^ key1,
        0x6C7967656E657261 ^ key0,
        0x7465646279746573 ^ key1,
    )
    for word in words:
        v0, v1, v2, v3 = _rounds(2, state[0], state[1], state[2], state[3] ^ word)
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = _rounds(4, state[0], state[1], state[2] ^ 0xFF, state[3])
    return v0 ^ v1 ^ v2 ^ v3


def _rounds(number: int, v0: int, v1: int, v2: int, v3: int) -> Tuple[int, int, int, int]:
    for _ in range(number):
        v0 = (v0 + v1) & _MASK
        v1 = (v1 << 13 | v1 >> 51) & _MASK ^ v0
        v0 = (v0 << 32 | v0 >> 32) & _MASK
        v2 = (v2 + v3) & _MASK
        v3 = (v3 << 16 | v3 >> 48) & _MASK ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = (v3 << 21 | v3 >> 43) & _MASK ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = (v1 << 17 | v1 >> 47) & _MASK ^ v2
        v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3


class PointerHash:
    """How this kernel's %p prints an address."""

    def __init__(self, reader: Reader) -> None:
        self._key = _read_key(reader)
        self._siphash = siphash_1u64 if reader.word == 8 else siphash_1u32
        self._long = reader.word == 8
        self._known: Dict[int, int] = {}
        self._reader = reader
        self._tags: Optional[range] = None
        """The tags that this kernel gives; None: not asked yet."""

    @property
    def known(self) -> bool:
        """Whether the dump has the key: without it only raw pointers are known."""
        return self._key is not None

    def shown(self, address: int) -> Set[int]:
        """The numbers that the address may have been printed as: itself, and its hash.

        Without a tag.
        """
        if self._key is None:
            return {address}
        if address not in self._known:
            self._known[address] = self._hash(address, self._key)
        return {address, self._known[address]}

    def stands_for(self, pointer: int, address: int) -> bool:
        """Whether the address, with a tag or without, may have been printed as the pointer."""
        if self.plain(pointer) in self.shown(address):
            return True
        # A hash of 32 bits among as many as there are tags is still no accident.
        return not pointer >> 32 and any(pointer == found for found in self._tagged(address))

    def plain(self, pointer: int) -> int:
        """A printed pointer without its tag; a hash as it is."""
        return untagged(pointer) if self._long and pointer >> 32 else pointer

    def resolve(
        self, pointers: Iterable[Optional[int]], addresses: Iterable[int]
    ) -> Dict[int, int]:
        """Printed pointer -> the one of the addresses that it stands for.

        A pointer that several of the addresses would be printed as is left out.
        """
        wanted: Dict[int, Set[int]] = {}
        for pointer in pointers:
            if pointer:
                wanted.setdefault(self.plain(pointer), set()).add(pointer)
        # Hashing costs; an address of 64 bits is no hash.
        plain = self._key is None or all(pointer >> 32 for pointer in wanted)
        found: Dict[int, int] = {}
        twice: Set[int] = set()
        for address in addresses if wanted else ():
            for shown in {address} if plain else self.shown(address):
                if shown in wanted and found.setdefault(shown, address) != address:
                    twice.add(shown)
        return {
            pointer: address
            for shown, address in found.items()
            if shown not in twice
            for pointer in wanted[shown]
        }

    def _tagged(self, address: int) -> Iterator[int]:
        """The hashes of the address with each tag that this kernel gives."""
        if self._key is not None and self._long and address & _UPPER_HALF:
            if self._tags is None:
                self._tags = _read_tags(self._reader)
            for tag in self._tags:
                yield self._hash(address & ~_TAG_BYTE | tag << 56, self._key)

    def _hash(self, address: int, key: Tuple[int, int]) -> int:
        # ptr_to_hashval() keeps the lower half, which shows that it isn't the address.
        return self._siphash(address, *key) & 0xFFFFFFFF


def _read_tags(reader: Reader) -> range:
    """The tags that pointers of the kernel may have besides 0xff."""
    found = (tags for symbol, tags in _TAGS if reader.symbol(symbol) is not None)
    return next(found, range(0))


def _read_key(reader: Reader) -> Optional[Tuple[int, int]]:
    """siphash_key_t ptr_key; None where it isn't there, or isn't filled yet."""
    data = read_symbol(reader, "ptr_key", 16)
    if data is None:
        return None
    key0 = int.from_bytes(data[:8], reader.byteorder)
    key1 = int.from_bytes(data[8:], reader.byteorder)
    # Until it is filled, %p prints (____ptrval____), whatever the flag for it is called.
    return (key0, key1) if key0 or key1 else None
