# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that waits for a lock in an object is told, where the lock has its first waiter alone."""

from __future__ import annotations

from typing import Dict

import pytest

from mocks.annex import take_pages
from mocks.landscape import STACK_PAGES, Landscape
from mocks.structs import parse
from tests.unit.asked import of_type, records
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages

LOCK = "owner:p wait_lock:4 osq:4 first_waiter:p"


class Scene:
    """A leftover's object that a page has; a task sleeps with a waiter on its stack."""

    def __init__(self, *, lists: bool = False) -> None:
        self.pages = Pages()
        self.image = image = self.pages.image
        land = Landscape(self.pages.heap)
        members = LOCK.replace("first_waiter:p", "wait_list:2p") if lists else LOCK
        image.structs["mutex"] = parse(members, 8)
        self.slab = self.pages.zeroed({1})
        self.pages.heap.leave_behind(self.slab.cache)
        self.pages.set(0, _refcount=1)
        image.pointer(self.pages.start, self.slab.object(1) + 8)
        self.task = land.task(7, b"sleeper", 0)
        start = take_pages(image, STACK_PAGES)
        size = image.page_size
        frames = [image.virt_to_page(start + number * size) for number in range(STACK_PAGES)]
        stack = land.stack(self.task, frames)
        image.map(stack, bytes(STACK_PAGES * size))
        self.waiter = stack + STACK_PAGES * size - 0x100
        for at, value in enumerate((self.waiter, self.waiter, self.task)):
            self.pointer(self.waiter + 8 * at, value)
        self.pointer(self.slab.object(1) + 0x18, self.waiter)

    def pointer(self, at: int, value: int) -> None:
        self.image.pointer(at, value)

    def told(self) -> Dict[str, str]:
        """Cause -> sentence."""
        whole(self.pages)
        rows = records(self.pages.heap, "slabwhy", f"{self.slab.cache.address:x}")
        return {row["cause"]: row["text"] for row in of_type(rows, "finding")}


SENTENCE = "1 object is still held: a task waits in its own wait queue, mutex or semaphore"


def test_a_lock_s_first_waiter_is_a_task_that_waits() -> None:
    scene = Scene()
    assert scene.told()["held"].startswith(f"{SENTENCE} (stack of 7 sleeper+")
    rows = records(scene.pages.heap, "slabwhy", f"{scene.slab.cache.address:x}")
    (ring,) = [row for row in of_type(rows, "evidence") if row["topic"] == "list"]
    assert ring["text"].startswith(f"its own lock: a task waits with {scene.waiter:x}: stack of 7")


def test_of_a_kernel_whose_locks_have_lists_no_word_is_a_waiter() -> None:
    assert SENTENCE not in Scene(lists=True).told()["held"]


@pytest.mark.parametrize("word", [0, 1, 2])
def test_what_is_no_waiter_of_the_stack_s_own_task_is_none(word: int) -> None:
    """Its list leads nowhere or not back, or it names another task."""
    scene = Scene()
    scene.pointer(scene.waiter + 8 * word, 0 if word == 0 else scene.task + 8)
    assert SENTENCE not in scene.told()["held"]
