# SPDX-License-Identifier: GPL-3.0-or-later
"""Types are proposed by size, name and words, with reasons, and only where something fits."""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crash_ext.contents.pieces import pieces
from crash_ext.contents.types import (
    DELETED,
    HLIST,
    LIST,
    NUMBER,
    POINTER,
    TEXT,
    TREE,
    UNKNOWN,
    ZERO,
    Piece,
    propose_types,
)
from crash_ext.contents.words import HLIST_LINKED, Word
from crash_ext.host.target import Target
from crash_ext.reader import Member
from crash_ext.why.tell_types import counts_in
from mocks.crash_module import CrashError, FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.plain import CACHE

DENTRY = """\
/* offset    |  size */  type = struct dentry {
/*    0      |     4 */    unsigned int d_flags;
/*    4      |     4 */    seqcount_spinlock_t d_seq;
/*    8      |    16 */    struct hlist_bl_node {
/*    8      |     8 */        struct hlist_bl_node *next;
/*   16      |     8 */        struct hlist_bl_node **pprev;

                               /* total size (bytes):   16 */
                           } d_hash;
/*   24      |    16 */    struct qstr {
/*   24      |     8 */        union {
/*                 8 */            struct {
/*   24      |     4 */                u32 hash;
/*   28      |     4 */                u32 len;

                                       /* total size (bytes):    8 */
                                   };
/*                 8 */            u64 hash_len;

                                   /* total size (bytes):    8 */
                               };
/*   32      |     8 */        const unsigned char *name;

                               /* total size (bytes):   16 */
                           } d_name;
/*   40: 0   |     4 */    unsigned int a : 1;
/* XXX  7-bit hole       */
/* XXX  4-byte hole      */
/*   48      |    32 */    unsigned char d_iname[32];
/*   80      |     8 */    int (*fn)(struct dentry *, int);
/*   88      |    32 */    struct list_head {
/*   88      |     8 */        struct list_head *next;
/*   96      |     8 */        struct list_head *prev;

                               /* total size (bytes):   16 */
                           } many[2];

                           /* total size (bytes):  120 */
                         }
"""
# As gdb 16 pads it.
NEWER = DENTRY.replace("/*   ", "/*     ").replace("  size */", "    size */")

OBJECT = """\
/* offset    |  size */  type = struct slabtest_obj {
/*    0      |     4 */    char magic[4];
/*    4      |     4 */    u32 id;
/*    8      |    24 */    char name[24];
/*   32      |    16 */    struct list_head {
/*   32      |     8 */        struct list_head *next;
/*   40      |     8 */        struct list_head *prev;

                               /* total size (bytes):   16 */
                           } list;
/*   48      |     8 */    void *heap;
/*   56      |     8 */    const void *ops;
/*   64      |    20 */    u32 counters[5];
"""
NUMBERS = """\
/* offset    |  size */  type = struct compat_statfs64 {
/*    0      |    64 */    u32 f_type[16];
/*   64      |    20 */    unsigned int f_spare[5];
"""
POINTERS = """\
/* offset    |  size */  type = struct other_ops {
/*    0      |     8 */    int (*open)(void);
/*    8      |     8 */    void *data;
/*   16      |     8 */    struct other_ops *next;
/*   24      |    60 */    char rest[60];
"""

WORDS = [
    Piece(0, 8, NUMBER),
    Piece(8, 16, TEXT),
    Piece(24, 8, ZERO),
    Piece(32, 16, LIST),
    Piece(48, 8, POINTER),
    Piece(56, 8, POINTER),
    Piece(64, 8, NUMBER),
]


def reader(*texts: str, whatis: Optional[Callable[[str], str]] = None, size: int = 84) -> Target:
    """A kernel that has these structures, of that size."""
    heap = Heap(LAYOUTS["6.1"])
    fake = FakeCrash(heap.image)
    names = [text.split("type = struct ")[1].split()[0] for text in texts]
    for name, text in zip(names, texts):
        heap.image.structs[name] = (size, {})
        fake.gdb[f"ptype/o struct {name}"] = text

    def answer(line: str) -> str:
        smallest, largest = (int(word) for word in line.split()[-1].split("-"))
        if not names or not smallest <= size <= largest:
            return "(none found)\n"
        return "SIZE  TYPE\n" + "".join(f"{size:4}  {name}\n" for name in sorted(names))

    fake.commands["whatis"] = whatis or answer
    return Target(fake)


