# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a line of the kernel log, by where it comes from: taken off here.

crash's log, dmesg with its options, syslog, the journal, netconsole, a serial console, a
vendor's kernel, a mail that quotes them. Knows prefixes; lines that are parts of others are
whole.py's, and what a line says is parse.py's.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple, Optional

from crash_ext.why.log.whole import for_each_raw_line

_LONGEST = 2048
"""Characters: printk cuts at half of that (LOG_LINE_MAX), so nothing of ours is longer."""
_PREFIXES = 10
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x00")
_SECONDS = re.compile(r"\s*\[ *(\d{1,9}\.\d{1,9})(?: <[ \d.]+>)?\](?: |$)?")
_KMSG = re.compile(r"(?:[\w.+-]+,)?\d+,\d+,(\d+),[-c+](?:,caller=([TC]\d+))?(?:,[^;]*)?;")
"""/dev/kmsg and extended netconsole: level, number, microseconds, flags."""
_CALLERS = (
    # CONFIG_PRINTK_CALLER's, and crash's `log -c`
    re.compile(r"\s*\[ *([TC]\d+)\] ?"),
    # Vendors' forms of it: [3: rmmod: 777] (3)[777:rmmod] [pid:777,cpu3,rmmod]
    re.compile(r" *[A-Z]?\[ *\d+: *[^\]:]{1,32}: *(\d+)\] ?"),
    re.compile(r" *-?\(\d+\)\[(\d+):[^\]]{1,32}\] ?"),
    re.compile(r" *\[pid:(\d+),cpu\d+[^\]]{0,40}\] ?"),
)
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[A-Z]{1,4}T|[+-]\d\d(?::?\d\d)?))?"
_LEVEL = r"(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug)"
_DRESSES = (
    # > > a quoted mail, and its indented lines
    re.compile(r"\s*(?:>+ ?|\| )"),
    re.compile(r"[ \t]+(?=<\d|\[[ \d]*\d\.\d|\[[A-Z]|\d{4}-\d\d)"),
    # grep -H and -n, cat -n
    re.compile(r"[\w./-]+(?:\.log|\.txt|messages|syslog|dmesg)[\w.-]*:(?:\d+:)?(?=\S)"),
    re.compile(r" *\d{1,7}[:\t] ?(?=[\[<>A-Z])"),
    # <3>, with a blank or without, and RFC 5424's version behind it
    re.compile(r"<\d{1,3}>(?:1 (?=\d{4}-)| )?"),
    # dmesg -T (crash's has a zone), -H, -d and --time-format=delta or reltime
    re.compile(
        rf"\[\w{{2,5}}\.? \w{{3,5}}\.? [ \d]?\d {_CLOCK}(?: [A-Z]{{2,5}})? \d{{4}}"
        r"(?: <[ \d.]+>)?\] ?"
    ),
    re.compile(r"\[\w{3} ?\d{1,2} \d\d:\d\d\] ?"),
    re.compile(r"\[ *[+<] *\d+\.\d+>?\] ?"),
    # dmesg --time-format=iso, journalctl -o short-iso and short-full, rsyslog's own, minicom
    re.compile(rf"\[?(?:[A-Z]\w\w )?\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{_ZONE}\]? ?"),
    # OpenWrt's logread, syslog, journalctl -o short
    re.compile(rf"(?:[A-Z]\w\w )?[A-Z]\w\w [ \d]?\d {_CLOCK}(?: \d{{4}})? "),
    # Android's logcat
    re.compile(rf"\d\d-\d\d {_CLOCK} +(?:\w+ +)?\d+ +\d+ [VDIWEF] (?:[\w/.-]* *: ?)?"),
    # journalctl -o short-unix, ts
    re.compile(r"\d{9,10}\.\d{3,9} "),
    re.compile(rf"\[{_CLOCK}\] ?|{_CLOCK} (?=\S)"),
    # The host and the program; RFC 5424 has three more fields
    re.compile(r"(?:[\w.:-]+ )?(?:kern\.\w+ )?kernel(?:\[\d+\])?(?:: ?| - (?:- ){1,2})"),
    # dmesg -x
    re.compile(rf"(?:kern|user|daemon|syslog) *:{_LEVEL} *: ?"),
    # docker compose, and the CPU as some vendors show it
    re.compile(r"[\w.-]+ +\| "),
    re.compile(r"c\d{1,2} +(?:\d+ +\([^)]{1,16}\) )?(?=\S)"),
)


class Line(NamedTuple):
    """A line without its dress."""

    when: Optional[float]
    """Seconds since boot; None where it has no such time."""
    body: str
    caller: Optional[str] = None
    """Who printed it, where the log says so: T and the thread's id, or C and the CPU's."""


def for_each_line(text: str) -> Iterator[Line]:
    """The lines of a log in whatever dress. Too long ones are left out."""
    for raw in for_each_raw_line(text, is_stamped):
        if len(raw.text) <= _LONGEST:
            line = undress(raw.text)
            yield Line(
                line.when if raw.when is None else raw.when, line.body, raw.caller or line.caller
            )


def is_stamped(raw: str) -> bool:
    """Whether a line begins as lines of a log do that have a time."""
    body = _COLOUR.sub("", raw[:128])
    return len(body) - len(undress(body).body) >= _SHORTEST_STAMP


_SHORTEST_STAMP = 8
"""Characters: "[ 1.234] "."""


def undress(raw: str) -> Line:
    """One line without what stands around it."""
    body = _COLOUR.sub("", raw).replace("\xa0", " ").rstrip("\r ")
    when: Optional[float] = None
    caller: Optional[str] = None
    for _ in range(_PREFIXES):
        stamp = _SECONDS.match(body)
        kmsg = None if stamp else _KMSG.match(body)
        if stamp is not None:
            when = float(stamp.group(1)) if when is None else when
            body = body[stamp.end() :]
        elif kmsg is not None:
            when = int(kmsg.group(1)) / 1e6 if when is None else when
            caller = caller or kmsg.group(2)
            body = body[kmsg.end() :]
        else:
            teller = next((m for m in (each.match(body) for each in _CALLERS) if m), None)
            if teller is not None:
                told = teller.group(1)
                caller = caller or (told if told[0] in "TC" else f"T{told}")
            found = teller or next(
                (m for m in (dress.match(body) for dress in _DRESSES) if m), None
            )
            if found is None or found.end() == 0:
                break
            body = body[found.end() :]
    return Line(when, body, caller)
