# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects does a user mean? -w FILTER: its syntax, and whether an object fits it.

Knows the facts of one object that it is given, and reads nothing. What can't be known of an
object is an answer of its own: it neither fits nor fails.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import FrozenSet, Iterator, List, Literal, NamedTuple, Optional, Tuple, Union

FUNCTION, OLDER, NEWER, CPU, PID, NODE = "func", "older", "newer", "cpu", "pid", "node"
_NUMBERS = (CPU, PID, NODE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WIDTHS = (1, 2, 4, 8)
_MOMENT = re.compile(r"([0-9]+)([smhd])", re.ASCII)
_NUMBER = re.compile(r"0[xX]([0-9a-fA-F]+)|(0|[1-9][0-9]*)", re.ASCII)
_LOGGED = re.compile(r"(\+0x[0-9a-f]+)/0x[0-9a-f]+", re.ASCII)
_FRAME = re.compile(r"([^\s+]+)(\+0x[0-9a-f]+)?( \[[^\]]+\])?", re.ASCII)
_ADDRESS_DIGITS = 16
"""So many bare digits are the address that another command has printed: hexadecimal."""

NO_OWNER = "owner not known"


class FilterError(Exception):
    """A condition that can't be taken; the text names it and says why."""


class Facts(NamedTuple):
    """What is known of one object; None: not known."""

    noted: bool
    """Whether its allocation was noted: functions, age, CPU and task are of that."""
    functions: FrozenSet[str]
    """Of the stack and the caller, each in every form of forms_of()."""
    unnamed: bool
    """The stack has places that no function is known for."""
    seconds: Optional[float]
    """Since the allocation."""
    cpu: Optional[int]
    pid: Optional[int]
    node: Optional[int]
    """Of its slab."""
    data: Optional[bytes]
    """Its contents."""


NOTHING = Facts(False, frozenset(), False, None, None, None, None, None)

Verdict = Union[bool, str]
"""Whether an object fits; a text: why that can't be known."""


class Condition(NamedTuple):
    """One of a filter's conditions."""

    kind: str
    """One of the constants above; "" for a value in the contents."""
    pattern: str
    """Of FUNCTION."""
    number: int
    """Seconds, a CPU, a task, a node, or the value."""
    offset: int = 0
    width: int = 0
    """Bytes of the value at the offset."""

    def judge(self, facts: Facts, byteorder: Literal["little", "big"]) -> Verdict:
        """Whether the object with these facts fits."""
        if not self.kind:
            return self._judge_value(facts.data, byteorder)
        if self.kind == NODE:
            return "node not known" if facts.node is None else facts.node == self.number
        if not facts.noted:
            return NO_OWNER
        if self.kind == FUNCTION:
            if any(_fits(form, self.pattern) for form in facts.functions):
                return True
            return "a function of the stack has no name" if facts.unnamed else False
        if self.kind in (OLDER, NEWER):
            if facts.seconds is None:
                return "age not known"
            return (facts.seconds >= self.number) == (self.kind == OLDER)
        if self.kind == PID:
            return facts.pid == self.number
        return "CPU not noted" if facts.cpu is None else facts.cpu == self.number

    def _judge_value(self, data: Optional[bytes], byteorder: Literal["little", "big"]) -> Verdict:
        if data is None:
            return "contents can't be read"
        found = data[self.offset : self.offset + self.width]
        if len(found) < self.width:
            return f"the object ends before {self.offset + self.width:+#x}"
        return int.from_bytes(found, byteorder) == self.number


class Filter(NamedTuple):
    """All of its conditions must hold."""

    text: str
    """As the user has typed it."""
    conditions: Tuple[Condition, ...]

    @property
    def owner(self) -> bool:
        """Whether it asks about the allocation."""
        return any(each.kind not in ("", NODE) for each in self.conditions)

    @property
    def functions(self) -> bool:
        """Whether it asks about the functions of the stack."""
        return any(each.kind == FUNCTION for each in self.conditions)

    @property
    def contents(self) -> bool:
        """Whether it asks about the contents."""
        return any(not each.kind for each in self.conditions)

    @property
    def nodes(self) -> Iterator[int]:
        """The NUMA nodes that it names."""
        return (each.number for each in self.conditions if each.kind == NODE)

    def judge(self, facts: Facts, byteorder: Literal["little", "big"]) -> Verdict:
        """Whether an object fits. One that fails a condition fails, whatever isn't known."""
        unknown = ""
        for condition in self.conditions:
            verdict = condition.judge(facts, byteorder)
            if verdict is False:
                return False
            if isinstance(verdict, str):
                unknown = unknown or verdict
        return unknown or True


def parse(text: str, word: int) -> Filter:
    """A filter as it is typed. word: bytes of a pointer. Raises FilterError."""
    found: List[Condition] = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise FilterError(f"{part or text}: not a condition: write NAME=VALUE or OFFSET=VALUE")
        found.append(_condition(part, key, value, word))
    return Filter(text, tuple(found))


def forms_of(place: str) -> FrozenSet[str]:
    """A function as a user may name it; place: "alloc.isra.0+0x15 [foo]", as text shows it."""
    parts = _FRAME.fullmatch(place)
    if parts is None:
        return frozenset((place,))
    name, offset, module = parts[1], parts[2] or "", parts[3] or ""
    # What the compiler has made of a function (.isra.0, .cold) is still that function.
    names = {name, name.partition(".")[0] or name}
    return frozenset(
        each + behind for each in names for behind in ("", offset, module, offset + module)
    )


def _fits(form: str, pattern: str) -> bool:
    return form == pattern or fnmatchcase(form, pattern)


def _condition(part: str, key: str, value: str, word: int) -> Condition:
    if key == FUNCTION:
        # The kernel log's "+0x15/0x40": the size is no part of what is noted.
        return Condition(key, _LOGGED.sub(r"\1", value), 0)
    if key in (OLDER, NEWER):
        moment = _MOMENT.fullmatch(value)
        if moment is None:
            raise FilterError(f"{part}: not a time: write 10s, 5m, 2h or 3d")
        return Condition(key, "", int(moment[1]) * _UNITS[moment[2]])
    if key in _NUMBERS:
        if not (value.isascii() and value.isdigit()):
            raise FilterError(f"{part}: not a decimal number: {value}")
        return Condition(key, "", int(value))
    if not re.match(r"[+0-9]", key):
        raise FilterError(f"{part}: no condition {key} (func older newer cpu pid node OFFSET)")
    at, colon, digits = key.partition(":")
    offset = _number(part, at[1:] if at.startswith("+") else at)
    width = _number(part, digits) if colon else word
    if width not in _WIDTHS:
        raise FilterError(f"{part}: a value has 1, 2, 4 or 8 bytes")
    number = _number(part, value)
    if number >> 8 * width:
        raise FilterError(f"{part}: {value} is more than {width} bytes hold")
    return Condition("", "", number, offset, width)


def _number(part: str, text: str) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None or len(found[2] or "") >= _ADDRESS_DIGITS:
        raise FilterError(f"{part}: not a number: {text}: write 0x10 or 16")
    return int(found[1], 16) if found[1] else int(found[2])
