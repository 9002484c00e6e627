# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a kernel log into the dress of each place that logs come from."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Callable, Dict, List, Sequence, Tuple

Entry = Tuple[float, str]
"""Seconds since boot, and what the kernel printed."""
Dress = Callable[[Sequence[Entry]], str]

PREFIXES = {
    "crash's log": "[{t:12.6f}] ",
    "crash's log -m": "[{t:12.6f}] <3>",
    "crash's log -c": "[{t:12.6f}] [    T777] ",
    "crash's log -T": "[Thu Jul 30 10:44:05 CEST 2026] ",
    "raw": "<3>[{t:12.6f}] ",
    "no times": "",
    "PRINTK_CALLER": "[{t:12.6f}][  T777] ",
    "PRINTK_CALLER in an interrupt": "[{t:12.6f}][    C3] ",
    "dmesg -T": "[Thu Jul 30 10:44:05 2026] ",
    "dmesg -T in German": "[Do Jul  2 10:44:05 2026] ",
    "dmesg -H": "[  +0.007555] ",
    "dmesg -H, first of a minute": "[Jul30 10:44] ",
    "dmesg -d": "[{t:12.6f} <    0.000003>] ",
    "dmesg -T -d": "[Thu Jul 30 10:44:05 2026 <    0.000003>] ",
    "dmesg -x": "kern  :err   : [{t:12.6f}] ",
    "dmesg -x -T": "kern  :crit  : [Thu Jul 30 10:44:05 2026] ",
    "dmesg iso": "2026-07-30T10:44:05,123456+02:00 ",
    "journal short": "Jul 30 10:44:05 host-1 kernel: ",
    "journal short, the host unknown": "Jul  3 10:44:05 kernel: ",
    "journal short-precise": "Jul 30 10:44:05.123456 host1.example kernel: ",
    "journal short-monotonic": "[{t:12.6f}] host1 kernel: ",
    "journal short-iso": "2026-07-30T10:44:05+0200 host1 kernel: ",
    "journal short-iso-precise": "2026-07-30T10:44:05.123456+02:00 host1 kernel: ",
    "journal short-full": "Thu 2026-07-30 10:44:05 UTC host1 kernel: ",
    "journal short-unix": "1785404645.123456 host1 kernel: ",
    "journal with-unit": "Thu 2026-07-30 10:44:05 CEST host1 kernel[0]: ",
    "syslog": "Jul 30 10:44:05 host1 kernel: [{t:12.6f}] ",
    "syslog with the year": "Jul 30 10:44:05 2026 host1 kernel: [{t:12.6f}] ",
    "rsyslog": "2026-07-30T10:44:05.123456+02:00 host1 kernel: [{t:12.6f}] ",
    "RFC 5424": "<3>1 2026-07-30T10:44:05.123456Z host1 kernel - - - [{t:12.6f}] ",
    "RFC 3164": "<3>Jul 30 10:44:05 host1 kernel: [{t:12.6f}] ",
    "busybox": "Jul 30 10:44:05 host1 kern.err kernel: [{t:12.6f}] ",
    "OpenWrt's logread": "Thu Jul 30 10:44:05 2026 kern.err kernel: [{t:12.6f}] ",
    "logcat": "07-30 10:44:05.123     0     0 E KERNEL  : [{t:12.6f}] ",
    "Samsung": "[{t:12.6f}]  [3:          rmmod:  777] ",
    "MediaTek": "[{t:12.6f}]  (3)[777:rmmod]",
    "Huawei": "[{t:12.6f}][pid:777,cpu3,rmmod]",
    "Unisoc": "[{t:12.6f}] c3 ",
    "minicom": "[2026-07-30 10:44:05.123] [{t:12.6f}] ",
    "ts": "Jul 30 10:44:05 [{t:12.6f}] ",
    "ts -s": "00:03:02 [{t:12.6f}] ",
    "ts in seconds": "1785404645.123456 [{t:12.6f}] ",
    "a build server": "2026-07-30T10:44:05.1234567Z [{t:12.6f}] ",
    "docker compose": "vm-1  | [{t:12.6f}] ",
    "a terminal's colours": "\x1b[32m[{t:12.6f}] \x1b[0m\x1b[31m",
    "quoted": "> [{t:12.6f}] ",
    "quoted twice": "> > [{t:12.6f}] ",
    "quoted twice, without blanks": ">> [{t:12.6f}] ",
    "indented": "    [{t:12.6f}] ",
    "grep -n": "1234:[{t:12.6f}] ",
    "grep -H": "/var/log/kern.log:Jul 30 10:44:05 host1 kernel: [{t:12.6f}] ",
    "cat -n": "  1234\t[{t:12.6f}] ",
}


