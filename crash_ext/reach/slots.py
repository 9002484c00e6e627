# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own memory that is in use as a whole, with words in it that are not.

Each CPU's reserve of socket buffers is an array with a count (net/core/skbuff.c, struct
napi_alloc_cache): a buffer that left it years ago still has its address behind it. So have the
pages in which kfree_rcu() notes what to free. Each CPU has a stack for interrupts: the part that
isn't live keeps what former ones had there. And of alloc_percpu()'s memory some was given back.
Knows these by their names.
"""

from __future__ import annotations

from typing import Iterator, Tuple

from crash_ext.kernel.irqstacks import interrupt_stacks
from crash_ext.kernel.kfreercu import unused_notes
from crash_ext.kernel.percpualloc import for_each_free
from crash_ext.reader import Reader

_ARRAYS = (("napi_alloc_cache", "napi_alloc_cache", "skb_cache", "skb_count"),)
"""(per-CPU variable, structure, its array of pointers, their number)"""
_COUNT = 4


def for_each_unused(reader: Reader) -> Iterator[Tuple[int, int]]:
    """(start, bytes) of what is not in use, of each CPU, in the direct map."""
    yield from _slots(reader)
    yield from unused_notes(reader)
    yield from for_each_free(reader)
    for stack in interrupt_stacks(reader):
        if stack.dead and reader.virt_to_page(stack.start) is not None:
            yield stack.start, stack.dead


def _slots(reader: Reader) -> Iterator[Tuple[int, int]]:
    for variable, structure, slots, count in _ARRAYS:
        start, size = reader.symbol(variable), reader.struct_size(structure)
        at, number_at = reader.offset(structure, slots), reader.offset(structure, count)
        if start is None or at is None or number_at is None or not size:
            continue
        for cpu in reader.possible_cpus():
            own = reader.percpu(start, cpu)
            data = None if own is None else reader.try_read(own + number_at, _COUNT)
            if own is None or data is None or reader.virt_to_page(own) is None:
                continue
            used = at + int.from_bytes(data, reader.byteorder) * reader.word
            if used < size:
                yield own + used, size - used
