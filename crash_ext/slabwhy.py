# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy: why are the objects of a leftover cache still there?

Options, help page, and which parts to call. PyKdump and the loader find a registered
command by this file's name and run it as __main__.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, Iterator, List

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext.command import Call, Command, run
from crash_ext.hexa import hexa
from crash_ext.output import Output
from crash_ext.report.caches import CACHE_HEAD, cache_line
from crash_ext.report.table import LEFT, RIGHT, table_lines
from crash_ext.report.text import counted, plural, printable, visible
from crash_ext.report.why import (
    CAUSE_HEAD,
    EVIDENCE_HEAD,
    cause_line,
    evidence_lines,
    paragraph,
)
from crash_ext.slub.model import Cache
from crash_ext.view.caches import cache_fields
from crash_ext.view.page import lines
from crash_ext.view.source import Made
from crash_ext.why.chosen import doubts, fit_counts
from crash_ext.why.diagnose import Diagnoser, Diagnosis
from crash_ext.why.rules import RULES

_SUMMARY = ("CACHE", "OBJECTS", "STATE", "CAUSE", "STRENGTH", "DESTROYED BY", "NAME")
_ALIGN = (LEFT, RIGHT, *[LEFT] * 5)


def main(call: Call) -> Dict[str, object]:
    """slabwhy [-j] [-FpTR] [-L FILE] [-w FILTER] [-o FILE] [NAME|ADDRESS]..."""
    out = call.out
    page = call.page_file()
    if call.lists_only:
        out.limits.append("lists only (-p): full slabs that no list holds are not examined")
    if "-F" in call.options:
        out.limits.append("fast (-F): memory was not searched for pointers")
    asked = call.filter()
    diagnoser = Diagnoser(
        call.session,
        call.caches(),
        call.lists_only,
        "-T" in call.options,
        None if "-F" in call.options else call.reach,
        call.text_file("-L"),
        asked,
    )
    chosen = _chosen(call, diagnoser)
    if not chosen and not call.arguments:
        out.sentences([_none(len(call.caches()), out.problems)])
    findings = 0
    told = []
    diagnoses = diagnoser.diagnose(chosen)
    if len(chosen) > 1 and not out.json:
        # All are known before the first is told: they shared the search.
        kept = list(diagnoses)
        out.text(*_summary(kept))
        diagnoses = iter(kept)
    for diagnosis in diagnoses:
        findings += len(diagnosis.findings)
        _show(call, diagnosis)
        if page is not None:
            told.append(diagnosis)
    out.limits.extend(doubts(diagnoser.fitting))
    out.sentences(out.limits)
    fits = {} if asked is None else fit_counts(diagnoser.fitting)
    if asked is not None:
        many = plural(fits["of"], "allocated object")
        out.sentences([f"-w: {fits['fit']} of {many} fit {visible(asked.text)}"])
    if diagnoser.blind:
        out.error(diagnoser.blind)
    if page is not None:
        out.file(page, lines(diagnoser, told, Made(call.source(), call.line), out.limits))
    return {"caches": len(chosen), "findings": findings, **fits}


def _none(caches: int, problems: int) -> str:
    """What is said where no leftover was found: nothing of what couldn't be read."""
    if not problems:
        return f"none of {plural(caches, 'cache')} is a leftover"
    if not caches:
        return "no cache could be read"
    return f"none of the {plural(caches, 'cache')} found is a leftover, but not all could be read"


def _chosen(call: Call, diagnoser: Diagnoser) -> List[Cache]:
    """The caches that are named, or every one that was left behind.

    What a memcg child holds is seen with its root where that one is among them.
    """
    if call.arguments:
        named = {selection.cache.address: selection.cache for selection in call.selections()}
        return [cache for cache in named.values() if cache.root not in named]
    return [*diagnoser.leftovers(), *diagnoser.reported()]


def _show(call: Call, diagnosis: Diagnosis) -> None:
    case = diagnosis.case
    cache = case.cache
    call.out.record(
        "cache",
        **cache_fields(cache, diagnosis.state),
        slabs=len(diagnosis.slabs),
        objects=sum(len(decoded.states) for decoded in diagnosis.slabs),
        allocated=diagnosis.allocated,
        unknown=diagnosis.unknown,
    )
    _records(call.out, diagnosis)
    call.out.lines(_text(diagnosis, call.session.reader.page_size))
    for problem in diagnosis.problems:
        call.out.error(problem, cache)


