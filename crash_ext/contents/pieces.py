# SPDX-License-Identifier: GPL-3.0-or-later
"""An object's explained words in the few kinds that a structure's declaration is compared with.

The seam between words.py, which knows memory, and types.py, which knows declarations.
"""

from __future__ import annotations

from typing import Iterable, List

from crash_ext.contents.types import DELETED, HLIST, LIST, NUMBER, POINTER, TEXT, TREE, ZERO, Piece
from crash_ext.contents.words import (
    ERROR,
    HLIST_LINKED,
    JIFFIES,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    OWN,
    RB_CLEAR,
    RB_LINKED,
    Word,
)
from crash_ext.contents.words import NUMBER as SMALL
from crash_ext.contents.words import POINTER as TO
from crash_ext.contents.words import TEXT as CHARACTERS
from crash_ext.contents.words import ZERO as NOTHING

_KINDS = {
    **dict.fromkeys((LIST_BROKEN, LIST_EMPTY, LIST_LINKED), LIST),
    LIST_DELETED: DELETED,
    HLIST_LINKED: HLIST,
    **dict.fromkeys((RB_CLEAR, RB_LINKED), TREE),
    **dict.fromkeys((OWN, TO), POINTER),
    **dict.fromkeys((ERROR, JIFFIES, SMALL), NUMBER),
    CHARACTERS: TEXT,
    NOTHING: ZERO,
}


def pieces(words: Iterable[Word]) -> List[Piece]:
    """An object's explained words, in the kinds that a declaration is compared with."""
    return [
        Piece(word.offset, word.size, _KINDS[word.kind])
        for word in words
        # An odd number ends an hlist_nulls list, and a count of references may be odd.
        if word.kind in _KINDS and not (word.kind == HLIST_LINKED and word.value & 1)
    ]
