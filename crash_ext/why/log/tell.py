# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel log says of a cache's failed destroy, as evidence: a line a statement.

parse.py reads the reports, match.py compares them with memory; this puts it into words.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Callable, Iterable, Iterator, List, Optional, Sequence

from crash_ext.kernel.say import count
from crash_ext.reader import Reader
from crash_ext.slub.model import Cache
from crash_ext.why.case import Evidence
from crash_ext.why.log.boot import OTHER, SAME, UNKNOWN, Boot
from crash_ext.why.log.match import (
    ADDRESSES,
    OFFSETS,
    LogEvidence,
    MatchedReport,
    is_named,
    shown_name,
)
from crash_ext.why.log.parse import BOTTOM, Report
from crash_ext.why.log.reports import MemoryReport, for_each_of, lines_of

_MATCHED = {
    ADDRESSES: "its slabs are this cache's",
    OFFSETS: "its objects lie as this cache's do",
}
_SHOWN = 3
_MODULE = re.compile(r" \[([^\]]+)\]$")
_WRAPPER = re.compile(
    r"\.?(?:bioset_(?:free|exit)|bio_put_slab|mempool_(?:destroy|exit|free_slab)"
    r"|kmem_cache_destroy\w*|\w*mem_?cache_(?:destroy|free|fini|exit|delete))(?:[.+ ]|$)"
)
"""Functions that destroy a cache for their caller."""
_WAY_SHOWN = 12
"""Frames."""


def log_evidence(
    found: LogEvidence,
    searched: bool,
    with_line: Callable[[str], str],
    between: Callable[[str], Optional[str]],
) -> Iterator[Evidence]:
    """The reports of this cache, and where they and memory disagree.

    searched: there is a log, and it begins at boot. with_line: a frame with its source's line.
    between: as calls.between(), of the destroy that returned to a frame.
    """
    if not found.reports and not found.others:
        if searched:
            yield Evidence("log", "no report of a failed destroy of this name")
        return
    told: Optional[str] = None
    for matched in found.reports[:_SHOWN]:
        yield Evidence("log", _report(matched))
        caller = matched.report.caller
        if caller and caller != told:
            shown = with_line if matched.report.sure else str
            who = _caller(matched.report, caller, shown(caller), between)
            yield Evidence("log", f"kmem_cache_destroy() was called from {who}")
            yield from _way(matched.report, shown)
            told = caller
        elif matched.report.mixed:
            text = "its call trace is mixed with another task's: who called can't be told"
            yield Evidence("log", text)
    if len(found.reports) > _SHOWN:
        yield Evidence("log", f"{count(len(found.reports) - _SHOWN, 'more report')} of it")
    if found.others:
        text = f"{count(len(found.others), 'report')} of the same name: of another cache's slabs"
        yield Evidence("log", text)
    if found.allocated:
        listed = len(found.allocated) + len(found.freed)
        text = f"{len(found.allocated)} of {count(listed, 'listed object')} still allocated"
        yield Evidence("log", text, found.allocated[0])
    if found.gone:
        objects = sum(len(slab.objects_listed) for slab in found.gone)
        text = (
            f"{count(len(found.gone), 'listed slab')} with {count(objects, 'object')}: freed"
            " since, and the slab with them"
        )
        yield Evidence("log", text)
    for reason, addresses in found.unlisted.items():
        text = f"{count(len(addresses), 'allocated object')} not in the log: {reason}"
        yield Evidence("log", text, addresses[0])


def boot_evidence(
    boots: Sequence[Boot], cache: Cache, elsewhere: Iterable[Report]
) -> Iterator[Evidence]:
    """Of which boot a log from a file is. elsewhere: its reports of other boots."""
    for boot in boots:
        if boot.verdict == SAME:
            yield Evidence("log", f"the file is of this boot: {boot.reason}")
    unknown = [boot for boot in boots if boot.verdict == UNKNOWN]
    for boot in unknown[:1]:
        yield Evidence("log", f"whether the file is of this boot can't be told: {boot.reason}")
    others = sum(is_named(cache, report) for report in elsewhere)
    if others:
        reason = next(boot.reason for boot in boots if boot.verdict == OTHER)
        text = f"{count(others, 'report')} of this name: of another boot ({reason})"
        yield Evidence("log", text)


def memory_evidence(
    reader: Reader,
    reports: Iterable[MemoryReport],
    members: Sequence[Cache],
    objects: Iterable[int],
) -> Iterator[Evidence]:
    """Other reports about the cache's objects: what was done to each, and by whom.

    members: the cache and its memcg children; objects: the addresses of all of theirs,
    whatever their state.
    """
    names = {shown_name(cache) for cache in members}
    # Another cache may have had the memory then: its report is none about this one's object.
    own = [report for report in reports if report.cache is None or report.cache in names]
    if not own:
        return
    told = list(for_each_of(reader, own, members[0].size, objects))
    for address, report in told[:_SHOWN]:
        for text in lines_of(report):
            yield Evidence("log", text, address)
    if len(told) > _SHOWN:
        yield Evidence("log", f"{count(len(told) - _SHOWN, 'more report')} about its objects")
    found = {id(report) for _, report in told}
    rest = [report for report in own if report.cache and id(report) not in found]
    for report in rest[:_SHOWN]:
        text = next(lines_of(report))
        yield Evidence("log", f"{text}: of that name, but of no object that is here now")


