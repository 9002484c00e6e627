# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a log as they were printed: out of records, and whole again.

A journal gives records of fields, a mailer breaks lines, and syslog joins them. Knows no
report, only which parts make a line.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional

_LONGEST = 16384
"""Characters of a record on one line: a journal's has some forty fields."""
_STRING = r'"((?:[^"\\]|\\.)*)"'
_FIELD = re.compile(
    rf"{_STRING}\s*:\s*(?:{_STRING}|\[([\d,\s]*)\]|(-?[\d.]+|null|true|false))|([{{}}])"
)
_OBJECT_LINE = re.compile(r"(?:data: |\x1e|[\[,]\s*)?\s*\{.*")
_FIELD_LINE = re.compile(rf"\s*{_STRING}\s*:.*")
_ONLY_BRACES = re.compile(r"[\s\[\]{},]*[\[\]{}][\s\[\]{},]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_EXPORTED = re.compile(r"\s*(_{0,2}[A-Z][A-Z0-9_]*)=(.*)")
"""journalctl -o export and -o verbose: a line a field."""
_EXPORT_HEAD = re.compile(r"[A-Z]\w\w \d{4}-.* \[s=[0-9a-f]+;.*\]")
_MICROSECONDS = ("_SOURCE_MONOTONIC_TIMESTAMP", "__MONOTONIC_TIMESTAMP")
_QUOTED_PRINTABLE = re.compile(r"^Content-Transfer-Encoding: quoted-printable|objects=3D", re.M)
_SOFT_BREAK = re.compile(r"=\r?\n")
_BYTE = re.compile(r"=([0-9A-F]{2})")
_NEW_LINE = re.compile(r"\\x0a|#012")
"""A line's end inside a record, as /dev/kmsg and rsyslog show it."""
_QUOTE = re.compile(r"^(?:> ?)+")
_WIDEST = 100
"""Characters: no mailer leaves wider lines."""


class RawLine(NamedTuple):
    """A line with its dress; what the record around it says of it, else None."""

    text: str
    when: Optional[float] = None
    """Seconds since boot."""
    caller: Optional[str] = None


def for_each_raw_line(text: str, is_stamped: Callable[[str], bool]) -> Iterator[RawLine]:
    """The lines of a log. is_stamped: whether a line begins as those with a time do."""
    if _QUOTED_PRINTABLE.search(text):
        text = _BYTE.sub(lambda byte: chr(int(byte.group(1), 16)), _SOFT_BREAK.sub("", text))
    for line in _rejoined(_out_of_records(_unwrapped(text.split("\n"), is_stamped)), is_stamped):
        if "\\x0a" in line.text or "#012" in line.text:
            for part in _NEW_LINE.split(line.text):
                yield line._replace(text=part)
        else:
            yield line


# records ------------------------------------------------------------------------------


def _out_of_records(lines: Iterable[str]) -> Iterator[RawLine]:
    """Messages of JSON objects and of exported fields; any other line as it is."""
    fields: Dict[str, str] = {}
    exported = False
    for line in lines:
        # A record's own fields are in capitals: no line of a log is.
        export = _EXPORTED.fullmatch(line) if "=" in line else None
        if export is not None and (exported or export.group(1).startswith("__")):
            exported = True
            fields[export.group(1)] = export.group(2)
        elif exported and (not line.strip() or _EXPORT_HEAD.fullmatch(line)):
            yield from _messages(fields)
            fields = {}
        elif _EXPORT_HEAD.fullmatch(line):
            exported = True
        elif len(line) <= _LONGEST and (
            _OBJECT_LINE.fullmatch(line) or _FIELD_LINE.fullmatch(line) or _is_brace(line)
        ):
            for found in _FIELD.finditer(line):
                key, string, numbers, word, brace = found.groups()
                if brace:
                    yield from _messages(fields)
                    fields = {}
                elif numbers is not None:
                    fields[_unescaped(key)] = _text_of_bytes(numbers)
                else:
                    fields[_unescaped(key)] = word if string is None else _unescaped(string)
        else:
            yield RawLine(line)
    yield from _messages(fields)


def _is_brace(line: str) -> bool:
    return len(line) < 80 and _ONLY_BRACES.fullmatch(line) is not None


def _messages(fields: Dict[str, str]) -> Iterator[RawLine]:
    """A record's message, if it is the kernel's."""
    text = fields.get("MESSAGE", fields.get("msg"))
    if text is None or fields.get("_TRANSPORT", "kernel") != "kernel":
        return
    when: Optional[float] = None
    try:
        if "time" in fields:
            when = float(fields["time"])
        for name in _MICROSECONDS:
            if when is None and name in fields:
                when = int(fields[name]) / 1e6
    except ValueError:
        pass
    for line in text.split("\n"):
        yield RawLine(line, when, fields.get("caller"))


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        code, letter = found.groups()
        return chr(int(code, 16)) if code else _ESCAPED.get(letter, letter)

    return _ESCAPE.sub(one, text) if "\\" in text else text


def _text_of_bytes(numbers: str) -> str:
    """A message that isn't printable: the journal gives its bytes."""
    values = [int(number) for number in re.findall(r"\d{1,3}", numbers)]
    return bytes(value & 0xFF for value in values).decode("utf-8", "replace")


# lines that a mailer has broken -------------------------------------------------------


def _unwrapped(lines: List[str], is_stamped: Callable[[str], bool]) -> Iterator[str]:
    """Lines that a mailer has broken, whole again, where lines have a time.

    Where nearly all lines have one, a line without goes on with the one before. At a line's
    full width a blank was lost, or a word was broken that is wider than that.
    """
    if max((len(line) for line in lines), default=0) > _WIDEST:
        yield from lines
        return
    stamped = [is_stamped(line) for line in lines]
    bare = [_QUOTE.sub("", line) for line in lines]
    width = max(len(line) for line in bare)
    filled = sum(bool(line.strip()) for line in bare)
    if 2 * sum(stamped) < filled or sum(stamped) >= filled:
        yield from lines
        return
    whole: Optional[str] = None
    part = ""
    for raw, line, own in zip(lines, bare, stamped):
        goes_on = line.strip() and not line.startswith((" ", "\t")) and not own
        if goes_on and whole is not None:
            word = part.rpartition(" ")[2] + line.partition(" ")[0]
            whole += ("" if len(part) >= width and len(word) > width else " ") + line
        else:
            if whole is not None:
                yield whole
            whole = raw
        part = line
    if whole is not None:
        yield whole


_PARTS = (
    # How a line begins that may be broken, and how it ends.
    (
        re.compile(r"BUG .*"),
        re.compile(r"BUG .*: Objects remaining.* on \w+\(\)"),
    ),
    (
        re.compile(r"(?:INFO: )?Slab 0x.*"),
        re.compile(r"(?:INFO: )?Slab 0x.* used=\d+ fp=0x\S+ flags=0x.*"),
    ),
    (
        re.compile(r"kmem_cache_destroy .*"),
        re.compile(
            r"kmem_cache_destroy .*: Slab cache still has objects(?: when called from \S.*)?"
        ),
    ),
    (
        re.compile(r"CPU: \d+ .*"),
        re.compile(r"CPU: \d+ .*Comm: .* (?:Not tainted|Tainted: ).*"),
    ),
    (
        re.compile(r"(?:INFO: )?(?:Allocated|Freed) in .*"),
        re.compile(r"(?:INFO: )?(?:Allocated|Freed) in .* age=\d+ cpu=\d+ pid=-?\d+"),
    ),
)
_CALLED = re.compile(r"when called from .*")
_CALLER_S_MODULE = re.compile(r"\[[\w-]+(?: [0-9a-f]+)?\]")
_MODULE_MISSING = re.compile(r".*\+0x[0-9a-f]+/0x[0-9a-f]+")
_GOES_ON = 3
"""Lines that one may have been broken into, besides the first."""


def _rejoined(lines: Iterable[RawLine], is_stamped: Callable[[str], bool]) -> Iterator[RawLine]:
    """Lines of ours that were broken where nothing has a time: by how they go on."""
    waiting: List[RawLine] = []
    for line in lines:
        waiting.append(line)
        while len(waiting) > _GOES_ON:
            yield _first_whole(waiting, is_stamped)
    while waiting:
        yield _first_whole(waiting, is_stamped)


def _first_whole(waiting: List[RawLine], is_stamped: Callable[[str], bool]) -> RawLine:
    """Takes the first line, and those that it goes on with."""
    first = waiting.pop(0)
    text = first.text.rstrip("\r ")
    body = text.lstrip("> ")
    if len(body) > _WIDEST:
        return first
    for begins, whole in _PARTS:
        if begins.fullmatch(body) and not whole.fullmatch(body):
            joined = body
            for number, each in enumerate(waiting[:_GOES_ON], 1):
                joined += " " + each.text.strip("> \r")
                if is_stamped(each.text):
                    break
                if whole.fullmatch(joined):
                    del waiting[:number]
                    body = text = joined
                    break
            break
    if waiting and not is_stamped(waiting[0].text):
        following = waiting[0].text.strip("> \r")
        called = body.endswith("still has objects") and _CALLED.fullmatch(following)
        module = _MODULE_MISSING.fullmatch(body) and _CALLER_S_MODULE.fullmatch(following)
        if called or module:
            del waiting[0]
            text = f"{text} {following}"
    return first._replace(text=text)
