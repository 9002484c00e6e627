# SPDX-License-Identifier: GPL-3.0-or-later
"""What kfree_rcu() is to free at the end of a grace period: each CPU's own notes.

Pages of addresses, and where no page was to be had a chain of the objects themselves, by their
rcu_head (kernel/rcu/tree.c; since v6.15 mm/slab_common.c). Some pages are kept for later, with
all that was freed by them.
"""

from __future__ import annotations

from typing import Dict, Iterator, NamedTuple, Optional, Set, Tuple

from crash_ext.kernel.memory import try_number
from crash_ext.reader import Reader

_CPU, _WORK, _NOTES = "kfree_rcu_cpu", "kfree_rcu_cpu_work", "kvfree_rcu_bulk_data"
_HEADS = ("bulk_head", "bkvhead", "bhead")
"""Members of a CPU's structure that lead to its pages: since v6.3, v5.9, before. Those of a batch
have a name that is longer by _free."""
_PAGES = 64
"""In a chain at most."""
_OBJECTS = 1 << 16
_BATCHES = 2
"""KFREE_N_BATCHES: batches of a CPU that wait for a grace period."""
_OFFSETS = 4096
"""Up to v6.4 an rcu_head's function is its offset in the object, then the object's address."""


class Notes(NamedTuple):
    """A page of addresses."""

    page: int
    first: int
    """Address of the first note."""
    end: int
    """Behind the last that counts; behind that may be those of what was freed."""


def notes_of_kfree_rcu(reader: Reader) -> Iterator[Notes]:
    """The pages whose objects are to be freed."""
    following = reader.offset(_NOTES, "next")
    if following is None:
        # In newer kernels a struct list_head: its head lies in the per-CPU structure.
        following = reader.offset(_NOTES, "list")
    first, count = reader.offset(_NOTES, "records"), reader.offset(_NOTES, "nr_records")
    if following is None:
        return
    own = _of_notes(reader)
    for _, at, value in _words(reader):
        for page in _chain(reader, value, following) if at in own else ():
            end = page + reader.page_size
            if first is not None and count is not None:
                number = try_number(reader, page + count, reader.word) or 0
                end = min(end, page + first + number * reader.word)
            yield Notes(page, page + (first or 0), end)


def _of_notes(reader: Reader) -> Set[int]:
    """Offsets in a CPU's structure of the words that lead to pages of notes.

    Others lead to what looks like one: rcu_work.rcu.next, say, to the next callback of RCU's.
    """
    found: Set[int] = set()
    batch, size = reader.offset(_CPU, "krw_arr"), reader.struct_size(_WORK)
    batches = [batch + number * size for number in range(_BATCHES)] if batch and size else []
    for struct, members, starts in (
        (_CPU, _HEADS, [0]),
        (_WORK, [f"{member}_free" for member in _HEADS], batches),
    ):
        for member in members:
            at, length = reader.offset(struct, member), reader.size(struct, member)
            if at is not None and length:
                found.update(
                    start + at + word for start in starts for word in range(0, length, reader.word)
                )
    return found


def unused_notes(reader: Reader) -> Iterator[Tuple[int, int]]:
    """(start, bytes) of the pages' parts that are of what was freed long ago."""
    for notes in notes_of_kfree_rcu(reader):
        if notes.end < notes.page + reader.page_size:
            yield notes.end, notes.page + reader.page_size - notes.end
    spare = reader.offset(_CPU, "bkvcache")
    for _, at, value in _words(reader):
        for page in _chain(reader, value, 0) if at == spare else ():
            # Its first word leads to the next one.
            yield page + reader.word, reader.page_size - reader.word


def given_to_kfree_rcu(reader: Reader) -> Dict[int, int]:
    """Address of each object that is to be freed -> of what has it: a note, or a chain's head."""
    found: Dict[int, int] = {}
    for notes in notes_of_kfree_rcu(reader):
        data = reader.try_read(notes.first, max(0, notes.end - notes.first)) or b""
        for at in range(0, len(data) - reader.word + 1, reader.word):
            value = int.from_bytes(data[at : at + reader.word], reader.byteorder)
            if value:
                found.setdefault(value, notes.first + at)
    head, batch = reader.offset(_CPU, "head"), reader.offset(_CPU, "krw_arr")
    free, size = reader.offset(_WORK, "head_free"), reader.struct_size(_WORK)
    heads = {head}
    if batch is not None and free is not None and size:
        heads.update(batch + number * size + free for number in range(_BATCHES))
    for area, at, value in _words(reader):
        if at in heads:
            for each in _objects(reader, value):
                found.setdefault(each, area + at)
    return found


def _words(reader: Reader) -> Iterator[Tuple[int, int, int]]:
    """(address, offset, value) of the words of each CPU's struct kfree_rcu_cpu."""
    start, size = reader.symbol("krc"), reader.struct_size(_CPU)
    if start is None or not size:
        return
    for cpu in reader.possible_cpus():
        area = reader.percpu(start, cpu)
        data = b"" if area is None else reader.try_read(area, size) or b""
        for at in range(0, len(data) - reader.word + 1, reader.word):
            yield area or 0, at, int.from_bytes(data[at : at + reader.word], reader.byteorder)


def _chain(reader: Reader, first: int, following: int) -> Iterator[int]:
    page: Optional[int] = first
    for _ in range(_PAGES):
        if not page or page % reader.page_size or not reader.virt_to_page(page):
            break
        yield page
        page = try_number(reader, page + following, reader.word)


def _objects(reader: Reader, head: int) -> Iterator[int]:
    """The objects in a chain of rcu_heads."""
    for _ in range(_OBJECTS):
        function = try_number(reader, head + reader.word, reader.word) if head else None
        if function is None:
            break
        yield function if function >= _OFFSETS else head - function
        head = try_number(reader, head, reader.word) or 0
