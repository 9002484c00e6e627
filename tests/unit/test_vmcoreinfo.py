# SPDX-License-Identifier: GPL-3.0-or-later
"""VMCOREINFO is read where the kernel keeps it, and nothing is made of what isn't there."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.kernel.vmcoreinfo import vmcoreinfo_number
from mocks.annex import Annex
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import target

TEXT = b"""\
OSRELEASE=6.12.0
PAGESIZE=4096
NUMBER(PG_lru)=5
OLD_NUMBER(PG_slab)=9
NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549377
SYMBOL(swapper_pg_dir)=ffffffff81a0a000
LENGTH(PG_slab)=77
NUMBER(PG_slabs)=78
NUMBER(empty)=
"""


def _heap(text: bytes = TEXT, size: Optional[int] = None) -> Heap:
    heap = Heap(LAYOUTS["6.12"])
    annex = Annex(heap.image, 20)
    heap.image.pointer(annex.variable("vmcoreinfo_data"), annex.string(text))
    length = annex.variable("vmcoreinfo_size")
    heap.image.pointer(length, len(text) if size is None else size)
    return heap


@pytest.mark.parametrize(
    ("name", "value"), [("PG_lru", 5), ("PAGE_SLAB_MAPCOUNT_VALUE", -184549377)]
)
def test_a_number_is_read_with_its_sign(name: str, value: int) -> None:
    assert vmcoreinfo_number(target(_heap()), name) == value


@pytest.mark.parametrize("name", ["PG_slab", "PAGESIZE", "empty", "PG_l"])
def test_only_a_line_of_just_that_number_counts(name: str) -> None:
    assert vmcoreinfo_number(target(_heap()), name) is None


def test_a_number_behind_the_given_size_is_not_there() -> None:
    size = TEXT.index(b"NUMBER(PAGE_SLAB")
    assert vmcoreinfo_number(target(_heap(size=size)), "PAGE_SLAB_MAPCOUNT_VALUE") is None


@pytest.mark.parametrize("size", [0, (1 << 16) + 1, 1 << 40, (1 << 64) - 1])
def test_a_size_that_no_vmcoreinfo_has_is_not_read(size: int) -> None:
    assert vmcoreinfo_number(target(_heap(size=size)), "PG_lru") is None


def test_a_text_that_cannot_be_read_tells_nothing() -> None:
    heap = _heap()
    heap.image.pointer(heap.image.symbols["vmcoreinfo_data"], 0xDEAD0000)
    assert vmcoreinfo_number(target(heap), "PG_lru") is None


def test_a_kernel_without_vmcoreinfo_tells_nothing() -> None:
    assert vmcoreinfo_number(target(Heap(LAYOUTS["6.12"])), "PG_lru") is None
