# SPDX-License-Identifier: GPL-3.0-or-later
"""`slabobjs -e` and `-g`: notes beside contents, and groups of like objects."""

from __future__ import annotations

import re
from typing import Dict, List, Tuple

import pytest
from pytest_mock import MockerFixture

from crash_ext.hexa import hexa
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import Record, of_type, problems, records, text

every_kind = pytest.mark.parametrize("layout", ["6.1", "6.1-s390x", "5.10-i386", "7.3"])
LINKED, EMPTY, DELETED = {1, 2, 3, 4, 5}, {7, 8, 9}, {11}


class Scene:
    """A full story: linked, never linked and deleted objects, each with a pointer and a number."""

    def __init__(self, layout: str = "6.1") -> None:
        self.heap = Heap(LAYOUTS[layout], seed=4)
        self.other = self.heap.cache("buffer", 64)
        self.buffers: Slab = self.heap.slab(self.other, range(8))
        self.cache: Cache = self.heap.cache("slab_test", 84)
        self.slab: Slab = self.heap.slab(self.cache, LINKED | EMPTY | DELETED)
        image, word = self.heap.image, self.heap.image.word
        for index in sorted(self.slab.allocated):
            image.write(self.slab.object(index), bytes(84))
            image.write(self.slab.object(index), b"NAME%d" % index)
            image.pointer(self.node(index) + 2 * word, self.buffers.object(index % 8))
            image.pointer(self.node(index) + 3 * word, 1000 * index)
        head = image.symbols["slab_mutex"] + 0x40
        self.heap.writer.ring(head, [self.node(index) for index in sorted(LINKED)])
        for index in EMPTY:
            self.heap.writer.ring(self.node(index), [])
        for index in DELETED:
            image.pointer(self.node(index), self.heap.layout.place.poison[0])
            image.pointer(self.node(index) + word, self.heap.layout.place.poison[1])

    def node(self, index: int) -> int:
        return self.slab.object(index) + 4 * self.heap.image.word


def _groups(rows: List[Record]) -> List[Tuple[int, str, List[str]]]:
    return [
        (row["objects"], row["example"], [mark["kind"] for mark in row["pattern"]])
        for row in of_type(rows, "group")
    ]


@every_kind
def test_objects_whose_words_are_alike_are_one_group_the_largest_first(layout: str) -> None:
    scene = Scene(layout)
    rows = records(scene.heap, "slabobjs", "-g", "slab_test")
    first = {
        kind: hexa(scene.slab.object(min(kind)))
        for kind in map(frozenset, (LINKED, EMPTY, DELETED))
    }
    assert _groups(rows) == [
        (5, first[frozenset(LINKED)], ["list linked", "pointer"]),
        (3, first[frozenset(EMPTY)], ["list empty", "pointer"]),
        (1, first[frozenset(DELETED)], ["list deleted", "pointer"]),
    ]
    assert {row["of"] for row in of_type(rows, "group")} == {9}
    assert rows[-1]["complete"]
    assert rows[-1]["shown"] == 9


def test_a_pointer_to_what_is_free_is_another_group() -> None:
    scene = Scene()
    slab = scene.heap.slab(scene.other, {1})
    image = scene.heap.image
    image.pointer(scene.node(7) + 16, slab.object(2))
    found = {
        row["pattern"][1]["target"]: row["objects"]
        for row in of_type(records(scene.heap, "slabobjs", "-g", "slab_test"), "group")
        if row["pattern"][0]["kind"] == "list empty"
    }
    assert found == {"buffer": 2, "buffer, free": 1}


def test_the_limit_is_the_number_of_groups_and_what_is_left_out_is_said() -> None:
    scene = Scene()
    rows = records(scene.heap, "slabobjs", "-g", "-l", "1", "slab_test")
    assert [row["objects"] for row in of_type(rows, "group")] == [5]
    assert not rows[-1]["complete"]
    assert "2 groups left out" in rows[-1]["reason"]


def test_text_shows_count_share_and_an_example() -> None:
    scene = Scene()
    lines = text(scene.heap, "slabobjs", "-g", "slab_test").splitlines()
    at = lines.index("  5 objects of 9 (55.6%), the first:")
    assert lines[at + 1] == f"  [{scene.slab.object(1):x}]"
    assert lines[at + 2].startswith(f"{scene.slab.object(1):016x}:  ")