@pytest.mark.parametrize("text", [DENTRY, NEWER])
def test_members_are_read_through_nested_and_unnamed_structures(text: str) -> None:
    found = [tuple(member) for member in reader(text).members("dentry")]
    assert found == [
        ("d_flags", 0, 4, "unsigned int"),
        ("d_seq", 4, 4, "seqcount_spinlock_t"),
        ("d_hash", 8, 16, "struct hlist_bl_node"),
        ("next", 8, 8, "struct hlist_bl_node *"),
        ("pprev", 16, 8, "struct hlist_bl_node **"),
        ("d_name", 24, 16, "struct qstr"),
        ("hash_len", 24, 8, "u64"),
        ("hash", 24, 4, "u32"),
        ("len", 28, 4, "u32"),
        ("name", 32, 8, "const unsigned char *"),
        ("a", 40, 4, "unsigned int"),
        ("d_iname", 48, 32, "unsigned char[32]"),
        ("fn", 80, 8, "int (*)(struct dentry *, int)"),
        ("many", 88, 32, "struct list_head[2]"),
        ("next", 88, 8, "struct list_head *"),
        ("prev", 96, 8, "struct list_head *"),
    ]


def test_a_constant_structure_in_a_structure_is_opened_as_any_other() -> None:
    text = """\
/* offset    |  size */  type = struct object {
/*    0      |    16 */    union {
/*                16 */        struct path {
/*    0      |     8 */            void *mnt;
/*    8      |     8 */            void *dentry;
                               } __path;
/*                16 */        const struct path {
/*    0      |     8 */            void *mnt;
/*    8      |     8 */            void *dentry;
                               } path;
                           };
/*   16      |     8 */    void *last;
                         }
"""
    named = [member for member in reader(text).members("object") if "path" in member.name]
    assert sorted(map(tuple, named)) == [
        ("__path", 0, 16, "struct path"),
        ("path", 0, 16, "const struct path"),
    ]


@pytest.mark.parametrize(
    ("kind", "is_pointer", "pointed"),
    [
        ("void *", True, "void"),
        ("struct a **", True, "struct a *"),
        ("int (*)(void)", True, ""),
        ("void *[2]", False, ""),
        ("u32", False, ""),
    ],
)
def test_pointers_are_told(kind: str, is_pointer: bool, pointed: str) -> None:
    member = Member("m", 0, 8, kind)
    assert (member.is_pointer, member.pointed) == (is_pointer, pointed)


@pytest.mark.parametrize("name", ["nosuch", "a b", "x;q", ""])
def test_what_is_no_structure_has_no_members(name: str) -> None:
    assert reader(DENTRY).members(name) == []


def test_the_structure_whose_members_are_the_words_is_proposed_alone() -> None:
    found = propose_types(reader(OBJECT, NUMBERS, POINTERS), b"slab_test", 84, [WORDS, WORDS])
    assert found is not None
    (best,) = found
    assert (best.struct, best.size, best.against) == ("slabtest_obj", 84, [])
    assert best.reasons == [
        "has the objects' size, 84 bytes",
        "its name goes with the cache's, slab_test",
        "char[24] name at +0x8 has text in 2 of 2 objects",
        "struct list_head list at +0x20 is one in 2 of 2 objects",
        "void *heap at +0x30 has an address in 2 of 2 objects",
        "const void *ops at +0x38 has an address in 2 of 2 objects",
    ]


def test_without_its_debug_information_nothing_is_claimed() -> None:
    assert propose_types(reader(NUMBERS, POINTERS), b"slab_test", 84, [WORDS]) == []


def test_numbers_alone_prove_nothing() -> None:
    words = [Piece(offset, 8, NUMBER) for offset in range(0, 80, 8)]
    assert propose_types(reader(NUMBERS), b"slab_test", 84, [words]) == []


def test_the_better_fit_comes_first_whatever_the_names_order() -> None:
    worse = OBJECT.replace("slabtest_obj", "a_copy").replace("const void *ops", "unsigned long ops")
    found = propose_types(reader(worse, OBJECT), b"unrelated", 84, [WORDS])
    assert [proposal.struct for proposal in found or []] == ["slabtest_obj", "a_copy"]


