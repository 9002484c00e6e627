# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged BTF: it is refused, or each question to it ends with an answer."""

from __future__ import annotations

from typing import List, Tuple

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.kernel.btf import Btf, BtfError
from crash_ext.kernel.declared import returned, size_of, structure, type_text
from mocks.btf import BtfBuilder
from tests.unit.test_btf import Kernel

KERNEL = Kernel()
BLOB = KERNEL.built.data()
ANY_TYPE = st.tuples(
    st.integers(0, 20),
    st.sampled_from(["", "a", "object"]),
    st.integers(0, 12) | st.integers(0, (1 << 32) - 1),
    st.lists(st.integers(0, 12) | st.integers(0, (1 << 32) - 1), max_size=12),
    st.integers(0, 4),
    st.booleans(),
)
"""What add() takes: most of it makes no sense."""


def ask_everything(btf: Btf) -> None:
    for ident in range(btf.end + 2):
        assert size_of(btf, ident) >= 0
        assert isinstance(type_text(btf, ident), str)
        returned(btf, ident, "module")
        found = structure(btf, ident, "module")
        if found is not None:
            members = found.members()
            assert [member.offset for member in members] == sorted(m.offset for m in members)
            for offset in range(0, 96, 8):
                found.path(offset, 8)
    assert set(btf.structs_of_size(0, 96)) <= set(range(btf.first, btf.end))
    btf.structs_named("object")
    btf.function("object_alloc")


@given(st.lists(st.tuples(st.integers(0, len(BLOB) - 1), st.integers(0, 255)), max_size=8))
def test_bytes_changed_anywhere(changes: List[Tuple[int, int]]) -> None:
    data = bytearray(BLOB)
    for at, value in changes:
        data[at] = value
    try:
        btf = Btf(bytes(data), "little", 8)
    except BtfError:
        return
    ask_everything(btf)


@given(st.lists(ANY_TYPE, max_size=12))
def test_types_of_any_kind_and_reference(
    types: List[Tuple[int, str, int, List[int], int, bool]],
) -> None:
    made = BtfBuilder(KERNEL.built)
    for kind, name, third, behind, vlen, flag in types:
        made.add(kind, name, third, behind, vlen, flag)
    try:
        btf = Btf(made.data(), "little", 8, KERNEL.btf())
    except BtfError:
        return
    ask_everything(btf)


@given(st.integers(0, len(BLOB)), st.binary(max_size=64))
def test_blobs_cut_short_or_grown(length: int, more: bytes) -> None:
    try:
        btf = Btf(BLOB[:length] + more, "little", 8)
    except BtfError:
        return
    ask_everything(btf)
