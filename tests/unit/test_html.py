# SPDX-License-Identifier: GPL-3.0-or-later
"""The page for a bug report: well formed whatever the dump holds, and nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import List, Optional, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.report.html import Object, Section, Slab, Word, page

_VOID = {"meta"}


class Parsed(HTMLParser):
    """Checks that elements close in order; collects what the claims below are about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: List[str] = []
        self.tags: List[str] = []
        self.attributes: List[Tuple[str, Optional[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def section(text: str) -> Section:
    leaked = Object(
        0x1000,
        [(0, ["0000000000001000", "0000000000002000"], text)],
        [Word(0, 8, "pointer", text, 0x1000), Word(8, 8, "pointer", "elsewhere", 0x2000)],
    )
    slabs = [Slab(0xF00, 0x1000, text, "afru", 0x1000, 64)]
    return Section(
        *(text, [("state", text)], [text], [("log", text, "1000")], [text], slabs, 3, [leaked], 1)
    )


def written(text: str) -> str:
    return "\n".join(page(text, [("dump", text)], [text], [section(text)], text))


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30))
def test_whatever_stands_in_the_dump_is_text(text: str) -> None:
    parsed = Parsed(written(text))
    assert set(parsed.tags).isdisjoint({"script", "link", "img", "iframe", "base", "object"})
    assert parsed.text.count(text) >= 11
    names = {name for name, _ in parsed.attributes}
    assert names <= {"lang", "charset", "name", "content", "class", "title", "href", "id"}
    assert all((value or "").startswith("#") for name, value in parsed.attributes if name == "href")


def test_a_pointer_links_where_the_page_has_what_it_points_to() -> None:
    parsed = Parsed(written("x"))
    ids = [value for name, value in parsed.attributes if name == "id"]
    links = [value for name, value in parsed.attributes if name == "href"]
    assert ids == ["o0000000000001000"]
    assert links == ["#o0000000000001000"] * 3, (
        "the cell, the word in the contents, and its explanation"
    )


def test_each_object_of_a_slab_is_a_cell_and_what_is_left_out_is_said() -> None:
    text = written("x")
    for state in ("allocated", "free", "freed, RCU pending", "unknown"):
        assert f"{state}: 1" in text
    assert "3 more slabs not shown" in text
    assert "1 more object not shown" in text


def test_the_characters_of_a_short_last_line_stand_below_the_others() -> None:
    lines = [(0, ["0" * 16, "1" * 16], "first line here."), (16, ["22222222"], "last")]
    item = Object(0x1000, lines, [])
    one = section("x")._replace(objects=[item])
    text = "\n".join(page("x", [], [], [one], "x"))
    first, last = (row for row in text.split("\n") if row.endswith(("here.", "last")))
    assert first.index("first") == last.index("last")
