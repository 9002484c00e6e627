# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed looks like crash's own output, whatever the dump holds."""

from __future__ import annotations

import json
import sys
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from crash_ext.report.caches import cache_line, object_line, slab_line
from crash_ext.report.hexdump import RdForm
from crash_ext.report.jsonl import encoder, name_field
from crash_ext.report.table import LEFT, RIGHT, plain_lines, side_by_side, table_lines
from crash_ext.report.text import plural, printable
from mocks.image import ByteOrder


def rd_lines(address: int, data: bytes, word: int, byteorder: ByteOrder) -> List[str]:
    text = RdForm(len(data), word, byteorder).text(address, data)
    return text.split("\n") if data else []


def test_contents_stand_as_rd_shows_them() -> None:
    """Taken from crash 8.0.2: `rd ffff8f4f82a3f700 2`."""
    data = bytes.fromhex("4b43414ab8000000736c61625f746573")
    assert rd_lines(0xFFFF8F4F82A3F700, data, 8, "little") == [
        "ffff8f4f82a3f700:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes"
    ]


def test_a_last_word_that_ends_inside_has_only_its_own_digits() -> None:
    lines = rd_lines(0x1000, bytes(range(0x41, 0x41 + 20)), 8, "little")
    assert lines[1] == "0000000000001010:  54535251                            QRST"


def test_big_endian_words_read_from_their_first_byte() -> None:
    assert (rd_lines(0xC000, b"\1\2\3\4\5\6", 4, "big")) == [
        "0000c000:  01020304 0506                         ......"
    ]


orders: List[ByteOrder] = ["little", "big"]


@given(st.binary(max_size=70), st.sampled_from(orders), st.sampled_from([4, 8]))
def test_every_byte_of_the_contents_is_printed_once(
    data: bytes, byteorder: ByteOrder, word: int
) -> None:
    back = b""
    for line in rd_lines(0x1000, data, word, byteorder):
        for number in line.split(":")[1][2 : 2 + 16 // word * (2 * word + 1)].split():
            back += int(number, 16).to_bytes(len(number) // 2, byteorder)
    assert back == data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"slab_test", "slab_test"),
        (b"\x1b[2Jx\n", "\\x1b[2Jx\\x0a"),
        (b"a\\b", "a\\x5cb"),
        ("é".encode(), "\\xc3\\xa9"),
        (None, "(unreadable)"),
    ],
)
def test_a_name_from_a_dump_never_reaches_the_terminal_raw(name: bytes, text: str) -> None:
    assert printable(name) == text


@given(st.one_of(st.none(), st.binary(max_size=40)))
def test_a_name_in_json_is_always_well_formed(name: bytes) -> None:
    encode = encoder()
    assert encode is not None
    assert json.loads(encode({"name": name_field(name)}))["name"] == name_field(name)


def test_without_json_there_is_no_encoder(mocker: MockerFixture) -> None:
    mocker.patch.dict(sys.modules, {"json": None})
    assert encoder() is None


cells = st.text(alphabet="abc0123456789._ ", min_size=1, max_size=9)


@given(st.lists(st.tuples(cells, cells, cells), max_size=6))
def test_tabulate_and_our_own_layout_agree(rows: List[Tuple[str, str, str]]) -> None:
    head, align = ("CACHE", "TOTAL", "NAME"), (LEFT, RIGHT, LEFT)
    assert table_lines(head, rows, align) == plain_lines(head, rows, align)


def test_without_tabulate_tables_are_still_tables(mocker: MockerFixture) -> None:
    # What is None there can't be imported.
    mocker.patch.dict(sys.modules, {"tabulate": None})
    assert table_lines(("A", "B"), [("x", "10"), ("yy", "9")], (LEFT, RIGHT)) == [
        "A    B",
        "x   10",
        "yy   9",
    ]


def test_columns_that_dont_fit_beside_the_others_have_tables_below() -> None:
    head, rows = ("", "CACHE", "one", "two", "three"), [("*", "size", "1", "2" * 8, "3")]
    whole = table_lines(head, rows, [LEFT] * 5)
    assert side_by_side(head, rows, fixed=2, width=30) == whole
    assert max(map(len, whole)) == 30
    assert side_by_side(head, rows, fixed=2, width=29) == [
        "   CACHE  one  two",
        "*  size   1    22222222",
        "",
        "   CACHE  three",
        "*  size   3",
    ]
    # One that fits nowhere has a table of its own.
    assert side_by_side(head, rows, fixed=2, width=15) == [
        "   CACHE  one",
        "*  size   1",
        "",
        "   CACHE  two",
        "*  size   22222222",
        "",
        "   CACHE  three",
        "*  size   3",
    ]


def test_rows_stand_under_crashs_own_columns() -> None:
    line = cache_line(0xFFFF88000006B900, 84, "1", "32", "1", 4096, "slab_test")
    assert line == "ffff88000006b900       84          1        32      1     4k  slab_test"
    line = slab_line(0xFFFFEA000000E840, 0xFFFF8800003A1000, None, 32, None, None, "partial")
    assert line == "  ffffea000000e840  ffff8800003a1000     ?     32          ?     ?  partial"


def test_only_an_allocated_object_stands_in_brackets() -> None:
    assert object_line(0xFFFF8800003A1500, "allocated", None) == "  [ffff8800003a1500]"
    assert (
        object_line(0xFFFF8800003A1500, "free", "cpu 1 cache")
        == "   ffff8800003a1500  (cpu 1 cache)"
    )
    assert object_line(0xFFFF8800003A1500, "free", None) == "   ffff8800003a1500"
    pending = object_line(0xFFFF8800003A1500, "freed, RCU pending", "cpu 0 sheaf")
    assert pending == "   ffff8800003a1500  (freed, RCU pending, cpu 0 sheaf)"
    assert object_line(0xFFFF8800003A1500, "unknown", None) == "   ffff8800003a1500  (unknown)"


def test_one_is_singular() -> None:
    assert [plural(n, "slab") for n in (0, 1, 2)] == ["0 slabs", "1 slab", "2 slabs"]
