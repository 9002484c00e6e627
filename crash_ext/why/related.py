# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has to do with a cache's objects, for their type: by the log, the owners, the words."""

from __future__ import annotations

from typing import Dict, Iterator, Optional, Sequence

from crash_ext.contents.typehints import Function, Related, function_at, pointed_modules
from crash_ext.contents.words import Word
from crash_ext.places.places import Places
from crash_ext.report.text import text_of
from crash_ext.slub.model import Cache
from crash_ext.why.owners import OwnerReport

_FRAMES = 3
"""So near to the allocation a function's result is what was allocated."""
_GROUPS = 5


def related(
    places: Places,
    cache: Cache,
    destroyer: Optional[str],
    report: OwnerReport,
    samples: Sequence[Sequence[Word]],
) -> Related:
    """Who has to do with a cache. destroyer: the module whose destroy of it failed."""
    makers = list(dict.fromkeys(_makers(places, report)))
    owners: Dict[str, str] = {}
    if destroyer is not None:
        owners[destroyer] = "which called the destroy in the log"
    ctor = function_at(places, cache.ctor) if cache.ctor else None
    if ctor is not None and ctor.module:
        owners.setdefault(ctor.module, "which has the cache's constructor")
    for maker in makers:
        if maker.module:
            owners.setdefault(maker.module, "which allocated objects")
    pointed = {
        module: "which the objects point into"
        for module in pointed_modules(samples)
        if module not in owners
    }
    return Related(makers, owners, pointed)


def _makers(places: Places, report: OwnerReport) -> Iterator[Function]:
    for group in report.groups[:_GROUPS]:
        for address in dict.fromkeys((group.caller, *group.frames[:_FRAMES])):
            found = function_at(places, address)
            if found is not None:
                yield found
    for line in report.tags[:_GROUPS]:
        module = text_of(line.tag.module) if line.tag.module else ""
        yield Function(text_of(line.tag.function), module)
