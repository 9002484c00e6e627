# SPDX-License-Identifier: GPL-3.0-or-later
"""BTF gives the structures that C declared: by name and size, with members as gdb shows them."""

from __future__ import annotations

from typing import List, Literal

import pytest

from crash_ext.kernel.btf import Btf, BtfError
from crash_ext.kernel.declared import Structure, returned, size_of, structure, type_text
from mocks import btf as kinds
from mocks.btf import BtfBuilder


class Kernel:
    """A few types that a kernel has."""

    def __init__(self, byteorder: Literal["little", "big"] = "little") -> None:
        self.built = made = BtfBuilder(byteorder=byteorder)
        self.int = made.integer("int", 4)
        self.long = made.integer("long unsigned int", 8)
        self.char = made.integer("char", 1)
        self.u32 = made.add(kinds.TYPEDEF, "u32", self.int)
        self.void = made.pointer(0)
        # struct list_head points to itself.
        self.list = made.struct(
            "list_head", 16, [("next", made.first + made.count + 1, 0), ("prev", 7, 64)]
        )
        assert made.pointer(self.list) == 7
        self.lock = made.struct("raw_lock", 4, [("val", self.int, 0)])
        self.lock_t = made.add(kinds.TYPEDEF, "spinlock_t", self.lock)
        self.union = made.struct(
            "", 16, [("lru", self.list, 0), ("wait", self.void, 0)], union=True
        )
        self.fn = made.pointer(made.prototype(self.int, self.void, self.u32))
        self.object = made.struct(
            "object",
            88,
            [
                ("lock", self.lock_t, 0),
                ("id", self.u32, 32),
                ("", self.union, 64),
                ("name", made.array(self.char, 24), 192),
                ("many", made.array(self.list, 2), 384),
                ("fn", self.fn, 640),
            ],
        )
        self.make = made.add(
            kinds.FUNC, "object_alloc", made.prototype(made.pointer(self.object)), vlen=1
        )

    def btf(self) -> Btf:
        return Btf(self.built.data(), self.built.byteorder, 8)


def named(btf: Btf, name: str) -> Structure:
    (ident,) = btf.structs_named(name)
    found = structure(btf, ident, "")
    assert found is not None
    return found


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_members_are_seen_through_typedefs_arrays_and_unnamed_unions(
    byteorder: Literal["little", "big"],
) -> None:
    found = named(Kernel(byteorder).btf(), "object")
    assert (found.size, found.module) == (88, "")
    assert [tuple(member) for member in found.members()] == [
        ("lock", 0, 4, "spinlock_t"),
        ("val", 0, 4, "int"),
        ("id", 4, 4, "u32"),
        ("lru", 8, 16, "struct list_head"),
        ("next", 8, 8, "struct list_head *"),
        ("wait", 8, 8, "void *"),
        ("prev", 16, 8, "struct list_head *"),
        ("name", 24, 24, "char[24]"),
        ("many", 48, 32, "struct list_head[2]"),
        ("next", 48, 8, "struct list_head *"),
        ("prev", 56, 8, "struct list_head *"),
        ("fn", 80, 8, "int (*)(void *, u32)"),
    ]


@pytest.mark.parametrize(
    ("offset", "size", "path"),
    [
        (8, 16, "lru"),
        (8, 8, "lru.next|wait"),
        (16, 8, "lru.prev"),
        (24, 24, "name"),
        (32, 8, "name[8]"),
        (48, 16, "many[0]"),
        (64, 16, "many[1]"),
        (72, 8, "many[1].prev"),
        (80, 8, "fn"),
        (0, 4, "lock"),
        (0, 8, ""),
        (82, 2, "fn+0x2"),
        (84, 8, ""),
        (88, 8, ""),
    ],
)
def test_a_path_is_the_member_that_holds_all_of_the_bytes(
    offset: int, size: int, path: str
) -> None:
    assert named(Kernel().btf(), "object").path(offset, size) == path


