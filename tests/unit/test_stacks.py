# SPDX-License-Identifier: GPL-3.0-or-later
"""A sleeping task's stack is live from its stack pointer up; others are told apart."""

from __future__ import annotations

from typing import Tuple

import pytest

from crash_ext.kernel.stacks import LiveStack, find_dead_stacks, for_each_live_stack, waiting_stacks
from crash_ext.kernel.tasks import Tasks
from crash_ext.kernel.vmalloc import Vmalloc
from mocks.annex import take_pages
from mocks.heap import Heap
from mocks.landscape import STACK_PAGES, Landscape
from mocks.layouts import LAYOUTS
from mocks.structs import parse
from tests.unit.asked import target

SIZE = STACK_PAGES * 4096


class Machine:
    """A kernel with tasks whose stack pointers a test sets."""

    def __init__(self, *, running: bool = True, pointer: str = "sp", width: int = 4) -> None:
        self.heap = Heap(LAYOUTS["6.1"], seed=4)
        self.land = Landscape(self.heap)
        self.image = image = self.heap.image
        size, members = image.structs["task_struct"]
        on_cpu = {"on_cpu": (size, width)} if running else {}
        thread = {"thread": (size + 8, 64)}
        image.structs["task_struct"] = (size + 128, {**members, **on_cpu, **thread})
        image.structs["thread_struct"] = parse(f"tls:3p {pointer}:p", image.word)
        if pointer == "cpu_context":
            image.structs["cpu_context"] = parse("x19:p fp:p sp:p", image.word)

    def task(self, pid: int, pointer: int, *, on_cpu: int = 0) -> Tuple[int, int]:
        """(struct task_struct *, its stack); pointer: its offset in the stack."""
        task = self.land.task(pid, b"task", 0)
        pages = take_pages(self.image, STACK_PAGES)
        frames = [
            self.image.virt_to_page(pages + number * self.image.page_size)
            for number in range(STACK_PAGES)
        ]
        stack = self.land.stack(task, frames)
        at = task + self.image.structs["task_struct"][1]["thread"][0]
        name = next(name for name in self.image.structs["thread_struct"][1] if name != "tls")
        at += self.image.structs["thread_struct"][1][name][0]
        if name == "cpu_context":
            at += self.image.structs["cpu_context"][1]["sp"][0]
        self.image.pointer(at, stack + pointer)
        if "on_cpu" in self.image.structs["task_struct"][1]:
            offset = self.image.structs["task_struct"][1]["on_cpu"][0]
            self.image.put(task + offset, 4, on_cpu)
        return task, stack

    def live(self, stack: int) -> LiveStack:
        reader = target(self.heap)
        found = list(for_each_live_stack(reader, Tasks(reader)))
        return next(one for one in found if one.task.stack == stack)


@pytest.mark.parametrize("pointer", ["sp", "ksp", "cpu_context"])
def test_a_sleeping_tasks_stack_is_live_from_its_pointer_up(pointer: str) -> None:
    machine = Machine(pointer=pointer)
    _, stack = machine.task(7, 0x3123)
    found = machine.live(stack)
    assert (found.start, found.end, found.sure) == (stack + 0x3120, stack + SIZE, True)


@pytest.mark.parametrize(("on_cpu", "sure"), [(0x01010100, True), (0x00000001, False)])
def test_what_lies_behind_a_narrow_on_cpu_says_nothing(on_cpu: int, sure: bool) -> None:
    machine = Machine(width=1)
    _, stack = machine.task(7, 0x3000, on_cpu=on_cpu)
    assert machine.live(stack).sure == sure


def test_of_a_running_task_the_whole_stack_may_be_live() -> None:
    machine = Machine()
    _, stack = machine.task(7, 0x3000, on_cpu=1)
    found = machine.live(stack)
    assert (found.start, found.end, found.sure) == (stack, stack + SIZE, False)


def test_a_running_tasks_stack_is_live_from_its_cpus_own_pointer_up() -> None:
    machine = Machine()
    _, stack = machine.task(7, 0x2000, on_cpu=1)
    _, other = machine.task(8, 0x2000, on_cpu=1)
    machine.image.commands["help -r"] = (
        f"CPU 0:\n  RIP: ffffffff81000000  RSP: {stack + 0x3400:016x}  R15: {other:016x}\n"
        f"CPU 1:\n  RIP: ffffffff81000000  RSP: fffffe0000012f00  R15: {other + 64:016x}\n"
    )
    found = machine.live(stack)
    assert (found.start, found.sure) == (stack + 0x3400, True)
    # That CPU is on another stack: where it left this one isn't known.
    found = machine.live(other)
    assert (found.start, found.sure) == (other, False)


