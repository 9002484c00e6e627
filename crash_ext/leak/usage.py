# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the memory went: the slabs of all caches, held against the kernel's own counters.

Knows sums. A difference is shown, never explained away: pages of large kmallocs count as
unreclaimable, and only newer kernels mark them.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple, Optional, Tuple

from crash_ext.kernel.largekmalloc import large_kmalloc_bytes
from crash_ext.kernel.vmstat import (
    RECLAIMABLE,
    UNRECLAIMABLE,
    Counter,
    memory_size,
    slab_counter,
)
from crash_ext.leak.survey import Survey
from crash_ext.slub.allocator import Slub


class Sum(NamedTuple):
    """Slabs of one kind."""

    kind: str
    """reclaimable or unreclaimable"""
    bytes: int
    """As the caches' slabs were counted, without KFENCE's pool."""
    large: Optional[int]
    """Large kmallocs, which the kernel counts with them; None where unknown."""
    counter: Optional[Counter]
    """The kernel's own count; None where it can't be read."""

    @property
    def missing(self) -> Optional[int]:
        """Bytes that the kernel counts and that weren't found; below 0: the other way round."""
        if self.counter is None:
            return None
        return self.counter.bytes - self.bytes - (self.large or 0)


class Usage(NamedTuple):
    """The memory in all slabs of a kernel. Bytes."""

    memory: Optional[int]
    """What the kernel manages; None where it can't be read."""
    slabs: int
    """In all slabs, KFENCE's pool included."""
    kfence: int
    """Of these in KFENCE's pool, which the kernel doesn't count."""
    sums: Tuple[Sum, Sum]
    """Reclaimable and unreclaimable."""


def usage_of(slub: Slub, surveys: Iterable[Survey]) -> Usage:
    """The sums of some caches' surveys: each cache once, a memcg child by itself."""
    reader = slub.reader
    by_kind = [0, 0]
    kfence = 0
    for survey in surveys:
        by_kind[not reclaimable(slub, survey)] += survey.bytes - survey.kfence
        kfence += survey.kfence
    large = large_kmalloc_bytes(reader)
    return Usage(
        memory=memory_size(reader),
        slabs=sum(by_kind) + kfence,
        kfence=kfence,
        sums=(
            Sum("reclaimable", by_kind[0], 0, slab_counter(reader, RECLAIMABLE)),
            Sum("unreclaimable", by_kind[1], large, slab_counter(reader, UNRECLAIMABLE)),
        ),
    )


def reclaimable(slub: Slub, survey: Survey) -> bool:
    """Whether the cache's slabs count as memory that a shrinker can give back."""
    return bool(survey.cache.flags & slub.layout.flags.mask("RECLAIM_ACCOUNT"))


def accounted(slub: Slub, survey: Survey) -> bool:
    """Whether all of the cache's objects are charged to a memcg."""
    return bool(survey.cache.flags & slub.layout.flags.mask("ACCOUNT"))
