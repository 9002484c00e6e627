# SPDX-License-Identifier: GPL-3.0-or-later
"""What `-o FILE` writes: diagnoses as an HTML file, and the parts that other pages are made of.

From findings to report/html.py's plain values. Knows what a reader of a bug report wants to
see first, and how much of it.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, Sequence

from crash_ext.contents.words import (
    ERROR,
    HLIST_HEAD,
    HLIST_LINKED,
    JIFFIES,
    LIST_BROKEN,
    LIST_DELETED,
    LIST_EMPTY,
    LIST_LINKED,
    NUMBER,
    OWN,
    POINTER,
    POISON,
    RB_CLEAR,
    RB_LINKED,
    TEXT,
    ZERO,
    Words,
)
from crash_ext.contents.words import Word as Explained
from crash_ext.hexa import hexa
from crash_ext.report.hexdump import rows
from crash_ext.report.html import Object, Section, Slab, Word, page
from crash_ext.report.text import plural, printable, visible
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, UNKNOWN, Cache, SlabObjects
from crash_ext.view.source import Made, source_facts
from crash_ext.why.diagnose import Diagnoser, Diagnosis
from crash_ext.why.gather import allocated, contents

OBJECTS = 200
"""Of a cache, whose contents are in the page."""
SLABS = 400
_BYTES = 4096
"""Of an object's contents."""

_CELLS = {ALLOCATED: "a", FREE: "f", RCU_PENDING: "r", UNKNOWN: "u"}
_KINDS = {
    **dict.fromkeys(
        (LIST_BROKEN, LIST_DELETED, LIST_EMPTY, LIST_LINKED, HLIST_HEAD, HLIST_LINKED), "list"
    ),
    **dict.fromkeys((RB_CLEAR, RB_LINKED), "list"),
    **dict.fromkeys((OWN, POINTER), "pointer"),
    **dict.fromkeys((ERROR, JIFFIES, NUMBER, ZERO), "number"),
    TEXT: "text",
    POISON: "poison",
}


def lines(
    diagnoser: Diagnoser, diagnoses: Iterable[Diagnosis], made: Made, left_out: Sequence[str]
) -> Iterator[str]:
    """The lines of the page; left_out: what the user did without."""
    foot = (
        "Addresses are the dump's, the date is its kernel's clock in UTC."
        " [address] is an allocated object; its contents"
        " are shown as words of the machine, then as characters. Evidence is what memory shows;"
        " the conclusion is only as strong as it says."
    )
    sections = (_section(diagnoser, item) for item in diagnoses)
    yield from page(
        "Why slab objects are still allocated",
        source_facts(made),
        left_out or ["Nothing was left out."],
        sections,
        foot,
    )


def _section(diagnoser: Diagnoser, item: Diagnosis) -> Section:
    cache = item.case.cache
    every = allocated(item.slabs)
    first = [address for finding in item.findings for address in finding.objects]
    found = set(every)
    chosen = list(dict.fromkeys([a for a in first if a in found] + every))[:OBJECTS]
    holding = [slab for slab in item.slabs if slab.count(ALLOCATED) or slab.count(UNKNOWN)]
    facts = [
        ("state", item.state.kind),
        ("allocated objects", str(item.allocated)),
        ("slabs", str(len(item.slabs))),
        ("object size", f"{cache.object_size} bytes"),
        *((finding.cause, f"{finding.number} ({finding.strength})") for finding in item.findings),
    ]
    return Section(
        title=f"{printable(cache.name)} {hexa(cache.address)}",
        facts=facts,
        conclusion=[visible(text) for text in item.conclusion],
        evidence=[
            (each.topic, visible(each.text), hexa(each.address) if each.address else "")
            for each in item.evidence
        ],
        log=list(map(visible, item.log)),
        slabs=[page_slab(slab) for slab in holding[:SLABS]],
        slabs_left_out=max(0, len(holding) - SLABS),
        objects=list(page_objects(diagnoser.session, diagnoser.words, cache, chosen)),
        objects_left_out=len(every) - len(chosen),
    )


def page_slab(decoded: SlabObjects) -> Slab:
    """A slab as a row of cells."""
    slab = decoded.slab
    cells = "".join(_CELLS[state] for state in decoded.states)
    return Slab(slab.address, slab.base, slab.place, cells, decoded.first, decoded.stride)


def page_objects(slub: Slub, words: Words, cache: Cache, chosen: List[int]) -> Iterator[Object]:
    """Objects of a cache with their contents, and what the words of these are."""
    reader = slub.reader
    for address, data in contents(slub, cache, chosen):
        if data is None:
            yield Object(address, [], [Word(0, 0, "other", "its memory is not in the dump", None)])
            continue
        more = len(data) - _BYTES
        told = [_word(word) for word in words.explain(address, data[:_BYTES])]
        if more > 0:
            told.append(Word(_BYTES, 0, "other", f"{plural(more, 'more byte')} not shown", None))
        yield Object(address, rows(data[:_BYTES], reader.word, reader.byteorder), told)


def _word(word: Explained) -> Word:
    target = word.target.object if word.target is not None else None
    kind = _KINDS.get(word.kind, "other")
    return Word(word.offset, word.size, kind, visible(word.text), target)
