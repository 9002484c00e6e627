# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `typeprobe CACHE...` in crash: which types are proposed for caches, as JSON.

A record a cache address or name: the first eight objects' words sorted roughly into kinds.
-q: without the search. Started by `extend` it registers itself; typed, it has arguments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Iterator, List

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(sys.argv[0]), "..", "..")))

from crash_ext.command import session_of
from crash_ext.contents.types import LIST, NUMBER, POINTER, TEXT, ZERO, Piece, propose_types
from crash_ext.leak.duplicates import all_caches
from crash_ext.leak.select import select
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.model import ALLOCATED, Cache, SlabObjects
from crash_ext.slub.objects import for_each_decoded_slab


def pieces(reader: Reader, address: int, size: int) -> Iterator[Piece]:
    """The words of one object."""
    data = reader.read(address, size)
    at = 0
    while at + 8 <= size:
        value = int.from_bytes(data[at : at + 8], "little")
        length = 8
        if value >> 47 == 0x1FFFF:
            kind = POINTER
            if at + 16 <= size and is_node(reader, address + at, value):
                kind, length = LIST, 16
        elif not value:
            kind = ZERO
        elif all(0x20 <= byte < 0x7F for byte in data[at : at + 6]):
            kind = TEXT
        else:
            kind = NUMBER
        yield Piece(at, length, kind)
        at += length


def is_node(reader: Reader, address: int, following: int) -> bool:
    """Whether the next node's prev is this one."""
    try:
        return int.from_bytes(reader.read(following + 8, 8), "little") == address
    except ReadError:
        return False


def sample(reader: Reader, cache: Cache, decoded_slabs: Iterator[SlabObjects]) -> List[List[Piece]]:
    """Of the first eight allocated objects."""
    found: List[List[Piece]] = []
    for decoded in decoded_slabs:
        for index, state in enumerate(decoded.states):
            if state == ALLOCATED and len(found) < 8:
                address = decoded.first + index * cache.size
                found.append(list(pieces(reader, address, cache.object_size)))
    return found


def main(arguments: List[str]) -> None:
    session = session_of(import_module("crash"))
    search = "-q" not in arguments
    caches = all_caches(session, [])
    for name in arguments:
        if name == "-q":
            continue
        cache = select(session, caches, name)[0].cache
        words = sample(session.reader, cache, for_each_decoded_slab(session, cache, []))
        begin = time.monotonic()
        found = propose_types(
            session.reader, cache.name, cache.object_size, words, search, session.types()
        )
        seconds = round(time.monotonic() - begin, 2)
        fields = ("struct", "size", "score", "reasons", "against")
        rows = [{field: getattr(each, field) for field in fields} for each in found or []]
        told = None if found is None else rows
        print(json.dumps({"cache": name, "seconds": seconds, "proposals": told}))
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1:])
    else:
        import_module("crash").register_epython_prog("typeprobe", "proposed types", "", "")
