# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an object held by what will call a function of it: a timer, work, RCU, a wait queue?

Such a structure lies inside the object, and whoever will call it points to its link. It is
told by that: a pointer to the link from outside, the structure's own mark that it is
pending, and a function in it that is the start of one of the kernel's or of a module. Drivers
put list nodes beside functions, too: a timer has to be in a CPU's wheel, a work item in a
workqueue, an RCU callback in RCU's chain. Of a wait queue's entry nothing of that sort tells.
Knows structures by their members; who points, its caller says.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.contents.queues import BASES, Queues
from crash_ext.hexa import hexa
from crash_ext.kernel.clock import Clock
from crash_ext.kernel.irqstacks import InterruptStack, interrupt_stacks
from crash_ext.kernel.memory import read_symbol_number, try_number
from crash_ext.kernel.tasks import Task
from crash_ext.kernel.timekeeper import monotonic
from crash_ext.places.place import FREED_INIT, MODULE, OBJECT, PAGE, PERCPU, SYMBOL, UNLOADED
from crash_ext.places.places import Places
from crash_ext.reach.model import Step
from crash_ext.reach.reach import PATH
from crash_ext.report.text import text_of

TIMER = "timer"
HRTIMER = "hrtimer"
ALARM = "alarm timer"
WORK = "work item"
DELAYED_WORK = "delayed work item"
RCU_WORK = "RCU work item"
KTHREAD_WORK = "kthread work item"
KTHREAD_DELAYED_WORK = "delayed kthread work item"
RCU = "RCU callback"
WAIT = "wait queue entry"
SRCU = "SRCU callback"
BY_RCU = (RCU, RCU_WORK, SRCU)
"""Kinds that RCU's own lists have to have."""

UNLOADED_CODE = " [an unloaded module]"
UNTOLD_CODE = " [an unloaded module, or freed init code]"
"""Behind the address of a function that isn't there any more."""
TAKEN_CODE = ", where no known function begins"
"""Behind such an address in a loaded module. Modules are loaded where others were."""
_OFFSET_FUNCTIONS = 4096
"""kfree_rcu() puts the offset of the rcu_head into the object in place of a function; since v6.3
the object's address."""
_PASSING: Dict[str, Tuple[str, str, str, str, str, str]] = {
    "delayed_work_timer_fn": (
        *(DELAYED_WORK, "delayed_work", "timer"),
        *("work", "work_struct", "func"),
    ),
    "kthread_delayed_work_timer_fn": (
        *(KTHREAD_DELAYED_WORK, "kthread_delayed_work", "timer"),
        *("work", "kthread_work", "func"),
    ),
    "rcu_work_rcufn": (RCU_WORK, "rcu_work", "rcu", "work", "work_struct", "func"),
    "alarmtimer_fired": (ALARM, "alarm", "timer", "", "alarm", "function"),
}
"""The kernel's own functions that only pass on -> (what it is then, the structure around, its
member that has been found; the member that has the function called at last, that one's
structure, the function in it)."""
_RCU_LISTS = ("rcu_", "srcu_", "tasks_rcu", "rude_", "krc")
"""Variables that head the lists of callbacks: rcu_data above all."""
_RCU_OF_CPUS = (
    ("rcu_data", "rcu_data"),
    ("krc", "kfree_rcu_cpu"),
    *((f"rcu_tasks{kind}__percpu", "rcu_tasks_percpu") for kind in ("", "_rude", "_trace")),
)
"""(per-CPU variable, structure)"""
_RCU_HEADS = (
    ("rcu_data", "cblist", "rcu_segcblist"),
    ("rcu_data", "nocb_bypass", "rcu_cblist"),
    ("rcu_tasks_percpu", "cblist", "rcu_segcblist"),
)
"""(structure of a CPU, its list, that one's structure: its head is the first callback_head)"""
_PENDING_PWQ = 4
"""include/linux/workqueue.h, WORK_STRUCT_PWQ: the word has a pool_workqueue's address."""
_PWQ_MASKS = (-1 << 8, -1 << 9)
"""Its low bits are flags: 8, and 9 with CONFIG_DEBUG_OBJECTS_WORK."""
_WHEEL, _ON_STACK = "wheel", "stack"
_WAKES = re.compile(r"wake|wait|poll")
"""In the names of the kernel's own functions that wake up who waits."""
_NANOSECONDS = 1_000_000_000
_KTIME_MAX = (1 << 63) - 1
"""include/linux/ktime.h: of a timer without an end."""
_MOST = 1 << 16
"""Entries of a list that are walked."""


