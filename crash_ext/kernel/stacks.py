# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of each task's kernel stack is live, and which stacks nobody has any more.

A sleeping task's stack is live from its saved stack pointer up, a running one's from the
pointer in its CPU's registers. Where those aren't known, or the CPU is on another stack (an
interrupt's), the whole stack may be live. Below the pointer, and in stacks that are kept for
the next fork, lie old pointers.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.irqstacks import interrupt_stacks
from crash_ext.kernel.memory import read_number, read_word
from crash_ext.kernel.tasks import Task, Tasks
from crash_ext.kernel.vmalloc import Vmalloc
from crash_ext.reader import Reader, ReadError


class LiveStack(NamedTuple):
    """The live part of a task's stack."""

    task: Task
    start: int
    """Its lowest live address: the saved stack pointer."""
    end: int
    sure: bool
    """False: its stack pointer isn't known; then this is the whole stack."""
    doubtful: Tuple[int, ...] = ()
    """Addresses of words in it that may be of what was freed long ago."""


_OUTERMOST = 512
"""Bytes of the frames of kthread() and of what called it, at most."""
_FUNCTION = 4096
"""Bytes: kthread() is no longer."""
_END_MAGIC = 0x57AC6E9D
"""include/uapi/linux/magic.h, STACK_END_MAGIC."""
_POINTERS = ("RSP", "ESP", "SP", "R1", "R15")
"""Stack pointers by crash's names: x86, arm; then ppc64's and s390's, which have no name."""


def for_each_live_stack(reader: Reader, tasks: Tasks) -> Iterator[LiveStack]:
    """The live parts of all tasks' stacks."""
    pointer_at = _stack_pointer(reader)
    running_at = reader.offset("task_struct", "on_cpu")
    # An int; in 7.3 one byte, with others behind it.
    width = min(reader.size("task_struct", "on_cpu") or 4, 4)
    current = _current_pointers(reader)
    kthread = reader.symbol("kthread") if reader.offset("kthread", "data") is not None else None
    for task in tasks.by_stack.values():
        low, high = task.stack, task.stack + tasks.stack_size
        if low == high:
            continue
        saved: Optional[int] = None
        try:
            if pointer_at is not None:
                saved = read_word(reader, task.address + pointer_at)
            # A kernel for one CPU has no on_cpu: any task may be the one that runs.
            if running_at is None or read_number(reader, task.address + running_at, width):
                saved = next((each for each in current if low <= each < high), None)
        except ReadError:
            saved = None
        if saved is not None and low <= saved < high:
            start = saved - saved % reader.word
            doubtful = _left_in_kthread(reader, kthread, start, high)
            yield LiveStack(task, start, high, True, doubtful)
        else:
            yield LiveStack(task, low, high, False)


def _left_in_kthread(
    reader: Reader, kthread: Optional[int], start: int, end: int
) -> Tuple[int, ...]:
    """Of a kernel thread the words of kthread()'s frame, and the same values saved below it.

    That frame, and its caller's, keep the struct kthread_create_info that the thread's maker
    freed when the thread had begun. What else they have, struct kthread has, too: data. A
    register that the thread's function doesn't use is saved by what it calls, however far below.
    """
    word = reader.word
    data = reader.try_read(start, end - start) if kthread is not None else None
    if kthread is None or data is None:
        return ()
    values = [
        int.from_bytes(data[at : at + word], reader.byteorder) for at in range(0, len(data), word)
    ]
    for number, value in enumerate(values):
        near = start + number * word >= end - _OUTERMOST
        if not near or not 0 < value - kthread < _FUNCTION:
            continue
        symbol = reader.symbol_at(value)
        if symbol is not None and symbol[0] == "kthread":
            frame = set(values[number:]) - {0}
            return tuple(start + at * word for at, each in enumerate(values) if each in frame)
    return ()


def _current_pointers(reader: Reader) -> List[int]:
    """The stack pointers of the CPUs, so far as the dump has their registers.

    Of one in an interrupt, that of the task, too: the topmost word of the interrupt's stack.
    """
    found = []
    for stack in interrupt_stacks(reader):
        data = reader.try_read(stack.start + stack.size - reader.word, reader.word)
        if stack.dead < stack.size and data is not None:
            found.append(int.from_bytes(data, reader.byteorder))
    for registers in reader.registers().values():
        name = next((name for name in _POINTERS if name in registers), None)
        if name is not None:
            found.append(registers[name])
    return found


def find_dead_stacks(tasks: Tasks, vmalloc: Vmalloc) -> List[int]:
    """Start addresses of vmalloc areas that are stacks of no task: made as those are."""
    live = set(tasks.by_stack)
    callers: Set[int] = set()
    lengths: Set[int] = set()
    for area in vmalloc.areas:
        if area.start in live and area.caller:
            callers.add(area.caller)
            lengths.add(area.end - area.start)
    return [
        area.start
        for area in vmalloc.areas
        if area.start not in live and area.caller in callers and area.end - area.start in lengths
    ]


def find_idle_stacks(
    reader: Reader, tasks: Tasks, vmalloc: Vmalloc, dead: Iterable[int]
) -> Iterator[LiveStack]:
    """Stacks of tasks that are on no list: those of the idle tasks, made by another function.

    Which part of them is live isn't known. Told by their length and by STACK_END_MAGIC at the
    lowest address, which each task's maker writes there. dead: find_dead_stacks().
    """
    others = {*tasks.by_stack, *dead}
    lengths = {area.end - area.start for area in vmalloc.areas if area.start in tasks.by_stack}
    for area in vmalloc.areas:
        if area.start in others or area.end - area.start not in lengths:
            continue
        data = reader.try_read(area.start, reader.word)
        if data is not None and int.from_bytes(data, reader.byteorder) == _END_MAGIC:
            task = Task(0, 0, b"", area.start, None)
            yield LiveStack(task, area.start, area.start + tasks.stack_size, False)


def waiting_stacks(reader: Reader, dead: Iterable[int]) -> List[int]:
    """Of the stacks that no task has: those that wait for an RCU grace period to be freed.

    Linux kernel commit e540bf3162e8 ("fork: Only cache the VMAP stack in
    finish_task_switch()") (in v5.18): a struct rcu_head lies at such a stack's start, and what
    waits behind it in line is found through it. RCU clears its func before it calls it.
    """
    callback = reader.symbol("thread_stack_free_rcu")
    func = reader.offset("callback_head", "func")
    if callback is None or func is None:
        return []
    found = []
    for start in dead:
        data = reader.try_read(start + func, reader.word)
        if data is not None and int.from_bytes(data, reader.byteorder) == callback:
            found.append(start)
    return found


def _stack_pointer(reader: Reader) -> Optional[int]:
    """Offset of the saved stack pointer in task_struct; None where it isn't known."""
    thread = reader.offset("task_struct", "thread")
    if thread is None:
        return None
    # x86 has sp, s390 and powerpc have ksp; arm64 keeps it in a structure of its own.
    for name in ("sp", "ksp"):
        offset = reader.offset("thread_struct", name)
        if offset is not None:
            return thread + offset
    saved = reader.offset("thread_struct", "cpu_context")
    inside = reader.offset("cpu_context", "sp")
    return None if saved is None or inside is None else thread + saved + inside
