# SPDX-License-Identifier: GPL-3.0-or-later
"""What else the kernel log says of objects: SLUB's own checks, KASAN and KFENCE.

An object already free, written behind its end, or after its free, and who had allocated and
freed it then. Knows the wordings of v3.10 to v7.3. Knows no memory: which object is meant,
for_each_of() finds by the printed pointers, raw or hashed. The object may have been freed and
allocated again since: what is said of it is of then.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.reader import Reader
from crash_ext.why.log.dress import for_each_line
from crash_ext.why.log.hashed import PointerHash
from crash_ext.why.log.parse import TAINT, TRACK, frame_of

FRAMES = 16
"""Of a stack that are kept: KASAN keeps 64, a track 16."""


class Stack(NamedTuple):
    """Who allocated or freed the object, as the log has it."""

    who: str
    """"pid 777", or "task 777 on cpu 3 at 12.3s"."""
    frames: List[str]
    """Innermost first, as function+offset/size [module]."""


class MemoryReport(NamedTuple):
    """A report about an object."""

    what: str
    """"Poison overwritten", "KASAN: slab-use-after-free in f+0x1/0x2 [m]"."""
    cache: Optional[str]
    """The cache's name; None where no line has it."""
    when: Optional[float]
    """Seconds since boot, of its first line."""
    pointer: Optional[int]
    """The object's start, as printed: an address, or its hash."""
    at: Optional[int]
    """The byte that was touched, as printed."""
    allocated: Optional[Stack]
    freed: Optional[Stack]


_SLUB = re.compile(rf"BUG (.+?){TAINT}: (?!Objects remaining)(.+)")
_WRONG_CACHE = re.compile(
    r"(?:cache_from_obj: |\w+: )?(Wrong slab cache\. (.+) but object is from (.+))"
)
_SANITIZER = re.compile(r"BUG: (K(?:ASAN|FENCE): .+)")
_HEX = r"(?:0x)?([0-9a-f]{8,16})"
_OBJECT = re.compile(rf"(?:INFO: )?Object 0x{_HEX} @offset=\d+ fp=.*")
_BYTES = re.compile(rf"(?:INFO: )?0x{_HEX}-0x[0-9a-f]+ @offset=.*")
_TASK = re.compile(r"([Aa]llocated|[Ff]reed) by ((?:task|pid) .*?)(?: \([\d.]+s ago\))?:")
_ACCESS = re.compile(
    rf"(?:(?:Read|Write|Free)\b.* addr|.*\b(?:read|write|access) at|Invalid free of"
    rf"|Corrupted memory at) {_HEX}\b.*"
)
_BELONGS = re.compile(rf"The buggy address belongs to the object at {_HEX}")
_OF_CACHE = re.compile(r"which belongs to the cache (.+) of size \d+")
_OLD_OBJECT = re.compile(rf"Object at {_HEX}, in cache (.+) size: \d+")
# Up to v5.16 in brackets, with who allocated it behind.
_FENCED = re.compile(
    rf"kfence-#\d+(?:: | \[){_HEX}-0x[0-9a-f]+, size=\d+, cache=([^\]]+?)"
    r"(?:\] (allocated by task .*))?"
)
_OLD_STACK = re.compile(r"(Allocated|Freed):")
_AT = re.compile(rf".* at addr {_HEX}")
_ENDS = re.compile(
    r"={20,}|BUG .*|FIX .*|kmem_cache_destroy .*|---\[ end trace .*"
    r"|The buggy address belongs to the (?:physical )?page.*"
)
_LONGEST = 60.0
"""Seconds: what comes later is of no report that began before."""


class _Open:
    """A report that more lines may come for."""

    def __init__(self, what: str, cache: Optional[str], when: Optional[float]) -> None:
        self.what, self.cache, self.when = what, cache, when
        self.pointer: Optional[int] = None
        self.at: Optional[int] = None
        self.stacks: Dict[str, Stack] = {}

    def report(self) -> MemoryReport:
        stacks = self.stacks
        return MemoryReport(
            *(self.what, self.cache, self.when, self.pointer, self.at),
            *(stacks.get("allocated"), stacks.get("freed")),
        )


