# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in the kernel's own queues to have a function called, and what is being called.

Each CPU has its queues of irq_work, of calls from other CPUs and of tasklets, and each task its
task work: singly linked, so that an entry's own bytes don't tell it. Each timer base, workqueue
worker notes which function runs. All are found from the queue's side: what is on one is known by
its address. Knows structures by their members; what an entry lies in, its caller says.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.memory import try_number, walk_list
from crash_ext.kernel.structs import MissingMember, find_offset
from crash_ext.kernel.tasks import Task
from crash_ext.reader import Reader

IRQ_WORK = "irq work item"
CPU_CALL = "call from another CPU"
TASKLET = "tasklet"
DISABLED_TASKLET = "disabled tasklet"
TASK_WORK = "task work item"
_MOST = 1 << 14
"""Entries of a queue at most."""
BASES = 3
"""kernel/time/timer.c, NR_BASES at most: struct timer_base timer_bases[] of a CPU."""


class Queued(NamedTuple):
    """An entry of a queue, or what runs."""

    kind: str
    """One of the constants above, or of callbacks.py."""
    start: int
    """Address of the structure."""
    function: int
    """Address of the function; 0 where that can't be read."""
    holder: int
    """Where the queue has its first entry, or who runs notes it."""
    where: str
    """Which CPU or task will call the function, or runs it."""
    running: bool = False


