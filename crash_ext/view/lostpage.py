# SPDX-License-Identifier: GPL-3.0-or-later
"""What `slablost -o` writes: a section for each cache with lost objects.

Objects that nothing points to come first: to find who should have kept them is the work to do.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from crash_ext.contents.words import Words
from crash_ext.hexa import hexa
from crash_ext.report.html import Section, page
from crash_ext.report.text import plural, printable, visible
from crash_ext.slub.allocator import Slub
from crash_ext.view.lost import Lost
from crash_ext.view.page import OBJECTS, SLABS, page_objects, page_slab
from crash_ext.view.source import Made, source_facts
from crash_ext.why.case import Evidence


class Told(NamedTuple):
    """A cache with lost objects, and what was noted of their allocations."""

    lost: Lost
    owners: Sequence[Evidence]


def lost_lines(
    slub: Slub, words: Words, told: Iterable[Told], made: Made, closing: Sequence[str]
) -> Iterator[str]:
    """The lines of the page; closing: what the whole comes to."""
    foot = (
        "Addresses are the dump's, the date is its kernel's clock in UTC. An object is definitely"
        " lost if nothing points to it, indirectly if only lost objects lead to it, possibly if"
        " only memory that may be old does, or a handle that is no pointer."
    )
    sections = (_section(slub, words, each) for each in told)
    title = "Slab objects that nobody can reach"
    yield from page(title, source_facts(made), list(map(visible, closing)), sections, foot)


def _section(slub: Slub, words: Words, told: Told) -> Section:
    lost = told.lost
    cache = lost.cache
    every = [*lost.definitely, *lost.indirectly]
    return Section(
        title=f"{printable(cache.name)} {hexa(cache.address)}",
        facts=[
            ("definitely lost", str(len(lost.definitely))),
            ("indirectly lost", str(len(lost.indirectly))),
            ("possibly lost", str(len(lost.possibly))),
            ("bytes", str(lost.bytes)),
            ("allocated objects", str(lost.allocated)),
            ("object size", f"{cache.object_size} bytes"),
        ],
        conclusion=[_sentence(lost)],
        evidence=_evidence(told),
        log=[],
        slabs=[page_slab(slab) for slab in lost.slabs[:SLABS]],
        slabs_left_out=max(0, len(lost.slabs) - SLABS),
        objects=list(page_objects(slub, words, cache, every[:OBJECTS])),
        objects_left_out=max(0, len(every) - OBJECTS),
    )


def _sentence(lost: Lost) -> str:
    text = f"Nothing in use leads to {plural(lost.number, 'object')}."
    if lost.definitely and lost.indirectly:
        text += (
            f" {len(lost.indirectly)} of them are lost with others: look first at those that"
            " nothing points to. They come first below."
        )
    return text


def _evidence(told: Told) -> List[Tuple[str, str, str]]:
    rows = [
        (item.topic, visible(item.text), hexa(item.address) if item.address else "")
        for item in told.owners
    ]
    for address, why in sorted(told.lost.possibly.items())[:OBJECTS]:
        rows.append(("possibly", visible(why), hexa(address)))
    return rows