def _summary(diagnoses: List[Diagnosis]) -> List[str]:
    """One line a cache, before the details."""
    rows: List[List[str]] = []
    for item in diagnoses:
        main = max(item.findings, key=lambda found: found.number, default=None)
        more = len(item.findings) - 1
        cause = "" if main is None else main.cause + (f" +{more}" if more else "")
        strength = "" if main is None else main.strength
        rows.append(
            [
                hexa(item.case.cache.address),
                str(item.allocated),
                item.state.kind,
                cause or "-",
                strength or "-",
                visible(item.destroyed_by) or "-",
                printable(item.case.cache.name),
            ]
        )
    return [*table_lines(_SUMMARY, rows, _ALIGN), ""]


def _records(out: Output, diagnosis: Diagnosis) -> None:
    address = hexa(diagnosis.case.cache.address)
    for item in diagnosis.evidence:
        where = hexa(item.address) if item.address else None
        out.record("evidence", cache=address, topic=item.topic, address=where, text=item.text)
    for finding in diagnosis.findings:
        out.record(
            "finding",
            cache=address,
            cause=finding.cause,
            strength=finding.strength,
            objects=[hexa(found) for found in finding.objects],
            gone=finding.gone,
            text=finding.sentence,
        )
    out.record(
        "conclusion",
        cache=address,
        module=diagnosis.module,
        text=" ".join(diagnosis.conclusion),
    )


def _text(diagnosis: Diagnosis, page_size: int) -> Iterator[str]:
    cache = diagnosis.case.cache
    yield CACHE_HEAD
    yield cache_line(
        cache.address,
        cache.object_size,
        counted(diagnosis.allocated, diagnosis.lacking or diagnosis.unknown > 0),
        counted(sum(len(decoded.states) for decoded in diagnosis.slabs), diagnosis.lacking),
        counted(len(diagnosis.slabs), diagnosis.lacking),
        page_size << cache.order,
        printable(cache.name),
    )
    yield EVIDENCE_HEAD
    for item in diagnosis.evidence:
        yield from evidence_lines(item.topic, item.address, visible(item.text))
    if diagnosis.findings:
        yield CAUSE_HEAD
    for finding in diagnosis.findings:
        example = finding.objects[0] if finding.objects else None
        yield cause_line(finding.cause, finding.number, finding.strength, example)
    yield "  CONCLUSION"
    for text in diagnosis.conclusion:
        yield from paragraph(visible(text))


_CAUSES = "".join(f"      {rule.cause:<16}  {rule.help}.\n" for rule in RULES)
"""The list of causes of the help page."""

