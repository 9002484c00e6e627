# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that are over lead nowhere; what only resembles them counts."""

from __future__ import annotations

from crash_ext.why.oldlinks import is_old_head, is_old_rcu
from tests.unit.test_lists import Words

HEAD, FIRST, LAST, OTHER = 0x9000, 0x1020, 0x2020, 0x3020
NODES = {FIRST, LAST, OTHER}
"""Nodes of objects that point to themselves."""


def words(start: int, *values: int) -> Words:
    memory = Words()
    memory.words.update({start + 8 * number: value for number, value in enumerate(values)})
    return memory


def test_both_words_of_a_head_whose_list_another_took_over_are_old() -> None:
    memory = words(HEAD - 8, 7, FIRST, LAST, 7)
    assert is_old_head(memory, HEAD, 8, NODES)
    assert is_old_head(memory, HEAD + 8, 8, NODES)


def test_an_array_of_objects_is_no_head() -> None:
    """A list_head at an object's start has the object's address."""
    memory = words(HEAD, FIRST, LAST, OTHER)
    assert not any(is_old_head(memory, HEAD + at, 8, NODES) for at in (0, 8, 16))


def test_a_lone_pointer_is_no_head() -> None:
    assert not is_old_head(words(HEAD - 8, 7, FIRST, 7), HEAD, 8, NODES)


def test_a_head_of_nodes_that_are_linked_is_in_use() -> None:
    assert not is_old_head(words(HEAD, FIRST, LAST), HEAD, 8, {OTHER})


def test_a_callback_that_ran_keeps_its_next_and_has_no_function() -> None:
    memory = words(HEAD, FIRST, 0)
    memory.words.update({FIRST: 0, FIRST + 8: 0})
    assert is_old_rcu(memory, HEAD, 8)
    memory.words[FIRST + 8] = 0x5000
    assert not is_old_rcu(memory, HEAD, 8), "that one is still to run"
