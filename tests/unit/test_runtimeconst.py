# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that the kernel has written into its own code holds what it points to."""

from __future__ import annotations

from typing import Tuple

import pytest

from crash_ext.kernel.runtimeconst import for_each_text_piece
from crash_ext.reach.model import REACHED, UNREACHED
from mocks.annex import take_pages
from mocks.model import Slab
from tests.unit.asked import target
from tests.unit.test_pageuse import Pages
from tests.unit.test_reach import reach


def kernel(offset: int, constants: bool = True) -> Tuple[Pages, Slab]:
    """One whose code has object 1's address at an offset; the code is two chunks long."""
    pages = Pages()
    image, size = pages.image, pages.image.page_size
    slab = pages.heap.slab(pages.heap.cache("slab_test", 64), {1, 2})
    text = take_pages(image, 4)
    image.symbols["_stext"], image.symbols["_etext"] = text, text + 4 * size
    if constants:
        image.symbols["__start_runtime_ptr_dentry_hashtable"] = text
    word = slab.object(1).to_bytes(image.word, image.byteorder)
    image.write(text + offset, word)
    return pages, slab


@pytest.mark.parametrize("offset", [1, 2, 7, 4095, 4 * 4096 - 9])
def test_a_runtime_constant_holds_an_object(offset: int) -> None:
    pages, slab = kernel(offset)
    found = reach(pages)
    assert found.level(slab.object(1)) == REACHED
    assert found.level(slab.object(2)) == UNREACHED
    (step,) = found.path(slab.object(1))
    assert step.holder == pages.image.symbols["_stext"] + offset


def test_code_of_a_kernel_without_such_constants_is_not_searched() -> None:
    pages, _ = kernel(3, constants=False)
    assert list(for_each_text_piece(target(pages.heap))) == []


def test_each_word_of_the_code_is_seen_once_at_each_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crash_ext.kernel.runtimeconst._CHUNK", 256)
    pages, _ = kernel(1)
    word = pages.image.word
    seen = [
        address + at
        for address, data in for_each_text_piece(target(pages.heap))
        for at in range(0, len(data) - word + 1, word)
    ]
    start, end = pages.image.symbols["_stext"], pages.image.symbols["_etext"]
    expected = {at for at in range(start, end - word + 1) if (at - start) % word}
    assert set(seen) == expected
    assert len(seen) == len(expected)
