# SPDX-License-Identifier: GPL-3.0-or-later
"""Which structures have a size, and what their members are: asked of the host.

A host that answers itself (drgn's) has functions `members`, `module_files` and `how_to_load`.
crash has only text for people: its `whatis -r` (in 8.0) names structures by size; gdb's
`ptype/o` (in gdb 8.1) gives offsets and sizes of members, nested ones too; `mod` says whose
debug information was read.
Where a host has none of these, nothing is known.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional

from crash_ext.reader import Member

_ROW = re.compile(r" *(\d{1,9})  (\w+) *")
_LINE = re.compile(r"/\* +(?:(\d+)(?:: *\d+)? +\| +)?(\d+) \*/ +(.*)")
_OPENS = re.compile(
    r"(?:type = )?((?:const |volatile )*(?:(?:struct|union|class) ?\w*|enum \w+)) (?:: [^{]*)?\{"
)
_CLOSES = re.compile(r" +\} ?(\w*)([^;]*);")
_FUNCTION = re.compile(r"(.*)\(\*+ ?(\w*)((?:\[\d+\])*)\)(\(.*)")
_PLAIN = re.compile(r"(.*?[ *])(\w+)((?:\[\d*\])*)(?: : \d+)?")
_MODULE = re.compile(r" *[0-9a-f]{8,16} +(\S+) +(.*)")
_MOST_LINES = 1 << 16


def structs_of_size(crash: Any, smallest: int, largest: int) -> Optional[List[str]]:
    """Names of the structures and unions of that many bytes; None where crash can't tell.

    The first call of a session has all debug information read, which takes many seconds and a
    gigabyte of memory.
    """
    try:
        text: str = crash.exec_crash_command(f"whatis -r {smallest}-{largest}")
    except crash.error:
        return None
    if text.strip() == "(none found)":
        return []
    rows = [_ROW.fullmatch(line) for line in text.splitlines()]
    if not text.startswith("SIZE"):
        return None
    return [row.group(2) for row in rows if row]


def module_files(crash: Any) -> Optional[Dict[str, bool]]:
    """Module -> whether crash has read its file, by `mod`; None where it knows of no modules."""
    if hasattr(crash, "module_files"):
        own: Optional[Dict[str, bool]] = crash.module_files()
        return own
    try:
        text: str = crash.exec_crash_command("mod")
    except crash.error:
        return None
    rows = [_MODULE.match(line) for line in text.splitlines()]
    found = {row.group(1): "(not loaded)" not in row.group(2) for row in rows if row}
    return found or None


def how_to_load(crash: Any, module: str) -> str:
    """What a user has to type to have a module's debug information read."""
    return str(crash.how_to_load()) if hasattr(crash, "how_to_load") else f"mod -s {module} FILE"


def members(crash: Any, struct: str) -> List[Member]:
    """A structure's members and theirs, by offset, outer before inner ones.

    Empty where there's no such structure, or gdb doesn't tell.
    """
    if not re.fullmatch(r"\w+", struct, re.ASCII):
        return []
    answer: Optional[List[Member]] = crash.members(struct) if hasattr(crash, "members") else None
    if answer is not None:
        return answer
    text: Optional[str] = crash.get_GDB_output(f"ptype/o struct {struct}")
    found = _parse(text or "")
    return sorted(found, key=lambda member: (member.offset, -member.size))


class _Container(NamedTuple):
    kind: str
    offset: int
    size: int


def _parse(text: str) -> List[Member]:
    found: List[Member] = []
    inside: List[_Container] = []
    for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]:
        row = _LINE.match(line)
        body = row.group(3).strip() if row else line.strip()
        opens = _OPENS.fullmatch(body)
        if not row:
            # The head's line has the columns' names instead of numbers.
            head = _OPENS.search(line) if "type = " in line else None
            closes = _CLOSES.fullmatch(line)
            if head and not inside:
                inside.append(_Container(head.group(1), 0, 0))
            elif closes and len(inside) > 1:
                last = inside.pop()
                if closes.group(1):
                    kind = last.kind + closes.group(2)
                    found.append(Member(closes.group(1), last.offset, last.size, kind))
            continue
        if not inside:
            continue
        # A member of a union has no offset of its own.
        offset = int(row.group(1)) if row.group(1) else inside[-1].offset
        size = int(row.group(2))
        if opens:
            inside.append(_Container(opens.group(1).strip(), offset, size))
        elif body.endswith(";"):
            member = _member(body[:-1], offset, size)
            if member is not None:
                found.append(member)
    return found


def _member(declaration: str, offset: int, size: int) -> Optional[Member]:
    function = _FUNCTION.fullmatch(declaration)
    if function:
        kind = f"{function.group(1).strip()} (*{function.group(3)}){function.group(4)}"
        return Member(function.group(2), offset, size, kind)
    plain = _PLAIN.fullmatch(declaration)
    if not plain:
        return None
    return Member(plain.group(2), offset, size, plain.group(1).strip() + plain.group(3))
