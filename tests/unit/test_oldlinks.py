# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that are over lead nowhere; what only resembles them counts."""

from __future__ import annotations

import pytest

from crash_ext.contents.words import HLIST_LINKED, LIST_LINKED, RB_LINKED
from crash_ext.why.oldlinks import is_old_head, is_old_node, is_old_rcu
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


TREE, PARENT, CHILD = 0x4018, 0x5018, 0x6018


def test_a_node_of_a_tree_counts_if_parent_and_child_know_each_other() -> None:
    """The parent's colour is in its low bits; rb_right and rb_left follow."""
    memory = words(TREE, PARENT + 1, CHILD, 0)
    memory.words.update({PARENT: 1, PARENT + 8: 0, PARENT + 16: TREE, CHILD: TREE})
    assert not is_old_node(memory, RB_LINKED, TREE, TREE, 8)
    assert not is_old_node(memory, RB_LINKED, TREE, TREE + 8, 8)
    memory.words.update({PARENT + 16: 0, CHILD: PARENT})
    assert is_old_node(memory, RB_LINKED, TREE, TREE, 8)
    assert is_old_node(memory, RB_LINKED, TREE, TREE + 8, 8)


@pytest.mark.parametrize("kind", [LIST_LINKED, HLIST_LINKED])
def test_a_node_of_a_list_counts_if_its_neighbours_lead_back(kind: str) -> None:
    memory = words(FIRST, OTHER, LAST)
    memory.words.update({OTHER + 8: FIRST, LAST: FIRST})
    assert not any(is_old_node(memory, kind, FIRST, FIRST + at, 8) for at in (0, 8))
    memory.words.update({OTHER + 8: HEAD, LAST: HEAD})
    assert all(is_old_node(memory, kind, FIRST, FIRST + at, 8) for at in (0, 8))
    memory.words[FIRST] = 0
    assert not is_old_node(memory, kind, FIRST, FIRST, 8)
