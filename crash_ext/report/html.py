# SPDX-License-Identifier: GPL-3.0-or-later
"""A diagnosis as one self-contained HTML file, to attach to a bug.

No script, no picture, nothing from elsewhere; readable on a phone, in a text browser and on
paper. Knows plain values: what is in them comes out of a dump and is escaped.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.hexa import hexa


class Word(NamedTuple):
    """Some bytes of an object's contents that are known to be something."""

    offset: int
    size: int
    kind: str
    """list, pointer, text, number, poison: it has a colour; other: none."""
    text: str
    target: Optional[int]
    """Address of the object that it points to; a link, where the page has that object."""


class Object(NamedTuple):
    """An object with its contents; lines as (offset, hexadecimal words, characters)."""

    address: int
    lines: List[Tuple[int, List[str], str]]
    words: List[Word]


class Slab(NamedTuple):
    """A slab as a row of cells: a letter of CELLS for each object."""

    address: int
    memory: int
    place: str
    cells: str
    first: int
    """Address of the first object."""
    size: int
    """From one object to the next, bytes."""


class Section(NamedTuple):
    """A cache: what was concluded, on what it rests, what is in it."""

    title: str
    facts: List[Tuple[str, str]]
    """Short ones: name and value."""
    conclusion: List[str]
    """Paragraphs."""
    evidence: List[Tuple[str, str, str]]
    """Topic, statement, address or ""."""
    log: List[str]
    """The lines of the kernel log that the evidence rests on."""
    slabs: List[Slab]
    slabs_left_out: int
    objects: List[Object]
    objects_left_out: int


CELLS = {"a": "allocated", "f": "free", "r": "freed, RCU pending", "u": "unknown"}

_STYLE = """\
:root { color-scheme: light dark; --ink: #1c2330; --paper: #fff; --soft: #f3f5f8; --line: #ccd3dd;
  --a: #c2410c; --f: #b8e0c4; --r: #f2d58a; --u: #8b8fa3;
  --list: #7a2fb5; --pointer: #0b5cad; --text: #12703a; --number: #6b5900; --poison: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --paper: #14181f; --soft: #1e242e;
  --line: #3a4454; --a: #f08a4b; --f: #2f6b45; --r: #8a6d1f; --u: #6f7487;
  --list: #cf9bf5; --pointer: #7db9f5; --text: #7fd6a0; --number: #dcc765; --poison: #ff9d94; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
code, pre, .mono { font: .8125rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
a { color: var(--pointer); }
.conclusion { border-left: .25rem solid var(--a); background: var(--soft); padding: .5rem 1rem; }
.facts { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .5rem 0; padding: 0; }
.facts div { display: flex; gap: .5rem; } .facts dt { opacity: .75; } .facts dd { margin: 0; }
ul.evidence { padding: 0; list-style: none; }
ul.evidence li { border-top: 1px solid var(--line); padding: .375rem 0; display: grid;
  grid-template-columns: 6rem 1fr; }
.slab { margin: .5rem 0; } .cells { display: flex; flex-wrap: wrap; gap: 2px; padding: .125rem 0; }
.cells > * { width: .875rem; height: .875rem; border-radius: 2px; border: 1px solid var(--line);
  font-size: 0; }
.a { background: var(--a); } .f { background: var(--f); } .r { background: var(--r); }
.u { background: repeating-linear-gradient(45deg, var(--u) 0 2px, transparent 2px 4px); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.legend span { display: inline-flex; align-items: center; gap: .375rem; }
.legend i { width: .875rem; height: .875rem; border: 1px solid var(--line); border-radius: 2px; }
pre { overflow-x: auto; background: var(--soft); padding: .5rem; margin: .25rem 0;
  overflow-wrap: normal; }
:target { outline: 2px solid var(--a); outline-offset: 2px; }
.list { color: var(--list); } .pointer { color: var(--pointer); } .text { color: var(--text); }
.number { color: var(--number); } .poison { color: var(--poison); }
ul.words { padding-left: 1rem; margin: .25rem 0; font-size: .875rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); font-size: .875rem; }
@media print { body { max-width: none; } pre { white-space: pre-wrap; } }
"""


def page(
    title: str,
    facts: Iterable[Tuple[str, str]],
    lead: Sequence[str],
    sections: Iterable[Section],
    foot: str,
) -> Iterator[str]:
    """The lines of the file; facts: of the whole; lead: paragraphs before the first cache."""
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>\n{_STYLE}</style></head>"
    yield f"<body><h1>{escape(title)}</h1>"
    yield from _facts(facts)
    for paragraph in lead:
        yield f"<p>{escape(paragraph)}</p>"
    for section in sections:
        yield from _section(section)
    yield f"<footer><p>{escape(foot)}</p></footer></body></html>"