class Callback(NamedTuple):
    """A pending structure in an object."""

    kind: str
    """One of the constants above."""
    offset: int
    """Of the structure, in the object."""
    function: str
    """In words, with its module; "kfree" for an object of kfree_rcu()."""
    due: Optional[int]
    """Of a timer: ticks from the dump's jiffies; None where it has no time."""
    seconds: Optional[float] = None
    """From the dump's clock; None, too, where that or HZ isn't known. Of an hrtimer, too."""
    queue: str = ""
    """Of a work item its workqueue's name, of SRCU's its srcu_struct in words; "" for unknown."""
    sure: bool = True
    """It is no other structure with a link and a function in the same places."""
    by: str = ""
    """The task or CPU that will call the function, or runs in it, where it is known."""
    running: bool = False
    """The function is being called."""


class Callbacks:
    """Recognises the pending structures of one kernel's objects."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._reader = places.session.reader
        self._clock = Clock(self._reader)
        self._forms: List[Tuple[str, int, int, int]] = []
        """(kind, offset of the link that is pointed to, of the function, bytes)"""
        self._srcu_at: Dict[int, Optional[int]] = {}
        """Where a way begins -> the struct srcu_data * that this is in."""
        self._srcu_heads: Dict[int, Set[int]] = {}
        """struct srcu_data * -> the callback_heads on its list."""
        self._in_wheel: Dict[int, str] = {}
        """Entry of a hash list that may be a timer's -> what has it: "" is no wheel."""
        for kind, struct, link, function in (
            (TIMER, "timer_list", "entry", "function"),
            (HRTIMER, "hrtimer", "node", "function"),
            (WORK, "work_struct", "entry", "func"),
            (KTHREAD_WORK, "kthread_work", "node", "func"),
            (RCU, "callback_head", "next", "func"),
            (WAIT, "wait_queue_entry", "entry", "func"),
            # Up to v4.12.
            (WAIT, "__wait_queue", "task_list", "func"),
        ):
            at, called = (self._reader.offset(struct, link), self._reader.offset(struct, function))
            size = self._reader.struct_size(struct)
            if at is not None and called is not None and size:
                self._forms.append((kind, at, called, size))

    def at(self, start: int, data: bytes, offset: int) -> Optional[Callback]:
        """The pending structure in an object's bytes whose link is at an offset."""
        for kind, link, function_at, size in self._forms:
            base = offset - link
            if base < 0 or base + size > len(data):
                continue
            # Asked first: most words are no function, and a list may be long.
            value = self._word(data, base + function_at)
            name = self.function(value)
            if kind == RCU and value and value in (base, start):
                name = "kfree"
            if name is None and kind in (TIMER, HRTIMER, WORK):
                name = self.gone(value, kind == HRTIMER)
            if name is None and kind in (TIMER, WORK):
                taken = self._taken(value)
                name = taken if taken and self._told_by_queue(kind, start + offset) else None
            if name is None:
                continue
            pending = self._pending(kind, start, data, base, offset)
            runs = not pending and kind == KTHREAD_WORK and self._runs(start, data, base)
            if not pending and not runs:
                continue
            due = self.due(data, base) if kind == TIMER else None
            seconds = self._seconds(data, base) if kind == HRTIMER else self._clock.seconds(due)
            sure = self._sure(kind, value, name, start + offset)
            found = Callback(kind, base, name, due, seconds, sure=sure)
            if name.split(" ")[0] in _PASSING:
                return self._passed_on(data, found)
            if kind == KTHREAD_WORK:
                return found._replace(by=self._thread(self._worker(data, base)), running=runs)
            return found._replace(queue=self._queue(data, base)) if kind == WORK else found
        return None

    def _sure(self, kind: str, function: int, name: str, link: int) -> bool:
        """Whether a structure that looks pending is surely one of that kind."""
        if kind == TIMER:
            return self._told_by_queue(kind, link)
        if kind == WORK:
            return self._knows_queues
        if kind == WAIT:
            # Any {.., function, list_head} looks like one: struct mtd_notifier, say. Of a
            # function of the kernel's own the name tells.
            place = self._places.name(function)
            return place is not None and place.kind == SYMBOL and bool(_WAKES.search(name))
        return True

    def _told_by_queue(self, kind: str, link: int) -> bool:
        """Whether a structure is told by what it is in alone, whatever stands as its function.

        A list on a stack may be any; and whether work is queued is asked in any case.
        """
        if kind == TIMER:
            return bool(self._wheels) and self._wheel_of(link) == _WHEEL
        return self._knows_queues

    def queued(self, start: int, size: int) -> Optional[Tuple[int, Callback]]:
        """(who has it, what) for an object that is in one of the kernel's own queues, or runs."""
        for found in self._queues.of(start, size):
            name = self.function(found.function)
            if name is not None:
                at = found.start - start
                what = Callback(found.kind, at, name, None, by=found.where, running=found.running)
                return found.holder, what
        return None

    @cached_property
    def _queues(self) -> Queues:
        return Queues(self._reader, self._tasks)

    def in_rcu_chain(self, path: Sequence[Step], value: int) -> bool:
        """Whether a pointer to `value` is the last of RCU's chain of callbacks.

        path: the way to there. Each link is where the one before points to, with a function
        behind: a callback_head's next. Objects that wait for RCU point to others as any do. Of
        the CPUs' own lists the way doesn't matter: a shorter one may lead into their middle.
        """
        if value in self._rcu_heads or self.by_srcu(path, value):
            return True
        if not path or not self.rcu_root(path[0]) or value != path[-1].target + path[-1].offset:
            return False
        for number, (before, step) in enumerate(zip(path, path[1:]), 1):
            if len(path) == PATH and 2 * number == PATH:
                # The middle of a long one is left out.
                continue
            head = before.target + before.offset
            if self._places.own_address(step.holder) != head:
                return False
            called = self._read(head + self._reader.word) or 0
            freed = called < _OFFSET_FUNCTIONS or called == before.target
            if not freed and self.function(called) is None:
                return False
        return True

    def by_srcu(self, path: Sequence[Step], value: int) -> bool:
        """Whether a pointer is to a callback on a list of the srcu_struct that a way begins in."""
        if value in self._rcu_heads or not path:
            return False
        start = self._srcu_of(path[0])
        if start is None:
            return False
        if start not in self._srcu_heads:
            own = self._reader.offset("srcu_data", "srcu_cblist") or 0
            head = self._reader.offset("rcu_segcblist", "head") or 0
            self._srcu_heads[start] = self._chain(start + own + head)
        return value in self._srcu_heads[start]

    def srcu_struct(self, path: Sequence[Step]) -> str:
        """The struct srcu_struct of such a list, in words; "" where it has no name."""
        start = self._srcu_of(path[0]) if path else None
        user = None if start is None else self._reader.offset("srcu_data", "ssp")
        own = None if start is None or user is None else self._read(start + user)
        place = self._places.name(own) if own else None
        return "" if place is None else place.text

    def rcu_root(self, step: Step) -> bool:
        """Whether a way begins in RCU's own lists: any two words look like an rcu_head."""
        if step.place is None:
            return False
        if step.place.label.startswith(_RCU_LISTS):
            return True
        if self._srcu_of(step) is not None:
            return True
        return any(start <= step.holder < start + size for start, size in self._rcu_areas)

    @cached_property
    def _rcu_heads(self) -> Set[int]:
        """Addresses of the callback_heads on the CPUs' own lists."""
        reader = self._reader
        found: Set[int] = set()
        for struct, member, inner in _RCU_HEADS:
            own, head = reader.offset(struct, member), reader.offset(inner, "head")
            if own is None or head is None:
                continue
            for start in self._rcu_starts(struct):
                found |= self._chain(start + own + head)
        return found

    def _chain(self, head: int) -> Set[int]:
        """Addresses of the callback_heads of a list, by the word that leads to the first."""
        found: Set[int] = set()
        at = self._read(head) or 0
        while at and at not in found and len(found) < _MOST:
            called = self._read(at + self._reader.word) or 0
            if called >= _OFFSET_FUNCTIONS and self.function(called) is None:
                break
            found.add(at)
            at = self._read(at) or 0
        return found

    def _rcu_starts(self, of: str) -> List[int]:
        """Where the CPUs have their structures of that name."""
        reader = self._reader
        found: List[Optional[int]] = []
        for name, struct in _RCU_OF_CPUS:
            start = reader.symbol(name) if struct == of else None
            if start is not None:
                found += [reader.percpu(start, cpu) for cpu in reader.possible_cpus()]
        return [each for each in found if each is not None]

    @cached_property
    def _rcu_areas(self) -> List[Tuple[int, int]]:
        """(start, bytes) of the CPUs' own lists: not every host names such variables."""
        found = []
        for struct in dict.fromkeys(struct for _, struct in _RCU_OF_CPUS):
            size = self._reader.struct_size(struct)
            if size:
                found += [(start, size) for start in self._rcu_starts(struct)]
        return found

    def _srcu_of(self, step: Step) -> Optional[int]:
        """The struct srcu_data in whose list a way begins: of many objects it's the same."""
        if step.place is None or step.place.kind not in (PERCPU, PAGE):
            return None
        holder = self._places.own_address(step.holder)
        if holder not in self._srcu_at:
            self._srcu_at[holder] = self._srcu_data(holder)
        return self._srcu_at[holder]

    def _srcu_data(self, holder: int) -> Optional[int]:
        """The struct srcu_data in whose list of callbacks a per-CPU address lies.

        One of a module, or of another user, has no name: but its srcu_struct has its address;
        or that of a page of alloc_percpu()'s which is the same memory.
        """
        reader = self._reader
        at, size = reader.offset("srcu_data", "srcu_cblist"), reader.struct_size("rcu_segcblist")
        owner, own = reader.offset("srcu_data", "ssp"), reader.offset("srcu_struct", "sda")
        if at is None or owner is None or own is None or not size:
            return None
        for start in range(holder - at, holder - at - size, -reader.word):
            user = self._read(start + owner)
            cookie = self._read(user + own) if user else None
            if not cookie:
                continue
            areas = [reader.percpu(cookie, cpu) for cpu in reader.possible_cpus()]
            if start in areas:
                return start
            here = reader.try_read(start, at + size)
            for area in areas:
                if here is None or area is None or (area - start) % reader.page_size:
                    continue
                if reader.try_read(area, at + size) == here:
                    return start
        return None

    @property
    def _knows_queues(self) -> bool:
        offset = self._reader.offset
        return None not in (offset("pool_workqueue", "wq"), offset("workqueue_struct", "name"))

    def _queue(self, data: bytes, base: int) -> str:
        """The workqueue that a pending work_struct is in, by pool_workqueue.wq."""
        at = base + (self._reader.offset("work_struct", "data") or 0)
        value = self._word(data, at)
        to = self._reader.offset("pool_workqueue", "wq") or 0
        shown = self._reader.offset("workqueue_struct", "name") or 0
        for mask in _PWQ_MASKS if value & _PENDING_PWQ and self._knows_queues else ():
            queue = self._read((value & mask) + to)
            found = None if not queue else self._reader.try_read(queue + shown, 24)
            name = None if found is None else found.split(b"\0")[0]
            if name and name.isascii() and text_of(name).isprintable():
                return text_of(name)
        return ""

    def _passed_on(self, data: bytes, found: Callback) -> Callback:
        """The structure around one whose function only passes on, with what is called at last."""
        kind, around, member, inner, struct, function = _PASSING[found.function.split(" ")[0]]
        reader = self._reader
        own, called = reader.offset(around, member), reader.offset(struct, function)
        at = reader.offset(around, inner) if inner else 0
        if own is None or called is None or at is None or found.offset < own:
            return found._replace(kind=kind)
        if kind == KTHREAD_DELAYED_WORK:
            worker = self._worker(data, found.offset - own + at)
            if self._task_of(worker) is None:
                # Without a thread nothing is called but the timer's function.
                return found
        value = self._word(data, found.offset - own + at + called)
        name = self.function(value) or self.gone(value, True)
        return found._replace(kind=kind, offset=found.offset - own, function=name or found.function)

    def _pending(self, kind: str, start: int, data: bytes, base: int, link: int) -> bool:
        """Whether the structure itself says that it is queued. link: where it is linked."""
        reader, word = self._reader, self._reader.word
        if kind == TIMER:
            # timer_pending(): entry.pprev, or entry.next up to v4.1; and that points back.
            pprev = self._word(data, link + word)
            back = pprev != 0 and self._read(pprev) == start + link
            return back and (not self._wheels or self._wheel_of(start + link) != "")
        if kind == HRTIMER:
            state = reader.offset("hrtimer", "state")
            if state is None:
                # By the DWARF of 7.3: is_queued stands in its place.
                state = reader.offset("hrtimer", "is_queued")
            if state is None or not data[base + state] & 1:
                return False
            # Its clock is one of a CPU's.
            clock = reader.offset("hrtimer", "base")
            place = None if clock is None else self._places.name(self._word(data, base + clock))
            return place is not None and place.kind == PERCPU
        if kind == WORK:
            at = base + (reader.offset("work_struct", "data") or 0)
            # Who queues it puts its pool_workqueue there with the mark.
            queued = not self._knows_queues or self._queue(data, base) != ""
            return self._word(data, at) & 1 != 0 and queued
        if kind == KTHREAD_WORK:
            return self._is_queued(start + link, data, base)
        if kind == WAIT:
            return self._word(data, link) not in (0, start + link)
        return True

    @cached_property
    def _wheels(self) -> List[Tuple[int, int]]:
        """(start, end) of each CPU's timer_bases; none where the kernel has no such variable."""
        reader = self._reader
        start, size = reader.symbol("timer_bases"), reader.struct_size("timer_base")
        if start is None or not size:
            return []
        areas = [reader.percpu(start, cpu) for cpu in reader.possible_cpus()]
        return [(area, area + BASES * size) for area in areas if area is not None]

    def _wheel_of(self, node: int) -> str:
        """What has a hash list: a wheel, or a stack, as of those that a CPU is about to call.

        On an interrupt's stack it is nothing else.
        """
        at, passed, found = node, [node], ""
        while len(passed) < _MOST:
            known = self._in_wheel.get(at)
            pprev = self._read(at + self._reader.word) if known is None else None
            if known is not None or not pprev or self._read(pprev) != at:
                found = known or ""
                break
            if any(start <= pprev < end for start, end in self._wheels):
                found = _WHEEL
                break
            if any(stack.own(pprev) for stack in self._irq_stacks):
                found = _WHEEL
                break
            if self._on_stack(pprev):
                found = _ON_STACK
                break
            if pprev == node:
                # A ring of list_heads.
                break
            at = pprev
            passed.append(at)
        self._in_wheel.update(dict.fromkeys(passed, found))
        return found

    def _on_stack(self, address: int) -> bool:
        """Whether kernel/time/timer.c, __run_timers() may have its list there."""
        return self._places.tasks.at(address) is not None

    @cached_property
    def _irq_stacks(self) -> List[InterruptStack]:
        return interrupt_stacks(self._reader)

    def may_be_wait_queue(self, head: int) -> bool:
        """Whether a list's head may be a wait_queue_head's: that has a lock before its list.

        A head that begins a variable or an object is none, nor one behind another number than
        that of a lock which is free: most lists whose entries have a function.
        """
        reader = self._reader
        at = reader.offset("wait_queue_head", "head")
        if at is None:
            # Up to v4.12.
            at = reader.offset("__wait_queue_head", "task_list")
        place = self._places.name(head)
        if at is None or place is None:
            return True
        named = place.label and place.kind in (SYMBOL, MODULE, OBJECT)
        data = reader.try_read(head - at, 4)
        return not (named and place.offset < at) and data is not None and not any(data)

    def _is_queued(self, node: int, data: bytes, base: int) -> bool:
        """Whether a kthread_work is on its kthread_worker's list, and that one has a thread."""
        reader, word = self._reader, self._reader.word
        worker = self._worker(data, base)
        if self._task_of(worker) is None:
            return False
        head = worker + (reader.offset("kthread_worker", "work_list") or 0)
        at = node
        for _ in range(_MOST if worker else 0):
            following = self._read(at)
            if following == node or not following or self._read(following + word) != at:
                break
            if following == head:
                return True
            at = following
        return False

    def _worker(self, data: bytes, base: int) -> int:
        return self._word(data, base + (self._reader.offset("kthread_work", "worker") or 0))

    def _runs(self, start: int, data: bytes, base: int) -> bool:
        """Whether the thread of a kthread_work's worker is in its function."""
        worker, current = (
            self._worker(data, base),
            self._reader.offset("kthread_worker", "current_work"),
        )
        if not worker or current is None or not self._thread(worker):
            return False
        return self._read(worker + current) == start + base

    def _task_of(self, worker: int) -> Optional[Task]:
        """The thread that a kthread_worker says it has."""
        own = self._reader.offset("kthread_worker", "task")
        address = self._read(worker + own) if own is not None else None
        return self._tasks.get(address or 0)

    def _thread(self, worker: int) -> str:
        """That thread in words, if its data is the worker: what was freed may still name one."""
        task = self._task_of(worker)
        if task is None or self._data_of(task) != worker:
            return ""
        return f"task {task.text}"

    def _data_of(self, task: Task) -> Optional[int]:
        """What a kernel thread's function was called with; None where that isn't known."""
        reader, data = self._reader, self._reader.offset("kthread", "data")
        own = reader.offset("task_struct", "worker_private")
        if own is None:
            # Linux kernel commit e32cf5dfbe22 ("kthread: Generalize pf_io_worker so it can point
            # to struct kthread") (in v5.17): before, set_child_tid does.
            own = reader.offset("task_struct", "set_child_tid")
        kthread = None if own is None or data is None else self._read(task.address + own)
        return self._read(kthread + data) if kthread and data is not None else None

    @cached_property
    def _tasks(self) -> Dict[int, Task]:
        return {task.address: task for task in self._places.tasks.by_stack.values()}

    def due(self, data: bytes, base: int) -> Optional[int]:
        """Ticks from the dump's jiffies until the timer_list at an offset is due."""
        expires = self._reader.offset("timer_list", "expires")
        if expires is None or self._jiffies is None:
            return None
        return self._word(data, base + expires) - self._jiffies

    @cached_property
    def _jiffies(self) -> Optional[int]:
        return read_symbol_number(self._reader, "jiffies", self._reader.word)

    def _seconds(self, data: bytes, base: int) -> Optional[float]:
        """Until an hrtimer is due: its clock's base tells what that is ahead of the monotonic."""
        offset = self._reader.offset
        soonest, clock = offset("hrtimer", "_softexpires"), offset("hrtimer", "base")
        ahead = offset("hrtimer_clock_base", "offset")
        if soonest is None or clock is None or ahead is None or self._monotonic is None:
            return None
        when = int.from_bytes(data[base + soonest : base + soonest + 8], self._reader.byteorder)
        shift = try_number(self._reader, self._word(data, base + clock) + ahead, 8)
        if shift is None or when >= _KTIME_MAX:
            return None
        return (when - shift - self._monotonic) / _NANOSECONDS

    @cached_property
    def _monotonic(self) -> Optional[int]:
        return monotonic(self._reader)

    def function(self, address: int) -> Optional[str]:
        """The function that starts at an address; None where none does."""
        place = self._places.function(address)
        return None if place is None else place.text

    def gone(self, address: int, sure: bool) -> Optional[str]:
        """What is called, where the module that had the function was unloaded.

        sure: it is a function by what else is known. Then another module may have been loaded
        there, one that has no function at that address.
        """
        direct = self._reader.virt_to_page(address) is not None
        place = None if direct else self._places.name(address)
        if place is None or place.kind not in (UNLOADED, FREED_INIT):
            return self._taken(address) if sure else None
        if place.kind == FREED_INIT:
            return f"{hexa(address)} [{place.label}]"
        init = self._places.modules.freed_init(address)
        return hexa(address) + (UNLOADED_CODE if init is None else UNTOLD_CODE)

    def _taken(self, address: int) -> Optional[str]:
        """What is called, where a loaded module may lie in place of the one that had it.

        Or it is a function of that one's own which has no name in the dump.
        """
        region = self._places.modules.regions.at(address)
        if region is None or not self._places.was_code(address):
            return None
        return f"{hexa(address)} [{text_of(region.name)}{TAKEN_CODE}]"

    def _word(self, data: bytes, at: int) -> int:
        return int.from_bytes(data[at : at + self._reader.word], self._reader.byteorder)

    def _read(self, address: int) -> Optional[int]:
        return try_number(self._reader, address, self._reader.word)
