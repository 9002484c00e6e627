# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks and their kernel stacks, walked from init_task: which stack is an address in?"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional, Set

from crash_ext.kernel.clock import Clock
from crash_ext.kernel.memory import read_number, read_word, walk_both_ways, walk_list
from crash_ext.kernel.ranges import Ranges
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError
from crash_ext.report.text import text_of

_TASKS = 1 << 20
_LARGEST_STACK = 1 << 20
_NANOSECONDS = 8
"""Bytes of start_time: a u64 in 5.10, a struct timespec of 16 bytes in 3.10."""
_TOLERANCE = 2.0
"""Seconds that the clocks of tasks and of allocations may be apart."""
_ENOUGH = 16
"""Stacks whose alignment may show their size."""


class Task(NamedTuple):
    """A task that is on the kernel's lists."""

    address: int
    """struct task_struct *"""
    pid: int
    comm: bytes
    stack: int
    """Lowest address of its kernel stack."""
    start: Optional[int]
    """When it began, ns since the boot; None where the kernel notes it in another form."""

    @property
    def text(self) -> str:
        """Its pid and name: "812 conn server"."""
        return f"{self.pid} {text_of(self.comm)}"


class _Stack(NamedTuple):
    start: int
    end: int
    task: Task


class Tasks:
    """All tasks, threads too, by their stacks. Empty where they can't be walked."""

    def __init__(self, reader: Reader) -> None:
        self.by_stack: Dict[int, Task] = {}
        self._stacks: Ranges[_Stack] = Ranges()
        self._by_pid: Optional[Dict[int, Task]] = None
        self._clock = Clock(reader)
        self.stack_size = 0
        """Bytes; 0 where unknown: then no address is in a stack."""
        try:
            forms = _Forms(reader)
        except MissingMember:
            return
        for task in _walk(reader, forms):
            if task.stack:
                self.by_stack[task.stack] = task
        self.stack_size = _stack_size(reader, forms, list(self.by_stack.values()))
        if self.stack_size:
            self._stacks = Ranges(
                _Stack(start, start + self.stack_size, task)
                for start, task in self.by_stack.items()
            )

    def name_of(self, pid: int, ago: Optional[float] = None) -> Optional[str]:
        """The name of the task that has this PID now; None where it is gone.

        ago: seconds; None, too, where the task began later than that: then the number has
        been used again, and another task had it.
        """
        if self._by_pid is None:
            self._by_pid = {task.pid: task for task in self.by_stack.values()}
        task = self._by_pid.get(pid)
        if task is None:
            return None
        if ago is not None and task.start is not None:
            began = self._clock.seconds_since(task.start)
            if began is not None and began + _TOLERANCE < ago:
                return None
        return text_of(task.comm)

    def at(self, address: int) -> Optional[Task]:
        """The task whose stack an address lies in."""
        stack = self._stacks.at(address)
        return None if stack is None else stack.task


class _Forms:
    """The members that are needed. Raises MissingMember."""

    def __init__(self, reader: Reader) -> None:
        self.task = Struct(
            reader,
            "task_struct",
            ("tasks", "pid", "comm", "stack"),
            ("thread_node", "thread_group", "signal", "stack_vm_area", "start_time"),
        )
        # Linux kernel commit 0c740d0afc3b ("introduce for_each_thread() to replace the buggy
        # while_each_thread()") (in v3.14): task_struct.thread_node on signal_struct.thread_head,
        # beside thread_group, which the 7.3 tree has no more.
        self.thread_head = reader.offset("signal_struct", "thread_head")


def _walk(reader: Reader, forms: _Forms) -> Iterator[Task]:
    init = reader.symbol("init_task")
    if init is None:
        return
    struct = forms.task
    seen: Set[int] = set()
    leaders = [init]
    link = struct.offset("tasks")
    leaders += [entry - link for entry in walk_both_ways(reader, init + link).addresses]
    for leader in leaders:
        for address in [leader, *_threads(reader, forms, leader)]:
            if address in seen or len(seen) >= _TASKS:
                continue
            seen.add(address)
            task = _read(reader, struct, address)
            if task is not None:
                yield task


def _threads(reader: Reader, forms: _Forms, leader: int) -> List[int]:
    struct = forms.task
    try:
        if forms.thread_head is not None and "thread_node" in struct and "signal" in struct:
            head = read_word(reader, leader + struct.offset("signal")) + forms.thread_head
            link = struct.offset("thread_node")
        elif "thread_group" in struct:
            link = struct.offset("thread_group")
            head = leader + link
        else:
            return []
    except ReadError:
        return []
    return [entry - link for entry in walk_list(reader, head).addresses]


def _read(reader: Reader, struct: Struct, address: int) -> Optional[Task]:
    try:
        words = {
            name: reader.read(address + struct.offset(name), struct.size(name))
            for name in ("pid", "comm", "stack")
        }
    except ReadError:
        return None
    pid = int.from_bytes(words["pid"], reader.byteorder, signed=True)
    stack = int.from_bytes(words["stack"], reader.byteorder)
    return Task(address, pid, words["comm"].split(b"\0")[0], stack, _start(reader, struct, address))


def _start(reader: Reader, struct: Struct, task: int) -> Optional[int]:
    if "start_time" not in struct or struct.size("start_time") != _NANOSECONDS:
        return None
    try:
        return read_number(reader, task + struct.offset("start_time"), _NANOSECONDS)
    except ReadError:
        return None


def _stack_size(reader: Reader, forms: _Forms, tasks: List[Task]) -> int:
    """THREAD_SIZE, which is in no debug information."""
    size = _by_area(reader, forms, tasks) or _by_init_task(reader) or _by_alignment(tasks)
    fits = size & (size - 1) == 0 and reader.word * 64 <= size <= _LARGEST_STACK
    return size if fits else 0


def _by_area(reader: Reader, forms: _Forms, tasks: List[Task]) -> int:
    """With CONFIG_VMAP_STACK: the pages of a stack's own area."""
    pages = reader.offset("vm_struct", "nr_pages")
    start = reader.offset("vm_struct", "addr")
    if "stack_vm_area" not in forms.task or pages is None or start is None:
        return 0
    width = reader.size("vm_struct", "nr_pages") or 4
    for task in tasks[:64]:
        try:
            area = read_word(reader, task.address + forms.task.offset("stack_vm_area"))
            if not area or read_word(reader, area + start) != task.stack:
                continue
            count = int.from_bytes(reader.read(area + pages, width), reader.byteorder)
        except ReadError:
            continue
        if count:
            return min(count, _LARGEST_STACK) * reader.page_size
    return 0


def _by_init_task(reader: Reader) -> int:
    start, end = reader.symbol("__start_init_task"), reader.symbol("__end_init_task")
    return end - start if start and end and start < end else 0


def _by_alignment(tasks: List[Task]) -> int:
    """Stacks of whole pages are aligned to their size, and not all of them to twice that."""
    if len(tasks) < _ENOUGH:
        return 0
    together = 0
    for task in tasks:
        together |= task.stack
    return together & -together
