# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack depot: from the handle that a track keeps to the stack's return addresses.

Knows the handle's parts and the record in every layout of lib/stackdepot.c. Doesn't know
who keeps handles, nor what lies at the addresses.
"""

from __future__ import annotations

from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from crash_ext.kernel.memory import try_number
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

_PARTS = "union handle_parts"
_HANDLE_BITS = 32
_POOL_ORDER = 2
"""The pages of a pool, as a power of 2 (STACK_ALLOC_ORDER, later DEPOT_POOL_ORDER)."""
_ALIGN = 4
"""A record starts at a multiple of 1 << 4 bytes of its pool."""
_EXTRA_BITS = 5

Stack = Tuple[Tuple[int, ...], Optional[str]]
"""Return addresses, innermost first; why there are none, or None."""


class Parts(NamedTuple):
    """Where the parts of a handle are. Widths in bits."""

    number: int
    """Of the pool."""
    offset: int
    first: int
    """The index of pool 0."""
    big_endian: bool

    def split(self, handle: int) -> Tuple[int, int]:
        """(number of the pool, bytes from its start to the record)."""
        number, offset = (
            self._part(handle, 0, self.number),
            self._part(handle, self.number, self.offset),
        )
        return number - self.first, offset << _ALIGN

    def same(self, one: int, other: int) -> bool:
        """Whether two handles are one record's: their user's extra bits don't count."""
        return self.split(one) == self.split(other)

    def _part(self, handle: int, start: int, width: int) -> int:
        shift = _HANDLE_BITS - start - width if self.big_endian else start
        return handle >> shift & ((1 << width) - 1)


class Depot:
    """The stacks of one kernel; each handle is looked up once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pool_size = reader.page_size << _POOL_ORDER
        self._parts = _parts(reader)
        # Linux kernel v6.3 calls slabs pools.
        self._table = reader.symbol("stack_pools") or reader.symbol("stack_slabs")
        self._record: Optional[Struct] = None
        self._known: Dict[int, Stack] = {}
        try:
            self._record = Struct(reader, "stack_record", ("size", "handle", "entries"))
        except MissingMember:
            return

    def stack(self, handle: int) -> Stack:
        """The stack that a handle (depot_stack_handle_t, not 0) stands for. Never raises."""
        if handle not in self._known:
            self._known[handle] = self._read(handle)
        return self._known[handle]

    def _read(self, handle: int) -> Stack:
        if self._parts is None or self._record is None or not self._table:
            return (), "no stack depot known in this kernel"
        number, offset = self._parts.split(handle)
        if number < 0:
            return (), f"stack handle {handle:x} names no pool"
        # A record keeps its own handle: what doesn't is no record of this kernel's.
        for pool in self._pools(number):
            found = self._read_record(pool, offset, handle)
            if found is not None:
                return found, None
        return (), f"stack handle {handle:x} leads to no stack"

    def _pools(self, number: int) -> Iterator[int]:
        """Where pool NUMBER may be: the table is an array, or a pointer to one.

        The array was read in lib/stackdepot.c of 6.14, the pointer in that of 6.17.
        """
        word = self._reader.word
        for table in (self._word(self._table or 0), self._table):
            pool = self._word(table + number * word) if table else None
            if pool:
                yield pool

    def _word(self, address: int) -> Optional[int]:
        return try_number(self._reader, address, self._reader.word)

    def _read_record(self, pool: int, offset: int, handle: int) -> Optional[Tuple[int, ...]]:
        parts, record, reader = self._parts, self._record, self._reader
        if parts is None or record is None:
            return None
        entries = record.offset("entries")
        try:
            data = reader.read(pool + offset, entries)
            if not parts.same(record.value(data, "handle"), handle):
                return None
            size = record.value(data, "size")
            if not size or offset + entries + size * reader.word > self._pool_size:
                return None
            data = reader.read(pool + offset + entries, size * reader.word)
        except ReadError:
            return None
        step, order = reader.word, reader.byteorder
        return tuple(
            int.from_bytes(data[at : at + step], order) for at in range(0, len(data), step)
        )


def _parts(reader: Reader) -> Optional[Parts]:
    """The handle's parts; None where the kernel has no stack depot.

    Their order is the same everywhere: index, offset, valid (up to v6.7), extra (v6.1 and
    later). The offset's width follows from a pool's size, and the index has the rest.
    """
    for member, first in (
        ("pool_index_plus_1", 1),
        ("pool_index", 0),
        ("slabindex", 0),
    ):
        if reader.offset(_PARTS, member) is None:
            continue
        offset = reader.page_size.bit_length() - 1 + _POOL_ORDER - _ALIGN
        rest = _HANDLE_BITS - offset
        rest -= 1 if reader.offset(_PARTS, "valid") is not None else 0
        rest -= _EXTRA_BITS if reader.offset(_PARTS, "extra") is not None else 0
        return Parts(rest, offset, first, reader.byteorder == "big")
    return None
