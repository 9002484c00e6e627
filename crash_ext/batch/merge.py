# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of what many dumps hold: python3 merge.py OUT...
What has grown from one dump of a machine to the next: python3 merge.py -g OLD NEW

Reads what one-dump.sh has written, one file a dump. The table has a row for each kernel,
module and cache name with leftovers, or with caches whose state is unknown; below it stands
each dump whose records are not all there, with the reason. A dump is clean only if every
command that was to run has said that its output is complete.

With -g both files have what `slabdup -a -j` and `slablost -j` wrote, one behind the other; by
way of one-dump.sh or not. Caches go by name, for addresses change from boot to boot, and so
does which of the random kmalloc copies a caller gets: these count as one. Groups of lost
objects go by what is alike in them.

It knows the records and nothing else of this package. MODULE is what a record that names a
`cache` and a `module` says. Exit status: 0; 1 if some dump is incomplete; 2 for a usage error.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

try:
    import json
except ImportError:  # A host's Python. This program isn't for one.
    sys.exit("merge.py: this Python has no json module")

Record = Dict[str, Any]
Key = Tuple[str, str, str, str]
"""Kernel, module, state, name."""

HEAD = ("KERNEL", "MODULE", "STATE", "DUMPS", "CACHES", "OBJECTS", "BYTES", "NAME")
NUMBERS = slice(3, 7)
GROWTH_HEAD = ("BYTES", "NOW", "ALLOCATED", "NOW", "LOST", "NOW", "NAME")
GROUP_HEAD = ("LOST", "NOW", "EXAMPLE", "NAME", "ALIKE")
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
        self.lost: Dict[str, Record] = {}
        self.groups: List[Record] = []
        """Of lost objects."""
        self.every_cache = False
        """slabdup ran with -a."""
        self.reasons: List[str] = []
        self.ended: List[str] = []
        """Commands that came to their end."""
        self._expected: Optional[List[str]] = None
        self._command: Optional[str] = None

    def read(self, bare: bool = False) -> None:
        """Reads the file; whatever is in it, no exception.

        bare: one-dump.sh needn't have made it.
        """
        try:
            with open(self.path, encoding="utf-8", errors="backslashreplace") as lines:
                for line in lines:
                    self._line(line)
        except OSError as error:
            self.reasons.append(error.strerror or "cannot be read")
            return
        self._close()
        if self._expected is None:
            if not bare:
                self.reasons.append("no record says what was to be run")
        elif len(self.ended) < len(self._expected):
            done = f"{len(self.ended)} of {len(self._expected)} commands came to their end"
            self.reasons.append(done)

    def _line(self, line: str) -> None:
        # Outputs that were put together by hand may have blank lines between them.
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            self._record(record)
        elif not line.endswith("\n") or line.startswith("{"):
            self.reasons.append("a record is cut off")
        elif line.strip():
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
        elif kind == "usage":
            self.every_cache = True
        elif kind == "lost":
            self.lost[str(record.get("cache"))] = record
        elif kind == "group" and self._command == "slablost":
            self.groups.append(record)
        elif record.get("cache") and record.get("module"):
            self.modules.setdefault(str(record["cache"]), []).append(str(record["module"]))

    def _end(self, record: Record) -> None:
        self.ended.append(str(self._command))
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


class Amount(NamedTuple):
    """What the caches of one name hold in one dump."""

    bytes: int = 0
    """Of slabs."""
    objects: int = 0
    """Allocated."""
    lost: int = 0
    at_least: bool = False


class Alike(NamedTuple):
    """Lost objects of one name that are alike."""

    objects: int
    example: str
    """Address of one of them."""


Pattern = Tuple[Tuple[int, str, str], ...]
"""(offset, kind, target) of each word that is alike."""

_RANDOM_COPY = re.compile(r"kmalloc-rnd-\d+-")


def shown_name(name: object) -> str:
    """A cache's name; the random copies of a kmalloc cache have one name."""
    return "(unreadable)" if name is None else _RANDOM_COPY.sub("kmalloc-rnd-*-", str(name))


def amounts_of(dump: Dump) -> Dict[str, Amount]:
    """By name."""
    found: Dict[str, Amount] = {}
    for cache in dump.caches.values():
        name = shown_name(cache.get("name"))
        old = found.get(name, Amount())
        found[name] = old._replace(
            bytes=old.bytes + _number(cache, "bytes"),
            objects=old.objects + _number(cache, "allocated"),
            at_least=old.at_least or bool(_number(cache, "unknown")),
        )
    for row in dump.lost.values():
        name = shown_name(row.get("name"))
        old = found.get(name, Amount())
        found[name] = old._replace(lost=old.lost + _lost(row))
    return found


