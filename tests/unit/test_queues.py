# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the kernel's own queues, and what runs, is found from the queue's side."""

from __future__ import annotations

import pytest

from mocks.structs import parse
from tests.unit.test_callbacks import AT, EXPIRE, FLUSH, Scene

CALLS = {
    "irq_work": "node:p flags:4 src:2 dst:2 func:p irqwait:p",
    "__call_single_data": "node:p flags:4 src:2 dst:2 func:p info:p",
    "tasklet_head": "head:p tail:p",
    "tasklet_struct": "next:p state:p count:4 use_callback:4 func:p data:p",
}


@pytest.mark.parametrize(
    ("queue", "kind", "function"),
    [
        ("raised_list", "irq work item", 16),
        ("lazy_list", "irq work item", 16),
        ("call_single_queue", "call from another CPU", 16),
        ("tasklet_vec", "tasklet", 24),
        ("tasklet_hi_vec", "tasklet", 24),
    ],
)
def test_an_entry_of_a_cpus_queue_is_named_with_its_function(
    queue: str, kind: str, function: int
) -> None:
    scene = Scene()
    for name, text in CALLS.items():
        scene.image.structs[name] = parse(text, 8)
    own = scene.percpu(queue, 16)
    # Another entry before it.
    scene.image.pointer(own, scene.outside)
    scene.image.pointer(scene.outside, scene.object + AT)
    scene.put(AT + function, scene.code + FLUSH)
    found = scene.in_queue()
    assert found is not None
    assert (found.kind, found.offset, found.function) == (kind, AT, "conn_flush [bar]")
    assert (found.by, found.running) == ("CPU 1", False)
    scene.image.pointer(scene.outside, 0)
    assert scene.in_queue() is None


def test_a_tasklet_that_is_disabled_is_told_so() -> None:
    scene = Scene()
    for name, text in CALLS.items():
        scene.image.structs[name] = parse(text, 8)
    scene.image.pointer(scene.percpu("tasklet_vec", 16), scene.object + AT)
    scene.put(AT, 0, 1, 1, scene.code + FLUSH)
    found = scene.in_queue()
    assert found is not None
    assert found.kind == "disabled tasklet"


def test_task_work_is_named_with_its_task() -> None:
    scene = Scene()
    task = scene.land.task(12, b"server", scene.pages.start + 0x4000)
    scene.image.pointer(scene.land.member("task_struct", task, "task_works"), scene.object + AT)
    scene.put(AT, 0, scene.code + FLUSH)
    found = scene.in_queue()
    assert found is not None
    assert (found.kind, found.function) == ("task work item", "conn_flush [bar]")
    assert found.by == "task 12 server"


def test_a_timer_whose_function_runs_is_told_with_its_cpu() -> None:
    scene = Scene()
    scene.image.structs["timer_base"] = parse("lock:8 running_timer:p cpu:4 vectors:8p", 8)
    own = scene.percpu("timer_bases", 2 * scene.image.sizeof("timer_base"))
    scene.image.u32(scene.land.member("timer_base", own, "cpu"), 1)
    scene.image.pointer(scene.land.member("timer_base", own, "running_timer"), scene.object + AT)
    scene.put(AT, 0, 0, 5000, scene.code + EXPIRE)
    found = scene.in_queue()
    assert found is not None
    assert (found.kind, found.running, found.by) == ("timer", True, "CPU 1")
    assert found.function == "conn_expire [bar]"


def test_an_hrtimer_whose_function_runs_is_told_with_its_cpu() -> None:
    scene = Scene()
    scene.image.structs["hrtimer_clock_base"] = parse("cpu_base:p running:p", 8)
    scene.image.structs["hrtimer_cpu_base"] = parse("lock:8 clock_base:4p", 8)
    own = scene.percpu("hrtimer_bases", scene.image.sizeof("hrtimer_cpu_base"))
    scene.image.pointer(own + 8 + 16 + 8, scene.object + AT)
    scene.put(AT + 40, scene.code + EXPIRE)
    found = scene.in_queue()
    assert found is not None
    assert (found.kind, found.running, found.by) == ("hrtimer", True, "CPU 1")


def test_work_that_runs_is_told_with_its_workers_task_and_function() -> None:
    """By the worker's own note of the function: the work may have been given another."""
    scene = Scene()
    image, start = scene.image, scene.pages.start
    for name, text in {
        "workqueue_struct": "pwqs:2p list:2p rescuer:p name:24",
        "pool_workqueue": "pool:p wq:p pwqs_node:2p",
        "worker_pool": "lock:8 workers:2p",
        "worker": "entry:2p current_work:p current_func:p task:p node:2p",
    }.items():
        image.structs[name] = parse(text, 8)
    task = scene.land.task(9, b"kworker/0:1", start + 0x4000)
    head, queue, pwq, pool, worker = (start + 0x800 + 0x100 * each for each in range(5))
    image.symbols["workqueues"] = head
    for first, second in ((head, queue + 16), (queue, pwq + 16), (pool + 8, worker + 40)):
        scene.pages.heap.writer.ring(first, [second])
    image.pointer(pwq, pool)
    image.pointer(worker + 16, scene.object + AT)
    image.pointer(worker + 24, scene.code + FLUSH)
    image.pointer(worker + 32, task)
    found = scene.in_queue()
    assert found is not None
    assert (found.kind, found.running, found.function) == ("work item", True, "conn_flush [bar]")
    assert found.by == "task 9 kworker/0:1"
