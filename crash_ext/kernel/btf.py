# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF Type Format: C types as a kernel carries them in its own memory (CONFIG_DEBUG_INFO_BTF).

Knows the format of one blob, of the kernel or, split, of a module on top of the kernel's. Doesn't
know where blobs lie. Whatever the bytes are, it ends: a blob that contradicts itself is refused
as a whole (BtfError), since of what lies behind a wrong type nothing is known; after that nothing
raises, and a type that leads nowhere has no size and no members.
Documentation/bpf/btf.rst, include/uapi/linux/btf.h.
"""

from __future__ import annotations

import sys
from array import array
from typing import Dict, Iterator, List, Literal, NamedTuple, Optional, Tuple

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
"""BTF_KIND_*."""

_MAGIC = 0xEB9F
_SHORT_HEADER, _LONG_HEADER = 24, 32
_HEAD = 3
"""32-bit words of a struct btf_type."""
_BEHIND: Dict[int, Tuple[int, int]] = {
    **dict.fromkeys(range(INT, ENUM64 + 1), (0, 0)),
    INT: (1, 0),
    ARRAY: (3, 0),
    **dict.fromkeys((STRUCT, UNION, DATASEC, ENUM64), (0, 3)),
    **dict.fromkeys((ENUM, FUNC_PROTO), (0, 2)),
    **dict.fromkeys((VAR, DECL_TAG), (1, 0)),
}
"""Kind -> 32-bit words behind its struct btf_type: once, and for each of its vlen elements."""

# Linux kernel commit f7a6b9eaff3e ("bpf: Extend BTF UAPI vlen, kinds to use unused bits")
# (in v7.2). Before, vlen had 16 bits and the kind 5, and the bits between were 0.
_KINDS = 0x7F
_VLEN = 0xFFFFFF


class BtfError(Exception):
    """The bytes are no BTF, or a part of it contradicts another; the text says which."""


class Entry(NamedTuple):
    """A struct btf_type."""

    kind: int
    vlen: int
    """How many members, enumerators or parameters."""
    flag: bool
    """kind_flag."""
    name: str
    """Empty for what has none."""
    third: int
    """Bytes, or the id of another type: the kind says which."""
    behind: array[int]
    """The 32-bit words that belong to it."""


class Field(NamedTuple):
    """A struct btf_member."""

    name: str
    type: int
    """Its type's id."""
    bit: int
    """From the structure's start, in bits."""
    bits: int
    """Of a bit field; 0 for any other member."""


class Btf:
    """The types of one blob; ids below `first` are the base's. Raises BtfError."""

    def __init__(
        self,
        data: bytes,
        byteorder: Literal["little", "big"],
        word: int,
        base: Optional[Btf] = None,
    ) -> None:
        """word: sizeof(long) in bytes. base: what a split blob (a module's) builds upon."""
        self.word = word
        self.base = base
        self.first: int = 1 if base is None else base.end
        """The id of the first type of this blob: 0 is void."""
        header = _Header(data, byteorder)
        self._words = _words(header.types, byteorder)
        self._strings = header.strings
        self._string_start: int = 0 if base is None else base.string_end
        self.string_end: int = self._string_start + len(self._strings)
        """Where the strings of a blob that builds upon this one begin."""
        self._starts = _starts(self._words, header.layout)
        self.end: int = self.first + len(self._starts)
        """One more than the last type's id."""
        self._named: Optional[Dict[str, List[int]]] = None
        self._functions: Optional[Dict[str, int]] = None
        self._sized: Optional[Dict[int, List[int]]] = None

    def entry(self, ident: int) -> Optional[Entry]:
        """The type of an id; None for void and for an id that there isn't."""
        if ident < self.first:
            return None if self.base is None else self.base.entry(ident)
        if ident >= self.end:
            return None
        at = self._starts[ident - self.first]
        following = ident - self.first + 1
        stop = self._starts[following] if following < len(self._starts) else len(self._words)
        name, info, third = self._words[at : at + _HEAD]
        kind, vlen = info >> 24 & _KINDS, info & _VLEN
        behind = self._words[at + _HEAD : stop]
        return Entry(kind, vlen, bool(info >> 31), self.string(name), third, behind)

    def fields(self, entry: Entry) -> Iterator[Field]:
        """The members of a structure or union as it declares them; none of any other type."""
        if entry.kind not in (STRUCT, UNION):
            return
        words = entry.behind
        for at in range(0, len(words) - 2, 3):
            bit, bits = words[at + 2], 0
            if entry.flag:
                bit, bits = bit & 0xFFFFFF, bit >> 24
            yield Field(self.string(words[at]), words[at + 1], bit, bits)

    def string(self, at: int) -> str:
        """The string at an offset into the strings of this blob and its base; else empty."""
        if at < self._string_start:
            return "" if self.base is None else self.base.string(at)
        at -= self._string_start
        end = self._strings.find(b"\0", at)
        return self._strings[at:end].decode("ascii", "replace") if end > at else ""

    def structs_named(self, name: str) -> List[int]:
        """The ids of this blob's own structures of that name."""
        if self._named is None:
            self._named = {}
            for ident in self._of_kind(STRUCT):
                self._named.setdefault(self._name_of(ident), []).append(ident)
        return self._named.get(name, []) if name else []

    def structs_of_size(self, smallest: int, largest: int) -> List[int]:
        """The ids of this blob's own named structures of so many bytes."""
        if self._sized is None:
            self._sized = {}
            for ident in self._of_kind(STRUCT):
                size = self._words[self._starts[ident - self.first] + 2]
                self._sized.setdefault(size, []).append(ident)
        found = (
            ident
            for size in range(smallest, largest + 1)
            for ident in self._sized.get(size, [])
            if self._name_of(ident)
        )
        return sorted(found)

    def function(self, name: str) -> Optional[int]:
        """The id of this blob's own function of that name."""
        if self._functions is None:
            self._functions = {self._name_of(ident): ident for ident in self._of_kind(FUNC)}
        return self._functions.get(name)

    def _of_kind(self, kind: int) -> Iterator[int]:
        words, mask, wanted = self._words, _KINDS << 24, kind << 24
        for ident, at in enumerate(self._starts, self.first):
            if words[at + 1] & mask == wanted:
                yield ident

    def _name_of(self, ident: int) -> str:
        return self.string(self._words[self._starts[ident - self.first]])


