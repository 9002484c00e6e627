# SPDX-License-Identifier: GPL-3.0-or-later
"""slabdup: which caches share a name or were left behind by a failed destroy?

Options, help page, and which parts to call. PyKdump and the loader find a registered
command by this file's name and run it as __main__.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, List, Sequence

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext.command import Call, Command, UsageError, run
from crash_ext.hexa import hexa
from crash_ext.leak.compare import Value, compare_caches
from crash_ext.leak.duplicates import Group, Totals, every_group, find_groups, total
from crash_ext.leak.family import Families
from crash_ext.leak.state import LIVE
from crash_ext.leak.survey import Survey, survey_family
from crash_ext.leak.usage import accounted, reclaimable, usage_of
from crash_ext.report.caches import kilobytes
from crash_ext.report.table import LEFT, RIGHT, side_by_side, table_lines
from crash_ext.report.text import counted, plural, printable, visible
from crash_ext.slub.model import Cache
from crash_ext.view.caches import cache_fields
from crash_ext.view.usage import usage_fields, usage_lines, usage_table

_HEAD = ("CACHE", "OBJSIZE", "ALLOCATED", "TOTAL", "SLABS", "SSIZE", "REFS", "STATE", "NAME")
_ALIGN = (LEFT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, LEFT, LEFT)


def main(call: Call) -> Dict[str, object]:
    """slabdup [-ajpR] [-o FILE] [NAME|ADDRESS]..."""
    if "-o" in call.options and "-j" not in call.options:
        raise UsageError("-o goes with -j")
    if "-a" in call.options and call.arguments:
        raise UsageError("-a takes no NAME or ADDRESS")
    if call.lists_only:
        call.out.limits.append("lists only (-p): full slabs that no list holds are not counted")
    if call.arguments:
        return _compare(call)
    return _list(call)


def _list(call: Call) -> Dict[str, object]:
    caches = call.caches()
    if "-a" in call.options:
        return _list_all(call, caches)
    groups = list(find_groups(call.session, caches, call.lists_only))
    members = _members(groups)
    if members:
        page = call.session.reader.page_size
        call.out.text(*table_lines(_HEAD, [_row(member, page) for member in members], _ALIGN))
    _details(call, members)
    return _close(call, groups, len(caches))


def _list_all(call: Call, caches: List[Cache]) -> Dict[str, object]:
    groups = list(every_group(call.session, caches, call.lists_only))
    members = _members(groups)
    members.sort(key=lambda member: (-member.whole_bytes, member.cache.address))
    usage = usage_of(call.session, members)
    if members:
        call.out.text(*usage_table(call.session, usage, members))
    _details(call, members)
    call.out.record("usage", **usage_fields(usage))
    call.out.lines(usage_lines(usage))
    return _close(call, groups, len(caches))


def _members(groups: Sequence[Group]) -> List[Survey]:
    """The caches of some groups, each followed by its memcg children."""
    return [each for group in groups for root in group.members for each in (root, *root.children)]


def _close(call: Call, groups: Sequence[Group], caches: int) -> Dict[str, object]:
    sums = total(groups)
    out = call.out
    whole = not (out.problems or call.session.has_problems)
    out.sentences([_closing(sums, caches, whole), *out.limits])
    fields = sums._asdict()
    # What may be missing is in the records of type problem.
    del fields["more_objects"], fields["more_slabs"]
    return {"caches": caches, **fields}


def _compare(call: Call) -> Dict[str, object]:
    caches = {selection.cache.address: selection.cache for selection in call.selections()}
    families = Families(call.caches())
    surveys = [
        survey_family(call.session, cache, families, call.lists_only) for cache in caches.values()
    ]
    if not surveys:
        return {"caches": 0}
    names = [printable(survey.cache.name) for survey in surveys]
    heads = [hexa(survey.cache.address) for survey in surveys]
    lines = [["*" if len(set(names)) > 1 else "", "name", *names]]
    for row in compare_caches(call.session, surveys):
        shown = [_shown(value) + "+" * more for value, more in zip(row.values, row.more)]
        lines.append(["*" if row.differs else "", row.field, *shown])
        call.out.record(
            "field", field=row.field, values=dict(zip(heads, row.values)), differs=row.differs
        )
    call.out.text(*side_by_side(["", "CACHE", *heads], lines, fixed=2))
    call.out.sentences(call.out.limits)
    _details(call, surveys)
    return {"caches": len(surveys)}


def _details(call: Call, surveys: Sequence[Survey]) -> None:
    """What doesn't fit the table: reasons and problems, or the whole as records."""
    for survey in surveys:
        cache = survey.cache
        call.out.record(
            "cache",
            **cache_fields(cache, survey.state),
            order=cache.order,
            refcount=cache.refcount,
            slabs=survey.slabs,
            objects=survey.objects,
            allocated=survey.allocated,
            free=survey.free,
            pending=survey.pending,
            unknown=survey.unknown,
            bytes=survey.bytes,
            kfence=survey.kfence,
            reclaimable=reclaimable(call.session, survey),
            accounted=accounted(call.session, survey),
            root=hexa(cache.root) if cache.root else None,
        )
        if survey.state.kind != LIVE or survey.children:
            where = f"{hexa(cache.address)} {printable(cache.name)}"
            call.out.sentences([f"{where}: {survey.state.kind}: {survey.state.reason}"])
        for problem in survey.problems:
            call.out.error(problem, cache)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Aliases and the names of modules' symbols come out of the dump.
    return "-" if value is None else visible(str(value))


