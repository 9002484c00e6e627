# SPDX-License-Identifier: GPL-3.0-or-later
"""A timer, work, RCU or a wait queue inside an object, told by what points to its link."""

from __future__ import annotations

from typing import List, Optional

import pytest
from pytest_mock import MockerFixture

from crash_ext.contents.callbacks import (
    ALARM,
    DELAYED_WORK,
    KTHREAD_WORK,
    RCU,
    TIMER,
    WAIT,
    WORK,
    Callback,
    Callbacks,
)
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.place import PAGE, PERCPU, STACK, SYMBOL, Place
from crash_ext.places.places import Places
from crash_ext.reach.model import Step
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
    "timer_base": "lock:8 vectors:4p",
    "rcu_work": "work:32 rcu:16 wq:p",
    "hrtimer": "node:3p base:p state:8 function:p",
    "alarm": "node:4p timer:48 function:p",
    "kthread_work": "node:2p func:p worker:p",
    "kthread_delayed_work": "work:32 timer:40",
    "kthread_worker": "flags:4 lock:4 work_list:2p task:p current_work:p",
    "kthread": "flags:8 data:p",
}
TASK_FORM = (
    "flags:p stack:p tasks:2p pid:4 comm:16 signal:p thread_node:2p stack_vm_area:p start_time:8"
    " worker_private:p task_works:p"
)
EXPIRE, FLUSH, INSIDE = 0x40, 0x80, 0x44
AT = 0x20


class Scene:
    """An object of slab_test, and a module with two functions."""

    def __init__(self, timer: bytes = b"conn_expire") -> None:
        self.pages = Pages()
        self.image = image = self.pages.heap.image
        cache = self.pages.heap.cache("slab_test", 128)
        self.object = self.pages.heap.slab(cache, {1}).object(1)
        self.land = land = Landscape(self.pages.heap, "mem")
        image.structs["task_struct"] = parse(TASK_FORM, image.word)
        symbols = {timer: (EXPIRE, 16), b"conn_flush": (FLUSH, 16)}
        self.code = land.module(b"bar", symbols)
        for name, text in FORMS.items():
            image.structs[name] = parse(text, image.word)
        image.write(self.object, bytes(128))
        self.outside = self.pages.start + 0x100

    def put(self, offset: int, *values: int) -> None:
        for number, value in enumerate(values):
            self.image.pointer(self.object + offset + 8 * number, value)

    def callbacks(self) -> Callbacks:
        kernel = session(self.pages.heap)
        return Callbacks(Places(kernel, lambda: all_caches(kernel, [])))

    def at(self, offset: int) -> Optional[Callback]:
        return self.callbacks().at(self.object, self.image.read(self.object, 128), offset)

    def wheel(self, cpu: int = 1) -> int:
        """A bucket of a CPU's timer wheel."""
        pointer = self.pages.heap._arena.percpu(3 * self.image.sizeof("timer_base"))
        self.image.symbols["timer_bases"] = pointer
        return pointer + self.image.percpu_offsets[cpu] + 8

    def queued(self) -> int:
        """What work_struct.data has of a work item that is in the workqueue conn_wq."""
        pwq, queue = self.pages.start + 0x400, self.pages.start + 0x600
        self.image.pointer(pwq + 8, queue)
        self.image.write(queue + 16, b"conn_wq\0")
        return pwq | 5

    def in_queue(self) -> Optional[Callback]:
        """What the kernel's own queues have of the object."""
        found = self.callbacks().queued(self.object, 128)
        return None if found is None else found[1]

    def worker(self, *, data: bool = True) -> int:
        """A kthread_worker with a thread, which its function has as its argument."""
        worker, kthread = self.pages.start + 0x800, self.pages.start + 0x900
        task = self.land.task(77, b"pumper", self.pages.start + 0x4000)
        self.image.pointer(self.land.member("kthread_worker", worker, "task"), task)
        self.image.pointer(self.land.member("task_struct", task, "worker_private"), kthread)
        self.image.pointer(kthread + 8, worker if data else worker + 8)
        return worker

    def percpu(self, name: str, size: int) -> int:
        """CPU 1's own of a per-CPU variable."""
        heap = self.pages.heap
        self.image.symbols[name] = heap._arena.percpu(size)
        return self.image.symbols[name] + self.image.percpu_offsets[1]


