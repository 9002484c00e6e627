# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that nobody cleared when what they linked was over: they lead nowhere any more.

The next pointer of an RCU callback that has run; the pointers of a list head whose list was
taken over by another head (list_splice() without _init), once the objects are on no list; those
of a node that was taken out of its tree or list, or replaced there.
"""

from __future__ import annotations

from typing import Collection, Optional

from crash_ext.contents.words import HLIST_LINKED, LIST_LINKED, RB_LINKED
from crash_ext.kernel.pages import Memory

OLD_HEAD = "perhaps the head of a list that they were on, or else a table of two"
"""Why the pointers of what looks like such a head may be old."""


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


NODE_WORDS = {LIST_LINKED: 2, HLIST_LINKED: 2, RB_LINKED: 3}
"""Words of a node."""


def is_old_node(memory: Memory, kind: str, node: int, at: int, word: int) -> bool:
    """Whether the pointer at an address is of a node that isn't where it leads to any more.

    node: address of the struct of that kind that has it. rb_erase(), list_replace() and the
    _rcu forms leave a node's own pointers; of a tree or list nodes lead back to each other.
    """
    value = memory.word(at)
    if not value:
        return False
    first = at == node
    back: Collection[Optional[int]]
    if kind == RB_LINKED and first:
        parent = value & ~3
        back = (memory.word(parent + word), memory.word(parent + 2 * word))
    elif kind == RB_LINKED:
        parent = memory.word(value) or 0
        back = (parent & ~3,)
    else:
        back = (memory.word(value + word if first else value),)
    return node not in back
