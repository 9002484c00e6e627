# SPDX-License-Identifier: GPL-3.0-or-later
"""Types are shown by default only where more than size speaks for them; members by the known.

A heap whose kernel has BTF, and a module with and without its own.
"""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest

from crash_ext.contents.typehints import (
    Function,
    Related,
    related,
    searched_modules,
    type_hints,
    unknown_modules,
)
from crash_ext.contents.types import MADE, OWN
from crash_ext.places.places import Places
from crash_ext.slub.model import Cache
from mocks import btf as kinds
from mocks.btf import BtfBuilder
from mocks.heap import Heap
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records, session, text
from tests.unit.test_kernel_types import Memory

OPS = 0x100
ALLOCATED = (1, 2, 3)


class Scene:
    """A cache of objects as struct object of test_btf.py has them: lists empty, one pointer."""

    def __init__(
        self, name: str, own: int = 0, size: int = 88, refcount: int = 1, made: bool = False
    ) -> None:
        """own: how many such structures the module `one` declares; 0: it has no BTF. made: the
        cache's constructor is that module's.
        """
        self.name = name
        self.heap = Heap(LAYOUTS["6.1"], seed=4)
        image = self.heap.image
        self.ops = Landscape(self.heap).module(b"one", {b"one_ops": (OPS, 64)}) + OPS
        ctor = self.ops if made else 0
        cache = self.heap.cache(name, size, refcount=refcount, ctor=ctor)
        slab = self.heap.slab(cache, set(ALLOCATED))
        for at in map(slab.object, ALLOCATED):
            image.write(at, bytes(size))
            image.write(at + 24, b"the name of one")
            image.pointer(at + 80, self.ops)
            for offset in (8, 48, 64):
                self.heap.writer.ring(at + offset, [])
        self.memory = Memory(image)
        modules: Dict[str, BtfBuilder] = {}
        if own:
            modules["one"] = self.module(own)
        self.types = self.memory.load(modules)

    def module(self, count: int) -> BtfBuilder:
        kernel = self.memory.kernel
        built = BtfBuilder(kernel.built)
        for number in range(count):
            fields = [("lru", kernel.list, 64), ("label", built.array(kernel.char, 24), 192)]
            fields += [("pair", built.array(kernel.list, 2), 384), ("ops", kernel.void, 640)]
            own = built.struct(f"own{number}", 88, fields)
            built.add(kinds.FUNC, f"make{number}", built.prototype(built.pointer(own)), vlen=1)
        return built

    def evidence(self, *arguments: str) -> List[str]:
        """slabwhy's statements on the type."""
        rows = of_type(records(self.heap, "slabwhy", "-F", *arguments, self.name), "evidence")
        return [str(row["text"]) for row in rows if row["topic"] == "type"]

    def proposed(self, *arguments: str) -> List[str]:
        return [line.split(":")[0] for line in self.evidence(*arguments)]

    def noted(self) -> List[str]:
        """The lines of `slabobjs -e` for one object, from what its members go by on."""
        said = text(self.heap, "slabobjs", "-e", "-l", "1", self.name).splitlines()
        return [line for line in said if "members as in" in line or "+0x" in line]

    def cache(self) -> Cache:
        (found,) = [
            one
            for one in session(self.heap).listed_caches().caches
            if one.name == self.name.encode()
        ]
        return found


def test_a_structure_with_the_cache_s_name_and_size_names_the_members() -> None:
    scene = Scene("object")
    first, *notes = scene.noted()
    assert first == "  members as in struct object"
    assert any(line.endswith("+0x30 many[0]: list_head, empty") for line in notes)
    assert any("+0x18 name: " in line for line in notes)
    (row,) = of_type(records(scene.heap, "slabobjs", "-e", "-l", "1", "object"), "object")
    assert row["members_of"] == {"struct": "object", "module": None, "sure": True}
    members = {word["offset"]: word["member"] for word in row["words"] if "member" in word}
    assert members == {8: "lru", 24: "name", 48: "many[0]", 64: "many[1]", 80: "fn"}


def test_in_a_cache_that_others_were_merged_into_a_name_is_a_guess() -> None:
    first, *notes = Scene("object", refcount=2).noted()
    assert first.startswith("  members as in struct object, a guess")
    assert any(line.endswith("+0x30 many[0]?: list_head, empty") for line in notes)


def test_a_group_s_example_has_its_members_named_too() -> None:
    scene = Scene("object")
    said = text(scene.heap, "slabobjs", "-g", "-e", "object")
    assert "  members as in struct object\n" in said
    assert "+0x8 lru: list_head, empty" in said
    (row,) = of_type(records(scene.heap, "slabobjs", "-g", "-e", "object"), "group")
    assert row["members_of"]["struct"] == "object"


def test_what_is_free_has_no_members() -> None:
    scene = Scene("object")
    rows = of_type(records(scene.heap, "slabobjs", "-e", "-f", "object"), "object")
    free = [row for row in rows if row["state"] == "free"]
    assert len(rows) - len(free) == len(ALLOCATED)
    assert free
    for row in free:
        assert "members_of" not in row
        assert not any("member" in word for word in row["words"])


