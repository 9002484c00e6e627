# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a line of the kernel log, by where it comes from: taken off here.

crash's log, dmesg with its options, syslog, the journal, netconsole, a serial console, a
mail that quotes or wraps them. Knows prefixes; what a line says is parse.py's.
"""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Optional

_LONGEST = 2048
"""Characters: printk cuts at half of that (LOG_LINE_MAX), so nothing of ours is longer."""
_PREFIXES = 8
_COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
_SECONDS = re.compile(r"\[ *(\d{1,9}\.\d{1,9})\](?: |$)?")
_DRESSES = (
    # > > a quoted mail
    re.compile(r"(?:> ?|\| )"),
    # <3>, with a blank or without
    re.compile(r"<\d{1,3}> ?"),
    # dmesg -T, -H, -d and --time-format=delta or reltime
    re.compile(r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4}\] ?"),
    re.compile(r"\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\] ?"),
    re.compile(r"\[ *[+<] *\d+\.\d+>?\] ?"),
    # dmesg --time-format=iso, journalctl -o short-iso, rsyslog's own
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? "),
    # syslog and journalctl -o short
    re.compile(r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d+)? "),
    re.compile(r"[\w.-]+ kernel(?:\[\d+\])?: ?"),
    # dmesg -x
    re.compile(
        r"(?:kern|user|daemon|syslog) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ?"
    ),
    # The caller's id, and vendors' forms of it: [ T777] [C3] [3: rmmod: 777] (3)[777:rmmod]
    re.compile(r"\[ *[TC]\d+\] ?"),
    re.compile(r" *\[ *\d+: *[^\]:]{1,32}: *\d+\] ?"),
    re.compile(r"\(\d+\)\[\d+:[^\]]{1,32}\] ?"),
    # /dev/kmsg and extended netconsole
    re.compile(r"\d+,\d+,\d+,[-c+](?:,[^;]*)?;"),
)


class Line(NamedTuple):
    """A line without its dress."""

    when: Optional[float]
    """Seconds since boot; None where it has no such time."""
    body: str


def for_each_line(text: str) -> Iterator[Line]:
    """The lines of a log in whatever dress. Too long ones are left out."""
    for raw in _unwrapped(text.split("\n")):
        if len(raw) <= _LONGEST:
            yield undress(raw)


def undress(raw: str) -> Line:
    """One line without what stands around it."""
    body = _COLOUR.sub("", raw).rstrip("\r ")
    when: Optional[float] = None
    for _ in range(_PREFIXES):
        stamp = _SECONDS.match(body)
        if stamp is not None:
            when = float(stamp.group(1)) if when is None else when
            body = body[stamp.end() :]
            continue
        found = next((m for m in (dress.match(body) for dress in _DRESSES) if m), None)
        if found is None or found.end() == 0:
            break
        body = body[found.end() :]
    return Line(when, body)


def _unwrapped(lines: List[str]) -> Iterator[str]:
    """Lines that a mailer has broken, whole again.

    Where nearly all lines have a time, one without it goes on with the line before. A blank
    was lost if that one was not as long as lines may be.
    """
    stamped = sum(_SECONDS.search(line[:64]) is not None for line in lines)
    filled = sum(bool(line.strip()) for line in lines)
    width = max((len(line) for line in lines), default=0)
    if 2 * stamped < filled or stamped == filled or width > 100:
        yield from lines
        return
    before: Optional[str] = None
    for line in lines:
        goes_on = (
            before is not None
            and line.strip()
            and not line.startswith((" ", "\t"))
            and _SECONDS.search(line[:64]) is None
        )
        if goes_on and before is not None:
            before += ("" if len(before) >= width else " ") + line
            continue
        if before is not None:
            yield before
        before = line
    if before is not None:
        yield before
