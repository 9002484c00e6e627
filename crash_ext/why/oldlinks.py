# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that nobody cleared when what they linked was over: they lead nowhere any more.

The next pointer of an RCU callback that has run; the pointers of a list head whose list was
taken over by another head (list_splice() without _init), once the objects are on no list.
"""

from __future__ import annotations

from typing import Callable, Collection, Optional

from crash_ext.reader import Reader

OLD_HEAD = "the head of a list that they were on"
"""Why the pointers of such a head may be old."""


def is_old_rcu(reader: Reader, at: int, is_code: Callable[[int], bool]) -> bool:
    """Whether the pointer at an address links one rcu_head to the next.

    Two words, the second a function, and the same where it points. Among objects that nothing
    leads to it is old: RCU's own lists lead to all that wait. is_code: of an address.
    """
    function, following = (_word(reader, at + reader.word), _word(reader, at))
    if not function or not following or not is_code(function):
        return False
    return is_code(_word(reader, following + reader.word) or 0)


def is_old_head(reader: Reader, at: int, nodes: Collection[int]) -> bool:
    """Whether the pointer at an address is one of two of a list_head that heads nothing.

    nodes: list_heads, or hlist_nodes, that say themselves that they are on no list. Both
    words lead to such, and the words around them don't: an array has more.
    """
    word = reader.word
    near = [_word(reader, at + shift * word) in nodes for shift in (-2, -1, 0, 1, 2)]
    return near in ([False, True, True, False, near[4]], [near[0], False, True, True, False])


def _word(reader: Reader, address: int) -> Optional[int]:
    data = reader.try_read(address, reader.word)
    return None if data is None else int.from_bytes(data, reader.byteorder)
