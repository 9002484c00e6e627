# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointers as printk's %p shows them, and which addresses they may stand for.

Since Linux kernel commit ad67b74d2469 ("printk: hash addresses printed with %p") (in
v4.15) %p prints a keyed hash: half of the 64 bits of SipHash-2-4. The dump has the key,
so an address can be hashed and compared. On 64 bits only: no dump of a 32 bit kernel was
at hand to see whether this holds there.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional, Set, Tuple

from crash_ext.reader import Reader, ReadError

_MASK = (1 << 64) - 1


def siphash_1u64(value: int, key0: int, key1: int) -> int:
    """SipHash-2-4 of one 64 bit number, as lib/siphash.c has it; 64 bits."""
    v0 = 0x736F6D6570736575 ^ key0
    v1 = 0x646F72616E646F6D ^ key1
    v2 = 0x6C7967656E657261 ^ key0
    v3 = 0x7465646279746573 ^ key1
    length = 8 << 56
    for word, rounds in ((value, 2), (length, 2), (None, 4)):
        if word is None:
            v2 ^= 0xFF
        else:
            v3 ^= word
        for _ in range(rounds):
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
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


class PointerHash:
    """How this kernel's %p prints an address."""

    def __init__(self, reader: Reader) -> None:
        self._key = _read_key(reader)
        self._known: Dict[int, int] = {}

    @property
    def known(self) -> bool:
        """Whether the dump has the key: without it only raw pointers can be told."""
        return self._key is not None

    def shown(self, address: int) -> Set[int]:
        """The numbers that the address may have been printed as: itself, and its hash."""
        if self._key is None:
            return {address}
        if address not in self._known:
            # ptr_to_hashval() keeps the lower half, which shows that it isn't the address.
            self._known[address] = siphash_1u64(address, *self._key) & 0xFFFFFFFF
        return {address, self._known[address]}

    def resolve(
        self, pointers: Iterable[Optional[int]], addresses: Iterable[int]
    ) -> Dict[int, int]:
        """Printed pointer -> the one of the addresses that it stands for.

        A pointer that several of the addresses would be printed as is left out.
        """
        wanted = {pointer for pointer in pointers if pointer}
        # Hashing costs; an address of 64 bits is no hash.
        plain = self._key is None or all(pointer >> 32 for pointer in wanted)
        found: Dict[int, int] = {}
        twice: Set[int] = set()
        for address in addresses if wanted else ():
            for shown in ({address} if plain else self.shown(address)) & wanted:
                if found.setdefault(shown, address) != address:
                    twice.add(shown)
        return {pointer: address for pointer, address in found.items() if pointer not in twice}


def _read_key(reader: Reader) -> Optional[Tuple[int, int]]:
    """siphash_key_t ptr_key; None where it isn't there, or isn't filled yet."""
    symbol = reader.symbol("ptr_key")
    if symbol is None or reader.word != 8:
        return None
    try:
        data = reader.read(symbol, 16)
    except ReadError:
        return None
    key0 = int.from_bytes(data[:8], reader.byteorder)
    key1 = int.from_bytes(data[8:], reader.byteorder)
    # Until it is filled, %p prints (____ptrval____), whatever the flag for it is called.
    return (key0, key1) if key0 or key1 else None