class _Header:
    """A struct btf_header, and the sections that it names. Raises BtfError."""

    def __init__(self, data: bytes, byteorder: Literal["little", "big"]) -> None:
        def number(at: int, size: int = 4) -> int:
            return int.from_bytes(data[at : at + size], byteorder)

        if len(data) < _SHORT_HEADER or number(0, 2) != _MAGIC or data[2] != 1:
            raise BtfError("its header is none of BTF")
        length = number(4)
        if not _SHORT_HEADER <= length <= len(data):
            raise BtfError(f"its header is {length} bytes long")

        def section(at: int, what: str) -> bytes:
            start, size = length + number(at), number(at + 4)
            if start + size > len(data):
                raise BtfError(f"its {what} end {start + size - len(data)} bytes behind it")
            return data[start : start + size]

        self.types = section(8, "types")
        self.strings = section(16, "strings")
        if len(self.types) % 4:
            raise BtfError(f"its types are {len(self.types)} bytes long")
        if not self.strings.endswith(b"\0"):
            raise BtfError("its strings don't end")
        # Linux kernel commit 626e88c070ee ("btf: Support kernel parsing of BTF with layout info")
        # (in v7.1): how long kinds are, be they known or not.
        self.layout = section(24, "layouts") if length >= _LONG_HEADER else b""


def _words(data: bytes, byteorder: Literal["little", "big"]) -> array[int]:
    words = array("I")
    words.frombytes(data)
    if byteorder != sys.byteorder:
        words.byteswap()
    return words


def _starts(words: array[int], layout: bytes) -> array[int]:
    """Where in the words each type starts. Raises BtfError."""
    sizes: List[Optional[Tuple[int, int]]] = [None] * (_KINDS + 1)
    for kind in range(min(len(layout) // 4, len(sizes))):
        once, each = layout[4 * kind], layout[4 * kind + 1]
        if kind and not (once % 4 or each % 4):
            sizes[kind] = _HEAD + once // 4, each // 4
    for kind, (once, each) in _BEHIND.items():
        sizes[kind] = _HEAD + once, each
    starts = array("I")
    add, at, end = starts.append, 0, len(words)
    while at + _HEAD <= end:
        info = words[at + 1]
        size = sizes[info >> 24 & _KINDS]
        if size is None:
            kind = info >> 24 & _KINDS
            raise BtfError(f"its type {len(starts) + 1} is of the unknown kind {kind}")
        add(at)
        at += size[0] + size[1] * (info & _VLEN)
    if at != end:
        raise BtfError(f"its type {len(starts)} goes beyond the types' end")
    return starts
