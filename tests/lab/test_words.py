# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of real objects are said to be, against what the module put there."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List

import pytest

from tests import lab
from tests.lab.dumps import Dump
from tests.lab.often import quick_host
from tests.lab.session import Record, records, run_lines

LIST, HEAP, OPS = 0x20, 0x30, 0x38
"""Offsets in struct slabtest_obj."""

LIST_KINDS = {"self": "list empty", "live": "list linked", "deleted": "list deleted"}
"""The module's word for the state of a list head, and ours."""

DUMPS = [
    *(("5.10", "all"), ("6.1", "refs"), ("7.3", "leak")),
    *(pytest.param(*each, marks=pytest.mark.long) for each in (("6.1", "leak"), ("6.12", "all"))),
]
KERNELS_OWN = [
    *("dentry", "filp", "inode_cache", "kernfs_node_cache", "pid", "proc_dir_entry"),
    *("task_struct", "vmap_area", "kmalloc-64", "kmalloc-96", "kmalloc-512", "kmalloc-2k"),
]
NAMES = {"refs": ["slab_refs", "slab_keeper"]}


def _account(dump: Dump) -> Dict[str, Dict[str, Any]]:
    """Address -> the module's row, of each allocated object that has all the members."""
    return {
        row["addr"]: row
        for name in NAMES.get(dump.scenario, ["slab_test"])
        for states in dump.truth["objects"][name].values()
        for state, rows in states.items()
        if state != "freed"
        for row in rows
    }


def _listing(dump: Dump, *options: str) -> List[Record]:
    names = NAMES.get(dump.scenario, ["slab_test"])
    (said,) = run_lines(
        dump, quick_host(dump.kernel), [" ".join(["slabobjs", "-j", *options, *names])]
    )
    rows = records(said)
    assert rows[-1]["complete"], rows[-1]
    return rows


def _at(row: Record, offset: int) -> Record:
    (found,) = [word for word in row["words"] if word["offset"] == offset]
    word: Record = found
    return word


@pytest.mark.parametrize(("kernel", "scenario"), DUMPS)
def test_each_word_of_the_modules_objects_is_told_as_the_module_wrote_it(
    kernel: str, scenario: str
) -> None:
    dump = lab.dump(kernel, scenario)
    account = _account(dump)
    refs = {ref["holder"]: ref["addr"] for ref in dump.truth["refs"]}
    rows = [row for row in _listing(dump, "-e") if row["type"] == "object"]
    assert {row["address"] for row in rows} == set(account)
    headed = f"headed by slabtest_live_list [slabtest], {dump.truth['live_list']['n']} entries"
    wrong = []
    for row in rows:
        known = account[row["address"]]
        linked, heap, ops = (_at(row, offset) for offset in (LIST, HEAP, OPS))
        holder = f"{int(row['address'], 16) + HEAP:x}"
        right = (
            linked["kind"] == LIST_KINDS[known["list"]]
            and (known["list"] != "live" or headed in linked["text"])
            and heap["kind"] == "pointer"
            and heap["target"]["object"] == refs.get(holder, known["heap"])
            and heap["target"]["name"] == ("slab_refs" if holder in refs else "kmalloc-64")
            and (heap["target"]["offset"], heap["target"]["state"]) == (0, "allocated")
            and ops["target"]["name"] == "slabtest_ops [slabtest]"
            and ops["target"]["offset"] == 0
        )
        if not right:
            wrong.append((known, linked, heap, ops))
    assert wrong == []


@pytest.mark.parametrize("kernel", ["6.1", pytest.param("7.3", marks=pytest.mark.long)])
def test_no_list_of_a_sound_kernel_is_said_to_be_broken(kernel: str) -> None:
    """Its structures are full of pointers that lead back to where they came from."""
    dump = lab.dump(kernel, "leak")
    line = " ".join(["slabobjs", "-je", "-l", "150", *KERNELS_OWN])
    (said,) = run_lines(dump, quick_host(kernel), [line])
    rows = [row for row in records(said) if row["type"] == "object"]
    kinds = Counter(word["kind"] for row in rows for word in row["words"])
    assert len(rows) > 1000
    assert kinds["list broken"] == 0
    assert min(kinds[kind] for kind in ("list linked", "hlist linked", "rb linked")) > 100


def test_objects_left_behind_in_one_way_are_one_group() -> None:
    """`refs` leaves objects behind never linked, taken off the list and still on it."""
    dump = lab.dump("6.1", "refs")
    rows = _listing(dump, "-g")
    cache = dump.truth["caches"]["slab_refs"]["leftover"]["kmem_cache"]
    found = {
        row["pattern"][0]["kind"]: row["objects"]
        for row in rows
        if row["type"] == "group" and row["cache"] == cache
    }
    lists = [row["list"] for row in dump.truth["objects"]["slab_refs"]["leftover"]["leaked"]]
    assert found == {kind: lists.count(state) for state, kind in LIST_KINDS.items()}


@pytest.mark.parametrize("option", ["", "-g"])
def test_notes_stand_beneath_the_lines_that_are_there_without_them(option: str) -> None:
    dump = lab.dump("6.1", "refs")
    lines = [f"slabobjs {option} slab_refs", f"slabobjs -e {option} slab_refs"]
    plain, noted = (text.splitlines() for text in run_lines(dump, quick_host("6.1"), lines))
    notes = [line for line in noted if line.startswith(19 * " ")]
    assert [line for line in noted if line not in notes] == plain
    assert sum("  +0x20 list_head, empty" in line for line in notes) == (1 if option else 5)