def _report(matched: MatchedReport) -> str:
    report = matched.report
    objects = sum(len(slab.objects_listed) for slab in report.slabs)
    what = f"the destroy of {report.name}" if matched.child else "a destroy"
    text = f"{_when(report)}{what} failed{_who(report)}"
    if report.slabs:
        text += f": {count(objects, 'object')} in {count(len(report.slabs), 'slab')} listed"
    else:
        text += ": no object listed"
    return f"{text} ({_MATCHED.get(matched.how, 'matched by name alone: it may be of another')})"


def _caller(report: Report, frame: str, shown: str, between: Callable[[str], Optional[str]]) -> str:
    """Who called the destroy that returned to a frame, which is shown so."""
    # Of another boot the code may lie elsewhere, or be another.
    name = between(frame) if report.sure else None
    if name is None:
        return f"{shown}, or from the end of a function called there"
    return f"the end of {name}, which {shown} called" if name else shown


def _way(report: Report, shown: Callable[[str], str]) -> Iterator[Evidence]:
    """The frames from the destroy up to where the kernel was entered, if they say more."""
    way = list(_up_to_entry(report.trace))
    if len(way) > 1:
        more = ", ..." if len(way) > _WAY_SHOWN else ""
        yield Evidence("log", f"on the way: {', '.join(map(shown, way[:_WAY_SHOWN]))}{more}")
    module = calling_module(report)
    first = _MODULE.search(report.caller or "")
    if module and (first is None or first.group(1) != module):
        yield Evidence("log", f"{module} is the first module on the way that is no mere wrapper")


def _up_to_entry(frames: Sequence[str]) -> Iterator[str]:
    """The frames below a system call or a thread's begin: what is above tells nothing."""
    return takewhile(lambda frame: BOTTOM.match(frame) is None, frames)


def _when(report: Report) -> str:
    return "" if report.when is None else f"at {report.when:.6f} s "


def _who(report: Report) -> str:
    parts: List[str] = []
    if report.pid is not None:
        parts.append(f"pid {report.pid}")
    if report.comm:
        parts.append(report.comm)
    return f" in {' '.join(parts)}" if parts else ""


def module_of(found: LogEvidence) -> Optional[str]:
    """The module that called the kmem_cache_destroy() that failed; None: the log doesn't tell.

    Only by a report that is surely this cache's, or the only one of the name.
    """
    for matched in _sure(found):
        module = calling_module(matched.report)
        if module:
            return module
    return None


def callers_of(found: LogEvidence, between: Callable[[str], Optional[str]]) -> List[str]:
    """Who called its kmem_cache_destroy(), of each report that is surely of this cache.

    between: as log_evidence()'s.
    """
    return [
        _caller(report, report.caller, report.caller, between)
        for report in (matched.report for matched in _sure(found))
        if report.caller
    ]


def destroyed_by(found: LogEvidence, between: Callable[[str], Optional[str]]) -> str:
    """The function that called it, with its module: "foo_exit() [foo]"; "" as module_of().

    between: as log_evidence()'s.
    """
    for matched in _sure(found):
        frame = _calling_frame(matched.report) or matched.report.caller
        if frame:
            name, _, module = frame.partition(" ")
            if frame == matched.report.caller and matched.report.sure:
                own = between(frame) or ""
                if own.endswith(module) and not _WRAPPER.match(own):
                    name = own.partition(" ")[0] or name
            return f"{name.partition('+')[0]}(){' ' + module if module else ''}"
    return ""


def _sure(found: LogEvidence) -> List[MatchedReport]:
    sure = [matched for matched in found.reports if matched.how in _MATCHED]
    if not sure and len(found.reports) == 1 and not found.others and found.alone:
        sure = [matched for matched in found.reports if matched.report.sure]
    return sure


def calling_module(report: Report) -> Optional[str]:
    """The first module on the way from the system call to the destroy that is no wrapper.

    bioset_exit() and its like destroy a cache for whoever has called them. Where there are
    modules' wrappers only, the first one's.
    """
    frame = _calling_frame(report)
    module = _MODULE.search(frame) if frame else None
    return module.group(1) if module else None


def _calling_frame(report: Report) -> Optional[str]:
    frames = [*([report.caller] if report.caller else []), *report.trace]
    wrapper: Optional[str] = None
    for frame in _up_to_entry(frames):
        if not _MODULE.search(frame):
            continue
        if not _WRAPPER.match(frame):
            return frame
        wrapper = wrapper or frame
    return wrapper