def test_an_armed_timer_is_named_with_its_function() -> None:
    scene = Scene()
    bucket = scene.wheel()
    scene.put(AT, 0, bucket, 5000, scene.code + EXPIRE)
    scene.image.pointer(bucket, scene.object + AT)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.offset, found.function) == (TIMER, AT, "conn_expire [bar]")
    assert found.sure


def test_a_hash_list_beside_a_function_is_no_timer() -> None:
    """struct {hlist_node; unsigned long key; void (*destroy)()}, in a driver's own table; nor is
    one that is behind another node in it. In a wheel another timer may be before it.
    """
    scene = Scene()
    bucket, other = scene.wheel(), scene.outside + 0x40
    scene.put(AT, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, scene.object + AT)
    assert scene.at(AT) is None
    for head, kind in ((scene.outside, None), (bucket, TIMER)):
        scene.put(AT, 0, other, 5000, scene.code + EXPIRE)
        scene.image.pointer(head, other)
        scene.image.pointer(other, scene.object + AT)
        scene.image.pointer(other + 8, head)
        found = scene.at(AT)
        assert (found and found.kind) == kind


def test_a_ring_is_no_hash_list_and_is_gone_round_once(mocker: MockerFixture) -> None:
    """Its prev leads back to it for ever."""
    scene = Scene()
    scene.wheel()
    other = scene.outside + 0x40
    scene.put(AT, other, other, 5000, scene.code + EXPIRE)
    for word in (other, other + 8):
        scene.image.pointer(word, scene.object + AT)
    callbacks = scene.callbacks()
    read = mocker.spy(callbacks, "_read")
    assert callbacks.at(scene.object, scene.image.read(scene.object, 128), AT) is None
    assert read.call_count < 20


def test_where_the_wheels_are_not_known_a_timer_is_not_sure() -> None:
    scene = Scene()
    scene.put(AT, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, scene.object + AT)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.sure) == (TIMER, False)


@pytest.mark.parametrize("kind", [TIMER, DELAYED_WORK])
def test_a_function_of_a_module_that_went_is_told_as_that(kind: str) -> None:
    """Its init failed, or its exit didn't stop the timer: the call will crash."""
    scene = Scene(b"delayed_work_timer_fn" if kind == DELAYED_WORK else b"conn_expire")
    gone = scene.code + (64 << 20) + 0x10
    timer = AT + 32 if kind == DELAYED_WORK else AT
    scene.put(AT, 1, 0, 0, gone)
    scene.put(timer, 0, scene.outside, 5000, scene.code + EXPIRE if kind != TIMER else gone)
    scene.image.pointer(scene.outside, scene.object + timer)
    found = scene.at(timer)
    assert found is not None
    assert (found.kind, found.function) == (kind, f"{gone:016x} [an unloaded module]")


@pytest.mark.parametrize("wheels", [True, False])
def test_where_another_module_lies_now_a_timer_is_told_by_its_wheel(wheels: bool) -> None:
    """The one that had its function was unloaded, and loaded again somewhere else."""
    scene = Scene()
    scene.image.structs["timer_base"] = parse("lock:8 vectors:4p", 8)
    wheel = scene.pages.heap._arena.percpu(3 * 40)
    if wheels:
        scene.image.symbols["timer_bases"] = wheel
    head = scene.image.percpu_offsets[0] + wheel + 8
    scene.put(AT, 0, head, 5000, scene.code + EXPIRE + 4)
    scene.image.pointer(head, scene.object + AT)
    found = scene.at(AT)
    assert (found is not None) == wheels
    gone = f"{scene.code + EXPIRE + 4:016x} [bar, where no known function begins]"
    assert found is None or (found.kind, found.function, found.sure) == (TIMER, gone, True)