def test_what_speaks_against_is_said_and_counts() -> None:
    words = [*WORDS[:5], Piece(56, 8, NUMBER)]
    found = propose_types(reader(OBJECT), b"slab_test", 84, [WORDS, words])
    assert found is not None
    assert found[0].against == ["a number at +0x38, where it has const void *ops in 1 of 2 objects"]
    clean = propose_types(reader(OBJECT), b"slab_test", 84, [WORDS, WORDS])
    assert clean is not None
    assert found[0].score < clean[0].score


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (LIST, "struct list_head {\n/* 0 | 8 */ struct list_head *next;\n } n;"),
        (HLIST, "struct hlist_node {\n/* 0 | 8 */ struct hlist_node *next;\n } n;"),
        (TREE, "struct rb_node {\n/* 0 | 8 */ unsigned long __rb_parent_color;\n } n;"),
    ],
)
def test_nodes_fit_their_own_kind_only(kind: str, text: str) -> None:
    head = "/* offset    |  size */  type = struct foo {\n/* 0 | 16 */ "
    for other in (LIST, HLIST, TREE):
        found = propose_types(reader(head + text), b"x", 84, [[Piece(0, 16, other)]])
        assert [proposal.struct for proposal in found or []] == (["foo"] if other == kind else [])


def test_five_at_the_most() -> None:
    texts = [OBJECT.replace("slabtest_obj", f"copy_{n}") for n in range(8)]
    found = propose_types(reader(*texts), b"unrelated", 84, [WORDS])
    assert [proposal.struct for proposal in found or []] == [f"copy_{n}" for n in range(5)]


def test_a_size_that_was_rounded_up_is_looked_for_and_said() -> None:
    found = propose_types(reader(OBJECT), b"unrelated", 88, [WORDS])
    assert found is not None
    assert found[0].reasons[0] == "has 84 bytes, the objects' size is that rounded up"
    assert propose_types(reader(OBJECT), b"unrelated", 85, [WORDS]) == []


def test_a_structure_of_the_caches_name_needs_no_search() -> None:
    """task_struct: its objects end with registers whose size the machine decides."""
    text = OBJECT.replace("slabtest_obj", "task_struct")
    asked = reader(text, whatis=pytest.fail)
    found = propose_types(asked, b"task_struct", 6144, [WORDS], search=False)
    assert found is not None
    assert (found[0].struct, found[0].against) == ("task_struct", ["has 84 bytes, an object 6144"])


@pytest.mark.parametrize(
    ("cache", "struct"),
    [(b"dentry", "dentry"), (b"inode_cache", "inode"), (b"shmem_inode_cache", "shmem_inode_info"),
     (b"foo-pool", "foo"), (b"files_cache", "files_struct"), (b"\xff\xfe", ""), (None, "")],
)  # fmt: skip
def test_names_of_caches_lead_to_names_of_structures(cache: Optional[bytes], struct: str) -> None:
    text = OBJECT.replace("slabtest_obj", struct or "x")
    found = propose_types(reader(text), cache, 84, [WORDS], search=False)
    assert [proposal.struct for proposal in found or []] == ([struct] if struct else [])


def test_a_structure_of_the_caches_name_whose_members_do_not_fit_has_that_said() -> None:
    """With another size, too, it is none."""
    text = NUMBERS.replace("compat_statfs64", "slab_test")
    (found,) = propose_types(reader(text), b"slab_test", 84, [WORDS]) or []
    assert found.against
    assert propose_types(reader(text), b"slab_test", 96, [WORDS]) == []


def against(members: str, piece: Piece) -> List[str]:
    """What speaks against a structure of 84 bytes with these members: lines of gdb's."""
    text = f"/* offset    |  size */  type = struct slab_test {{\n{members}"
    (found,) = propose_types(reader(text), b"slab_test", 84, [[piece]]) or []
    return found.against


@pytest.mark.parametrize(
    ("type_", "fits"), [("list_head", True), ("hlist_node", True), ("conn_key", False)]
)
def test_a_poisoned_node_may_be_a_list_head_s_or_an_hlist_node_s(type_: str, fits: bool) -> None:
    node = f"/*    0      |    16 */    struct {type_} node;\n"
    key = "/*    0      |    16 */    u64 key[2];\n"
    told = against(node if fits else key, Piece(0, 16, DELETED))
    none = "a poisoned list node at +0x0, where it has u64[2] key in 1 of 1 object"
    assert told == ([] if fits else [none])


def test_pointers_to_its_own_kind_may_be_a_list_s() -> None:
    """struct sk_buff has next and prev where others have a list_head."""
    members = (
        "/*    0      |     8 */    struct slab_test *next;\n"
        "/*    8      |     8 */    struct slab_test *prev;\n"
    )
    assert against(members, Piece(0, 16, LIST)) == []


