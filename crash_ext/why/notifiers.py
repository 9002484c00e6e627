# SPDX-License-Identifier: GPL-3.0-or-later
"""Which notifier chain a struct notifier_block is in, by what has the chain's head.

A function, a next and a priority are three words as others: another notifier has to be before
or behind it. Others have a function and a next, too: struct ftrace_ops.
"""

from __future__ import annotations

import re
from typing import Optional

from crash_ext.contents.callbacks import Callbacks
from crash_ext.kernel.memory import try_number
from crash_ext.places.place import SYMBOL, words_of
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks

_NAMES = re.compile("chain|notif")
"""In the names of the kernel's own heads of notifier chains."""
_MOST = 64
"""Notifiers of a chain at most."""


class Notifiers:
    """Names the chains of one kernel."""

    def __init__(self, places: Places, callbacks: Callbacks, blocks: Blocks) -> None:
        self._places = places
        self._callbacks = callbacks
        self._blocks = blocks
        self._reader = places.session.reader

    def chain_of(self, node: int, before: int, root: int) -> str:
        """ "in a notifier chain, for FUNCTION: NAME has its head"; "" for another structure.

        node: where the struct notifier_block would be; before: address of the pointer to it;
        root: address of the pointer with which the way to it begins.
        """
        next_at = self._reader.offset("notifier_block", "next")
        call_at = self._reader.offset("notifier_block", "notifier_call")
        if next_at is None or call_at is None:
            return ""
        following = self._number(node + next_at)
        above = self._function(self._places.own_address(before) - next_at + call_at)
        behind = self._function(following + call_at) if following else None
        function = self._function(node + call_at)
        if function is None and above and behind:
            # The module that had it was unloaded.
            function = self._callbacks.gone(self._number(node + call_at) or 0, True)
        if function is None or not (above or behind):
            return ""
        what = f"in a notifier chain or the like, for {function}"
        holder = self._places.own_address(root)
        for _ in range(_MOST):
            if self._function(holder - next_at + call_at) is None:
                place = self._places.name(holder)
                if place is not None and place.kind == SYMBOL and _NAMES.search(place.label):
                    what = f"in a notifier chain, for {function}"
                return f"{what}: {words_of(place)} has its head"
            # A notifier before it in the chain.
            found = self._blocks.variables_with(holder - next_at)
            if not found:
                break
            holder = found[0]
        return what

    def _number(self, at: int) -> Optional[int]:
        return try_number(self._reader, at, self._reader.word)

    def _function(self, at: int) -> Optional[str]:
        value = self._number(at)
        return None if not value else self._callbacks.function(value)
