# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a slab's memory besides freelist pointers: contents, poison, red zones, tracks.

It fills a new slab once. Later frees and allocations leave the bytes, as a kernel does.
"""

from __future__ import annotations

from random import Random
from typing import Callable, Optional

from mocks.flags import flag
from mocks.model import Slab
from mocks.writer import Writer

_FREE, _END, _PADDING = b"\x6b", b"\xa5", b"\x5a"
_ACTIVE, _INACTIVE = b"\xcc", b"\xbb"


class Filler:
    """caller: the address that tracks name as the allocation's place."""

    def __init__(self, writer: Writer, rng: Random, caller: int) -> None:
        self._writer = writer
        self._rng = rng
        self._caller = caller

    def fill(self, slab: Slab, content: Optional[Callable[[int], bytes]]) -> None:
        """content: an allocated object's bytes; the rest of it, and without it all, is noise."""
        cache, layout = slab.cache, self._writer.layout
        whole = layout.page_size << slab.order
        poisoned = bool(cache.flags & flag(layout, "POISON"))
        self._writer.image.write(slab.va, _PADDING * whole if poisoned else self._noise(whole))
        for index in range(slab.objects):
            used = index in slab.allocated
            if used and content is not None:
                data = content(index)
                if len(data) > cache.object_size:
                    raise ValueError(f"an object has {cache.object_size} bytes")
                self._writer.image.write(slab.object(index), data)
            elif not used and cache.flags & flag(layout, "OBJECT_POISON"):
                free = _FREE * (cache.object_size - 1) + _END
                self._writer.image.write(slab.object(index), free)
            self._fence(slab, index, used)

    def _fence(self, slab: Slab, index: int, used: bool) -> None:
        cache, layout = slab.cache, self._writer.layout
        at = slab.object(index)
        if cache.flags & flag(layout, "RED_ZONE"):
            zone = _ACTIVE if used else _INACTIVE
            self._writer.image.write(at - cache.red_left, zone * cache.red_left)
            right = cache.geometry.inuse - cache.object_size
            self._writer.image.write(at + cache.object_size, zone * right)
        if cache.flags & flag(layout, "STORE_USER"):
            size = layout.structs["track"][0]
            tracks = at + cache.geometry.info
            self._writer.image.write(tracks, bytes(2 * size))
            self._track(tracks, index)
            if not used:
                self._track(tracks + size, index)

    def _track(self, at: int, index: int) -> None:
        self._writer.set("track", at, addr=self._caller, pid=100 + index, when=4294937296 + index)

    def _noise(self, size: int) -> bytes:
        return self._rng.getrandbits(8 * size).to_bytes(size, "little")
