# SPDX-License-Identifier: GPL-3.0-or-later
"""What slabobjs shows of a cache before its slabs: the summary line of `kmem -s`."""

from __future__ import annotations

from typing import List

from crash_ext.hexa import hexa
from crash_ext.leak.family import Families, cgroup_text, children_text, count_child
from crash_ext.leak.select import Selection
from crash_ext.leak.state import Held, judge
from crash_ext.output import Output
from crash_ext.report.caches import CACHE_HEAD, cache_line
from crash_ext.report.text import counted, plural, printable, visible
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.session import Session
from crash_ext.view.caches import cache_fields
from crash_ext.view.tally import Tally


def show_summary(
    session: Session,
    out: Output,
    selection: Selection,
    families: Families,
    tally: Tally,
    lists_only: bool,
) -> None:
    """Write the cache's line, or its record; memcg children are judged with it."""
    cache = selection.cache
    problems: List[str] = []
    children = families.children(cache)
    within = [count_child(session, child, problems, lists_only) for child in children]
    state = judge(
        cache,
        Held(tally.slabs, tally.allocated, tally.unknown, tally.lacking).plus(within),
        slab_mutex_held(session.reader),
        families.root(cache),
        children_text(within),
        cgroup_text(session.reader, cache),
    )
    out.record(
        "cache",
        **cache_fields(cache, state),
        alias=selection.alias or None,
        slabs=tally.slabs,
        objects=tally.objects,
        allocated=tally.allocated,
        unknown=tally.unknown,
        root=hexa(cache.root) if cache.root else None,
    )
    for problem in problems:
        out.error(problem, cache)
    if selection.alias:
        out.sentences([f"{visible(selection.alias)} is merged into {printable(cache.name)}:"])
    out.text(
        CACHE_HEAD,
        cache_line(
            cache.address,
            cache.object_size,
            counted(tally.allocated, tally.more),
            counted(tally.objects, tally.lacking),
            counted(tally.slabs, tally.lacking),
            session.reader.page_size << cache.order,
            printable(cache.name),
        ),
    )
    for child, held in zip(children, within):
        out.text(
            f"  memcg child {hexa(child.address)} {printable(child.name)}:"
            f" {counted(held.allocated, held.more)} allocated in"
            f" {plural(held.slabs, 'slab', held.lacking)}{cgroup_text(session.reader, child)}"
        )
