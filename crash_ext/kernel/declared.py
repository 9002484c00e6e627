# SPDX-License-Identifier: GPL-3.0-or-later
"""A BTF type as C declares it: its name, its size, its members and theirs.

Knows how types are made of each other (kernel/btf.py has them one by one). A type that is made of
itself, as damaged data may say, ends after some steps: nothing here raises.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.btf import (
    ARRAY,
    CONST,
    DECL_TAG,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    FWD,
    INT,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
    Btf,
    Entry,
    Field,
)
from crash_ext.reader import Member

_DEPTH = 32
"""Types within types. The kernel's own have no more than some 15."""
_STEPS = 1 << 16
"""Structures and members looked at for one answer: one that holds itself twice has no end."""
_PARAMETERS = 64
_ALTERNATIVES = 3
_SIZED = (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT)
_PASSED = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG, DECL_TAG)
"""What doesn't change where members lie. The tags say __user, __rcu and the like."""
_TAGS = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum"}
_WRITTEN = {
    "short int": "short",
    "short unsigned int": "unsigned short",
    "long int": "long",
    "long unsigned int": "unsigned long",
    "long long int": "long long",
    "long long unsigned int": "unsigned long long",
}
"""DWARF's and so BTF's names of integers -> as they are written: "unsigned long"."""
_QUALIFIERS = {CONST: "const", VOLATILE: "volatile", RESTRICT: "restrict"}


class Structure(NamedTuple):
    """A structure of a BTF blob."""

    name: str
    """Without "struct"."""
    size: int
    """Bytes."""
    module: str
    """The module that declares it for itself; empty for one of the kernel."""
    btf: Btf
    ident: int

    @property
    def text(self) -> str:
        """Its name, with its module's in brackets."""
        return f"{self.name} [{self.module}]" if self.module else self.name

    def members(self) -> List[Member]:
        """Its members and theirs, by offset, outer before inner ones; of an array the first
        element's. Members of typedefs are seen, too.
        """
        found = _Walk(self.btf).members(self.ident, 0, 0)
        return sorted(found, key=lambda member: (member.offset, -member.size))

    def path(self, offset: int, size: int) -> str:
        """The member that bytes at an offset are, as C writes it: "d_name.len", "many[1].next".

        Of a union all that hold these bytes: "d_lru.next|d_wait". Empty where no member holds
        them all, or too many do.
        """
        found = list(dict.fromkeys(_Walk(self.btf).paths(self.ident, offset, size, 0)))
        return "|".join(found) if len(found) <= _ALTERNATIVES else ""


def structure(btf: Btf, ident: int, module: str) -> Optional[Structure]:
    """The structure of an id, through typedefs; None where it's none, or only declared."""
    ident = _bare(btf, ident)
    entry = btf.entry(ident)
    if entry is None or entry.kind != STRUCT:
        return None
    owner = "" if btf.base is not None and ident < btf.first else module
    return Structure(entry.name, entry.third, owner, btf, ident)


def returned(btf: Btf, function: int, module: str) -> Optional[Structure]:
    """What a function of that id returns a pointer to; None where that's no structure."""
    entry = btf.entry(function)
    prototype = btf.entry(entry.third) if entry is not None and entry.kind == FUNC else None
    if prototype is None or prototype.kind != FUNC_PROTO:
        return None
    pointer = btf.entry(_bare(btf, prototype.third))
    if pointer is None or pointer.kind != PTR:
        return None
    return structure(btf, pointer.third, module)


def size_of(btf: Btf, ident: int) -> int:
    """Bytes of a type; 0 where it has none."""
    count = 1
    for _ in range(_DEPTH):
        ident = _bare(btf, ident)
        entry = btf.entry(ident)
        if entry is None:
            return 0
        if entry.kind == ARRAY:
            count *= entry.behind[2]
            ident = entry.behind[0]
            continue
        if entry.kind == PTR:
            return count * btf.word
        return count * entry.third if entry.kind in _SIZED else 0
    return 0


def type_text(btf: Btf, ident: int) -> str:
    """A type as gdb writes it without a name: "struct list_head *[4]", "int (*)(void *)"."""
    base, dimensions = _text(btf, ident, 0)
    if dimensions and " (*" in base:
        return base.replace(" (*", f" (*{dimensions}", 1)
    return base + dimensions


