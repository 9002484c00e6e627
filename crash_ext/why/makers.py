# SPDX-License-Identifier: GPL-3.0-or-later
"""Which functions allocated a cache's objects, as far as the kernel has noted: for their type."""

from __future__ import annotations

from typing import Iterator

from crash_ext.contents.typehints import Function, function_at
from crash_ext.places.places import Places
from crash_ext.report.text import text_of
from crash_ext.why.owners import OwnerReport

_FRAMES = 3
"""So near to the allocation a function's result is what was allocated."""
_GROUPS = 5


def makers_of(places: Places, report: OwnerReport) -> Iterator[Function]:
    """The functions that allocated objects, by their stacks and lines of source."""
    for group in report.groups[:_GROUPS]:
        for address in dict.fromkeys((group.caller, *group.frames[:_FRAMES])):
            found = function_at(places, address)
            if found is not None:
                yield found
    for line in report.tags[:_GROUPS]:
        module = text_of(line.tag.module) if line.tag.module else ""
        yield Function(text_of(line.tag.function), module)