def _prefixed(prefix: str) -> Dress:
    return lambda log: "".join(prefix.format(t=t) + body + "\n" for t, body in log)


def _microseconds(t: float) -> str:
    return str(round(t * 1e6))


def _fields(log: Sequence[Entry]) -> List[Dict[str, object]]:
    found: List[Dict[str, object]] = []
    for number, (t, body) in enumerate(log):
        message: object = body
        if not body.isascii() or not body.isprintable():
            message = list(body.encode())
        found.append(
            {
                "__CURSOR": f"s=0123456789abcdef;i={number:x};b=89ab",
                "__REALTIME_TIMESTAMP": "1785404645123456",
                "_BOOT_ID": "0123456789abcdef0123456789abcdef",
                "_TRANSPORT": "kernel",
                "PRIORITY": "3",
                "SYSLOG_IDENTIFIER": "kernel",
                "MESSAGE": message,
                "_SOURCE_MONOTONIC_TIMESTAMP": _microseconds(t),
            }
        )
    return found


def _json_lines(log: Sequence[Entry]) -> str:
    return "".join(json.dumps(fields) + "\n" for fields in _fields(log))


def _json_pretty(log: Sequence[Entry]) -> str:
    return "".join(json.dumps(fields, indent="\t") + "\n" for fields in _fields(log))


def _json_sequence(log: Sequence[Entry]) -> str:
    return "".join("\x1e" + json.dumps(fields) + "\n" for fields in _fields(log))


def _export(log: Sequence[Entry]) -> str:
    return "\n".join(
        "".join(
            f"{name}={value}\n" if name != "MESSAGE" else f"MESSAGE={body}\n"
            for name, value in fields.items()
        )
        for fields, (_, body) in zip(_fields(log), log)
    )


def _verbose(log: Sequence[Entry]) -> str:
    return "".join(
        "Thu 2026-07-30 10:44:05.123456 UTC [s=0123456789abcdef;i=1a;b=89ab;m=1;t=2;x=3]\n"
        f"    _BOOT_ID=0123456789abcdef0123456789abcdef\n    PRIORITY=3\n    MESSAGE={body}\n"
        f"    _SOURCE_MONOTONIC_TIMESTAMP={_microseconds(t)}\n"
        for t, body in log
    )


def _dmesg_json(log: Sequence[Entry]) -> str:
    records = ",".join(
        "{\n"
        f'         "pri": 3,\n         "time": {t:12.6f},\n         "msg": {json.dumps(body)}\n'
        "      }"
        for t, body in log
    )
    return '{\n   "dmesg": [\n      ' + records + "\n   ]\n}\n"


def _kmsg(log: Sequence[Entry]) -> str:
    return "".join(f"3,{n},{_microseconds(t)},-;{body}\n" for n, (t, body) in enumerate(log))


def _netconsole(log: Sequence[Entry]) -> str:
    return "".join(
        f"6.8.0-31,3,{n},{_microseconds(t)},-,caller=T777;{body}\n"
        for n, (t, body) in enumerate(log)
    )


def _wrapped(width: int, quote: str = "") -> Dress:
    def dress(log: Sequence[Entry]) -> str:
        lines: List[str] = []
        for t, body in log:
            line = f"[{t:12.6f}] {body}"
            lines += textwrap.wrap(
                line, width, drop_whitespace=True, replace_whitespace=False, break_on_hyphens=False
            )
        return "".join(f"{quote}{line}\n" for line in lines)

    return dress


def _quoted_printable(log: Sequence[Entry]) -> str:
    text = "Content-Transfer-Encoding: quoted-printable\n\n"
    for t, body in log:
        line = f"[{t:12.6f}] {body}".replace("=", "=3D")
        text += re.sub(r"(.{70}(?<!=)(?<!=3))(?=.)", "\\1=\n", line) + "\n"
    return text


def _carriage_returns(log: Sequence[Entry]) -> str:
    return "".join(f"[{t:12.6f}] {body}\r\n" for t, body in log)


DRESSES: Dict[str, Dress] = {
    **{name: _prefixed(prefix) for name, prefix in PREFIXES.items()},
    "journal json": _json_lines,
    "journal json-pretty": _json_pretty,
    "journal json-seq": _json_sequence,
    "journal export": _export,
    "journal verbose": _verbose,
    "dmesg -J": _dmesg_json,
    "/dev/kmsg": _kmsg,
    "extended netconsole": _netconsole,
    "a mailer of 72 characters": _wrapped(72),
    "a mailer of 76 characters, quoted": _wrapped(76, "> "),
    "quoted-printable": _quoted_printable,
    "a serial console": _carriage_returns,
}
