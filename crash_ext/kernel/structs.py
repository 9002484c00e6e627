# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of one C struct, and their values in a buffer.

Knows offsets, widths and byte order. Doesn't know what a member means, nor that
one may have another name in another kernel: that is layout.py's.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional, Tuple

from crash_ext.reader import Reader


class MissingMember(Exception):
    """The kernel's debug information lacks a struct or a member that is needed."""


class Struct:
    """Offsets and sizes (bytes) of the wanted members of struct NAME.

    `optional` members may be missing: `name in struct` tells. Raises MissingMember
    where a required one isn't there.
    """

    def __init__(
        self, reader: Reader, name: str, required: Iterable[str], optional: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.byteorder = reader.byteorder
        self.word = reader.word
        self._fields: Dict[str, Tuple[int, int]] = {}
        for member in required:
            field = _field(reader, name, member)
            if field is None:
                raise _missing(name, member)
            self._fields[member] = field
        for member in optional:
            field = _field(reader, name, member)
            if field is not None:
                self._fields[member] = field

    def __contains__(self, member: str) -> bool:
        return member in self._fields

    def offset(self, member: str) -> int:
        """offsetof(struct NAME, member)."""
        return self._fields[member][0]

    def size(self, member: str) -> int:
        """sizeof(member)."""
        return self._fields[member][1]

    def span(self, *members: str) -> int:
        """The bytes to read from the start to have these members (default: all) whole.

        Less than sizeof(struct): a kmem_cache is allocated only up to its last node.
        """
        wanted = members or tuple(self._fields)
        return max(sum(self._fields[member]) for member in wanted)

    def value(self, buffer: bytes, member: str, base: int = 0) -> int:
        """The member as an unsigned number, in a buffer that holds the struct at `base`."""
        offset, size = self._fields[member]
        return int.from_bytes(buffer[base + offset : base + offset + size], self.byteorder)

    def signed(self, buffer: bytes, member: str, base: int = 0) -> int:
        """The member as a signed number."""
        value = self.value(buffer, member, base)
        bits = 8 * self._fields[member][1]
        return value - (1 << bits) if value >> (bits - 1) else value

    def pointer(self, buffer: bytes, member: str, base: int = 0) -> int:
        """The first word of the member: a pointer, or list_head.next."""
        offset = base + self._fields[member][0]
        return int.from_bytes(buffer[offset : offset + self.word], self.byteorder)


def find_offset(reader: Reader, struct: str, member: str) -> int:
    """reader.offset(), but MissingMember where there is none."""
    offset = reader.offset(struct, member)
    if offset is None:
        raise _missing(struct, member)
    return offset


def _missing(struct: str, member: str) -> MissingMember:
    return MissingMember(f"struct {struct} has no member {member}")


def _field(reader: Reader, struct: str, member: str) -> Optional[Tuple[int, int]]:
    offset = reader.offset(struct, member)
    if offset is None:
        return None
    return offset, reader.size(struct, member) or reader.word
