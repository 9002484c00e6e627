# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel log reports of slab objects: the dump's own log, or a file's.

A file may be of several boots: which of its parts is of the dump's is told beside the reports.
Only what that boot reported proves anything.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.reader import Reader
from crash_ext.why.log.boot import OTHER, SAME, Boot, boot_of, boots_in
from crash_ext.why.log.parse import Report, begins_at_boot, parse_reports
from crash_ext.why.log.reports import MemoryReport, parse_memory_reports


class KernelLog(NamedTuple):
    """The reports of a log."""

    whole: bool
    """It begins where the dump's boot does."""
    reports: List[Report]
    """Of failed destroys, on the dump's boot or on one that can't be told."""
    memory: List[MemoryReport]
    """Of objects, on the dump's boot."""
    elsewhere: List[Report]
    """Of failed destroys on other boots."""
    boots: List[Boot]
    """Of which boot each part of a file is; none for the dump's own log."""


def read_log(reader: Reader, file: Optional[str]) -> KernelLog:
    """file: the text of one; None for the dump's own log."""
    whole = False
    log = KernelLog(whole, [], [], [], [])
    for part, boot in _parts(reader, file):
        reports = parse_reports(part)
        same = boot is None or boot.verdict == SAME
        if same:
            whole = begins_at_boot(part)
            log.memory.extend(parse_memory_reports(part))
        if boot is not None and boot.verdict == OTHER:
            log.elsewhere.extend(reports)
        else:
            log.reports.extend(report._replace(sure=same) for report in reports)
        if boot is not None and (reports or same):
            log.boots.append(boot)
    return log._replace(whole=whole)


def _parts(reader: Reader, file: Optional[str]) -> Iterator[Tuple[str, Optional[Boot]]]:
    if file is None:
        yield reader.log() or "", None
        return
    for part in boots_in(file):
        yield part, boot_of(reader, part)
