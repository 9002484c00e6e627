# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures, members and enumerators out of a drgn.Program, in crash's and gdb's terms."""

from __future__ import annotations

from typing import Iterator, List, Optional

import drgn

from crash_ext.reader import Member

_CONTAINERS = (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.CLASS)


def find_type(program: drgn.Program, name: str) -> Optional[drgn.Type]:
    """A type by its name with its kind, as "struct page"; None where there's none."""
    try:
        return program.type(name)
    except (LookupError, SyntaxError, ValueError):
        return None


def size_of(type_: Optional[drgn.Type]) -> int:
    """Bytes; 0 for no type, an incomplete one, and an array without a length."""
    if type_ is None or not type_.is_complete():
        return 0
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return 0


def member_of(type_: Optional[drgn.Type], name: str) -> Optional[drgn.TypeMember]:
    """A member, of an anonymous member too."""
    if type_ is None or type_.kind not in _CONTAINERS:
        return None
    try:
        return type_.member(name)
    except (LookupError, TypeError):
        return None


def find_enumerator(program: drgn.Program, name: str) -> Optional[int]:
    """The value of an enumerator; None where there's none. Macros are no enumerators."""
    try:
        found = program.constant(name)
    except LookupError:
        return None
    return int(found.value_()) if found.type_.kind == drgn.TypeKind.ENUM else None


def find_members(type_: Optional[drgn.Type]) -> List[Member]:
    """A structure's members and theirs, by offset, outer before inner ones."""
    if type_ is None or type_.kind not in _CONTAINERS:
        return []
    return sorted(_members(type_, 0), key=lambda member: (member.offset, -member.size))


def _members(type_: drgn.Type, start: int) -> Iterator[Member]:
    for member in type_.members or ():
        inner = member.type
        offset = start + member.bit_offset // 8
        container = inner
        while container.kind == drgn.TypeKind.ARRAY:
            container = container.type
        if container.kind in _CONTAINERS:
            # Of an array the first element's.
            yield from _members(container, offset)
        if member.name:
            yield Member(member.name, offset, size_of(inner), declared(inner))


def declared(type_: drgn.Type) -> str:
    """A type as C has it, without a name: "struct list_head", "char[24]", "void (*)(int)"."""
    lengths = ""
    while type_.kind == drgn.TypeKind.ARRAY:
        lengths += f"[{'' if type_.length is None else type_.length}]"
        type_ = type_.type
    stars = ""
    pointed = type_
    while pointed.kind == drgn.TypeKind.POINTER:
        stars += "*"
        pointed = pointed.type
    if stars and pointed.kind == drgn.TypeKind.FUNCTION:
        returned = declared(pointed.type)
        return f"{returned}{_gap(returned)}({stars}{lengths})({_parameters(pointed)})"
    if pointed.kind in _CONTAINERS and pointed.tag is None:
        name = _qualified(pointed, pointed.kind.name.lower())
    else:
        name = pointed.type_name()
    return f"{name} {stars}{lengths}" if stars else name + lengths


def _gap(name: str) -> str:
    return "" if name.endswith("*") else " "


def _parameters(function: drgn.Type) -> str:
    named: List[str] = [declared(parameter.type) for parameter in function.parameters]
    if function.is_variadic:
        named.append("...")
    return ", ".join(named) or "void"


def _qualified(type_: drgn.Type, name: str) -> str:
    words = [
        word
        for word, flag in (
            ("const", drgn.Qualifiers.CONST),
            ("volatile", drgn.Qualifiers.VOLATILE),
        )
        if type_.qualifiers & flag
    ]
    return " ".join([*words, name])
