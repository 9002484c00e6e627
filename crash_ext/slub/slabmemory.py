# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a slab and of its objects, in as few reads as can be.

One read for a slab is the fast way; where some of its pages are missing each object is read by
itself.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from crash_ext.reader import Reader
from crash_ext.slub.model import SlabObjects


class SlabBytes:
    """The bytes of a cache's slabs. The last slab's are kept: who judges its objects and who then
    shows them need one read.
    """

    def __init__(self, reader: Reader, size: int) -> None:
        """size: bytes from one object to the next (kmem_cache.size)."""
        self._reader = reader
        self._size = size
        self._base: Optional[int] = None
        """Of the last slab; what of it was read whole, and by object address what was alone:"""
        self._whole: Optional[Tuple[Optional[bytes]]] = None
        self._alone: Dict[int, bytes] = {}

    def whole(self, decoded: SlabObjects, objects: int) -> Optional[bytes]:
        """The slab's memory from its first byte on, of which so many objects are looked at.

        None where it can't be read whole, or one object isn't worth it.
        """
        if decoded.memory is not None:
            return decoded.memory
        self._turn_to(decoded)
        if self._whole is None:
            # An object that is then read alone has an error line if it isn't there.
            if objects < 2:
                return None
            self._whole = (slab_memory(self._reader, decoded, self._size),)
        return self._whole[0]

    def of(self, decoded: SlabObjects, address: int, length: int, memory: Optional[bytes]) -> bytes:
        """So many bytes of an object of the slab; memory: what whole() gave. Raises ReadError."""
        start = address - decoded.slab.base
        if memory is not None and start + length <= len(memory):
            return memory[start : start + length]
        self._turn_to(decoded)
        known = self._alone.get(address, b"")
        if len(known) < length:
            known = self._alone[address] = self._reader.read(address, length)
        return known[:length]

    def _turn_to(self, decoded: SlabObjects) -> None:
        if decoded.slab.base != self._base:
            self._base, self._whole, self._alone = decoded.slab.base, None, {}


def slab_memory(reader: Reader, decoded: SlabObjects, size: int) -> Optional[bytes]:
    """The slab's memory from its first byte on; None where it can't be read whole.

    size: bytes from one object to the next (kmem_cache.size).
    """
    if decoded.memory is not None:
        return decoded.memory
    return reader.try_read(decoded.slab.base, len(decoded.states) * size)
