# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel stacks of a kernel: which part of each is live, and which are dead as a whole.

Knows the tasks' and the idle CPUs'; interrupt stacks are memory in use like any other.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Optional

from crash_ext.kernel import pageuse
from crash_ext.kernel.pageuse import PageUse
from crash_ext.kernel.stacks import (
    LiveStack,
    find_idle_stacks,
    for_each_live_stack,
    waiting_stacks,
)
from crash_ext.places.places import Places
from crash_ext.reader import Reader


class Stacks:
    """Live stacks by their addresses; their pages, and those of dead ones, count as such."""

    def __init__(self, reader: Reader, places: Places, use: PageUse) -> None:
        tasks, vmalloc = places.tasks, places.vmalloc
        size = tasks.stack_size
        pages = size // reader.page_size
        dead = places.dead_stacks
        stacks = [*for_each_live_stack(reader, tasks)]
        stacks += find_idle_stacks(reader, tasks, vmalloc, dead)
        self.live = sorted(stacks, key=lambda one: one.end)
        self._ends = [stack.end for stack in self.live]
        self.waiting = waiting_stacks(reader, dead)
        for start, kind in (
            *((stack.task.stack, pageuse.STACK) for stack in self.live),
            *((start, pageuse.DEAD_STACK) for start in dead),
        ):
            if vmalloc.areas.at(start) is None:
                # The first task's lies in the kernel's image.
                image = places.image
                shown = start + (image.shift or 0) if image.holds(start) else start
                use.put(shown, pages, kind)
                continue
            for page in vmalloc.pages(start, start + size):
                use.put_page(page, kind)

    def of(self, address: int) -> Optional[LiveStack]:
        at = bisect_right(self._ends, address)
        if at < len(self.live) and self.live[at].task.stack <= address:
            return self.live[at]
        return None