@pytest.mark.parametrize("head", ["wheel", "stack"])
def test_a_function_of_a_module_in_whose_place_another_lies_is_told_by_the_wheel(
    head: str,
) -> None:
    """A module is loaded again, a bit larger: no function of the new one begins there. A list
    that lies on a stack is no wheel, and what lies behind a node on it may be any pointer.
    """
    scene = Scene()
    bucket = scene.wheel()
    if head == "stack":
        task = scene.land.task(77, b"walker", 0)
        stack = scene.land.stack(task, [scene.pages.page(number) for number in range(4, 8)])
        scene.image.map(stack, bytes(4 * scene.image.page_size))
        bucket = stack + 0x3000
    called = scene.code + INSIDE
    scene.put(AT, 0, bucket, 5000, called)
    scene.image.pointer(bucket, scene.object + AT)
    found = scene.at(AT)
    if head == "stack":
        assert found is None
        scene.put(AT, 0, bucket, 5000, scene.code + EXPIRE)
        perhaps = scene.at(AT)
        assert perhaps is not None
        assert (perhaps.kind, perhaps.sure) == (TIMER, False)
        return
    assert found is not None
    assert (found.kind, found.sure) == (TIMER, True)
    assert found.function == f"{called:016x} [bar, where no known function begins]"


@pytest.mark.parametrize("queued", [True, False])
def test_work_with_such_a_function_is_told_by_its_workqueue(queued: bool) -> None:
    scene = Scene()
    called = scene.code + INSIDE
    scene.put(AT, scene.queued() if queued else 1, scene.outside, scene.outside, called)
    found = scene.at(AT + 8)
    expected = f"{called:016x} [bar, where no known function begins]" if queued else None
    assert (found and found.function) == expected


def test_delayed_work_with_such_a_function_is_told_by_its_timers() -> None:
    scene = Scene(b"delayed_work_timer_fn")
    bucket, called = scene.wheel(), scene.code + INSIDE
    scene.put(AT, 1, 0, 0, called)
    scene.put(AT + 32, 0, bucket, 5000, scene.code + EXPIRE)
    scene.image.pointer(bucket, scene.object + AT + 32)
    found = scene.at(AT + 32)
    expected = (DELAYED_WORK, f"{called:016x} [bar, where no known function begins]")
    assert (found and (found.kind, found.function)) == expected


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
    scene.put(AT, scene.queued(), scene.outside, scene.outside, scene.code + FLUSH)
    found = scene.at(AT + 8)
    assert found is not None
    assert (found.kind, found.function, found.queue) == (WORK, "conn_flush [bar]", "conn_wq")


def test_work_that_is_not_pending_will_not_be_called() -> None:
    scene = Scene()
    scene.put(AT, 0xFFFFFFE0, scene.outside, scene.outside, scene.code + FLUSH)
    assert scene.at(AT + 8) is None


@pytest.mark.parametrize("flags", [1, 5, 0xFFFF_8880_0000_1001])
def test_a_list_between_flags_and_a_function_is_no_work_item(flags: int) -> None:
    """struct {unsigned long flags; struct list_head list; void (*complete)()}: who queues work
    puts a pool_workqueue into the word with the mark."""
    scene = Scene()
    scene.put(AT, flags, scene.outside, scene.outside, scene.code + FLUSH)
    assert scene.at(AT + 8) is None


def test_where_workqueues_are_not_known_a_work_item_is_not_sure() -> None:
    scene = Scene()
    del scene.image.structs["workqueue_struct"]
    scene.put(AT, 1, scene.outside, scene.outside, scene.code + FLUSH)
    found = scene.at(AT + 8)
    assert found is not None
    assert (found.kind, found.sure, found.queue) == (WORK, False, "")


def test_a_kthread_s_work_is_on_the_list_of_its_worker() -> None:
    scene = Scene()
    worker = scene.worker()
    scene.put(AT, 0, 0, scene.code + FLUSH, worker)
    scene.pages.heap.writer.ring(worker + 8, [scene.outside, scene.object + AT])
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.function) == (KTHREAD_WORK, "conn_flush [bar]")
    scene.pages.heap.writer.ring(scene.outside, [scene.object + AT])
    assert scene.at(AT) is None


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
    scene.put(AT, 0, scene.object)
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
    # Of struct mtd_notifier {add, remove, list_head} it has the looks, too.
    assert (found.kind, found.offset, found.sure) == (WAIT, AT, False)
    scene.put(AT + 24, scene.object + AT + 24, scene.object + AT + 24)
    assert scene.at(AT + 24) is None