def _text(btf: Btf, ident: int, depth: int) -> Tuple[str, str]:
    """(a type without its dimensions, these)"""
    entry = btf.entry(ident)
    if entry is None:
        return ("?" if ident else "void"), ""
    if depth > _DEPTH:
        return "?", ""
    kind = entry.kind
    if kind in _TAGS:
        return f"{_TAGS[kind]} {entry.name}".strip(), ""
    if kind == FWD:
        return f"{'union' if entry.flag else 'struct'} {entry.name}", ""
    if kind in (INT, FLOAT, TYPEDEF):
        return _WRITTEN.get(entry.name, entry.name) or "?", ""
    if kind == ARRAY:
        base, dimensions = _text(btf, entry.behind[0], depth + 1)
        return base, f"[{entry.behind[2]}]{dimensions}"
    if kind == FUNC_PROTO:
        return f"{type_text(btf, entry.third)} ({_parameters(btf, entry, depth)})", ""
    if kind not in (PTR, *_PASSED):
        return "?", ""
    base, dimensions = _text(btf, entry.third, depth + 1)
    if kind == PTR:
        return _pointer(btf, entry, base, dimensions), ""
    word = _QUALIFIERS.get(kind)
    if word is None:
        return base, dimensions
    return (f"{base} {word}" if base.endswith("*") else f"{word} {base}"), dimensions


def _pointer(btf: Btf, entry: Entry, base: str, dimensions: str) -> str:
    target = btf.entry(_untagged(btf, entry.third))
    if target is not None and target.kind == FUNC_PROTO:
        result, _, parameters = base.partition(" (")
        return f"{result} (*)({parameters}"
    if " (*" in base:
        return base.replace(" (*", " (**", 1)
    if dimensions:
        return f"{base} (*){dimensions}"
    return f"{base}*" if base.endswith("*") else f"{base} *"


def _parameters(btf: Btf, entry: Entry, depth: int) -> str:
    types = list(entry.behind[1::2])
    if not types:
        return "void"
    shown = [
        "..." if not each and number == len(types) - 1 else "".join(_text(btf, each, depth + 1))
        for number, each in enumerate(types[:_PARAMETERS])
    ]
    return ", ".join(shown)


def _bare(btf: Btf, ident: int) -> int:
    """The id behind typedefs, qualifiers and tags."""
    return _behind(btf, ident, _PASSED)


def _untagged(btf: Btf, ident: int) -> int:
    return _behind(btf, ident, (VOLATILE, CONST, RESTRICT, TYPE_TAG, DECL_TAG))


def _behind(btf: Btf, ident: int, kinds: Tuple[int, ...]) -> int:
    for _ in range(_DEPTH):
        entry = btf.entry(ident)
        if entry is None or entry.kind not in kinds:
            return ident
        ident = entry.third
    return 0


class _Walk:
    """Goes down into one structure, for as many steps as a true one can need."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._steps = 0

    def members(self, ident: int, start: int, depth: int) -> Iterator[Member]:
        """Of a structure whose first byte is at `start`."""
        for field in self._fields(ident, depth):
            offset = start + field.bit // 8
            if field.name:
                text = type_text(self._btf, field.type)
                yield Member(field.name, offset, self._size(field), text)
            if not field.bits:
                yield from self.members(self._element(field.type)[0], offset, depth + 1)

    def paths(self, ident: int, offset: int, size: int, depth: int) -> Iterator[str]:
        """Of the outermost members that are just these bytes, else of the innermost around."""
        for field in self._fields(ident, depth):
            within, whole = offset - field.bit // 8, self._size(field)
            if within < 0 or within + size > whole:
                continue
            if field.name and not field.bits and (within, size) != (0, whole):
                yield from self._within(field, within, size, depth)
            elif field.name:
                yield field.name
            else:
                yield from self.paths(field.type, within, size, depth + 1)

    def _within(self, field: Field, offset: int, size: int, depth: int) -> Iterator[str]:
        """Of what is in a member, or in an element of it."""
        element, stride = self._element(field.type)
        name = field.name
        at = offset % stride if stride else 0
        if 0 < stride < self._size(field) and (offset >= stride or at + size <= stride):
            name += f"[{offset // stride}]"
        inner: List[str] = []
        if (at, size) != (0, stride):
            inner = list(self.paths(element, at, size, depth + 1))
        if inner:
            yield from (f"{name}.{each}" for each in inner)
        else:
            yield f"{name}+{at:#x}" if at else name

    def _fields(self, ident: int, depth: int) -> Iterator[Field]:
        entry = self._btf.entry(_bare(self._btf, ident))
        if entry is None or depth > _DEPTH:
            return
        for field in self._btf.fields(entry):
            self._steps += 1
            if self._steps > _STEPS:
                return
            yield field

    def _size(self, field: Field) -> int:
        if field.bits:
            return (field.bit % 8 + field.bits + 7) // 8
        return size_of(self._btf, field.type)

    def _element(self, ident: int) -> Tuple[int, int]:
        """(id, bytes) of an array's element, or of what is no array."""
        for _ in range(_DEPTH):
            ident = _bare(self._btf, ident)
            entry = self._btf.entry(ident)
            if entry is None or entry.kind != ARRAY:
                break
            ident = entry.behind[0]
        return ident, size_of(self._btf, ident)
