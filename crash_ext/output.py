# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a command's findings go: text for a reader, JSON records, or addresses alone.

A command says each finding in both forms; the output takes the one that the user asked for.
Knows nothing of slabs but a cache's address and name. Text goes to sys.stdout and errors to
sys.stderr, which the host connects with crash's current output.
"""

from __future__ import annotations

import sys
from typing import Dict, Iterable, List, Optional, Sequence

from crash_ext.files import write_lines
from crash_ext.hexa import hexa, hexa_lines
from crash_ext.report.jsonl import VERSION, Encoder
from crash_ext.report.text import plural, printable, visible, wrapped
from crash_ext.slub.model import Cache
from crash_ext.version import TOOL_VERSION

_AT_ONCE = 4096
"""Addresses that are written at once."""


class Output:
    """Of one run of a command."""

    def __init__(
        self,
        name: str,
        encode: Optional[Encoder] = None,
        quiet: bool = False,
        source: Optional[Dict[str, object]] = None,
    ) -> None:
        """name: the command's; encode: makes a record a line (-j); quiet: addresses alone (-q).

        source: of which dump the first record says that it is.
        """
        self.problems = 0
        """How many errors there were."""
        self.complete = False
        """Whether the output is complete, known at the end: -j's last record has it."""
        self.limits: List[str] = []
        """What was left out because the user asked for less."""
        self.told: List[str] = []
        """Those of the limits that were said already."""
        self._name = name
        self._encode = encode
        self._speaks = encode is None and not quiet
        self._begun = False
        self._source = source or {}

    @property
    def json(self) -> bool:
        """Whether the output is JSON lines."""
        return self._encode is not None

    def record(self, kind: str, **fields: object) -> None:
        """Write a JSON record; nothing without -j."""
        if self._encode is None:
            return
        if not self._begun:
            self._begun = True
            head = {"command": self._name, "version": VERSION, "tool": TOOL_VERSION}
            self.record("begin", **head, **self._source)
        sys.stdout.write(self._encode({"type": kind, **fields}) + "\n")

    def text(self, *lines: str) -> None:
        """Write lines for a reader; nothing with -j or -q."""
        self.lines(lines)

    def lines(self, lines: Iterable[str]) -> None:
        """The same of lines that are made only if they are written."""
        if self._speaks:
            for line in lines:
                sys.stdout.write(line + "\n")

    def sentences(self, texts: Iterable[str]) -> None:
        """Write each for a reader, in lines of at most 80 columns."""
        for text in texts if self._speaks else ():
            self.lines(wrapped(text))

    def addresses(self, addresses: Sequence[int]) -> None:
        """Write the addresses that -q asks for, a line each."""
        for at in range(0, len(addresses), _AT_ONCE):
            sys.stdout.write(hexa_lines(addresses[at : at + _AT_ONCE]))

    def error(self, text: str, cache: Optional[Cache] = None) -> None:
        """Say `command: text`, with -j as a record of type problem; the output goes on."""
        self.problems += 1
        if self.json:
            address = hexa(cache.address) if cache is not None else None
            self.record("problem", text=text, cache=address)
            return
        if cache is not None:
            text = f"{hexa(cache.address)} {printable(cache.name)}: {text}"
        sys.stdout.flush()
        sys.stderr.write(f"{self._name}: {visible(text)}\n")

    def limit(self, text: str) -> None:
        """Say what was left out, right where that is."""
        self.limits.append(text)
        self.told.append(text)
        self.sentences([text])

    def file(self, name: str, lines: Iterable[str]) -> None:
        """Write lines to a file. One that can't be written is an error, and no more."""
        try:
            write_lines(name, lines)
        except OSError as error:
            self.error(f"{name}: {error.strerror}")
            return
        self.text(f"written: {visible(name)}")

    def end(self, fields: Dict[str, object], failure: str = "") -> None:
        """The last JSON record: whether the output is complete, and if not, why."""
        reasons = [failure] if failure else []
        reasons += self.limits
        if self.problems:
            reasons.append(plural(self.problems, "problem"))
        reason = ", ".join(reasons)
        self.complete = not reason
        self.record("end", complete=not reason, reason=reason or None, **fields)
