# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel's BTF is found in its memory, its modules' on btf_modules; damage is said."""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest

from crash_ext.host.target import Target
from crash_ext.kernel.kerneltypes import KernelTypes, kernel_types, read_kernel_btf
from mocks.btf import BtfBuilder
from mocks.crash_module import FakeCrash
from mocks.image import Image
from tests.unit.test_btf import Kernel

START = 0xFFFFFFFF82000000
MODULES = 0xFFFFFFFF83000000
ENTRY, BTF, DATA = 0xFFFFC90080000000, 0xFFFFC90080100000, 0xFFFFC90080200000


class Memory:
    """An image with the kernel's BTF, and with modules'."""

    def __init__(self, image: Optional[Image] = None) -> None:
        self.kernel = Kernel()
        made = self.kernel.built
        made.struct(
            "btf_module",
            40,
            [
                ("list", self.kernel.list, 0),
                ("module", self.kernel.void, 128),
                ("btf", self.kernel.void, 192),
            ],
        )
        made.struct(
            "btf",
            128,
            [
                ("data", self.kernel.void, 0),
                ("data_size", self.kernel.u32, 128),
                ("start_id", self.kernel.u32, 160),
                ("start_str_off", self.kernel.u32, 192),
                ("name", made.array(self.kernel.char, 56), 256),
            ],
        )
        if image is None:
            image = Image()
            image.structs["list_head"] = (16, {"next": (0, 8), "prev": (8, 8)})
        self.image = image
        self.problems: List[str] = []

    def module(self, name: str) -> BtfBuilder:
        """On top of the kernel's, one structure of that name."""
        built = BtfBuilder(self.kernel.built)
        built.struct(f"{name}_object", 88, [("list", self.kernel.list, 0)])
        return built

    def load(self, modules: Optional[Dict[str, BtfBuilder]] = None, first: int = 0) -> KernelTypes:
        """first: how far off each module's start_id is."""
        image, blob = self.image, self.kernel.built.data()
        image.map(START, blob)
        image.symbols.update({"__start_BTF": START, "__stop_BTF": START + len(blob)})
        modules = modules or {}
        image.map(MODULES, bytes(16))
        image.symbols["btf_modules"] = MODULES
        ring = [MODULES, *(ENTRY + 64 * number for number in range(len(modules)))]
        if modules:
            image.map(ENTRY, bytes(64 * len(modules)))
        for number, (name, built) in enumerate(modules.items()):
            at, data = BTF + 0x100 * number, DATA + 0x10000 * number
            image.u64(ENTRY + 64 * number + 24, at)
            image.map(at, bytes(128))
            image.u64(at, data)
            image.u32(at + 16, len(built.data()))
            image.u32(at + 20, built.first + first)
            image.u32(at + 24, built.string_start)
            image.write(at + 32, name.encode())
            image.map(data, built.data())
        for here, after in zip(ring, [*ring[1:], ring[0]]):
            image.u64(here, after)
            image.u64(after + 8, here)
        return self.ask()

    def ask(self) -> KernelTypes:
        reader = Target(FakeCrash(self.image))
        found = kernel_types(reader, read_kernel_btf(reader))
        self.problems = found.problems
        return found


def found(types: KernelTypes, smallest: int = 88, largest: int = 88) -> Dict[str, str]:
    """Structure -> its module."""
    return {each.name: each.module for each in types.structs_of_size(smallest, largest)}


def test_structures_of_the_kernel_and_its_modules_are_found_by_size() -> None:
    memory = Memory()
    types = memory.load({name: memory.module(name) for name in ("one", "two")})
    assert found(types) == {"object": "", "one_object": "one", "two_object": "two"}
    assert memory.problems == []
    own = types.structs_of_size(80, 88, "two")
    assert [(each.name, each.module) for each in own] == [("two_object", "two")]
    assert types.structs_of_size(80, 88, "three") == []
    assert [each.module for each in types.structs_named("one_object")] == ["one"]
    assert types.has_module("one")
    assert not types.has_module("three")
    assert types


def test_what_a_function_returns_is_known_by_its_module() -> None:
    memory = Memory()
    types = memory.load({"one": memory.module("one")})
    made = types.returned_by("object_alloc")
    assert made is not None
    assert made.name == "object"
    assert types.returned_by("object_alloc", "one") is None
    assert types.returned_by("nosuch") is None


def test_a_kernel_without_btf_has_no_types_and_no_problem() -> None:
    memory = Memory()
    types = memory.ask()
    assert not types
    assert found(types) == {}
    assert memory.problems == []
    assert types.returned_by("object_alloc") is None


@pytest.mark.parametrize(
    ("first", "why"), [(1, "the BTF of one builds upon other types than the kernel's")]
)
def test_a_module_built_upon_other_types_is_left_out(first: int, why: str) -> None:
    memory = Memory()
    types = memory.load({"one": memory.module("one")}, first)
    assert found(types) == {"object": ""}
    assert memory.problems == [why]


def test_damage_is_said_and_leaves_the_rest() -> None:
    memory = Memory()
    memory.load({"one": memory.module("one"), "two": memory.module("two")})
    memory.image.write(DATA, b"\0\0")
    assert found(memory.ask()) == {"object": "", "two_object": "two"}
    assert memory.problems == ["the BTF of one is of no use: its header is none of BTF"]


def test_an_absent_page_of_the_kernel_s_btf_is_said() -> None:
    memory = Memory()
    memory.load()
    memory.image.unmap(START + 64, 16)
    size = len(memory.kernel.built.data())
    assert not memory.ask()
    assert memory.problems == [
        f"the kernel's BTF is of no use: cannot read {size} bytes at {START:x}"
    ]


def test_a_size_that_no_btf_has_is_damage() -> None:
    memory = Memory()
    memory.load()
    memory.image.symbols["__stop_BTF"] = START - 1
    assert not memory.ask()
    assert memory.problems == ["the kernel's BTF is damaged: it has -1 bytes"]


def test_a_list_of_modules_that_leads_nowhere_is_no_module() -> None:
    memory = Memory()
    memory.load({"one": memory.module("one")})
    memory.image.u64(ENTRY + 24, 0x1234)
    assert found(memory.ask()) == {"object": ""}
