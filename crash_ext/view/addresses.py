# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of objects and nothing else, as fast as may be: `slabobjs -q`."""

from __future__ import annotations

import sys
from functools import partial
from typing import List

from crash_ext.hexa import hexa
from crash_ext.leak.select import Selection
from crash_ext.output import Output
from crash_ext.reader import Reader
from crash_ext.report.addresses import AddressLines
from crash_ext.view.choice import Choice
from crash_ext.view.slabs import Slabs

_TEXTS = 64
"""The addresses of this many slabs go out in one write."""


def show_addresses(
    reader: Reader, out: Output, selection: Selection, slabs: Slabs, choice: Choice
) -> None:
    """Write the address of each chosen object, a line each, with all digits of a pointer."""
    one, cache = selection.slab, selection.cache
    native, digits = reader.native, 2 * reader.word
    # The loops in C write 16 digits; 32-bit kernels are few and small.
    quick = native if digits == 16 else None
    size = cache.size
    text_of = partial(quick.lines, size) if quick else AddressLines(size, digits).text
    # No choice to be made in each of many slabs.
    everything = choice.everything
    firsts: List[int] = []
    states_of: List[bytes] = []
    looked_at = 0

    def write() -> None:
        text = text_of(firsts, states_of)
        # First: a Ctrl-C in between shall not show them twice.
        firsts.clear()
        states_of.clear()
        if everything:
            choice.shown += len(text) // (digits + 1)
        sys.stdout.write(text)

    try:
        for decoded in [one.objects] if one else slabs.each():
            _, first, _, states, problem, _, _, _, _ = decoded
            if problem is not None and not slabs.is_absent(decoded):
                write()
                out.error(f"slab {hexa(decoded.slab.address)}: {problem}", cache)
            if len(firsts) >= _TEXTS:
                write()
            if everything:
                firsts.append(first)
                states_of.append(states)
                continue
            if choice.on_node(decoded.slab.node):
                firsts.append(first)
                states_of.append(choice.objects(decoded))
            # Of a small cache all is looked at: what is left out is counted.
            looked_at += len(states) * size
            if choice.enough and slabs.is_large(looked_at):
                break
    finally:
        write()