@pytest.mark.parametrize("used", [True, False])
def test_where_an_interrupt_left_a_tasks_stack_its_own_stack_tells(used: bool) -> None:
    """In the topmost word of the CPU's stack for interrupts."""
    machine = Machine()
    image, cpu = machine.image, machine.heap.cpus[0]
    _, stack = machine.task(7, 0x2000, on_cpu=1)
    image.structs["irq_stack"] = parse("stack:256", image.word)
    pointers = {name: machine.heap._arena.percpu(256) for name in ("store", "ptr", "inuse")}
    image.symbols["irq_stack_backing_store"] = pointers["store"]
    image.symbols["hardirq_stack_ptr"] = pointers["ptr"]
    image.symbols["hardirq_stack_inuse"] = pointers["inuse"]
    offset = image.percpu_offsets[cpu]
    image.pointer(pointers["store"] + offset + 256 - 8, stack + 0x3400)
    image.pointer(pointers["ptr"] + offset, 0xFFFFC90000004000 - 8)
    image.pointer(pointers["inuse"] + offset, used)
    found = machine.live(stack)
    assert (found.start, found.sure) == (stack + 0x3400 if used else stack, used)


def test_the_frame_of_kthread_is_told_apart_if_struct_kthread_has_the_same() -> None:
    machine = Machine()
    image = machine.image
    _, stack = machine.task(7, 0x3000)
    image.map(stack, bytes(SIZE))
    function = machine.heap.function("kthread")
    other = machine.heap.function("worker_thread")
    image.pointer(stack + 0x3EC0, other + 4)
    # The function's own address is an argument, no return to it.
    image.pointer(stack + 0x3EC8, function)
    image.pointer(stack + 0x3ED0, 0x1110)
    image.pointer(stack + 0x3ED8, 0x2220)
    image.pointer(stack + 0x3EE0, function + 8)
    image.pointer(stack + 0x3F00, 0x1110)
    # Saved by schedule(), which the thread's function has called: far below its large frame.
    image.pointer(stack + 0x3E58, 0x1110)
    image.pointer(stack + 0x3108, 0x1110)
    image.pointer(stack + 0x2FF8, 0x1110)
    assert machine.live(stack).doubtful == ()
    image.structs["kthread"] = parse("flags:p threadfn:p data:p", image.word)
    left = [stack + at for at in (0x3108, 0x3E58, 0x3ED0, 0x3EE0, 0x3F00)]
    assert list(machine.live(stack).doubtful) == left


def test_a_pointer_outside_of_the_stack_tells_nothing() -> None:
    machine = Machine()
    _, stack = machine.task(7, SIZE + 8)
    assert machine.live(stack).sure is False


def test_on_a_kernel_for_one_cpu_any_task_may_be_the_one_that_runs() -> None:
    machine = Machine(running=False)
    _, stack = machine.task(7, 0x3000)
    assert machine.live(stack).sure is False


def test_stacks_that_no_task_has_are_dead_and_other_areas_are_not() -> None:
    machine = Machine()
    caller = machine.heap.function("dup_task_struct")
    image, land = machine.image, machine.land

    def area(made_by: int, count: int = STACK_PAGES) -> int:
        start = take_pages(image, count)
        pages = [image.virt_to_page(start + n * image.page_size) for n in range(count)]
        return land.area(pages, made_by, guard=False)[0]

    live, dead = area(caller), area(caller)
    area(machine.heap.function("module_alloc"))
    area(caller, 1)
    task = land.task(9, b"nine", live)
    assert task
    reader = target(machine.heap)
    assert find_dead_stacks(Tasks(reader), Vmalloc(reader)) == [dead]


def test_a_stack_that_waits_to_be_freed_passes_on_what_waits_behind_it() -> None:
    """RCU's line of callbacks goes through the first words of such stacks."""
    machine = Machine()
    image = machine.image
    callback = machine.heap.function("thread_stack_free_rcu")
    image.structs["callback_head"] = parse("next:p func:p", image.word)
    starts = [take_pages(image, STACK_PAGES) for _ in range(3)]
    for start, func in zip(starts, (callback, 0, callback + 8)):
        image.pointer(start + image.word, func)
    assert waiting_stacks(target(machine.heap), [*starts, 0x1000]) == starts[:1]
