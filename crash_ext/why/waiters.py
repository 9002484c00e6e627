# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that wait for a lock in an object, where the lock is no list's head.

By the DWARF of 7.3 mutex, rw_semaphore and semaphore have the address of their first waiter in
place of a list_head. A waiter lies on the stack of the task that sleeps: a list_head, then the
task. Before, the object's own list leads there (lists.py).
"""

from __future__ import annotations

from crash_ext.contents.words import Words
from crash_ext.hexa import hexa
from crash_ext.places.place import words_of
from crash_ext.why.case import Case
from crash_ext.why.lists import WAITED, Membership

_TASK = 2
"""Words before the task in struct mutex_waiter, rwsem_waiter and semaphore_waiter: a list_head."""


def find_waiters(explainer: Words, case: Case) -> None:
    """Of each object: the locks in it for which tasks wait."""
    if explainer.places.session.reader.offset("mutex", "first_waiter") is None:
        return
    for subject in case.subjects:
        for at, value in subject.values.items():
            if value >= explainer.lowest and _is_waiter(explainer, value):
                place = explainer.places.name(value)
                text = f"its own lock: a task waits with {hexa(value)}: {words_of(place)}"
                label = "" if place is None else place.text
                ring = Membership(WAITED, 1, [subject.address], value, text, label)
                subject.memberships.setdefault(at, ring)


def _is_waiter(explainer: Words, start: int) -> bool:
    """Whether a task sleeps as the waiter at an address, on its own stack."""
    word, memory = explainer.word, explainer.memory
    task = None if start % word else explainer.places.tasks.at(start)
    if task is None or task.address != memory.word(start + _TASK * word):
        return False
    following = memory.word(start)
    return bool(following) and memory.word((following or 0) + word) == start
