# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command leaves out is told: pointers, bytes, structures beyond a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash_ext.contents.types import Proposal
from crash_ext.places.place import STACK, VMALLOC, Place
from crash_ext.why.case import Case
from crash_ext.why.tell_objects import examined_evidence, users_evidence
from crash_ext.why.tell_types import _proposal
from crash_ext.why.users import Users, _what
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.golden.scenes import asked, crowd
from tests.replay import run_line
from tests.unit.plain import CACHE


def test_pointers_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.reach.references.ALL", 1)
    lines = run_line(crowd(), "slabobjs -r -b 0 slab_test").splitlines()
    assert "   1 more pointer to it" in lines
    counted = [line for line in lines if "limit reached" in line]
    assert len(counted) == 1
    number = int(counted[0].split(": ")[-1].split()[0])
    assert counted[0].endswith(f"{number} more pointers counted but not kept (limit reached)")


def test_bytes_that_a_page_does_not_show_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crash_ext.view.page._BYTES", 96)
    file = tmp_path / "page.html"
    run_line(asked(), f"slabwhy -o {file}")
    assert "24 more bytes not shown<" in file.read_text(encoding="utf-8")


def test_of_many_objects_some_are_examined() -> None:
    case = Case(CACHE)
    case.total = 100
    assert [item.text for item in examined_evidence(case, 0)] == [
        "0 of 100 allocated objects were examined, evenly spread"
    ]


def test_of_very_many_objects_in_use_some_are_asked_for_their_holders() -> None:
    one = Users("conn_list", 3, 4, 0x1000)
    assert [item.text for item in users_evidence([one], 4, 100)] == [
        "4 of 100 objects were looked at, evenly spread",
        "3 of 4 objects: conn_list",
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(VMALLOC, "vmalloc 1000+0x8", 0x1008, ""), "a vmalloc area"),
        (Place(VMALLOC, "x", 0x1008, "conn_table"), "vmalloc area made by conn_table"),
        (Place(STACK, "stack of 7 conn+0x10", 1, "7 conn"), "stack of 7 conn"),
    ],
)
def test_like_holders_are_one_line(place: Place, words: str) -> None:
    assert _what(place) == words


def test_a_structure_is_proposed_with_its_first_reasons_and_what_speaks_against() -> None:
    reasons = [f"reason {number}" for number in range(9)]
    shown = _proposal(Proposal("conn", 120, 1.0, reasons, ["one", "two"], None))
    assert shown == (
        "maybe struct conn: reason 0, reason 1, reason 2, reason 3,"
        " reason 4, and 4 more; but one, two"
    )


def joined(text: str) -> str:
    """The text without the ends of wrapped lines."""
    return text.replace("\n  ", " ")


@pytest.fixture(name="large")
def fixture_large(monkeypatch: pytest.MonkeyPatch) -> Heap:
    """A kernel whose one cache is large: its slabs are counted before they are decoded."""
    monkeypatch.setattr("crash_ext.view.slabs._LARGE", 1)
    heap = Heap(LAYOUTS["6.1"], seed=3)
    cache = heap.cache("slab_test", 84)
    for _ in range(4):
        heap.slab(cache, {1, 2, 3})
    return heap


def test_of_a_large_cache_what_was_only_counted_is_told(large: Heap) -> None:
    slab = large.caches[-1].slabs[1]
    one = joined(run_line(FakeCrash(large.image), f"slabobjs -b 0 {slab.object(2):x}"))
    assert one.endswith("its objects were counted by their slabs' counters, not one by one\n")
    some = joined(run_line(FakeCrash(large.image), "slabobjs -b 0 -l 2 slab_test"))
    assert ": the objects left out were counted by their slabs' counters" in some


def test_counters_that_the_freelists_contradict_are_told_behind(large: Heap) -> None:
    cache = large.caches[-1]
    image, slab = large.image, cache.slabs[2]
    image.put(large.writer.member("slab", slab.page, "inuse"), 2, 2)
    shown = run_line(FakeCrash(image), "slabobjs -b 0 slab_test").splitlines()
    where = f"slabobjs: {cache.address:016x} slab_test: "
    assert (
        f"{where}by what was decoded it has 9+ allocated objects of {4 * cache.objects} in 4 slabs;"
        " the line above is by the slabs' counters"
    ) in shown


def test_few_objects_of_which_a_function_will_be_called_are_told_beside_many_others() -> None:
    names = ["a", "b", "c", "d", "e", "f", "timer, still to be called: expire [foo]", "g"]
    users = [Users(name, 20 - number, 100, number) for number, name in enumerate(names)]
    texts = [item.text for item in users_evidence(users, 100, 100)]
    assert texts[5:] == [
        "14 of 100 objects: timer, still to be called: expire [foo]",
        "28 of 100 objects: other holders",
    ]