def test_text_is_told_with_where_its_member_begins() -> None:
    (found,) = propose_types(reader(OBJECT), b"slabtest_obj", 84, [[Piece(12, 8, TEXT)]]) or []
    assert "char[24] name at +0x8 has text in 1 of 1 object" in found.reasons


@pytest.mark.parametrize(
    "answer", ["whatis: invalid option -- 'r'\n", "crash: command not found\n"]
)
def test_a_crash_that_cannot_search_is_told_from_one_that_finds_nothing(answer: str) -> None:
    def fail(_line: str) -> str:
        raise CrashError(answer)

    for whatis in (fail, lambda _line: answer):
        assert reader(OBJECT, whatis=whatis).structs_of_size(84, 84) is None
        assert propose_types(reader(OBJECT, whatis=whatis), b"x", 84, [WORDS]) is None
    assert reader(OBJECT).structs_of_size(1, 2) == []


LINES = st.sampled_from(DENTRY.splitlines() + NEWER.splitlines())
KINDS = st.sampled_from([LIST, HLIST, TREE, POINTER, TEXT, NUMBER, ZERO, UNKNOWN, "odd"])
PIECES = st.lists(st.tuples(st.integers(-8, 200), st.integers(0, 64), KINDS), max_size=12)


@given(st.lists(LINES | st.text(max_size=60), max_size=30), PIECES)
def test_whatever_gdb_prints_ends_in_members_or_none(
    lines: List[str], pieces: List[Tuple[int, int, str]]
) -> None:
    head = "/* offset    |  size */  type = struct foo {\n"
    asked = reader(head + "\n".join(lines))
    assert all(member.offset >= 0 for member in asked.members("foo"))
    found = propose_types(asked, b"foo", 84, [[Piece(*piece) for piece in pieces]])
    assert found is not None


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (Piece(200, 16, LIST), "a list at +0xc8, where it has no member"),
        (Piece(8, 16, LIST), "a list at +0x8, where it has char[24] name"),
        (Piece(4, 8, POINTER), "a pointer at +0x4, where it has u32 id"),
        (Piece(4, 8, TEXT), "text at +0x4, where it has u32 id"),
        (Piece(56, 8, TEXT), "text at +0x38, where it has const void *ops"),
        (Piece(32, 8, NUMBER), "a number at +0x20, where it has struct list_head *next"),
    ],
)
def test_each_word_that_does_not_fit_is_told_with_the_member_that_is_there(
    piece: Piece, why: str
) -> None:
    found = propose_types(reader(OBJECT), b"slab_test", 84, [WORDS, [*WORDS, piece]])
    assert found is not None
    assert found[0].against == [f"{why} in 1 of 2 objects"]


@pytest.mark.parametrize(
    ("cache", "why"),
    [
        (b"slabtest_obj_cache", "has the cache's name, slabtest_obj"),
        (b"old_slabtest", 'has "slabtest" in its name, as the cache has'),
    ],
)
def test_what_a_name_has_in_common_with_the_caches_is_told(cache: bytes, why: str) -> None:
    found = propose_types(reader(OBJECT), cache, 84, [WORDS])
    assert found is not None
    assert found[0].reasons[1] == why


COUNTED = """\
/* offset    |  size */  type = struct slab_test {
/*    0      |     4 */    struct kref {
/*    0      |     4 */        refcount_t refcount;

                               /* total size (bytes):    4 */
                           } refs;
/*    4      |     4 */    refcount_t users;
/*    8      |    76 */    char name[76];
"""


def test_counts_of_references_are_those_of_the_cache_s_own_type() -> None:
    host = reader(COUNTED)
    found = propose_types(host, b"slab_test", 84, [[Piece(8, 8, TEXT)]])
    told = counts_in(host, CACHE._replace(name=b"slab_test", object_size=84), found)
    assert told == ("slab_test", {0: "kref refs", 4: "refcount_t users"})
    for name, size in ((b"other", 84), (b"slab_test", 88)):
        assert counts_in(host, CACHE._replace(name=name, object_size=size), found) == ("", {})
    (against,) = propose_types(host, b"slab_test", 84, [[Piece(16, 16, LIST)]]) or []
    assert against.against
    own = CACHE._replace(name=b"slab_test", object_size=84)
    assert counts_in(host, own, [against]) == ("", {})
    assert counts_in(host, own, None) == ("", {})


def test_an_odd_number_before_a_node_s_address_is_no_word_against_a_count() -> None:
    word = Word(0, 16, HLIST_LINKED, "last of a list", 3)
    assert pieces([word]) == []
    assert pieces([word._replace(value=0)]) == [Piece(0, 16, HLIST)]