COMMAND = Command(
    name="slabwhy",
    short="why objects of a slab cache are still allocated",
    synopsis="[-j] [-FpTR] [-L FILE] [-w FILTER] [-o FILE] [NAME|ADDRESS]...",
    options="jFpTRL:o:w:",
    main=main,
    text="""\
  This command says why objects of slab caches are still allocated.  Without
  arguments it looks at every leftover of a failed kmem_cache_destroy(), and at
  caches that such a leftover was merged into.  The evidence comes first, a line
  a statement with the address that it rests on, then the causes with how many
  objects each explains, and last the conclusion.

      NAME     the name of a cache, or a shell pattern (slab_*): all caches
               of that name are examined.  A name that reads as a hexadecimal
               number is written \\NAME.
      ADDRESS  the address of a kmem_cache, of a slab's page structure, or in
               an object: the cache it belongs to is examined.
      -F       fast: without the search of all memory for pointers to the
               objects.  Causes that rest on it are not found.
      -T       look for structures of the objects' size among all types (takes
               some seconds where the kernel has no BTF); else only those with
               the cache's name, those that the cache's module declares, and
               what a function that allocated objects returns.
      -L FILE  the kernel log from a file, in place of the dump's own, which may
               be overwritten long before the dump: from dmesg, syslog or the
               journal (-o json and export, too), a serial console or a mail.
               Which of the file's boots is the dump's is told by lines that
               both logs have, the boot id, and times; reports of other boots
               are counted only.
      -w FILTER
               examine only the objects that fit FILTER: conditions with commas
               in between (func=NAME older=5m newer=2h pid=N cpu=N node=N
               OFFSET=VALUE), all of which must hold; "help slabobjs" explains
               them.  An object of which that can't be known is left out, and
               counted.
      -o FILE  write to FILE a page for the bug report, too: HTML with all of
               this, each slab as a row of cells, and contents with notes.
               With -j the records, instead of showing them.
      -j       JSON lines: one record a line, addresses as hexadecimal strings;
               the last record says whether the output is complete.
               In scripts write them into a file ("> FILE"), not into a pipe.
      -p       walk the lists only, without the scan over all page structures:
               full slabs that no list holds are not examined.
      -R       scan the page structures anew (they are scanned once a session).
      -h       this page; --help, too.
      -V       the version; --version, too.

  EVIDENCE is one of:

      state      what kmem_cache_destroy() left in the cache.
      log        the kernel log's report of the failed destroy: when, by whom,
                 and whether its objects are still there.  Matched by addresses
                 (hashed ones too), or by where objects lie.
      owner      who allocated the objects: tracks of slub_debug=U, KFENCE, or
                 allocation profiling, and the memcg; where nothing is noted,
                 what to switch on next time.
      age        how old the objects are, where tracks have a time; else, of a
                 cache in use, by a word of the objects that may be jiffies.
      type       structures that the objects may be: a proposal.
      twin       what is different from living objects, of the living cache of
                 that name or of the same cache.
      held       who holds the objects; of a cache in use, as counts.
      path       the pointers from memory in use to an object.
      list       the lists that objects are on, and who heads them.
      reference  who points to the objects.
      contents   what the objects hold.

  CAUSE is one of the following.  STRENGTH is "certain" where memory allows no
  other history that we know of, else "likely".  Who holds an object is asked
  first; a cause from "never written" on says that nothing in use leads to it.

"""
    + _CAUSES
    + """
  Memory in use is: variables of the kernel and of modules, per-CPU areas, pages
  that are no slab's and not free, the live part of each stack, and objects that
  one of these leads to.  Free objects, free pages, dead stacks and old entries
  of sheaves lead nowhere; a pointer there is shown and proves nothing.  A list
  head that points to itself is no proof either: never linked, taken off by
  list_del_init(), or a list of the object's own look the same.  What living
  objects have and the leaked ones lack tells more.

  A cache in use is judged by the same rules, "likely" at best: how many of its
  objects nothing leads to, and who holds the others, as counts.  Of a cache
  with very many objects some are examined, evenly spread (20000, or 8 MB of
  contents), which the evidence shows.

EXAMPLES
  Why was the leftover not destroyed?  ("slabwhy" alone would also search all
  memory for pointers.)

    crash> slabwhy -F
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edd00       84          5       160      5     4k  slab_test
      EVIDENCE    ADDRESS           STATEMENT
      state       ffff8b47c22edd00  leftover: on slab_caches, refcount 0, 5
                                    allocated objects in 5 slabs
      log         -                 at 1.645919 s a destroy failed in pid 91
                                    insmod: 5 objects in 5 slabs listed (its
                                    objects lie as this cache's do)
      log         -                 kmem_cache_destroy() was called from
                                    build_leak+0xad/0xf0 [slabtest]
      log         -                 on the way: build_leak+0xad/0xf0 [slabtest],
                                    slabtest_init+0x86/0x1000 [slabtest]
      log         ffff8b47c2a84d00  5 of 5 listed objects still allocated
      owner       -                 to have the allocations noted, boot with
                                    slub_debug=U,slab_test no_hash_pointers
      type        -                 debug information of slabtest isn't loaded:
                                    mod -s slabtest FILE
      twin        ffff8b47c22edf00  living cache of the same name
      twin        -                 543 living objects compared
      twin        -                 +0x20 list linked: in 543 of 543 living
                                    objects; list empty in 5 of 5 leaked
      CONCLUSION
      The destroy that failed was called from build_leak+0xad/0xf0 [slabtest].
      5 objects are not explained: memory was not searched for what leads to
      them.
    fast (-F): memory was not searched for pointers""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
