# SPDX-License-Identifier: GPL-3.0-or-later
"""The help pages' examples are what the commands print on the lab's recorded dump."""

from __future__ import annotations

import re

import pytest

from crash_ext.command import help_page
from tests.lab import examples
from tests.replay import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_as_printed(name: str) -> None:
    text = COMMANDS[name].text
    assert examples.renewed(name, text) == text, "make examples"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_80_columns_and_is_ascii(name: str) -> None:
    page = help_page(COMMANDS[name])
    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert page.isascii()
    assert not re.search(r"[ \t]\n", page)


def test_a_stale_example_is_noticed() -> None:
    text = COMMANDS["slabdup"].text
    assert text.count("leftover  slab_test") == 1
    for stale in (
        text.replace("leftover  slab_test", "leftover  slab_other"),
        text.replace("    crash> slabdup slab_test", "    crash> slabdup slab_new"),
        text.replace("\n    1 name with several caches", "\n    surprise\n    1 name"),
    ):
        assert stale != text
        assert examples.renewed("slabdup", stale) == text


def test_an_example_that_no_line_is_known_for_is_refused() -> None:
    text = COMMANDS["slabdup"].text + "\n\n    crash> slabdup -a"
    with pytest.raises(ValueError, match="3 examples on the page, 2 lines here"):
        examples.renewed("slabdup", text)
