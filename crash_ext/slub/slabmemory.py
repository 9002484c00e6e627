# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a slab and of its objects, in as few reads as can be.

One read for a slab is the fast way; where some of its pages are missing each object is read by
itself.
"""

from __future__ import annotations

from typing import Optional

from crash_ext.reader import Reader
from crash_ext.slub.model import SlabObjects


def slab_memory(reader: Reader, decoded: SlabObjects, size: int) -> Optional[bytes]:
    """The slab's memory from its first byte on; None where it can't be read whole.

    size: bytes from one object to the next (kmem_cache.size).
    """
    if decoded.memory is not None:
        return decoded.memory
    return reader.try_read(decoded.slab.base, len(decoded.states) * size)


def object_data(
    reader: Reader, decoded: SlabObjects, address: int, length: int, memory: Optional[bytes]
) -> bytes:
    """So many bytes of an object, out of the slab's memory where that is at hand.

    Raises ReadError.
    """
    start = address - decoded.slab.base
    if memory is not None and start + length <= len(memory):
        return memory[start : start + length]
    return reader.read(address, length) if length else b""
