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
from crash_ext.leak.diagnose import Diagnoser, Diagnosis
from crash_ext.leak.state import LEFTOVER
from crash_ext.leak.survey import survey_cache
from crash_ext.report.caches import CACHE_HEAD, cache_line, counted
from crash_ext.report.jsonl import hexadecimal, name_field
from crash_ext.report.text import plural, printable, visible
from crash_ext.report.why import CAUSE_HEAD, EVIDENCE_HEAD, cause_line, evidence_line, paragraph
from crash_ext.slub.model import Cache
from crash_ext.slub.vmcoreinfo import release
from crash_ext.whypage import lines


def main(call: Call) -> Dict[str, object]:
    """slabwhy [-j] [-fpR] [-o FILE] [NAME|ADDRESS]..."""
    if call.lists_only:
        call.limits.append("lists only (-p): full slabs that no list holds are not examined")
    if "-f" in call.options:
        call.limits.append("fast (-f): memory was not searched for pointers")
    diagnoser = Diagnoser(
        call.slub,
        call.caches(),
        call.lists_only,
        "-f" not in call.options,
        call.slub.progress,
    )
    chosen = _chosen(call, diagnoser)
    if not chosen and not call.arguments and not call.json:
        print(f"none of {plural(len(call.caches()), 'cache')} is a leftover")
    findings = 0
    told = []
    for diagnosis in diagnoser.diagnose(chosen):
        findings += len(diagnosis.findings)
        _show(call, diagnosis)
        if "-o" in call.options:
            told.append(diagnosis)
    if "-o" in call.options:
        _write(call, diagnoser, told)
    return {"caches": len(chosen), "findings": findings}


def _write(call: Call, diagnoser: Diagnoser, told: List[Diagnosis]) -> None:
    """The page for a bug report. A file that can't be written is an error, and no more."""
    name = call.options["-o"]
    try:
        with open(name, "w", encoding="utf-8") as file:
            for line in lines(diagnoser, told, printable(release(call.slub.reader)), call.limits):
                file.write(line + "\n")
    except OSError as error:
        call.error(f"{name}: {error.strerror}")


def _chosen(call: Call, diagnoser: Diagnoser) -> List[Cache]:
    """The caches that are named, or every one that was left behind."""
    if call.arguments:
        named = {selection.cache.address: selection.cache for selection in call.selections()}
        return list(named.values())
    return [*_leftovers(call), *diagnoser.reported()]


def _leftovers(call: Call) -> Iterator[Cache]:
    for cache in call.caches():
        # Counting a cache takes time, and these can't be leftovers.
        if cache.refcount != 0 and cache.listed:
            continue
        if survey_cache(call.slub, cache, call.lists_only).state.kind == LEFTOVER:
            yield cache


def _show(call: Call, diagnosis: Diagnosis) -> None:
    case = diagnosis.case
    cache = case.cache
    call.record(
        "cache",
        address=hexadecimal(cache.address),
        name=name_field(cache.name),
        state=diagnosis.state.kind,
        reason=diagnosis.state.reason,
        object_size=cache.object_size,
        size=cache.size,
        slabs=len(diagnosis.slabs),
        objects=sum(len(decoded.states) for decoded in diagnosis.slabs),
        allocated=diagnosis.allocated,
        unknown=diagnosis.unknown,
    )
    if call.json:
        _records(call, diagnosis)
    else:
        _text(call, diagnosis)
    for problem in diagnosis.problems:
        call.error(problem, cache)


def _records(call: Call, diagnosis: Diagnosis) -> None:
    address = hexadecimal(diagnosis.case.cache.address)
    for item in diagnosis.evidence:
        where = hexadecimal(item.address) if item.address else None
        call.record("evidence", cache=address, topic=item.topic, address=where, text=item.text)
    for finding in diagnosis.findings:
        call.record(
            "finding",
            cache=address,
            cause=finding.cause,
            strength=finding.strength,
            objects=[hexadecimal(found) for found in finding.objects],
            text=finding.sentence,
        )
    call.record("conclusion", cache=address, text=" ".join(diagnosis.conclusion))


def _text(call: Call, diagnosis: Diagnosis) -> None:
    case = diagnosis.case
    cache = case.cache
    print(CACHE_HEAD)
    print(
        cache_line(
            cache.address,
            cache.object_size,
            counted(diagnosis.allocated, diagnosis.unknown),
            sum(len(decoded.states) for decoded in diagnosis.slabs),
            len(diagnosis.slabs),
            call.slub.reader.page_size << cache.order,
            printable(cache.name),
        )
    )
    print(EVIDENCE_HEAD)
    for item in diagnosis.evidence:
        print(evidence_line(item.topic, item.address, visible(item.text)))
    if diagnosis.findings:
        print(CAUSE_HEAD)
    for finding in diagnosis.findings:
        example = finding.objects[0] if finding.objects else None
        print(cause_line(finding.cause, len(finding.objects), finding.strength, example))
    print("  CONCLUSION")
    for text in diagnosis.conclusion:
        print(*paragraph(visible(text)), sep="\n")


COMMAND = Command(
    name="slabwhy",
    short="why objects of a slab cache are still allocated",
    synopsis="[-j] [-fpR] [-o FILE] [NAME|ADDRESS]...",
    options="jfpRo:",
    main=main,
    text="""\
  TBD""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
