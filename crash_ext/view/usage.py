# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the memory went, as a table of all caches, and how it agrees with the kernel."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence

from crash_ext.hexa import hexa
from crash_ext.leak.survey import Survey
from crash_ext.leak.usage import Sum, Usage, accounted, reclaimable
from crash_ext.report.table import LEFT, RIGHT, table_lines
from crash_ext.report.text import counted, printable
from crash_ext.slub.allocator import Slub

_HEAD = ("CACHE", "OBJSIZE", "ALLOCATED", "TOTAL", "BYTES", "MEM%", "FLAGS", "STATE", "NAME")
_ALIGN = (LEFT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, LEFT, LEFT, LEFT)


def usage_table(slub: Slub, usage: Usage, surveys: Sequence[Survey]) -> List[str]:
    """A line for each cache, in their order."""
    rows = [_row(slub, usage, survey) for survey in surveys]
    return table_lines(_HEAD, rows, _ALIGN)


def usage_lines(usage: Usage) -> Iterator[str]:
    """The sums in words."""
    share = percent(usage.slabs, usage.memory)
    of = f": {share}% of {usage.memory} bytes of memory" if usage.memory else ""
    yield f"{usage.slabs} bytes in slabs{of}"
    for one in usage.sums:
        yield from _agreement(one)
    if usage.kfence:
        yield f"{usage.kfence} bytes more are KFENCE's, which the kernel doesn't count"


def usage_fields(usage: Usage) -> Dict[str, object]:
    """The same for a JSON record."""
    fields: Dict[str, object] = {
        "memory": usage.memory,
        "bytes": usage.slabs,
        "kfence": usage.kfence,
    }
    for one in usage.sums:
        fields[one.kind] = {
            "bytes": one.bytes,
            "large_kmalloc": one.large,
            "counter": one.counter.name if one.counter else None,
            "counted": one.counter.bytes if one.counter else None,
            "missing": one.missing,
        }
    return fields


def percent(part: int, whole: Optional[int]) -> str:
    """A share with one decimal; "-" where the whole isn't known."""
    return f"{100 * part / whole:.1f}" if whole else "-"


def _row(slub: Slub, usage: Usage, survey: Survey) -> List[str]:
    cache = survey.cache
    flags = "R" * reclaimable(slub, survey) + "A" * accounted(slub, survey)
    return [
        hexa(cache.address),
        str(cache.object_size),
        counted(survey.whole_allocated, survey.more_allocated),
        counted(survey.whole_objects, survey.more_slabs),
        counted(survey.whole_bytes, survey.more_slabs),
        percent(survey.whole_bytes, usage.memory),
        flags or "-",
        survey.state.kind,
        printable(cache.name),
    ]


def _agreement(one: Sum) -> Iterator[str]:
    found = f"{one.bytes} bytes {one.kind}"
    if one.large:
        found += f" and {one.large} in large kmallocs"
    if one.counter is None or one.missing is None:
        yield f"{found}; the kernel's own count can't be read"
        return
    name = one.counter.name
    if not one.counter.whole:
        name += ", without the CPUs' parts of it"
    if not one.missing:
        yield f"{found}, as the kernel counts"
        yield f"  ({name})"
        return
    yield f"{found}; the kernel counts {one.counter.bytes}"
    difference = f"{abs(one.missing)} {'more' if one.missing > 0 else 'less'}"
    # Nothing marks them before the 6.18 tree.
    large = one.large is None and one.missing > 0
    yield f"  ({name}): {difference}{', large kmallocs among them' if large else ''}"