def test_a_function_of_the_kernel_s_own_that_wakes_up_tells_a_wait_queue() -> None:
    scene = Scene()
    wakes = scene.pages.heap.function("autoremove_wake_function")
    start = scene.pages.heap.layout.place.kernel
    scene.image.symbols.update({"_stext": start, "_etext": start + 0x40000})
    scene.put(AT, 0, 0, wakes, scene.outside, scene.outside)
    found = scene.at(AT + 24)
    assert found is not None
    assert (found.kind, found.sure) == (WAIT, True)


def test_a_wait_queue_s_entry_of_before_v4_13_is_known_by_its_own_link() -> None:
    scene = Scene()
    del scene.image.structs["wait_queue_entry"]
    scene.image.structs["__wait_queue"] = parse("flags:4 private:p func:p task_list:2p", 8)
    scene.put(AT, 0, 0, scene.code + EXPIRE, scene.outside, scene.outside)
    found = scene.at(AT + 24)
    assert found is not None
    assert found.kind == WAIT


RCU_DATA = Place(SYMBOL, "rcu_data+0x10", 0x1000, "rcu_data")


def test_what_an_object_that_waits_for_rcu_points_to_does_not_wait_itself() -> None:
    """Two words with a function behind look like an rcu_head: it has to be in the chain."""
    scene = Scene()
    first, second, conn = scene.outside, scene.outside + 0x100, scene.object

    def chained(*steps: Step) -> bool:
        return scene.callbacks().in_rcu_chain(steps, conn + AT)

    def step(holder: int, target: int, offset: int) -> Step:
        return Step(holder, RCU_DATA, target, offset)

    head = step(0x1010, first, 0x10)
    for at in (first + 0x18, second + 0x28):
        scene.image.pointer(at, scene.code + FLUSH)
    assert chained(step(0x1010, conn, AT))
    assert chained(head, step(first + 0x10, conn, AT))
    assert chained(head, step(first + 0x10, second, 0x20), step(second + 0x20, conn, AT))
    assert not chained(head, step(first + 0x18, conn, AT))
    assert not chained(head, step(first + 0x10, conn, AT + 8))
    assert not chained(head._replace(place=RCU_DATA._replace(label="table")))
    # kfree_rcu() puts the object's address.
    scene.image.pointer(first + 0x18, first)
    assert chained(head, step(first + 0x10, conn, AT))
    scene.image.pointer(first + 0x18, 0x12345)
    assert not chained(head, step(first + 0x10, conn, AT))
    assert not chained()


def test_what_a_cpu_s_own_list_of_rcu_has_waits_whatever_the_way_to_it() -> None:
    """A task that has ended waits before it, and its stack leads there in fewer steps."""
    scene = Scene()
    scene.image.structs["rcu_data"] = parse("lock:8 cblist:5p", 8)
    scene.image.structs["rcu_segcblist"] = parse("head:p tails:4p", 8)
    own = scene.percpu("rcu_data", 48)
    first, second = scene.outside, scene.object + AT
    scene.image.pointer(own + 8, first)
    for at, following in ((first, second), (second, first + 0x40)):
        scene.image.pointer(at, following)
        scene.image.pointer(at + 8, scene.code + FLUSH)
    scene.image.pointer(first + 0x48, 0x12345)
    way = Step(0x1010, Place(STACK, "stack of 20 migration/1", 0x1000, "20"), scene.object, AT)
    assert scene.callbacks().in_rcu_chain([way], second)
    assert not scene.callbacks().in_rcu_chain([way], first + 0x40)
    scene.image.pointer(first + 8, 0)
    scene.image.pointer(own + 8, first + 0x40)
    assert not scene.callbacks().in_rcu_chain([way], second)


