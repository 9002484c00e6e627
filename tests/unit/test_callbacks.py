# SPDX-License-Identifier: GPL-3.0-or-later
"""A timer, work, RCU or a wait queue inside an object, told by what points to its link."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.contents.callbacks import (
    DELAYED_WORK,
    RCU,
    TIMER,
    WAIT,
    WORK,
    Callback,
    Callbacks,
)
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from mocks.landscape import Landscape
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.test_pageuse import Pages

FORMS = {
    "timer_list": "entry:2p expires:p function:p flags:4",
    "work_struct": "data:p entry:2p func:p",
    "delayed_work": "work:32 timer:40 wq:p",
    "callback_head": "next:p func:p",
    "wait_queue_entry": "flags:4 private:p func:p entry:2p",
    "pool_workqueue": "pool:p wq:p",
    "workqueue_struct": "pwqs:2p name:24",
}
EXPIRE, FLUSH, INSIDE = 0x40, 0x80, 0x44
AT = 0x20


class Scene:
    """An object of slab_test, and a module with two functions."""

    def __init__(self, timer: bytes = b"conn_expire") -> None:
        self.pages = Pages()
        self.image = image = self.pages.heap.image
        cache = self.pages.heap.cache("slab_test", 128)
        self.object = self.pages.heap.slab(cache, {1}).object(1)
        land = Landscape(self.pages.heap, "mem")
        symbols = {timer: (EXPIRE, 16), b"conn_flush": (FLUSH, 16)}
        self.code = land.module(b"bar", symbols)
        for name, text in FORMS.items():
            image.structs[name] = parse(text, image.word)
        image.write(self.object, bytes(128))
        self.outside = self.pages.start + 0x100

    def put(self, offset: int, *values: int) -> None:
        for number, value in enumerate(values):
            self.image.pointer(self.object + offset + 8 * number, value)

    def at(self, offset: int) -> Optional[Callback]:
        kernel = session(self.pages.heap)
        callbacks = Callbacks(Places(kernel, lambda: all_caches(kernel, [])))
        return callbacks.at(self.object, self.image.read(self.object, 128), offset)


def test_an_armed_timer_is_named_with_its_function() -> None:
    scene = Scene()
    scene.put(AT, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, scene.object + AT)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.offset, found.function) == (TIMER, AT, "conn_expire [bar]")


@pytest.mark.parametrize("back", [0, 0x1234])
def test_a_timer_to_whose_entry_nothing_points_back_is_not_armed(back: int) -> None:
    scene = Scene()
    scene.put(AT, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, back)
    assert scene.at(AT) is None


def test_a_pointer_into_a_function_is_none_to_its_start() -> None:
    scene = Scene()
    scene.put(AT, 0, scene.outside, 5000, scene.code + INSIDE)
    scene.image.pointer(scene.outside, scene.object + AT)
    assert scene.at(AT) is None


def test_a_timer_that_only_queues_work_is_a_delayed_work_item() -> None:
    scene = Scene(b"delayed_work_timer_fn")
    timer = AT + 32
    scene.put(AT, 0, 0, 0, scene.code + FLUSH)
    scene.put(timer, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, scene.object + timer)
    found = scene.at(timer)
    assert found is not None
    assert (found.kind, found.offset) == (DELAYED_WORK, AT)
    assert found.function == "conn_flush [bar]"


def test_queued_work_is_named_with_its_function_and_its_workqueue() -> None:
    scene = Scene()
    pwq = scene.pages.start + 0x400
    queue = scene.pages.start + 0x600
    scene.image.pointer(pwq + 8, queue)
    scene.image.write(queue + 16, b"conn_wq\0")
    scene.put(AT, pwq | 5, scene.outside, scene.outside, scene.code + FLUSH)
    found = scene.at(AT + 8)
    assert found is not None
    assert (found.kind, found.function, found.queue) == (WORK, "conn_flush [bar]", "conn_wq")


def test_work_that_is_not_pending_will_not_be_called() -> None:
    scene = Scene()
    scene.put(AT, 0xFFFFFFE0, scene.outside, scene.outside, scene.code + FLUSH)
    assert scene.at(AT + 8) is None


def test_an_rcu_head_has_its_function_or_the_offset_that_kfree_rcu_puts() -> None:
    scene = Scene()
    scene.put(AT, 0, scene.code + FLUSH)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.function) == (RCU, "conn_flush [bar]")
    scene.put(AT, 0, AT)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.function) == (RCU, "kfree")
    scene.put(AT, 0, AT + 8)
    assert scene.at(AT) is None


def test_an_entry_of_a_wait_queue_has_its_function() -> None:
    scene = Scene()
    scene.put(AT, 0, 0, scene.code + EXPIRE, scene.outside, scene.outside)
    found = scene.at(AT + 24)
    assert found is not None
    assert (found.kind, found.offset) == (WAIT, AT)
    scene.put(AT + 24, scene.object + AT + 24, scene.object + AT + 24)
    assert scene.at(AT + 24) is None
