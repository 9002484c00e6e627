# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds BTF blobs, type by type, as pahole does; a split one on top of another.

Knows include/uapi/linux/btf.h and nothing of who reads it.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Tuple

from mocks.image import ByteOrder

Field = Tuple[str, int, int]
"""(name, type id, offset in bits)"""

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)


class BtfBuilder:
    """Types are numbered as they are added; each method gives the id."""

    def __init__(self, base: Optional[BtfBuilder] = None, byteorder: ByteOrder = "little") -> None:
        self.byteorder: ByteOrder = byteorder
        self.first: int = 1 if base is None else base.first + base.count
        self.string_start: int = 0 if base is None else base.string_start + len(base.strings)
        self.count: int = 0
        self.types: bytes = b""
        self.strings: bytes = b"\0" if base is None else b""
        self._known: Dict[str, int] = {}

    def text(self, string: str) -> int:
        """The offset of a string."""
        if not string:
            return 0
        if string not in self._known:
            self._known[string] = self.string_start + len(self.strings)
            self.strings += string.encode() + b"\0"
        return self._known[string]

    def add(
        self,
        kind: int,
        name: str = "",
        third: int = 0,
        behind: Iterable[int] = (),
        vlen: int = 0,
        flag: bool = False,
    ) -> int:
        """Any type: third is its size or type, behind what follows its struct btf_type."""
        info = int(flag) << 31 | kind << 24 | vlen
        for number in (self.text(name), info, third, *behind):
            self.types += number.to_bytes(4, self.byteorder)
        self.count += 1
        return self.first + self.count - 1

    def integer(self, name: str, size: int) -> int:
        return self.add(INT, name, size, [8 * size])

    def pointer(self, to: int) -> int:
        return self.add(PTR, third=to)

    def array(self, of: int, count: int) -> int:
        return self.add(ARRAY, behind=[of, 0, count])

    def struct(
        self,
        name: str,
        size: int,
        fields: Iterable[Field],
        union: bool = False,
        flag: bool = False,
    ) -> int:
        """flag: offsets of fields have the number of bits in their highest byte."""
        listed: List[int] = []
        for field, kind, bit in fields:
            listed += [self.text(field), kind, bit]
        kind = UNION if union else STRUCT
        return self.add(kind, name, size, listed, len(listed) // 3, flag)

    def prototype(self, result: int, *parameters: int) -> int:
        behind = [word for each in parameters for word in (0, each)]
        return self.add(FUNC_PROTO, third=result, behind=behind, vlen=len(parameters))

    def data(self, layout: bytes = b"") -> bytes:
        """The blob. layout: a section of struct btf_layout, whose header is longer."""
        numbers = [0, len(self.types), len(self.types), len(self.strings)]
        if layout:
            numbers += [len(self.types) + len(self.strings), len(layout)]
        header = (0xEB9F).to_bytes(2, self.byteorder) + b"\1\0"
        for number in (8 + 4 * len(numbers), *numbers):
            header += number.to_bytes(4, self.byteorder)
        return header + self.types + self.strings + layout
