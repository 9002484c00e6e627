# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a log that was kept elsewhere is of the boot that the dump is of.

Told by the journal's boot id, by lines that the dump's own log has at the very same time, by
the kernel's banner, and by how long the dump's kernel had run. Where these can't tell, that is
what is said: hashes of another boot stand for nothing, and its addresses for anything.
"""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.clock import Clock
from crash_ext.kernel.memory import read_string, read_symbol
from crash_ext.kernel.say import count
from crash_ext.reader import Reader
from crash_ext.why.log.dress import for_each_line

SAME = "same"
OTHER = "other"
UNKNOWN = "unknown"


class Boot(NamedTuple):
    """Which boot a log is of, by the dump's own."""

    verdict: str
    """SAME, OTHER or UNKNOWN."""
    reason: str
    """A sentence."""


_BOOT_ID = re.compile(r'_BOOT_ID(?:"\s*:\s*"|=)([0-9a-f]{32})')
_BANNER = re.compile(r"Linux version (\S+) \(.*")
_BEGIN = re.compile(r"Linux version \d+\.\d+[^ ]* \(")
_STAMP = re.compile(r"\[ *(\d{1,9}\.\d{6})\]")
_HEAD = 160
"""Characters of a line that its time is among."""
_BACK = 10.0
"""Seconds that a log's time goes back at most, but in a new boot."""
_EARLY = 1.0
"""Seconds: until then the lines of two boots may have the same times."""
_ENOUGH = 3
"""Equal lines: one or two may be of one microsecond by chance."""
_FEW = 20
"""Lines in the span that both logs cover: of fewer, none need be equal."""
_LATE = 2.0
"""Seconds that the clock of the log may be ahead of jiffies."""

_Entries = Set[Tuple[float, str]]


def boots_in(text: str) -> Iterator[str]:
    """The parts of a log that were each written in one boot: a file of syslog has many."""
    lines: List[str] = []
    before = 0.0
    for line in text.split("\n"):
        stamp = _STAMP.search(line[:_HEAD])
        when = float(stamp.group(1)) if stamp else None
        if _BEGIN.search(line) or (when is not None and when < before - _BACK):
            yield "\n".join(lines)
            lines, before = [], 0.0
        before = before if when is None else max(before, when)
        lines.append(line)
    yield "\n".join(lines)


def boot_of(reader: Reader, text: str) -> Boot:
    """Which boot the log in text is of."""
    ids = set(_BOOT_ID.findall(text))
    own_id = _boot_id(reader)
    if ids and own_id:
        if ids == {own_id}:
            return Boot(SAME, "the log has the boot id of the dump")
        if own_id not in ids:
            return Boot(OTHER, "the log has another boot id than the dump")
    entries, releases = _read(text)
    own, own_releases = _read(reader.log() or "")
    own_releases |= _release(reader)
    equal = len(entries & own)
    if equal >= _ENOUGH:
        return Boot(
            SAME, f"{count(equal, 'line')} of the log are in the dump's own, at the same time"
        )
    if releases and own_releases and not releases & own_releases:
        return Boot(OTHER, f"it begins with the banner of Linux {min(releases)}")
    latest = max((when for when, _ in entries), default=0.0)
    uptime = Clock(reader).seconds_since(0)
    if uptime is not None and latest > uptime + _LATE:
        return Boot(
            OTHER, f"the log goes on to {latest:.0f} s, but the dump's kernel ran {uptime:.0f} s"
        )
    if entries and own:
        first, last = max(min(entries), min(own))[0], min(max(entries), max(own))[0]
        if min(_within(entries, first, last), _within(own, first, last)) >= _FEW:
            return Boot(OTHER, "no line of the log is in the dump's own, which covers its time")
    if not entries:
        return Boot(UNKNOWN, "the log has no times since boot")
    return Boot(UNKNOWN, "the dump's own log does not reach back to it")


def _within(entries: _Entries, first: float, last: float) -> int:
    return sum(first <= when <= last for when, _ in entries)


def _read(text: str) -> Tuple[_Entries, Set[str]]:
    """(time, text) of the lines past the early boot, and the releases that banners name."""
    entries: _Entries = set()
    releases: Set[str] = set()
    for line in for_each_line(text):
        body = line.body.strip()
        banner = _BANNER.fullmatch(body)
        if banner:
            releases.add(banner.group(1))
        elif line.when is not None and line.when > _EARLY and body:
            entries.add((round(line.when, 6), body))
    return entries, releases


def _release(reader: Reader) -> Set[str]:
    """The kernel's release by const char linux_banner[]; empty where it can't be read."""
    symbol = reader.symbol("linux_banner")
    text = read_string(reader, symbol) if symbol is not None else None
    banner = _BANNER.match(text.decode("ascii", "replace")) if text else None
    return {banner.group(1)} if banner else set()


def _boot_id(reader: Reader) -> Optional[str]:
    """u8 sysctl_bootid[16] (drivers/char/random.c); None where nobody has asked for it yet."""
    data = read_symbol(reader, "sysctl_bootid", 16)
    return data.hex() if data and any(data) else None
