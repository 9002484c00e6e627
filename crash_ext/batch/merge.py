# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of what many dumps hold: python3 merge.py OUT...

Reads what one-dump.sh has written, one file a dump. The table has a row for each kernel,
module and cache name with leftovers, or with caches whose state is unknown; below it stands
each dump whose records are not all there, with the reason. A dump is clean only if every
command that was to run has said that its output is complete.

It knows the records and nothing else of this package. MODULE is what a record that names a
`cache` and a `module` says. Exit status: 0; 1 if some dump is incomplete; 2 for a usage error.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

try:
    import json
except ImportError:  # A host's Python. This program isn't for one.
    sys.exit("merge.py: this Python has no json module")

Record = Dict[str, Any]
Key = Tuple[str, str, str, str]
"""Kernel, module, state, name."""

HEAD = ("KERNEL", "MODULE", "STATE", "DUMPS", "CACHES", "OBJECTS", "BYTES", "NAME")
NUMBERS = slice(3, 7)
COUNTED = ("leftover", "unknown")
"""States of caches that have a row; live ones are what a kernel is full of."""


class Dump:
    """What one file holds: caches by address, and why it isn't all."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.kernel = "-"
        self.caches: Dict[str, Record] = {}
        self.modules: Dict[str, List[str]] = {}
        """Address of a cache -> the modules that records name for it."""
        self.reasons: List[str] = []
        self._expected: Optional[List[str]] = None
        self._command: Optional[str] = None
        self._ended = 0

    def read(self) -> None:
        """Reads the file; whatever is in it, no exception."""
        try:
            with open(self.path, encoding="utf-8", errors="backslashreplace") as lines:
                for line in lines:
                    self._line(line)
        except OSError as error:
            self.reasons.append(error.strerror or "cannot be read")
            return
        self._close()
        if self._expected is None:
            self.reasons.append("no record says what was to be run")
        elif self._ended < len(self._expected):
            done = f"{self._ended} of {len(self._expected)} commands came to their end"
            self.reasons.append(done)

    def _line(self, line: str) -> None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            self._record(record)
        elif not line.endswith("\n") or line.startswith("{"):
            self.reasons.append("a record is cut off")
        else:
            self.reasons.append(line.strip())

    def _record(self, record: Record) -> None:
        kind = record.get("type")
        if kind == "dump" and isinstance(record.get("commands"), list):
            self._expected = record["commands"]
        elif kind == "run":
            self._close()
            self.kernel = str(record.get("kernel") or "-")
            if record.get("reason"):
                self.reasons.append(str(record["reason"]))
        elif kind == "begin":
            self._close()
            self._command = str(record.get("command"))
        elif kind == "end":
            self._end(record)
        elif kind == "cache" and self._command == "slabdup":
            self.caches[str(record.get("address"))] = record
        elif record.get("cache") and record.get("module"):
            self.modules.setdefault(str(record["cache"]), []).append(str(record["module"]))

    def _end(self, record: Record) -> None:
        self._ended += 1
        if record.get("complete") is not True:
            self.reasons.append(f"{self._command}: {record.get('reason') or 'incomplete'}")
        self._command = None

    def _close(self) -> None:
        """No more records of the command that has begun."""
        if self._command is not None:
            self.reasons.append(f"{self._command}: cut off")
            self._command = None


class Row:
    """Caches of one kernel, module, state and name, over all dumps."""

    def __init__(self) -> None:
        self.dumps = 0
        self.caches = 0
        self.objects = 0
        self.bytes = 0
        self.at_least = False
        """Objects are unknown, or a dump of them is incomplete."""

    def add(self, caches: Sequence[Record], complete: bool) -> None:
        """The caches of one dump."""
        self.dumps += 1
        self.caches += len(caches)
        self.objects += sum(_number(cache, "allocated") for cache in caches)
        self.bytes += sum(_number(cache, "bytes") for cache in caches)
        unknown = any(_number(cache, "unknown") for cache in caches)
        self.at_least |= unknown or not complete


def _number(record: Record, field: str) -> int:
    value = record.get(field)
    return value if isinstance(value, int) else 0


def rows_of(dumps: Sequence[Dump]) -> Dict[Key, Row]:
    """The table's rows."""
    rows: Dict[Key, Row] = {}
    for dump in dumps:
        mine: Dict[Key, List[Record]] = {}
        for address, cache in dump.caches.items():
            if cache.get("state") in COUNTED:
                modules = ",".join(sorted(set(dump.modules.get(address, [])))) or "-"
                name = cache.get("name")
                shown = "(unreadable)" if name is None else str(name)
                mine.setdefault((dump.kernel, modules, cache["state"], shown), []).append(cache)
        for key, caches in mine.items():
            rows.setdefault(key, Row()).add(caches, not dump.reasons)
    return rows


def visible(text: str) -> str:
    """Names come out of dumps: printable ASCII only."""
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def table(rows: Dict[Key, Row]) -> Iterator[str]:
    """Lines, columns aligned; the rows with most dumps first."""
    cells = [list(HEAD)]
    for (kernel, modules, state, name), row in sorted(
        rows.items(), key=lambda item: (-item[1].dumps, item[0])
    ):
        more = "+" if row.at_least else ""
        numbers = [str(row.dumps), f"{row.caches}{more}", f"{row.objects}{more}", str(row.bytes)]
        cells.append([*map(visible, (kernel, modules, state)), *numbers, visible(name)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    numeric = range(*NUMBERS.indices(len(HEAD)))
    for line in cells:
        yield "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()


def main(paths: Sequence[str]) -> int:
    """The table on stdout; the exit status."""
    if not paths or any(path.startswith("-") for path in paths):
        print("Usage: merge.py OUT...", file=sys.stderr)
        return 2
    dumps = [Dump(path) for path in paths]
    for dump in dumps:
        dump.read()
    rows = rows_of(dumps)
    if rows:
        print(*table(rows), sep="\n")
    incomplete = [dump for dump in dumps if dump.reasons]
    for dump in incomplete:
        print(f"{visible(dump.path)}: incomplete: {visible('; '.join(dump.reasons))}")
    complete = [dump for dump in dumps if not dump.reasons]
    found = sum(
        any(cache.get("state") in COUNTED for cache in dump.caches.values()) for dump in complete
    )
    print(
        f"dumps: {len(dumps)}; complete: {found} with leftovers or unknown caches,"
        f" {len(complete) - found} clean; incomplete: {len(incomplete)}"
    )
    return 1 if incomplete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
