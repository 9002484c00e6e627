# SPDX-License-Identifier: GPL-3.0-or-later
"""An address has all digits of a pointer, and so the same text in every form of output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import crash_ext
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import of_type, records, text

PACKAGE = Path(crash_ext.__file__).parent
NO_ADDRESSES = {
    ("kernel/stackdepot.py", "handle"),
    ("contents/words.py", "byte"),
    ("leak/compare.py", "value"),
    ("places/places.py", "pointer"),
    ("report/text.py", "byte"),
    ("slub/kfence.py", "value"),
    ("view/notes.py", "word.value"),
    ("why/lists.py", "place.cache.address"),
    ("why/numbers.py", "self.value"),
}
"""(file, what it prints as a bare hexadecimal number): handles, flags, states, words, bytes,
counts that were saturated, offsets of per-CPU variables, and a key that nobody sees.
"""


def test_who_prints_an_address_gives_it_all_its_digits() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), what)
        for path in PACKAGE.rglob("*.py")
        if path.parent.name not in ("host", "batch")
        for what in re.findall(r"\{([^{}:]+):[<>]?\d*x\}", path.read_text(encoding="utf-8"))
    }
    assert found == NO_ADDRESSES


@pytest.mark.parametrize(("layout", "digits"), [("6.1-s390x", 16), ("5.10-i386", 8), ("7.3", 16)])
def test_every_form_of_output_has_the_same_addresses(layout: str, digits: int) -> None:
    heap = Heap(LAYOUTS[layout], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 3})
    addresses = {f"{slab.object(index):0{digits}x}" for index in (1, 3)}
    assert set(text(heap, "slabobjs", "-q", "slab_test").split()) == addresses
    listed = text(heap, "slabobjs", "slab_test")
    assert set(re.findall(r"(?m)^  \[([0-9a-f]+)\]", listed)) == addresses
    own = f"{cache.address:0{digits}x}"
    assert re.search(rf"(?m)^{own} ", listed)
    assert re.search(rf"(?m)^  {slab.page:0{digits}x} +{slab.va:0{digits}x} ", listed)
    rows = records(heap, "slabobjs", "slab_test")
    assert {row["address"] for row in of_type(rows, "object")} == addresses
    assert {row["cache"] for row in of_type(rows, "object")} == {own}
    assert re.search(rf"(?m)^{own} ", text(heap, "slabdup", "-a"))
    assert re.search(rf"(?m)^  state +{own} ", text(heap, "slabwhy", "-F", "slab_test"))


def test_the_zeroes_of_an_address_may_be_left_out_where_it_is_asked_for() -> None:
    heap = Heap(LAYOUTS["6.1-s390x"], seed=5)
    slab = heap.slab(heap.cache("slab_test", 84), {1})
    address = slab.object(1)
    short, long = f"{address:x}", f"{address:016x}"
    assert len(short) < len(long)
    assert text(heap, "slabobjs", short) == text(heap, "slabobjs", long)