def _row(survey: Survey, page_size: int) -> List[str]:
    cache = survey.cache
    return [
        hexa(cache.address),
        str(cache.object_size),
        counted(survey.whole_allocated, survey.more_allocated),
        counted(survey.whole_objects, survey.more_slabs),
        counted(survey.whole_slabs, survey.more_slabs),
        kilobytes(page_size << cache.order),
        str(cache.refcount),
        survey.state.kind,
        printable(cache.name),
    ]


def _closing(sums: Totals, caches: int, whole: bool) -> str:
    """whole: nothing was wrong, so that what isn't found isn't there."""
    if not sums.groups and not sums.leftovers:
        if not caches and not whole:
            return "no cache could be read"
        known = plural(caches, "cache") if whole else f"the {plural(caches, 'cache')} found"
        rest = "" if whole else ", but not all could be read"
        return f"no two of {known} share a name, and none is a leftover{rest}"
    return (
        f"{plural(sums.groups, 'name')} with several caches, {plural(sums.leftovers, 'leftover')}"
        f": {plural(sums.objects, 'object', sums.more_objects)}"
        f" in {plural(sums.slabs, 'slab', sums.more_slabs)}"
        f" ({counted(sums.bytes, sums.more_slabs)} bytes)"
    )


COMMAND = Command(
    name="slabdup",
    short="slab caches that share a name, and leftovers of a failed destroy",
    synopsis="[-ajpR] [-o FILE] [NAME|ADDRESS]...",
    options="ajpRo:",
    main=main,
    text="""\
  This command finds slab caches that have the same name, and caches that were
  left behind because kmem_cache_destroy() found objects in them.  Without
  arguments it lists every group of caches with one name and every leftover,
  newest first, and counts what the leftovers hold.  Two live caches of one
  name are listed, too; the STATE column tells them from leftovers:

      live      on slab_caches, with references.
      leftover  kmem_cache_destroy() has dropped the last reference, but the
                cache still holds objects.  From Linux 6.12 on such a cache is
                on no list; it is found among the objects of the cache
                "kmem_cache" and by the slab pages that name it.
      unknown   the evidence doesn't decide; a line below the table says why.

  With arguments the caches are compared field by field, and a field that
  differs is marked with an asterisk.  Caches that don't fit beside the others
  are in a table below.

      NAME     the name of a cache, or a shell pattern (slab_*): all caches
               of that name are selected.  A name that reads as a hexadecimal
               number is written \\NAME.
      ADDRESS  the address of a kmem_cache, of a slab's page structure, or in
               an object: the cache it belongs to is selected.
      -a       all caches, those with most memory in slabs first: where did the
               memory go?  MEM% is the share of all memory that the kernel
               manages; FLAGS are R (reclaimable: a shrinker can give it back)
               and A (accounted: charged to memcgs).  The sums are held against
               the kernel's own counters, NR_SLAB_RECLAIMABLE_B and
               NR_SLAB_UNRECLAIMABLE_B (or their older names), what CPUs have
               not yet added included, and shows a difference.  The second
               counts kmallocs beyond the largest cache, too; they are no
               slabs, and are known only from Linux 6.18 on.
      -j       JSON lines: one record a line, addresses as hexadecimal strings;
               the last record says whether the output is complete.
               In scripts write them into a file ("> FILE"), not into a pipe.
      -o FILE  with -j: write to FILE, in place of a redirection, to which a
               program of PyKdump's may add lines of its own.
      -p       walk the lists only, without the scan over all page structures:
               full slabs that no list holds are not counted.
      -R       scan the page structures anew (they are scanned once a session).
      -h       this page; --help, too.
      -V       the version; --version, too.

  A leftover may be missing: up to Linux 6.11 a mergeable leftover can be taken
  over by the next kmem_cache_create() of a compatible cache.  Then there is one
  cache with a reference, and leaked and live objects lie side by side in it.

EXAMPLES
  Which caches were left behind?  (The table is wider than this page.)

    crash> slabdup
    CACHE             OBJSIZE  ALLOCATED  TOTAL  SLABS   ..  STATE     NAME
    ffff8b47c22edf00       84        543    704     22   ..  live      slab_test
    ffff8b47c22edd00       84          5    160      5   ..  leftover  slab_test
    ffff8b47c22edd00 slab_test: leftover: on slab_caches, refcount 0, 5
      allocated objects in 5 slabs
    1 name with several caches, 1 leftover: 5 objects in 5 slabs (20480 bytes)

  How does the leftover differ from its living twin?

    crash> slabdup slab_test
       CACHE                 ffff8b47c22edf00  ffff8b47c22edd00
       name                  slab_test         slab_test
    *  state                 live              leftover
       on slab_caches        yes               yes
    *  refcount              1                 0
       object_size           84                84
       size                  128               128
       align                 64                64
       inuse                 88                88
       offset                88                88
       red_left_pad          0                 0
       flags                 40002000          40002000
       HWCACHE_ALIGN         yes               yes
       __CMPXCHG_DOUBLE      yes               yes
       ctor                  slabtest_ctor     slabtest_ctor
       order                 0                 0
       objects per slab      32                32
    *  slabs                 22                5
    *  objects               704               160
    *  allocated             543               5
    *  node 0 partial slabs  8                 5
    *  node 0 slabs          22                5
    *  node 0 objects        704               160
    *  node 0 allocated      543               5
    ffff8b47c22edd00 slab_test: leftover: on slab_caches, refcount 0, 5
      allocated objects in 5 slabs""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