@pytest.mark.parametrize("same", [True, False])
def test_an_srcu_struct_is_known_in_the_page_of_its_percpu_memory(same: bool) -> None:
    """A module's lies in a chunk whose pages have no other address that is known."""
    scene = Scene()
    image = scene.image
    image.structs["srcu_data"] = parse("lock:8 srcu_cblist:64 ssp:p", 8)
    image.structs["rcu_segcblist"] = parse("head:p tails:7p", 8)
    image.structs["srcu_struct"] = parse("sda:p", 8)
    own = scene.percpu("conn_srcu_data", 2 * image.page_size)
    own += -own % image.page_size
    user, page = scene.outside, scene.pages.start + 0x1000
    image.pointer(user, own - image.percpu_offsets[1])
    for area in (own, page):
        image.write(area, bytes(80))
        image.pointer(area + 72, user)
        image.pointer(area + 8, scene.object + AT)
    if not same:
        image.pointer(page + 16, 5)
    place = Place(PAGE, "page 1000, of no slab", page + 8, "")
    step = Step(page + 8, place, scene.object, AT)
    assert scene.callbacks().rcu_root(step) == same
    assert scene.callbacks().by_srcu([step], scene.object + AT) == same
    assert not scene.callbacks().by_srcu([], scene.object + AT)
    named = scene.callbacks().srcu_struct([step])
    assert bool(named) == same
    assert scene.callbacks().srcu_struct([]) == ""
    # The second on its list, however it was reached from there.
    image.write(scene.object + AT, bytes(16))
    image.pointer(scene.object + AT, scene.outside + 0x40)
    way = [step, Step(scene.object, place, scene.outside + 0x40, 0)]
    assert scene.callbacks().in_rcu_chain(way, scene.outside + 0x40) == same


def test_the_middle_of_a_long_rcu_chain_need_not_be_seen() -> None:
    scene = Scene()
    scene.image.pointer(scene.outside + 8, scene.code + FLUSH)
    link = Step(scene.outside, RCU_DATA, scene.outside, 0)
    way: List[Step] = [link] * 31 + [link._replace(target=0x5000)] + [link] * 31
    way.append(Step(scene.outside, RCU_DATA, scene.object, AT))
    assert scene.callbacks().in_rcu_chain(way, scene.object + AT)
    assert not scene.callbacks().in_rcu_chain(way[1:], scene.object + AT)


def test_work_with_the_pending_bit_and_no_pool_is_another_structure() -> None:
    """A number that is odd, a list node and a function: as in a kthread_work behind a text."""
    scene = Scene()
    scene.put(AT, 0x6C6562616C, scene.outside, scene.outside, scene.code + FLUSH)
    assert scene.at(AT + 8) is None
    scene.put(AT, 0x6C6562616D, scene.outside, scene.outside, scene.code + FLUSH)
    assert scene.at(AT + 8) is None


def test_of_what_only_passes_on_the_function_called_at_last_is_named() -> None:
    scene = Scene(b"rcu_work_rcufn")
    scene.put(AT, 1, scene.object + AT + 8, scene.object + AT + 8, scene.code + FLUSH)
    scene.put(AT + 32, 0, scene.code + EXPIRE)
    found = scene.at(AT + 32)
    assert found is not None
    assert (found.kind, found.offset, found.function) == ("RCU work item", AT, "conn_flush [bar]")


def test_an_alarms_own_function_is_named() -> None:
    scene = Scene(b"alarmtimer_fired")
    base = scene.percpu("hrtimer_bases", 64)
    scene.put(AT + 32, 0, 0, 0, base, 1, scene.code + EXPIRE, scene.code + FLUSH)
    scene.land.chunk()
    found = scene.at(AT + 32)
    assert found is not None
    assert (found.kind, found.offset, found.function) == (ALARM, AT, "conn_flush [bar]")


def test_an_hrtimer_is_due_by_its_own_clock() -> None:
    scene = Scene(b"conn_expire")
    image, heap = scene.image, scene.pages.heap
    image.structs["hrtimer"] = parse("node:3p base:p state:8 _softexpires:8 function:p", 8)
    image.structs["hrtimer_clock_base"] = parse("cpu_base:p offset:8", 8)
    base = scene.percpu("hrtimer_bases", 64)
    scene.land.chunk()
    second = 1_000_000_000
    scene.put(AT, 0, 0, 0, base, 1, 1007 * second, scene.code + EXPIRE)
    image.pointer(base + 8, 1000 * second)
    found = scene.at(AT)
    assert found is not None
    assert found.seconds is None, "the kernel's own clock isn't known"
    image.structs["timekeeper"] = parse("tkr_mono:40", 8)
    image.structs["tk_read_base"] = parse("base:8 xtime_nsec:8 shift:4", 8)
    keeper = heap._arena.variable("shadow_timekeeper", 40)
    image.pointer(keeper, 4 * second)
    image.pointer(keeper + 8, (second // 2) << 10)
    image.u32(keeper + 16, 10)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.seconds, found.due) == ("hrtimer", 2.5, None)
    scene.put(AT + 40, (1 << 63) - 1)
    found = scene.at(AT)
    assert found is not None
    assert found.seconds is None, "KTIME_MAX: no time at all"


@pytest.mark.parametrize("data", [True, False])
def test_kthread_work_is_called_by_its_workers_thread(data: bool) -> None:
    """A worker that the thread doesn't have as its argument may be left over: no task's name."""
    scene = Scene()
    worker = scene.worker(data=data)
    head = scene.land.member("kthread_worker", worker, "work_list")
    scene.put(AT, 0, 0, scene.code + FLUSH, worker)
    scene.pages.heap.writer.ring(head, [scene.object + AT])
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.function) == (KTHREAD_WORK, "conn_flush [bar]")
    assert found.by == ("task 77 pumper" if data else "")