def _lost(row: Record) -> int:
    lists = [row.get("definitely"), row.get("indirectly")]
    return sum(len(each) for each in lists if isinstance(each, list))


def groups_of(dump: Dump) -> Dict[Tuple[str, Pattern], Alike]:
    """The groups of lost objects by name and pattern."""
    found: Dict[Tuple[str, Pattern], Alike] = {}
    for group in dump.groups:
        cache = dump.lost.get(str(group.get("cache")), {})
        key = (shown_name(cache.get("name")), _pattern(group.get("pattern")))
        old = found.get(key)
        example = old.example if old else str(group.get("example"))
        found[key] = Alike((old.objects if old else 0) + _number(group, "objects"), example)
    return found


def _pattern(marks: object) -> Pattern:
    return tuple(
        (_number(mark, "offset"), str(mark.get("kind")), str(mark.get("target") or ""))
        for mark in (marks if isinstance(marks, list) else [])
        if isinstance(mark, dict)
    )


def growth_lines(old: Dump, new: Dump) -> Iterator[str]:
    """What grew, largest first: caches by their slabs, lost objects by group."""
    before, after = amounts_of(old), amounts_of(new)
    none = Amount()
    changes: List[Tuple[Amount, str]] = []
    for name in {*before, *after}:
        was, now = before.get(name, none), after.get(name, none)
        by = Amount(
            now.bytes - was.bytes,
            now.objects - was.objects,
            now.lost - was.lost,
            was.at_least or now.at_least,
        )
        changes.append((by, name))
    grown = [(by, name) for by, name in changes if max(by[:3]) > 0]
    grown.sort(key=lambda item: (-item[0].bytes, -item[0].objects, -item[0].lost, item[1]))
    if grown:
        cells = [list(GROWTH_HEAD)]
        for by, name in grown:
            now, doubt = after.get(name, none), "?" if by.at_least else ""
            numbers = [f"{by.bytes:+}", str(now.bytes), f"{by.objects:+}{doubt}", str(now.objects)]
            cells.append([*numbers, f"{by.lost:+}", str(now.lost), visible(name)])
        yield from _aligned(cells, range(len(GROWTH_HEAD) - 1))
    yield from _group_growth(groups_of(old), groups_of(new))
    total = sum(by.bytes for by, _ in changes)
    yield f"{len(grown)} of {len(changes)} cache names grew; all slabs: {total:+} bytes"
    if any(by.at_least for by, _ in grown):
        yield "?: objects of damaged slabs are not counted"


def _group_growth(
    before: Dict[Tuple[str, Pattern], Alike], after: Dict[Tuple[str, Pattern], Alike]
) -> Iterator[str]:
    grown = []
    for key, now in after.items():
        by = now.objects - (before[key].objects if key in before else 0)
        if by > 0:
            grown.append((-by, key, now))
    if not grown:
        return
    cells = [list(GROUP_HEAD)]
    for less, (name, pattern), now in sorted(grown):
        words = "; ".join(f"+{at:#x} {kind} {target}".rstrip() for at, kind, target in pattern)
        alike = visible(words) or "nothing alike but numbers"
        cells.append([f"{-less:+}", str(now.objects), visible(now.example), visible(name), alike])
    yield from _aligned(cells, range(2))


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
    yield from _aligned(cells, range(*NUMBERS.indices(len(HEAD))))


def _aligned(cells: Sequence[Sequence[str]], numeric: Sequence[int]) -> Iterator[str]:
    """Lines with columns aligned: the numeric ones to the right."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        yield "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()


def growth(old: Dump, new: Dump) -> int:
    """The growth on stdout; the exit status."""
    for dump in (old, new):
        dump.read(bare=True)
        missing = [name for name in ("slabdup", "slablost") if name not in dump.ended]
        if missing:
            dump.reasons.append(f"no {' and no '.join(missing)}")
        elif not dump.every_cache:
            dump.reasons.append("slabdup ran without -a")
        # First, for it makes the numbers mean less.
        if dump.reasons:
            print(f"{visible(dump.path)}: incomplete: {visible('; '.join(dump.reasons))}")
    if old.kernel != new.kernel:
        print(f"not the same kernel: {visible(old.kernel)} and {visible(new.kernel)}")
    print(*growth_lines(old, new), sep="\n")
    return 1 if old.reasons or new.reasons else 0


def main(paths: Sequence[str]) -> int:
    """The table on stdout; the exit status."""
    if len(paths) == 3 and paths[0] == "-g" and not any(path.startswith("-") for path in paths[1:]):
        return growth(Dump(paths[1]), Dump(paths[2]))
    if not paths or any(path.startswith("-") for path in paths):
        print("Usage: merge.py OUT...\n       merge.py -g OLD NEW", file=sys.stderr)
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


def _program() -> int:
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head`: Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(_program())