class _Parser:
    """Takes the lines of one caller, or of a log that has none."""

    def __init__(self) -> None:
        self._open: Optional[_Open] = None
        self._stack: Optional[Stack] = None

    def line(self, when: Optional[float], body: str) -> Optional[_Open]:
        """Take a line; a report that it begins."""
        frame = frame_of(body)
        if frame is not None:
            if self._stack is not None and frame.reliable and len(self._stack.frames) < FRAMES:
                self._stack.frames.append(frame.text)
            return None
        body = body.strip()
        begun = _begin(body, when)
        if begun is not None:
            self._open, self._stack = begun, None
        elif self._open is not None and body:
            begin = self._open.when
            late = when is not None and begin is not None and when - begin > _LONGEST
            if late or _ENDS.fullmatch(body):
                self._open = self._stack = None
            else:
                self._detail(self._open, body)
        return begun

    def _detail(self, report: _Open, body: str) -> None:
        self._stack = None
        if self._begins_stack(report, body):
            return
        for pattern in (_OBJECT, _BELONGS, _OLD_OBJECT, _FENCED):
            found = pattern.fullmatch(body)
            if found:
                report.pointer = report.pointer or int(found.group(1), 16)
                if pattern in (_OLD_OBJECT, _FENCED):
                    report.cache = report.cache or found.group(2)
                if pattern is _FENCED and found.group(3):
                    self._begins_stack(report, found.group(3))
                return
        for pattern in (_BYTES, _ACCESS):
            found = pattern.fullmatch(body)
            if found:
                report.at = report.at or int(found.group(1), 16)
                return
        found = _OF_CACHE.fullmatch(body)
        if found:
            report.cache = report.cache or found.group(1)

    def _begins_stack(self, report: _Open, body: str) -> bool:
        """Whether a line says who allocated or freed the object: the stack comes behind it."""
        track, task = TRACK.fullmatch(body), _TASK.fullmatch(body)
        old = _OLD_STACK.fullmatch(body)
        if track:
            what = track.group(1)
            stack = Stack(f"pid {track.group(5)}", [track.group(2)])
        elif task:
            what, stack = task.group(1), Stack(task.group(2), [])
        elif old:
            what, stack = old.group(1), Stack("a task", [])
        else:
            return False
        # Of two the first is the object's: KASAN tells of others behind it.
        if what.lower() not in report.stacks:
            report.stacks[what.lower()] = self._stack = stack
        return True


def _begin(body: str, when: Optional[float]) -> Optional[_Open]:
    """The report that a line begins."""
    slub, wrong, sanitizer = (p.fullmatch(body) for p in (_SLUB, _WRONG_CACHE, _SANITIZER))
    if slub:
        return _Open(slub.group(2), slub.group(1), when)
    if wrong:
        return _Open(wrong.group(1), wrong.group(3), when)
    if not sanitizer:
        return None
    report = _Open(sanitizer.group(1), None, when)
    at = _AT.fullmatch(body)
    report.at = int(at.group(1), 16) if at else None
    return report


def parse_memory_reports(text: str) -> List[MemoryReport]:
    """Such reports in a log's text, in its order. For any text whatever."""
    if "BUG" not in text and "Wrong slab cache" not in text:
        return []
    parsers: Dict[Optional[str], _Parser] = {}
    found: List[_Open] = []
    caller: Optional[str] = None
    for line in for_each_line(text):
        caller = line.caller or caller
        begun = parsers.setdefault(caller, _Parser()).line(line.when, line.body)
        if begun is not None:
            found.append(begun)
    return [report.report() for report in found]


def for_each_of(
    reader: Reader, reports: Iterable[MemoryReport], size: int, addresses: Iterable[int]
) -> Iterator[Tuple[int, MemoryReport]]:
    """(object, report) of the reports about one of these objects; size: of each, bytes."""
    told = list(reports)
    if not told:
        return
    hashed = PointerHash(reader)
    known = list(addresses)
    starts = hashed.resolve((report.pointer for report in told), known)
    for report in told:
        address = starts.get(report.pointer or 0)
        if address is None and report.at is not None and report.at >> 32:
            at = hashed.plain(report.at)
            address = next((each for each in known if each <= at < each + size), None)
        if address is not None:
            yield address, report


class ObjectReports:
    """The reports of a kernel's own log, read when one is first asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._reports: Optional[List[MemoryReport]] = None

    def about(self, size: int, address: int) -> List[MemoryReport]:
        """Those about the object of so many bytes at the address, in the log's order."""
        if self._reports is None:
            self._reports = parse_memory_reports(self._reader.log() or "")
        return [found for _, found in for_each_of(self._reader, self._reports, size, [address])]


def lines_of(report: MemoryReport) -> Iterator[str]:
    """What a report says, in sentences: what happened, then who had allocated and freed it."""
    when = "" if report.when is None else f"at {report.when:.6f} s "
    of = f", of the cache {report.cache}" if report.cache else ""
    yield f"{when}{report.what}{of}"
    for done, stack in (("allocated", report.allocated), ("freed", report.freed)):
        if stack is not None:
            way = f": {', '.join(stack.frames[:_SHOWN])}" if stack.frames else ""
            yield f"{done} then by {stack.who}{way}"


_SHOWN = 8
