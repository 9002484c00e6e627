# SPDX-License-Identifier: GPL-3.0-or-later
"""slablost: which allocated objects can nobody in the whole kernel reach any more?

Options, help page, and which parts to call. PyKdump and the loader find a registered
command by this file's name and run it as __main__.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, Iterator, List, Set, Tuple

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext.command import Call, Command, UsageError, run
from crash_ext.contents.words import Words
from crash_ext.hexa import hexa
from crash_ext.output import Output
from crash_ext.places.places import Places
from crash_ext.reach.reach import Reach
from crash_ext.report.jsonl import name_field
from crash_ext.report.table import LEFT, RIGHT, table_lines
from crash_ext.report.text import plural, printable, visible
from crash_ext.report.why import paragraph
from crash_ext.slub.model import Cache
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.view.groups import Grouping, show_together
from crash_ext.view.lost import (
    Lost,
    by_size,
    chosen_caches,
    find_lost,
    most_bytes_first,
    only_fitting,
)
from crash_ext.view.lostpage import Told, lost_lines
from crash_ext.view.source import Made
from crash_ext.why.case import Evidence
from crash_ext.why.chosen import Asked, Chosen, doubts, fit_counts
from crash_ext.why.owners import owners
from crash_ext.why.tell_owners import owner_evidence

_HEAD = ("CACHE", "OBJSIZE", "ALLOCATED", "LOST", "BYTES", "NAME")
_ALIGN = (LEFT, RIGHT, RIGHT, RIGHT, RIGHT, LEFT)


def main(call: Call) -> Dict[str, object]:
    """slablost [-jpqR] [-l COUNT] [-b BYTES] [-w FILTER] [-o FILE] [NAME|ADDRESS]..."""
    if "-q" in call.options and "-j" in call.options:
        raise UsageError("only one of -q and -j")
    out, page = call.out, call.page_file()
    asked = call.filter()
    limit, length = call.number("-l"), call.number("-b")
    named = [selection.cache for selection in call.selections()]
    if call.arguments and not named:
        return {"lost": 0, "allocated": 0, "caches": 0, "bytes": 0}
    if call.lists_only:
        out.limits.append("lists only (-p): full slabs that no list holds were not examined")
    places = Places(call.session, call.caches, call.lists_only)
    reach = call.reach(places)
    if reach.blind:
        out.error(reach.blind)
        return {"lost": 0, "allocated": reach.objects, "caches": 0, "bytes": 0}
    caches = chosen_caches(call.caches(), named)
    found = find_lost(call.session, places, reach, caches, call.lists_only)
    for text in _not_seen(call, reach, found):
        out.error(text)
    fits: Dict[str, int] = {}
    if asked is not None:
        found, fits = _only_fitting(call, Asked(places, asked), found)
    lost = [one for one in found if one.number]
    if "-q" in call.options:
        for one in lost:
            out.addresses(one.lost()[:limit])
        return {**_counts(lost, reach.objects), **fits}
    if lost:
        out.text(*table_lines(_HEAD, [_row(one) for one in lost], _ALIGN))
    words = Words(places)
    told: List[Told] = []
    # As records each cache stays by itself: who reads them can add.
    for together in [[one] for one in found] if out.json else by_size(found):
        for one in together if out.json else ():
            out.record("lost", **_fields(one))
        kinds = [
            (Grouping(out, one.cache, _bytes(call, one.cache), words, True, length, limit), one)
            for one in together
            if one.number
        ]
        told += _details(out, places, kinds)
        for one in together:
            if one.possibly:
                out.text(*_possibly(one))
            for problem in one.problems:
                out.error(problem, one.cache)
    if reach.heap.unknown:
        text = f"{plural(reach.heap.unknown, 'object')} of damaged slabs may hold what looks lost"
        out.limits.append(text)
    out.limits += reach.not_searched(any(one.number or one.possibly for one in found))
    closing = list(_closing(out, found, reach.objects, reach.summary.bytes, asked is not None))
    if asked is not None:
        many = plural(fits["of"], "object")
        closing.append(
            f"-w: {fits['fit']} of {many} lost or possibly lost fit {visible(asked.text)}"
        )
    out.sentences(closing)
    if page is not None:
        made = Made(call.source(), call.line)
        out.file(page, lost_lines(call.session, words, told, made, closing))
    return {**_counts(lost, reach.objects), **fits}


def _not_seen(call: Call, reach: Reach, found: List[Lost]) -> Iterator[str]:
    """Caches whose slabs were not all found, and that have no line of their own.

    What only their objects lead to looks lost.
    """
    quiet = "-q" in call.options
    told = set() if quiet else {one.cache.address for one in found}
    lacking = [
        (cache, texts[0])
        for cache, texts in (
            (reach.heap.caches[owner], texts) for owner, texts in reach.heap.problems.items()
        )
        if cache.address not in told and (call.session.lacks(cache) or quiet)
    ]
    if lacking:
        cache, text = lacking[0]
        yield (
            f"of {plural(len(lacking), 'cache')} not all was read, and what their objects lead to"
            f" may look lost: {hexa(cache.address)} {printable(cache.name)}: {text}"
        )


def _bytes(call: Call, cache: Cache) -> SlabBytes:
    return SlabBytes(call.session.reader, cache.size)


def _only_fitting(call: Call, asked: Asked, found: List[Lost]) -> Tuple[List[Lost], Dict[str, int]]:
    """What -w leaves of the caches, and the counts for the last record."""
    fitting = [Chosen(asked, one.cache) for one in found]
    found = most_bytes_first(map(only_fitting, found, fitting))
    for doubt in doubts(fitting):
        if "-q" in call.options:
            # Addresses alone would be taken for all that there are.
            call.out.error(doubt)
        else:
            call.out.limits.append(doubt)
    return found, fit_counts(fitting)


def _counts(lost: List[Lost], allocated: int) -> Dict[str, int]:
    return {
        "lost": sum(one.number for one in lost),
        "allocated": allocated,
        "caches": len(lost),
        "bytes": sum(one.bytes for one in lost),
    }


def _row(one: Lost) -> List[str]:
    cache = one.cache
    return [
        hexa(cache.address),
        str(cache.object_size),
        str(one.allocated),
        str(one.number),
        str(one.bytes),
        printable(cache.name),
    ]


def _fields(one: Lost) -> Dict[str, object]:
    return {
        "cache": hexa(one.cache.address),
        "name": name_field(one.cache.name),
        "object_size": one.cache.object_size,
        "size": one.cache.size,
        "allocated": one.allocated,
        "bytes": one.bytes,
        "definitely": [hexa(address) for address in one.definitely],
        "indirectly": [hexa(address) for address in one.indirectly],
        "possibly": [hexa(address) for address in sorted(one.possibly)],
        "possibly_why": [visible(why) for _, why in sorted(one.possibly.items())],
        "known": [hexa(address) for address in sorted(one.known)],
    }


def _details(out: Output, places: Places, together: List[Tuple[Grouping, Lost]]) -> List[Told]:
    """Show the groups, and who allocated them; gives the latter."""
    if not together:
        return []
    for _, one in together:
        out.sentences(_headline(one))
    if len(together) > 1:
        out.text(f"  {len(together)} kmalloc caches of one size, told together:")
    show_together([(what, one.slabs) for what, one in together])
    told: List[Told] = []
    said: Set[str] = set()
    for _, one in together:
        report = owners(places.session, one.cache, one.slabs, places.tasks.name_of)
        told.append(Told(one, list(owner_evidence(places, report))))
        for item in told[-1].owners:
            out.record("evidence", **_owner_fields(one, item))
            if item.text not in said:
                said.add(item.text)
                out.text(*paragraph(visible(item.text)))
    return told


def _headline(one: Lost) -> Iterator[str]:
    parts = [f"{len(one.definitely)} definitely lost"]
    if one.indirectly:
        parts.append(f"{len(one.indirectly)} indirectly (only lost objects lead to them)")
    if one.possibly:
        parts.append(f"{len(one.possibly)} possibly")
    yield f"{hexa(one.cache.address)} {printable(one.cache.name)}: {', '.join(parts)}"
    if one.definitely and one.indirectly:
        first = hexa(one.definitely[0])
        yield f"  look at {first} first: nothing leads to it, or only a ring it is in"


def _owner_fields(one: Lost, item: Evidence) -> Dict[str, object]:
    return {
        "cache": hexa(one.cache.address),
        "topic": item.topic,
        "address": hexa(item.address) if item.address else None,
        "text": item.text,
    }


def _possibly(one: Lost) -> Iterator[str]:
    address, why = next(iter(sorted(one.possibly.items())))
    number = plural(len(one.possibly), "object")
    yield f"{hexa(one.cache.address)} {printable(one.cache.name)}: {number} possibly lost"
    yield from paragraph(f"{hexa(address)}: {why}", 4)


def _closing(
    out: Output, found: List[Lost], allocated: int, searched: int, filtered: bool
) -> Iterator[str]:
    """What the whole comes to, a line each."""
    known = sum(len(one.known) for one in found)
    if known:
        reason = next(text for one in found for text in one.known.values())
        yield f"{plural(known, 'object')} left out: {reason}"
    counts = _counts([one for one in found if one.number], allocated)
    of = plural(allocated, "allocated object")
    if not allocated and out.problems:
        yield "no allocated object could be read"
    elif not counts["lost"]:
        rest = ", but not all could be read" if out.problems else ""
        fits = " and fits -w" if filtered else ""
        yield f"none of {of} is lost{fits}{rest}; {searched >> 20} MB in use searched"
    else:
        fits = " and fitting -w" if filtered else ""
        yield (
            f"{counts['lost']} of {of} lost{fits} in {plural(counts['caches'], 'cache')},"
            f" {counts['bytes']} bytes; {searched >> 20} MB in use searched"
        )
        yield "an index, a frame number or an encoded address may still keep what is lost"
    yield from (text for text in out.limits if text not in out.told)


COMMAND = Command(
    name="slablost",
    short="allocated objects that nothing in the kernel can reach",
    synopsis="[-jpqR] [-l COUNT] [-b BYTES] [-w FILTER] [-o FILE] [NAME|ADDRESS]...",
    options="jpqRl:b:o:w:",
    main=main,
    text="""\
  This command finds allocated objects, of all caches, that nothing in the
  kernel leads to any more: no variable, no page in use, no live stack, and no
  object that one of these leads to.  The caches with lost objects come first,
  most bytes first; then for each the lost objects as groups of like ones, the
  largest first, each with an example, its contents and what its words are, and
  who allocated them where that was noted.  The kmalloc caches of one size (for
  cgroups, for DMA, random copies) have their groups in common, for which of
  them a caller gets says little.

      NAME      the name of a cache, or a shell pattern (slab_*): all caches
                of that name are examined.  A name that reads as a hexadecimal
                number is written \\NAME.
      ADDRESS   the address of a kmem_cache, of a slab's page structure, or in
                an object: the cache it belongs to is examined.
      -q        addresses only: one a line, with all digits of a pointer, and
                nothing else, errors aside.
      -j        JSON lines: one record a line, addresses as hexadecimal strings;
                the last record says whether the output is complete.
                In scripts write them into a file ("> FILE"), not into a pipe.
      -l COUNT  at most COUNT groups of each cache; with -q, COUNT addresses.
      -b BYTES  dump BYTES bytes of each example, no farther than to the next
                object; default: the object size.
      -w FILTER only lost objects that fit FILTER: conditions with commas in
                between (func=NAME older=5m newer=2h pid=N cpu=N node=N
                OFFSET=VALUE), all of which must hold; "help slabobjs" explains
                them.  An object of which that can't be known is left out, and
                counted.
      -o FILE   write to FILE a page for the bug report, too: HTML with the
                slabs of lost objects, contents and allocations.  With -q or -j
                the addresses or records, instead of showing them.
      -p        walk the lists only, without the scan over all page structures.
      -R        search memory anew (it is searched once a session).
      -h        this page; --help, too.
      -V        the version; --version, too.

  An object is

      definitely lost  if nothing points to it;
      indirectly lost  if only lost objects lead to it: a tree is lost with its
                       root.  Of a ring the lowest address counts as definite.
      possibly lost    if only memory that may be old leads to it (the stack of
                       a running task), or if its physical address, or its page
                       and its offset, stands in memory that is in use; or if
                       it was allocated less than 0.1 s before the dump; or
                       if only such an object leads to it.

  Pointers with low bits set and pointers into the middle count.  Free objects,
  free pages, and the dead parts of stacks lead nowhere.  An object that is kept
  by a handle which is no pointer (an index, a frame number, an encoded or an
  unaligned address) looks lost.

EXAMPLES
  What is lost in the whole kernel?

    crash> slablost > lost

  The addresses of what kmalloc-64 has lost.

    crash> slablost -q kmalloc-64 > addresses""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