def escape(text: str) -> str:
    """Text as HTML, in quoted attributes too."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text


def _facts(facts: Iterable[Tuple[str, str]]) -> Iterator[str]:
    yield '<dl class="facts">'
    for name, value in facts:
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"


def _section(section: Section) -> Iterator[str]:
    yield f"<section><h2>{escape(section.title)}</h2>"
    yield from _facts(section.facts)
    yield '<div class="conclusion">'
    for paragraph in section.conclusion:
        yield f"<p>{escape(paragraph)}</p>"
    yield "</div>"
    shown = {item.address for item in section.objects}
    yield '<h3>Evidence</h3><ul class="evidence">'
    for topic, text, address in section.evidence:
        where = f" <code>{escape(address)}</code>" if address else ""
        yield f"<li><b>{escape(topic)}</b> <span>{escape(text)}{where}</span></li>"
    yield "</ul>"
    if section.log:
        yield "<h3>Kernel log</h3><pre>"
        yield from map(escape, section.log)
        yield "</pre>"
    yield from _slabs(section, shown)
    if section.objects:
        yield "<h3>Objects</h3>"
        for item in section.objects:
            yield from _object(item, shown)
        yield from _left_out(section.objects_left_out, "object")
    yield "</section>"


def _left_out(count: int, noun: str) -> Iterator[str]:
    if count:
        yield f"<p>{count} more {noun}{'' if count == 1 else 's'} not shown.</p>"


def _slabs(section: Section, shown: Set[int]) -> Iterator[str]:
    if not section.slabs:
        return
    yield "<h3>Slabs</h3>"
    used = "".join(slab.cells for slab in section.slabs)
    yield '<p class="legend">'
    for letter, name in CELLS.items():
        if letter in used:
            yield f'<span><i class="{letter}"></i>{name}: {used.count(letter)}</span>'
    yield "</p>"
    for slab in section.slabs:
        place = f", on {slab.place}" if slab.place != "-" else ", on no list"
        yield (
            f'<div class="slab"><code>{hexa(slab.address)}</code> memory'
            f" <code>{hexa(slab.memory)}</code>{escape(place)}"
        )
        cells = []
        for index, letter in enumerate(slab.cells):
            address = slab.first + index * slab.size
            title = f'title="{hexa(address)} {CELLS[letter]}"'
            if address in shown:
                cells.append(
                    f'<a class="{letter}" {title} href="#o{hexa(address)}">{hexa(address)}</a>'
                )
            else:
                cells.append(f'<span class="{letter}" {title}>{CELLS[letter]} </span>')
        yield f'<div class="cells">{"".join(cells)}</div></div>'
    yield from _left_out(section.slabs_left_out, "slab")


def _object(item: Object, shown: Set[int]) -> Iterator[str]:
    yield f'<article id="o{hexa(item.address)}"><pre>[{hexa(item.address)}]'
    # The last line may be short: its characters stand below the others'.
    width = max((len(" ".join(words)) for _, words, _ in item.lines), default=0)
    for offset, words, characters in item.lines:
        gap = " " * (width - len(" ".join(words)))
        cells, at = [], offset
        for digits in words:
            word = _word_at(item.words, at)
            if word is not None and word.offset != at:
                # The pointer is the first word of a structure.
                word = word._replace(target=None)
            cells.append(_coloured(digits, word, shown))
            at += len(digits) // 2
        yield f"{hexa(item.address + offset)}:  {' '.join(cells)}{gap}   {escape(characters)}"
    yield "</pre>"
    if item.words:
        yield '<ul class="words">'
        for word in item.words:
            text = _link(escape(word.text), word.target, shown)
            yield f'<li><code>+{word.offset:#x}</code> <span class="{word.kind}">{text}</span></li>'
        yield "</ul>"
    yield "</article>"


def _word_at(words: Sequence[Word], offset: int) -> Optional[Word]:
    for word in words:
        if word.offset <= offset < word.offset + word.size:
            return word
    return None


def _coloured(digits: str, word: Optional[Word], shown: Set[int]) -> str:
    if word is None:
        return digits
    return f'<span class="{word.kind}">{_link(digits, word.target, shown)}</span>'


def _link(text: str, target: Optional[int], shown: Set[int]) -> str:
    if target is None or target not in shown:
        return text
    return f'<a href="#o{hexa(target)}">{text}</a>'
