# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocated objects of a cache as groups of like ones: `slabobjs -g`.

Reads the objects and shows the groups; what makes objects alike is contents/groups.py's.
"""

from __future__ import annotations

from itertools import compress
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

from crash_ext.contents.groups import Group, Groups
from crash_ext.contents.words import Words
from crash_ext.hexa import hexa
from crash_ext.output import Output
from crash_ext.reader import ReadError
from crash_ext.report.annotate import annotated
from crash_ext.report.caches import object_line
from crash_ext.report.hexdump import RdForm
from crash_ext.report.text import plural, printable, visible
from crash_ext.slub.model import ALLOCATED, ONLY_ALLOCATED, STATE_NAMES, Cache, SlabObjects
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.view.members import Members
from crash_ext.view.notes import notes, word_fields


class Grouping(NamedTuple):
    """What is to be grouped, and how it is shown."""

    out: Output
    cache: Cache
    data: SlabBytes
    words: Words
    annotate: bool
    """Say beneath the contents of each example what they are."""
    length: Optional[int]
    """Bytes of each object, no farther than to the next one; None for all of it."""
    limit: Optional[int]
    """Most groups to show."""


def show_groups(
    what: Grouping, slabs: Iterable[SlabObjects], number: int, only: Optional[int] = None
) -> int:
    """Write the groups of the slabs' allocated objects; how many objects are in them.

    number: of the slabs; only: index of the one object that counts, None for all.
    """
    sorter = Groups(what.words)
    _sort(what, slabs, number, only, sorter)
    return _tell(what, sorter)


def show_together(parts: Sequence[Tuple[Grouping, List[SlabObjects]]]) -> None:
    """Write the groups of what several caches have allocated, as if they were one.

    They have objects of one size; what is said of all goes with the first.
    """
    sorter = Groups(parts[0][0].words)
    for what, slabs in parts:
        _sort(what, slabs, len(slabs), None, sorter)
    _tell(parts[0][0], sorter)


def _sort(
    what: Grouping,
    slabs: Iterable[SlabObjects],
    total: int,
    only: Optional[int],
    sorter: Groups,
) -> None:
    """Sort a cache's objects into groups."""
    unreadable = 0
    for number, decoded in enumerate(slabs):
        what.words.places.session.progress(number, total)
        if decoded.problem is not None:
            text = f"slab {hexa(decoded.slab.address)}: {decoded.problem}: its objects are unknown"
            what.out.error(text, what.cache)
        unreadable += _add(what, decoded, only, sorter)
    if unreadable:
        what.out.error(f"{plural(unreadable, 'object')} can't be read: in no group", what.cache)


def _tell(what: Grouping, sorter: Groups) -> int:
    """Write the groups; how many objects are in them."""
    out = what.out
    groups = sorter.groups()
    shown = groups[: what.limit]
    members = Members(what.words, what.cache)
    if what.annotate and shown:
        line = members.learn((group.example for group in shown), what.cache.object_size)
        if line:
            out.sentences([line])
    for group in shown:
        _show(what, group, sorter.total, members)
    if sorter.other:
        out.error(f"too many patterns: {plural(sorter.other, 'object')} in no group", what.cache)
    if len(shown) < len(groups):
        where = f"{hexa(what.cache.address)} {printable(what.cache.name)}"
        left = len(groups) - len(shown)
        out.limit(f"{where}: {plural(left, 'group')} left out (-l)")
    return sum(group.objects for group in shown)


def _add(what: Grouping, decoded: SlabObjects, only: Optional[int], sorter: Groups) -> int:
    """Sort the slab's allocated objects into groups; how many of them can't be read."""
    size, base = what.cache.size, decoded.slab.base
    length = decoded.length or what.cache.object_size
    if what.length is not None:
        # What lies farther is the next object's, and no part of what makes this one like others.
        length = min(what.length, decoded.length or size - what.cache.red_left)
    chosen = decoded.states.translate(ONLY_ALLOCATED)
    if only is not None:
        chosen = bytes(only) + chosen[only : only + 1]
    shift = decoded.first - base
    memory = what.data.whole(decoded, chosen.count(1)) if length else decoded.memory
    end = shift + (len(chosen) - 1) * size + length
    if memory is not None and end <= len(memory):
        sorter.add_all(base, memory, (shift, size, length), chosen)
        return 0
    unreadable = 0
    for index in compress(range(len(chosen)), chosen):
        address = decoded.address(index)
        try:
            sorter.add(address, what.data.of(decoded, address, length, memory))
        except ReadError:
            unreadable += 1
    return unreadable


def _show(what: Grouping, group: Group, total: int, members: Members) -> None:
    """One group: how many there are, and the one that came first with its contents."""
    out, address = what.out, group.example
    share = 100 * group.objects / total
    # It could be read a moment ago; of a live kernel that's no promise.
    reader = what.words.places.session.reader
    data = (reader.try_read(address, group.length) if group.length else None) or b""
    words = members.named(what.words.explain(address, data)) if what.annotate else None
    out.record(
        "group",
        cache=hexa(what.cache.address),
        objects=group.objects,
        of=total,
        example=hexa(address),
        data=data.hex(),
        pattern=[
            {"offset": mark.offset, "kind": mark.kind, "target": visible(mark.target)}
            for mark in group.marks
        ],
        **({} if words is None else {"words": word_fields(words), **members.fields()}),
    )
    out.text(
        f"  {plural(group.objects, 'object')} of {total} ({share:.1f}%), the first:",
        object_line(address, STATE_NAMES[ALLOCATED], None),
    )
    if data:
        reader = what.words.places.session.reader
        text = RdForm(len(data), reader.word, reader.byteorder).text(address, data)
        out.lines([text] if words is None else annotated(text, notes(words)))