def test_size_alone_proposes_nothing_and_names_nothing() -> None:
    scene = Scene("unrelated")
    assert scene.evidence() == [
        "no structure named like the cache fits; -T searches all of its size"
    ]
    assert scene.proposed("-T") == ["maybe struct object"]
    larger = Scene("unrelated", size=400)
    assert larger.evidence("-T") == ["no structure in the debug information fits"]
    assert not any("members as in" in line for line in scene.noted())


def test_a_search_takes_in_what_the_host_alone_knows_of_a_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After `mod -s one FILE`: a kernel built without BTF of its modules."""
    monkeypatch.setattr("crash_ext.host.typeinfo.module_files", lambda crash: {"one": True})
    (line,) = Scene("unrelated", made=True).evidence()
    assert line.endswith("-T searches all of its size, one's too")


def test_a_like_name_of_another_size_names_nothing() -> None:
    scene = Scene("object", size=96)
    assert "has 88 bytes, an object 96" in scene.evidence()[0]
    assert not any("members as in" in line for line in scene.noted())


def test_the_declaration_of_the_module_that_all_point_into_is_a_marked_guess() -> None:
    scene = Scene("unrelated", own=1)
    (line,) = scene.evidence()
    assert line.startswith("maybe struct own0 [one]: has the objects' size, 88 bytes, is declared")
    assert "is declared by one, which the objects point into" in line
    first, *notes = scene.noted()
    assert first == ("  members as in struct own0 [one], a guess: slabwhy tells what speaks for it")
    assert any(line.endswith("+0x30 pair[0]?: list_head, empty") for line in notes)
    (row,) = of_type(records(scene.heap, "slabobjs", "-e", "-l", "1", "unrelated"), "object")
    assert row["members_of"] == {"struct": "own0", "module": "one", "sure": False}


def test_of_two_that_fit_alike_none_names_the_members() -> None:
    scene = Scene("unrelated", own=2)
    assert scene.proposed() == ["maybe struct own0 [one]", "maybe struct own1 [one]"]
    assert not any("members as in" in line for line in scene.noted())


@pytest.mark.parametrize("name", ["kmalloc-88", "kmalloc-cg-88", "dma-kmalloc-88"])
def test_a_kmalloc_cache_s_size_is_no_type_s(name: str) -> None:
    scene = Scene(name, own=1)
    assert scene.proposed() == [
        "no structure named like the cache fits; -T searches all of its size"
    ]


def test_who_allocated_objects_is_a_hint_by_what_it_returns() -> None:
    scene = Scene("unrelated", own=1)
    makers = [Function("object_alloc", ""), Function("make0", "one"), Function("nosuch", "one")]
    found = list(type_hints(scene.types, scene.cache(), Related(makers, {}, {})))
    assert [(hint.structure.text, hint.weight) for hint in found] == [
        ("object", MADE),
        ("own0 [one]", MADE),
    ]
    assert found[0].reason == "object_alloc(), which allocated objects, returns one"
    other = Scene("unrelated", own=1, size=96)
    assert list(type_hints(other.types, other.cache(), Related(makers, {}, {}))) == []


def test_whose_module_it_is_is_told_once_by_the_strongest_tie() -> None:
    scene = Scene("unrelated", own=1)
    places = Places(session(scene.heap), list)
    cache = scene.cache()._replace(ctor=scene.ops)
    made = [Function("make0", "one")]
    assert related(places, cache, [], made, "one").owners == {
        "one": "which called the destroy in the log"
    }
    assert related(places, cache, [], made).owners == {"one": "which has the cache's constructor"}
    only_made = related(places, scene.cache(), [], [*made, *made])
    assert only_made.owners == {"one": "which allocated objects"}
    assert only_made.makers == made
    hints = list(type_hints(scene.types, cache, related(places, cache, [])))
    assert [(hint.structure.name, hint.weight) for hint in hints] == [("own0", OWN)]


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (None, []),
        ({"one": False, "two": False, "far": False}, ["two"]),
        ({"one": False, "two": True}, []),
        ({}, []),
    ],
)
def test_a_module_whose_types_are_nowhere_is_told(
    files: Optional[Dict[str, bool]], missing: List[str]
) -> None:
    scene = Scene("unrelated", own=1)
    found = Related([], {"one": "", "two": ""}, {"far": ""})
    assert unknown_modules(scene.types, files, found) == missing


@pytest.mark.parametrize(
    ("files", "told"), [(None, []), ({"one": True, "two": True}, ["two"]), ({"two": False}, [])]
)
def test_a_module_whose_file_alone_has_types_is_told_with_the_search(
    files: Optional[Dict[str, bool]], told: List[str]
) -> None:
    """On 5.10 a module has no BTF: with its file loaded, only -T finds its structures."""
    found = Related([], {"one": "", "two": ""}, {"far": ""})
    assert searched_modules(Scene("unrelated", own=1).types, files, found) == told
