# SPDX-License-Identifier: GPL-3.0-or-later
"""Small readings that more than one folder needs: a word, a string, a linked list.

Every walk has a guard against cycles and a bound, whatever the memory says.
"""

from __future__ import annotations

from typing import Callable, Iterator, List, NamedTuple, Optional, Set

from crash_ext.hexa import hexa
from crash_ext.reader import Reader, ReadError

LIST_BOUND = 1 << 24
"""No list of the allocator has more entries: 16 M slabs are 64 GB at the least."""

_STRING_BOUND = 1024
_STRING_PIECE = 64


class Walk(NamedTuple):
    """A walked list: what was found, and what was wrong with it (empty: nothing)."""

    addresses: List[int]
    problems: List[str]


def read_word(reader: Reader, address: int) -> int:
    """The unsigned long at an address. Raises ReadError."""
    return int.from_bytes(reader.read(address, reader.word), reader.byteorder)


def read_number(reader: Reader, address: int, size: int) -> int:
    """The unsigned number of `size` bytes at an address. Raises ReadError."""
    return int.from_bytes(reader.read(address, size), reader.byteorder)


def try_number(reader: Reader, address: int, size: int) -> Optional[int]:
    """The same, but None where it can't be read."""
    data = reader.try_read(address, size)
    return None if data is None else int.from_bytes(data, reader.byteorder)


def read_symbol(reader: Reader, name: str, size: int) -> Optional[bytes]:
    """The `size` bytes of the variable NAME; None where it's missing or unreadable."""
    address = reader.symbol(name)
    return None if address is None else reader.try_read(address, size)


def read_symbol_number(reader: Reader, name: str, size: int) -> Optional[int]:
    """The number that the variable NAME holds; None where it's missing or unreadable."""
    data = read_symbol(reader, name, size)
    return None if data is None else int.from_bytes(data, reader.byteorder)


def read_string(reader: Reader, address: int) -> Optional[bytes]:
    """The NUL-terminated string at an address, its first 1024 bytes at most.

    None where it can't be read. Pieces end at multiples of their length, so a string
    just before a hole in memory is still read.
    """
    text = b""
    while len(text) < _STRING_BOUND:
        size = _STRING_PIECE - address % _STRING_PIECE
        try:
            piece = reader.read(address, size)
        except ReadError:
            return None
        end = piece.find(b"\0")
        if end >= 0:
            return (text + piece[:end])[:_STRING_BOUND]
        text += piece
        address += size
    return text[:_STRING_BOUND]


def walk_list(reader: Reader, head: int, backward: bool = False) -> Walk:
    """The list_heads on a circular struct list_head, without the head itself.

    Follows next, or prev when `backward`. Where it ends, see follow_list().
    """
    step = reader.word if backward else 0
    problems: List[str] = []
    way = "prev" if backward else "next"
    entries = list(
        follow_list(head, reader.word, lambda at: read_word(reader, at + step), way, problems)
    )
    return Walk(entries, problems)


def follow_list(
    head: int, word: int, next_of: Callable[[int], int], way: str, problems: List[str]
) -> Iterator[int]:
    """walk_list(), each entry at once; next_of: reads one's link, or raises ReadError.

    Ends at the head, at an unreadable entry, at an entry seen before or after LIST_BOUND
    entries; all but the first are problems. An entry is handed out before its own link
    is asked for.
    """
    seen: Set[int] = {head}
    at = head
    while True:
        try:
            following = next_of(at)
        except ReadError as error:
            problems.append(f"list {hexa(head)}: {way} of {hexa(at)}: {error}")
            return
        if following == head:
            return
        if following in seen:
            problems.append(
                f"list {hexa(head)}: cycle: {way} of {hexa(at)} is {hexa(following)} again"
            )
            return
        if following == 0 or following % word:
            problems.append(
                f"list {hexa(head)}: {way} of {hexa(at)} is {hexa(following)}, no list entry"
            )
            return
        if len(seen) > LIST_BOUND:
            problems.append(f"list {hexa(head)}: more than {LIST_BOUND} entries")
            return
        seen.add(following)
        yield following
        at = following


def walk_both_ways(reader: Reader, head: int) -> Walk:
    """walk_list() forward, and where that doesn't come home also backward.

    The entries are in forward order: those that only prev leads to come last. An
    unreadable entry that the walk was led to but couldn't pass is left out.
    """
    forward = walk_list(reader, head)
    if not forward.problems:
        return forward
    backward = walk_list(reader, head, backward=True)
    known = set(forward.addresses)
    rest = [entry for entry in backward.addresses if entry not in known]
    return Walk(
        _readable(reader, forward.addresses + rest[::-1]), forward.problems + backward.problems
    )


def _readable(reader: Reader, entries: List[int]) -> List[int]:
    return list(_iter_readable(reader, entries))


def _iter_readable(reader: Reader, entries: List[int]) -> Iterator[int]:
    for entry in entries:
        try:
            reader.read(entry, 2 * reader.word)
        except ReadError:
            continue
        yield entry