def test_structures_are_found_by_size_and_functions_by_what_they_return() -> None:
    kernel = Kernel()
    btf = kernel.btf()
    assert btf.structs_of_size(16, 88) == [kernel.list, kernel.object]
    assert btf.structs_of_size(17, 87) == []
    function = btf.function("object_alloc")
    assert function == kernel.make
    found = returned(btf, kernel.make, "")
    assert found is not None
    assert found.name == "object"
    assert btf.function("object_free") is None
    assert returned(btf, kernel.object, "") is None


def test_a_module_s_types_build_upon_the_kernel_s() -> None:
    kernel = Kernel()
    module = BtfBuilder(kernel.built)
    link = module.pointer(kernel.object)
    own = module.struct("mine", 24, [("list", kernel.list, 0), ("object", link, 128)])
    make = module.add(kinds.FUNC, "mine_get", module.prototype(link))
    base = kernel.btf()
    btf = Btf(module.data(), "little", 8, base)
    assert (btf.first, btf.string_end) == (base.end, base.string_end + len(module.strings))
    assert btf.structs_named("object") == []
    assert btf.structs_named("mine") == [own]
    mine = structure(btf, own, "module")
    assert mine is not None
    assert mine.module == "module"
    assert [(member.name, member.type) for member in mine.members()] == [
        ("list", "struct list_head"),
        ("next", "struct list_head *"),
        ("prev", "struct list_head *"),
        ("object", "struct object *"),
    ]
    found = returned(btf, make, "module")
    assert found is not None
    assert (found.name, found.module) == ("object", "")


def test_types_are_written_as_gdb_writes_them() -> None:
    kernel = Kernel()
    made = kernel.built
    constant = made.add(kinds.CONST, third=kernel.char)
    tagged = made.add(kinds.TYPE_TAG, "user", constant)
    handler = made.prototype(0, kernel.int, 0)
    texts = {
        made.pointer(tagged): "const char *",
        made.pointer(made.pointer(kernel.char)): "char **",
        made.add(kinds.CONST, third=made.pointer(0)): "void * const",
        made.array(made.array(kernel.int, 3), 2): "int[2][3]",
        made.array(made.pointer(kernel.list), 4): "struct list_head *[4]",
        made.pointer(made.array(kernel.int, 3)): "int (*)[3]",
        made.pointer(handler): "void (*)(int, ...)",
        made.pointer(made.pointer(handler)): "void (**)(int, ...)",
        made.array(made.pointer(handler), 8): "void (*[8])(int, ...)",
        made.pointer(made.prototype(kernel.int)): "int (*)(void)",
        made.pointer(made.add(kinds.FWD, "hidden")): "struct hidden *",
        made.pointer(made.add(kinds.FWD, "either", flag=True)): "union either *",
        made.add(kinds.ENUM, "state", 4, [made.text("ON"), 1], 1): "enum state",
        made.add(kinds.VOLATILE, third=kernel.long): "volatile unsigned long",
        made.add(kinds.FLOAT, "double", 8): "double",
        made.add(kinds.ENUM64, "wide", 8, [made.text("BIG"), 0, 1], 1): "enum wide",
    }
    btf = kernel.btf()
    assert {ident: type_text(btf, ident) for ident in texts} == texts


def test_bit_fields_have_the_bytes_that_their_bits_are_in() -> None:
    kernel = Kernel()
    made = kernel.built
    fields = [
        ("plain", kernel.int, 0),
        ("few", kernel.int, 3 << 24 | 32),
        ("over", kernel.int, 9 << 24 | 35),
        ("last", kernel.char, 8 << 24 | 48),
    ]
    made.struct("flags", 8, fields, flag=True)
    found = named(kernel.btf(), "flags")
    assert [member[:3] for member in found.members()] == [
        ("plain", 0, 4),
        ("over", 4, 2),
        ("few", 4, 1),
        ("last", 6, 1),
    ]
    assert found.path(4, 1) == "few|over"


