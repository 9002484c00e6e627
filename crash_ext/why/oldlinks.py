# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that nobody cleared when what they linked was over: they lead nowhere any more.

The next pointer of an RCU callback that has run; the pointers of a list head whose list was
taken over by another head (list_splice() without _init), once the objects are on no list.
"""

from __future__ import annotations

from typing import Collection

from crash_ext.kernel.pages import Memory

OLD_HEAD = "the head of a list that they were on"
"""Why the pointers of such a head may be old."""


def is_old_rcu(memory: Memory, at: int, word: int) -> bool:
    """Whether the pointer at an address may link an rcu_head to the next, both of which are done.

    Before a callback runs RCU clears its function, and leaves its next (kernel/rcu/tree.c,
    rcu_do_batch()). So does many another pair of words look: ask only where that fits.
    """
    following = memory.word(at)
    if following is None or memory.word(at + word) != 0:
        return False
    return memory.word(following + word) == 0


def is_old_head(memory: Memory, at: int, word: int, nodes: Collection[int]) -> bool:
    """Whether the pointer at an address is one of two of a list_head that heads nothing.

    nodes: list_heads that say themselves that they are on no list. Both words lead to such,
    and the words around them don't: an array has more.
    """
    if memory.word(at) not in nodes:
        return False
    before, behind = (memory.word(at - word) in nodes, memory.word(at + word) in nodes)
    if before == behind:
        return False
    outer = (at - 2 * word, at + word) if before else (at - word, at + 2 * word)
    return not any(memory.word(each) in nodes for each in outer)
