# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cache a task is destroying, by slab_mutex and by what its stack has."""

from __future__ import annotations

from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.why.running import who_destroys
from mocks.landscape import Landscape
from mocks.model import Cache
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.test_pageuse import Pages


class Scene:
    """Two caches that a task has dropped; it has slab_mutex."""

    def __init__(self, layout: str = "6.1") -> None:
        self.pages = Pages(layout)
        self.heap = heap = self.pages.heap
        self.image = image = heap.image
        self.first, self.second = (heap.cache(name, 128) for name in ("first", "second"))
        for cache in (self.first, self.second):
            heap.slab(cache, {1})
            heap.leave_behind(cache)
        self.land = land = Landscape(heap)
        self.task = land.task(95, b"rmmod", 0)
        self.stack = land.stack(self.task, [self.pages.page(n) for n in range(4, 8)])
        image.map(self.stack, bytes(4 * image.page_size))
        heap.writer.set("mutex", image.symbols["slab_mutex"], owner=self.task)

    def put(self, at: int, cache: Cache) -> None:
        self.image.pointer(self.stack + at, cache.address)

    def destroying(self) -> str:
        kernel = session(self.heap)
        caches = all_caches(kernel, [])
        places = Places(kernel, lambda: caches)
        found = {each.name: who_destroys(places, each, caches) for each in caches}
        return " ".join(f"{name.decode()}: {who}" for name, who in found.items() if name and who)


def test_a_task_that_has_the_mutex_and_the_cache_on_its_stack_destroys_it() -> None:
    scene = Scene()
    assert scene.destroying() == ""
    scene.put(0x3F00, scene.first)
    assert scene.destroying() == "first: pid 95 rmmod"


def test_of_two_caches_the_one_that_the_innermost_function_has_is_destroyed_now() -> None:
    """kmem_cache_destroy(first) has failed, and its caller has gone on to the second."""
    scene = Scene()
    scene.put(0x3F00, scene.first)
    scene.put(0x3E00, scene.second)
    scene.put(0x3F80, scene.second)
    assert scene.destroying() == "second: pid 95 rmmod"


def test_the_dead_part_of_a_stack_shows_no_destroy() -> None:
    scene = Scene()
    scene.put(0x3000, scene.first)
    image = scene.image
    size, members = image.structs["task_struct"]
    # In place of members that nothing here asks for.
    more = {"thread": members["flags"], "on_cpu": members["start_time"]}
    image.structs["task_struct"] = (size, {**members, **more})
    image.structs["thread_struct"] = parse("sp:p", image.word)
    image.pointer(scene.task + members["flags"][0], scene.stack + 0x2000)
    assert scene.destroying() == "first: pid 95 rmmod"
    image.pointer(scene.task + members["flags"][0], scene.stack + 0x3800)
    assert scene.destroying() == ""


def test_an_unlinked_cache_s_destroy_is_over() -> None:
    scene = Scene("6.12")
    scene.put(0x3F00, scene.first)
    assert scene.destroying() == ""
