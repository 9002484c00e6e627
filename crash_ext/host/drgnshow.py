# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory as a structure in the form of crash's `struct`, which is gdb's, from a drgn.Program."""

from __future__ import annotations

from typing import Any, List, Optional

import drgn

from crash_ext.host.drgnsymbols import SymbolTable
from crash_ext.host.drgntypes import find_type, member_of, size_of

_ELEMENTS = 256
"""crash's own `set print elements`: as many of an array are shown."""
_STRUCTS = (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.CLASS)
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\033"}


class Shown:
    """Structures as crash shows them."""

    def __init__(self, program: drgn.Program, symbols: SymbolTable) -> None:
        self._program = program
        self._symbols = symbols

    def text(self, kind: str, expression: str, address: Optional[int]) -> str:
        """`struct NAME[.member,member] [ADDRESS]`; without an address its declaration's head.

        Raises LookupError for what isn't known, drgn.FaultError.
        """
        name, _, wanted = expression.partition(".")
        members = wanted.split(",") if wanted else []
        type_ = find_type(self._program, f"{kind} {name}")
        if type_ is None or not size_of(type_):
            raise LookupError(f"invalid data structure reference: {name}")
        for member in members:
            if not _has(type_, member):
                raise LookupError(f"invalid data structure reference: {name}.{member}")
        if address is None:
            return f"{kind} {name}\n"
        value = drgn.Object(self._program, type_, address=address)
        # A hole in the middle is a fault, before anything is shown.
        value.read_()
        if not members:
            return f"{kind} {name} {self._struct(value, 0)}\n"
        lines = []
        for member in members:
            part = value
            for each in member.split("."):
                part = part.member_(each)
            lines.append(f"  {member.split('.')[-1]} = {self._value(part, 2)},\n")
        return "".join(lines)

    def _value(self, value: drgn.Object, indent: int) -> str:
        type_ = value.type_
        while type_.kind == drgn.TypeKind.TYPEDEF:
            type_ = type_.type
        if type_.kind in _STRUCTS:
            return self._struct(value, indent)
        if type_.kind == drgn.TypeKind.ARRAY:
            return self._array(value, type_, indent)
        if value.bit_field_size_ is not None and type_.kind == drgn.TypeKind.INT:
            return str(value.value_())
        return self._scalar(value.value_(), type_)

    def _struct(self, value: drgn.Object, indent: int) -> str:
        type_ = value.type_
        while type_.kind == drgn.TypeKind.TYPEDEF:
            type_ = type_.type
        inner = " " * (indent + 2)
        lines = []
        for member in type_.members or ():
            part = _part(value, member)
            name = f"{member.name} = " if member.name else ""
            lines.append(f"{inner}{name}{self._value(part, indent + 2)}")
        if not lines:
            return "{<No data fields>}"
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"

    def _array(self, value: drgn.Object, type_: drgn.Type, indent: int) -> str:
        element = type_.type
        while element.kind == drgn.TypeKind.TYPEDEF:
            element = element.type
        length = type_.length or 0
        if not length:
            # gdb tells where it would be.
            address = value.address_ or 0
            return f"0x{address:x}{self._string_at(address) if _is_character(element) else ''}"
        if _is_character(element):
            return _string([item & 0xFF for item in value.value_()])
        if element.kind in _STRUCTS or element.kind == drgn.TypeKind.ARRAY:
            items = [self._value(value[number], indent + 2) for number in range(length)]
        else:
            items = [self._scalar(item, element) for item in value.value_()]
        return _listed(items)

    def _scalar(self, value: Any, type_: drgn.Type) -> str:
        if type_.kind == drgn.TypeKind.POINTER:
            return self._pointer(value, type_)
        if type_.kind == drgn.TypeKind.BOOL:
            return "true" if value else "false"
        if type_.kind == drgn.TypeKind.ENUM:
            return _enumerated(value, type_)
        if _is_character(type_):
            return f"{value} '{_character(value & 0xFF)}'"
        return str(value)

    def _pointer(self, value: int, type_: drgn.Type) -> str:
        text = f"0x{value:x}"
        pointed = type_.type
        while pointed.kind == drgn.TypeKind.TYPEDEF:
            pointed = pointed.type
        symbol = self._symbols.holding(value) if value else None
        if symbol is None and value and pointed.kind == drgn.TypeKind.FUNCTION:
            # gdb knows no modules; crash helps it out where a function is meant.
            symbol = self._symbols.at(value)
        if symbol is not None:
            text += f" <{symbol[0]}{f'+{symbol[1]}' if symbol[1] else ''}>"
        if value and _is_character(pointed):
            text += self._string_at(value)
        return text

    def _string_at(self, address: int) -> str:
        try:
            data = self._program.read_c_string(address, max_size=_ELEMENTS)
        except drgn.FaultError:
            return f" <error: Cannot access memory at address 0x{address:x}>"
        return " " + _string([*data, 0] if len(data) < _ELEMENTS else list(data))


def _has(type_: drgn.Type, path: str) -> bool:
    """Whether a structure has a member, or a member's member by a.b."""
    found: Optional[drgn.Type] = type_
    for name in path.split("."):
        member = member_of(found, name)
        if member is None:
            return False
        found = member.type
    return True


def _part(value: drgn.Object, member: drgn.TypeMember) -> drgn.Object:
    """A member, an anonymous one too."""
    if member.name:
        return value.member_(member.name)
    address = (value.address_ or 0) + member.bit_offset // 8
    return drgn.Object(value.prog_, member.type, address=address)


def _is_character(type_: drgn.Type) -> bool:
    return bool(type_.kind == drgn.TypeKind.INT and type_.size == 1)


def _listed(items: List[str]) -> str:
    """Elements in braces."""
    more = "..." if len(items) > _ELEMENTS else ""
    return "{" + ", ".join(items[:_ELEMENTS]) + more + "}"


def _enumerated(value: int, type_: drgn.Type) -> str:
    names: List[str] = [each.name for each in type_.enumerators or () if each.value == value]
    return names[0] if names else str(value)


def _character(byte: int) -> str:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if byte in (0x27, 0x5C):
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _string(data: List[int]) -> str:
    """Characters as gdb prints an array of them."""
    # The zero at the end of a string is not shown, only the one.
    shown = data[:-1] if data and not data[-1] else data
    end = _ELEMENTS
    # What repeats is never cut.
    while 0 < end < len(shown) and shown[end] == shown[end - 1]:
        end += 1
    more = "..." if len(shown) > end else ""
    return '"' + "".join(map(_character, shown[:end])) + '"' + more
