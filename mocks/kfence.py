# SPDX-License-Identifier: GPL-3.0-or-later
"""A KFENCE pool beside a heap: guarded pages, each with one object anywhere in it.

It writes what mm/kfence/core.c writes: pages marked as slabs from boot on, whose descriptors
keep the last user's cache, and the metadata that alone tells what is allocated.
"""

from __future__ import annotations

from typing import Optional, Sequence

from mocks.annex import Annex, take_pages
from mocks.heap import Heap
from mocks.model import Cache, Part, Slab
from mocks.structs import parse

# mm/kfence/kfence.h: struct kfence_metadata up to freeing and allocating tracks.
_METADATA = (
    "list:2p rcu_head:2p lock:4 state:4 addr:p size:p cache:p unprotected_page:p"
    " alloc_track:{track} free_track:{track} alloc_stack_hash:4"
)
_TRACK = "pid:4 cpu:4 ts_nsec:8 num_stack_entries:4 stack_entries:64p"
_STATES = ("UNUSED", "ALLOCATED", "FREED")
_STATES_RCU = ("UNUSED", "ALLOCATED", "RCU_FREEING", "FREED")


class KfencePool:
    """A pool for `objects` objects in a heap's image.

    pointer: kfence_metadata is a pointer to the array (6.6 and later), not the array itself.
    rcu_freeing: the kernel knows objects that are freed but wait for a grace period.
    """

    def __init__(
        self, heap: Heap, objects: int = 4, *, pointer: bool = True, rcu_freeing: bool = True
    ) -> None:
        self._heap = heap
        self.objects = objects
        image = heap.image
        image.structs["kfence_track"] = parse(_TRACK, image.word)
        metadata = _METADATA.format(track=image.sizeof("kfence_track"))
        image.structs["kfence_metadata"] = parse(metadata, image.word)
        self._size, self._members = image.structs["kfence_metadata"]
        states = _STATES_RCU if rcu_freeing else _STATES
        self._states = {name: value for value, name in enumerate(states)}
        for name, value in self._states.items():
            image.enums["KFENCE_OBJECT_" + name] = value
        self.base = take_pages(image, 2 * (objects + 1))
        annex = Annex(image)
        image.pointer(annex.variable("__kfence_pool"), self.base)
        # Behind the array lies something else: a decoder has to know where to stop.
        size = objects * self._size
        if pointer:
            self.metadata = annex.take(size + self._size)
            image.pointer(annex.variable("kfence_metadata"), self.metadata)
        else:
            self.metadata = annex.variable("kfence_metadata", size + self._size)
        for number in range(objects):
            page = self.descriptor(number)
            heap.parts.append(Part("kfence", self.metadata + number * self._size, self._size, page))
            heap.parts.append(Part("kfence", page, image.sizeof("page"), page))
            self._put(number, addr=self.page(number), state=self._states["UNUSED"])
            self._mark(number, None)

    def page(self, number: int) -> int:
        """The virtual address of the page that object `number` lies in."""
        return self.base + 2 * (number + 1) * self._heap.image.page_size

    def descriptor(self, number: int) -> int:
        """The struct page * of that page."""
        return self._heap.image.virt_to_page(self.page(number))

    def put(
        self, number: int, cache: Cache, size: int, *, state: str = "ALLOCATED", right: bool = False
    ) -> int:
        """The address of an object of `size` bytes, put where the kernel would.

        right: at its page's end, as half of them are, aligned as the cache wants it.
        """
        start = self.page(number)
        address = start
        if right:
            address += (self._heap.image.page_size - size) // cache.align * cache.align
        self._put(number, addr=address, size=size, cache=cache.address, state=self._states[state])
        self._mark(number, cache)
        data = bytes(index % 251 for index in range(size))
        self._heap.image.write(address, data)
        return address

    def track(
        self,
        number: int,
        frames: Sequence[int],
        *,
        pid: int,
        cpu: int,
        nanoseconds: int,
        count: Optional[int] = None,
    ) -> None:
        """Notes who allocated an object. nanoseconds: since boot; count: of stack entries."""
        image = self._heap.image
        at = self.metadata + number * self._size + self._members["alloc_track"][0]
        values = {
            "pid": pid,
            "cpu": cpu,
            "ts_nsec": nanoseconds,
            "num_stack_entries": len(frames) if count is None else count,
        }
        members = image.structs["kfence_track"][1]
        for name, value in values.items():
            image.put(at + members[name][0], members[name][1], value)
        for index, frame in enumerate(frames):
            image.pointer(at + members["stack_entries"][0] + index * image.word, frame)

    def _put(self, number: int, **values: int) -> None:
        entry = self.metadata + number * self._size
        for name, value in values.items():
            offset, size = self._members[name]
            self._heap.image.put(entry + offset, size, value)

    def _mark(self, number: int, cache: Optional[Cache]) -> None:
        page = self.descriptor(number)
        owner = cache or self._heap.caches[0]
        slab = Slab(owner, page, self.page(number), 0, 0, 1, "full-unlisted", -1, {0}, [])
        self._heap.writer.slab(slab)
        if cache is None:
            self._heap.writer.set(self._heap.layout.descriptor, page, slab_cache=0)