def test_kthread_work_of_a_worker_without_a_thread_is_called_by_nobody() -> None:
    scene = Scene()
    worker = scene.worker()
    scene.image.pointer(scene.land.member("kthread_worker", worker, "task"), 0)
    head = scene.land.member("kthread_worker", worker, "work_list")
    scene.put(AT, head, head, scene.code + FLUSH, worker)
    assert scene.at(AT) is None


def test_the_kthread_work_that_runs_is_told_so() -> None:
    scene = Scene()
    worker = scene.worker()
    current = scene.land.member("kthread_worker", worker, "current_work")
    scene.image.pointer(current, scene.object + AT)
    scene.put(AT, scene.object + AT, scene.object + AT, scene.code + FLUSH, worker)
    found = scene.at(AT)
    assert found is not None
    assert (found.kind, found.running, found.by) == (KTHREAD_WORK, True, "task 77 pumper")


@pytest.mark.parametrize("thread", [True, False])
def test_delayed_kthread_work_has_a_timer_and_needs_a_thread(thread: bool) -> None:
    scene = Scene(b"kthread_delayed_work_timer_fn")
    worker = scene.worker()
    if not thread:
        scene.image.pointer(scene.land.member("kthread_worker", worker, "task"), 0)
    own = scene.object + AT
    scene.put(AT, own, own, scene.code + FLUSH, worker)
    scene.put(AT + 32, 0, scene.outside, 5000, scene.code + EXPIRE)
    scene.image.pointer(scene.outside, own + 32)
    found = scene.at(AT + 32)
    assert found is not None
    assert found.kind == ("delayed kthread work item" if thread else TIMER)
    expected = "conn_flush [bar]" if thread else "kthread_delayed_work_timer_fn [bar]"
    assert found.function == expected


@pytest.mark.parametrize(
    ("offset", "lock", "may"), [(8, 0, True), (0, 0, False), (8, 7, False), (24, 0, True)]
)
def test_a_wait_queues_list_lies_behind_a_lock(offset: int, lock: int, may: bool) -> None:
    """A head that begins its variable is another list's, whatever its entries look like."""
    scene = Scene()
    scene.image.structs["wait_queue_head"] = parse("lock:8 head:2p", 8)
    base = scene.land.module(b"foo", {b"doorbell": (0x100, 64)})
    scene.image.map(base, bytes(0x1000))
    scene.image.u32(base + 0x100 + offset - 8, lock)
    callbacks = scene.callbacks()
    assert callbacks.may_be_wait_queue(base + 0x100 + offset) == may


@pytest.mark.parametrize(
    ("name", "struct"),
    [("rcu_data", "rcu_data"), ("rcu_tasks__percpu", "rcu_tasks_percpu"), ("krc", "kfree_rcu_cpu")],
)
def test_a_cpus_list_of_rcu_callbacks_is_known_where_it_has_no_name(name: str, struct: str) -> None:
    scene = Scene()
    scene.image.structs[struct] = parse("lock:8 cblist:8p", 8)
    own = scene.percpu(name, scene.image.sizeof(struct))
    callbacks = scene.callbacks()
    place = Place(PERCPU, "per-CPU 22010 of cpu 1", own, "22010")
    assert callbacks.rcu_root(Step(own + 16, place, scene.object, 0))
    assert not callbacks.rcu_root(Step(own + 256, place, scene.object, 0))