def test_every_kind_is_passed_over_by_its_length() -> None:
    kernel = Kernel()
    made = kernel.built
    made.add(kinds.VAR, "counter", kernel.int, [1])
    made.add(kinds.DATASEC, ".data", 8, [made.count, 0, 4, made.count, 4, 4], 2)
    made.add(kinds.DECL_TAG, "tag", kernel.object, [0xFFFFFFFF])
    made.add(kinds.ENUM, "three", 4, [0, 0, 0, 1, 0, 2], 3)
    made.add(kinds.ENUM64, "two", 8, [0, 0, 0, 0, 1, 0], 2)
    made.add(kinds.RESTRICT, third=kernel.void)
    last = made.struct("last", 8, [("only", kernel.long, 0)])
    assert kernel.btf().structs_named("last") == [last]


def test_a_wide_vlen_counts_all_of_its_members() -> None:
    kernel = Kernel()
    count = 0x10001
    kernel.built.add(kinds.ENUM, "huge", 4, [0, 0] * count, count)
    last = kernel.built.struct("last", 8, [("only", kernel.long, 0)])
    assert kernel.btf().structs_named("last") == [last]


def test_an_unknown_kind_is_passed_over_where_the_layout_has_its_length() -> None:
    kernel = Kernel()
    kernel.built.add(100, "new", 0, [1, 2, 3, 4, 5], 2)
    last = kernel.built.struct("last", 8, [("only", kernel.long, 0)])
    with pytest.raises(BtfError, match=f"^its type {last - 1} is of the unknown kind 100$"):
        kernel.btf()
    # One word, and two for each of its elements.
    layout = bytes(4) * 100 + bytes([4, 8, 0, 0])
    btf = Btf(kernel.built.data(layout), "little", 8)
    assert btf.structs_named("last") == [last]


WHOLE = Kernel().built.data()
BEHIND = int.from_bytes(WHOLE[4:8], "little") + 0x10000 - len(WHOLE)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "its header is none of BTF"),
        (bytes(64), "its header is none of BTF"),
        (WHOLE[:20], "its header is none of BTF"),
        (Kernel("big").built.data(), "its header is none of BTF"),
        (WHOLE[:-1], "its strings end 1 bytes behind it"),
        (WHOLE[:-1] + b"x", "its strings don't end"),
        (b"\x9f\xeb\2" + WHOLE[3:], "its header is none of BTF"),
        (WHOLE[:4] + b"\xff" * 4 + WHOLE[8:], "its header is 4294967295 bytes long"),
        (WHOLE[:12] + b"\3\0\0\0" + WHOLE[16:], "its types are 3 bytes long"),
        (WHOLE[:12] + b"\0\0\1\0" + WHOLE[16:], f"its types end {BEHIND} bytes behind it"),
    ],
)
def test_damaged_blobs_are_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(BtfError, match=f"^{why}$"):
        Btf(data, "little", 8)


def test_a_type_longer_than_the_section_is_refused() -> None:
    made = BtfBuilder()
    made.add(kinds.STRUCT, "cut", 8, [0, 0, 0], 2)
    with pytest.raises(BtfError, match=r"^its type 1 goes beyond the types' end$"):
        Btf(made.data(), "little", 8)


def endless() -> List[BtfBuilder]:
    """Types that are made of themselves, as none can be."""
    found = []
    for kind in (kinds.TYPEDEF, kinds.CONST, kinds.PTR, kinds.ARRAY):
        made = BtfBuilder()
        behind = [1, 1, 1 << 31] if kind == kinds.ARRAY else []
        made.add(kind, "self", 1, behind)
        made.struct("object", 8, [("a", 1, 0), ("b", 1, 0)])
        found.append(made)
    for name in ("", "inner"):
        made = BtfBuilder()
        made.struct("object", 8, [(name, 1, 0)] * 40)
        found.append(made)
    return found


@pytest.mark.parametrize("made", endless())
def test_a_type_made_of_itself_ends(made: BtfBuilder) -> None:
    btf = Btf(made.data(), "little", 8)
    found = named(btf, "object")
    assert len(found.members()) <= 1 << 16
    assert len(found.path(0, 4)) < 1 << 16
    assert size_of(btf, 1) >= 0
    assert type_text(btf, 1)