class Queues:
    """The entries of all queues. Read when first asked for."""

    def __init__(self, reader: Reader, tasks: Dict[int, Task]) -> None:
        """tasks: all of them, by address."""
        self._reader = reader
        self._tasks = tasks
        self._found: Optional[Dict[int, Queued]] = None
        self._starts: List[int] = []

    def of(self, start: int, size: int) -> Iterator[Queued]:
        """What lies between two addresses, ascending."""
        if self._found is None:
            # What runs may be queued again: then it waits.
            found = (each for part in (*self._running(), *self._waiting()) for each in _known(part))
            self._found = {each.start: each for each in found}
            self._starts = sorted(self._found)
        at = bisect_left(self._starts, start)
        while at < len(self._starts) and self._starts[at] < start + size:
            yield self._found[self._starts[at]]
            at += 1

    # --- what waits ---

    def _waiting(self) -> Iterator[Iterator[Queued]]:
        for form in (
            (IRQ_WORK, "raised_list", "", "irq_work", ("node", "llnode"), ("func",)),
            (IRQ_WORK, "lazy_list", "", "irq_work", ("node", "llnode"), ("func",)),
            # An irq_work for another CPU is on this one: its function lies in the same place.
            (CPU_CALL, "call_single_queue", "", "__call_single_data", ("node", "llist"), ("func",)),
            *(
                (TASKLET, each, "tasklet_head", "tasklet_struct", ("next",), ("func", "callback"))
                for each in ("tasklet_vec", "tasklet_hi_vec")
            ),
        ):
            yield self._of_cpus(*form)
        yield self._of_tasks()

    def _of_cpus(
        self,
        kind: str,
        variable: str,
        head_struct: str,
        struct: str,
        links: Tuple[str, ...],
        functions: Tuple[str, ...],
    ) -> Iterator[Queued]:
        """The entries of a per-CPU queue."""
        reader = self._reader
        symbol, link = reader.symbol(variable), self._offset(struct, links)
        function = self._offset(struct, functions)
        at = reader.offset(head_struct, "head") if head_struct else 0
        if symbol is None or link is None or function is None or at is None:
            return
        for cpu in reader.possible_cpus():
            own = reader.percpu(symbol, cpu)
            if own is None:
                continue
            for node in self._chain(own + at):
                called = self._word(node - link + function) or 0
                off = kind == TASKLET and self._is_disabled(node - link)
                what = DISABLED_TASKLET if off else kind
                yield Queued(what, node - link, called, own + at, f"CPU {cpu}")

    def _is_disabled(self, tasklet: int) -> bool:
        """Whether somebody has disabled a tasklet: it waits until that is undone."""
        at = self._reader.offset("tasklet_struct", "count")
        return at is not None and self._number(tasklet + at, 4) != 0

    def _of_tasks(self) -> Iterator[Queued]:
        reader = self._reader
        works = find_offset(reader, "task_struct", "task_works")
        function = find_offset(reader, "callback_head", "func")
        following = find_offset(reader, "callback_head", "next")
        for address, task in self._tasks.items():
            for node in self._chain(address + works, following):
                called = self._word(node + function) or 0
                yield Queued(TASK_WORK, node, called, address + works, f"task {task.text}")

    def _chain(self, head: int, following: int = 0) -> Iterator[int]:
        """The entries of a singly linked list, from the pointer to its first one on."""
        seen: Set[int] = set()
        at = self._word(head)
        while at and at not in seen and len(seen) < _MOST:
            seen.add(at)
            behind = self._word(at + following)
            if behind is None:
                break
            yield at
            at = behind

    # --- what runs ---

    def _running(self) -> Iterator[Iterator[Queued]]:
        yield self._running_timers()
        yield self._running_hrtimers()
        yield self._running_works()

    def _running_timers(self) -> Iterator[Queued]:
        """By timer_base.running_timer."""
        reader = self._reader
        symbol, size = reader.symbol("timer_bases"), reader.struct_size("timer_base")
        running = find_offset(reader, "timer_base", "running_timer")
        whose = find_offset(reader, "timer_base", "cpu")
        function = find_offset(reader, "timer_list", "function")
        if symbol is None or not size:
            return
        for cpu in reader.possible_cpus():
            own = reader.percpu(symbol, cpu)
            for number in range(BASES if own is not None else 0):
                base = (own or 0) + number * size
                if self._number(base + whose, 4) != cpu:
                    break
                timer = self._word(base + running)
                if timer:
                    called = self._word(timer + function) or 0
                    yield Queued("timer", timer, called, base + running, f"CPU {cpu}", True)

    def _running_hrtimers(self) -> Iterator[Queued]:
        """By hrtimer_clock_base.running."""
        reader = self._reader
        symbol, size = reader.symbol("hrtimer_bases"), reader.struct_size("hrtimer_clock_base")
        first = find_offset(reader, "hrtimer_cpu_base", "clock_base")
        every = reader.size("hrtimer_cpu_base", "clock_base")
        running = find_offset(reader, "hrtimer_clock_base", "running")
        function = find_offset(reader, "hrtimer", "function")
        if symbol is None or not size or not every:
            return
        for cpu in reader.possible_cpus():
            own = reader.percpu(symbol, cpu)
            for at in range(first, first + every, size) if own is not None else ():
                noted = (own or 0) + at + running
                timer = self._word(noted)
                if timer:
                    called = self._word(timer + function) or 0
                    yield Queued("hrtimer", timer, called, noted, f"CPU {cpu}", True)

    def _running_works(self) -> Iterator[Queued]:
        """By worker.current_work, of each workqueue's pools, and of its rescuer."""
        reader = self._reader
        current = find_offset(reader, "worker", "current_work")
        function = find_offset(reader, "worker", "current_func")
        task = find_offset(reader, "worker", "task")
        for worker in self._workers():
            work = self._word(worker + current)
            if work:
                address = self._word(worker + task) or 0
                who = f"task {self._tasks[address].text}" if address in self._tasks else ""
                called = self._word(worker + function) or 0
                yield Queued("work item", work, called, worker + current, who, True)

    def _workers(self) -> Iterator[int]:
        reader = self._reader
        head = reader.symbol("workqueues")
        listed = find_offset(reader, "workqueue_struct", "list")
        pwqs = find_offset(reader, "workqueue_struct", "pwqs")
        pwq_node = find_offset(reader, "pool_workqueue", "pwqs_node")
        pool_at = find_offset(reader, "pool_workqueue", "pool")
        workers = find_offset(reader, "worker_pool", "workers")
        node_at = find_offset(reader, "worker", "node")
        if head is None:
            return
        rescuer = reader.offset("workqueue_struct", "rescuer")
        pools: Dict[int, None] = {}
        for queue in walk_list(reader, head).addresses:
            for pwq in walk_list(reader, queue - listed + pwqs).addresses:
                pools[self._word(pwq - pwq_node + pool_at) or 0] = None
            own = self._word(queue - listed + rescuer) if rescuer is not None else 0
            if own:
                yield own
        for pool in pools:
            if pool:
                for node in walk_list(reader, pool + workers).addresses:
                    yield node - node_at

    # --- words ---

    def _offset(self, struct: str, names: Tuple[str, ...]) -> Optional[int]:
        found = (self._reader.offset(struct, name) for name in names)
        return next((at for at in found if at is not None), None)

    def _word(self, address: int) -> Optional[int]:
        return self._number(address, self._reader.word)

    def _number(self, address: int, size: int) -> Optional[int]:
        return try_number(self._reader, address, size)


def _known(entries: Iterator[Queued]) -> Iterator[Queued]:
    """The entries of one kind of queue; none where the kernel has no such structures."""
    try:
        yield from entries
    except MissingMember:
        return