def test_an_object_that_cannot_be_read_is_in_no_group_and_said() -> None:
    scene = Scene("6.1")
    full = scene.heap.slab(scene.cache, range(scene.cache.objects), where="full-unlisted")
    scene.heap.image.unmap(full.va, scene.heap.image.page_size)
    rows = records(scene.heap, "slabobjs", "-g", "slab_test")
    assert f"{scene.cache.objects} objects can't be read: in no group" in problems(rows)


def test_patterns_beyond_the_bound_are_counted_and_said(mocker: MockerFixture) -> None:
    mocker.patch("crash_ext.contents.groups._GROUPS", 1)
    scene = Scene()
    rows = records(scene.heap, "slabobjs", "-g", "slab_test")
    (group,) = of_type(rows, "group")
    (said,) = problems(rows)
    assert f"too many patterns: {9 - group['objects']} objects in no group" in said


def test_one_object_is_a_group_of_its_own() -> None:
    scene = Scene()
    rows = records(scene.heap, "slabobjs", "-g", f"{scene.slab.object(7):x}")
    assert [row["objects"] for row in of_type(rows, "group")] == [1]


@pytest.mark.parametrize("options", [["-g", "-q"], ["-e", "-q"], ["-g", "-f"]])
def test_what_does_not_go_together_is_refused(options: List[str]) -> None:
    said = text(Scene().heap, "slabobjs", *options, "slab_test")
    assert said.startswith(f"slabobjs: {options[0]} doesn't go with {options[1]}\n")


@every_kind
def test_notes_stand_in_the_words_column_beneath_lines_that_stay_as_they_are(layout: str) -> None:
    scene = Scene(layout)
    plain = text(scene.heap, "slabobjs", "slab_test").splitlines()
    noted = text(scene.heap, "slabobjs", "-e", "slab_test").splitlines()
    indent = " " * (2 * scene.heap.image.word + 3)
    notes = [line for line in noted if line.startswith(indent)]
    assert [line for line in noted if line not in notes] == plain
    # Each stands beneath the line with the word that it is about.
    told = 0
    start = at = 0
    for line in noted:
        if re.match(r"  \[[0-9a-f]+\]$", line):
            start = int(line.strip(" []"), 16)
        elif re.match(r"[0-9a-f]+:", line):
            at = int(line.split(":")[0], 16)
        elif line.startswith(indent):
            offsets = re.findall(r"(?:^ +|; )\+0x([0-9a-f]+) ", line)
            assert {start + int(offset, 16) // 16 * 16 for offset in offsets} <= {at}
            told += len(offsets)
    assert told > 10


def test_the_record_of_an_object_holds_its_words() -> None:
    scene = Scene()
    rows = of_type(records(scene.heap, "slabobjs", "-e", f"{scene.slab.object(7):x}"), "object")
    words: Dict[int, Record] = {word["offset"]: word for word in rows[0]["words"]}
    assert words[0]["text"] == '"NAME7"'
    assert (words[32]["kind"], words[32]["size"], words[32]["target"]) == ("list empty", 16, None)
    assert words[48]["target"] == {
        "kind": "object",
        "name": "buffer",
        "cache": f"{scene.other.address:x}",
        "object": f"{scene.buffers.object(7):x}",
        "offset": 0,
        "state": "allocated",
    }
    assert words[56]["kind"] == "number"
    assert "words" not in of_type(records(scene.heap, "slabobjs", "slab_test"), "object")[0]


def test_names_out_of_the_dump_reach_no_terminal_as_they_are() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=4)
    evil = heap.slab(heap.cache(b"\x1b[31m\xff", 64), {1})
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1})
    heap.image.pointer(slab.object(1), evil.object(1))
    said = text(heap, "slabobjs", "-e", "slab_test")
    assert f"+0x0 \\x1b[31m\\xff {evil.object(1):x}, allocated" in said
    (row,) = of_type(records(heap, "slabobjs", "-e", "slab_test"), "object")
    assert row["words"][0]["target"]["name"] == "\\x1b[31m\\xff"
