# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches in use with very many objects: who has them, how many, since when.

And objects that are on their way from one owner to the next while the dump is taken.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, List, Tuple

import pytest

from tests import lab
from tests.lab.crowds import Batch, crowded, for_each_batch, for_each_young
from tests.lab.dumps import Dump
from tests.lab.often import kernels
from tests.lab.session import DRGN, Record, records, run_lines

CACHE = "crowd_held"
NAMED = {
    "crowd_list": "crowd_list [slabtest]",
    "crowd_late_list": "crowd_late_list [slabtest]",
    "crowd_table": "vmalloc area of crowd_table [slabtest]",
    "crowd_single": "crowd_single [slabtest]",
}
"""The module's name of an owner -> how a statement names it."""
LOOKED_AT = 2000
"""Objects, at most, whose holder is asked for."""
OFF = 0.02
"""Part of a batch by which the count of a sample may be wrong."""
SECOND = 1.0


@lru_cache(maxsize=None)
def evidence(dump: Dump, version: str) -> Dict[str, List[str]]:
    """Topic -> what slabwhy states of the cache."""
    (text,) = run_lines(dump, version, [f"slabwhy -j {CACHE}"])
    rows = records(text)
    assert [row for row in rows if row["type"] in ("problem", "finding")] == []
    found: Dict[str, List[str]] = {}
    for row in rows:
        if row["type"] == "evidence":
            found.setdefault(row["topic"], []).append(row["text"])
    return found


def batches(dump: Dump) -> List[Batch]:
    """By the module's account: 10,000 and 14,000 on lists, 5,999 in a table, and one."""
    found = list(for_each_batch(dump))
    assert [each.owner for each in found] == list(NAMED)
    assert sum(each.objects for each in found) == 30_000
    return found


def counts(statements: List[str]) -> Dict[str, Tuple[int, int]]:
    """Owner -> (objects, of so many that were looked at), from the statements on holders."""
    found: Dict[str, Tuple[int, int]] = {}
    for text in statements:
        told = re.match(r"(\d+) of (\d+) objects: (.*)", text)
        if told is None:
            continue
        if told.group(3) == "other holders":
            # What is left behind the five with the most objects.
            assert int(told.group(1)) < OFF * LOOKED_AT
            continue
        owners = [owner for owner, name in NAMED.items() if name in told.group(3)]
        assert len(owners) == 1, text
        number = int(told.group(1)) + found.get(owners[0], (0, 0))[0]
        found[owners[0]] = number, int(told.group(2))
    return found


def ages(statements: List[str]) -> Tuple[int, int]:
    """Seconds: half of the objects are older than the first; the oldest is so old."""
    for text in statements:
        told = re.search(r"half are older than (\d+) s, the oldest (\d+) s$", text)
        if told:
            return int(told.group(1)), int(told.group(2))
    raise AssertionError(statements)


@pytest.mark.parametrize("version", ["", DRGN])
@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_who_holds_very_many_objects_is_told_as_counts(kernel: str, version: str) -> None:
    dump = crowded(kernel, "held")
    told = evidence(dump, version or lab.crashes_for(kernel)[-1])
    found = counts(told["held"])
    assert f"{LOOKED_AT} of 30000 objects were looked at, evenly spread" in told["held"]
    assert LOOKED_AT * (1 - OFF) <= sum(number for number, _ in found.values()) <= LOOKED_AT
    for each in batches(dump):
        number, of = found.get(each.owner, (0, LOOKED_AT))
        assert abs(number / of - each.objects / 30_000) < OFF, each


@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_very_many_objects_are_told_by_who_allocated_them(kernel: str) -> None:
    """Each number is the account's own: all of the tracks are read."""
    dump = crowded(kernel, "held")
    told = evidence(dump, lab.crashes_for(kernel)[-1])["owner"]
    found = []
    for text in told:
        by = re.match(r"(\d+) of 30000 allocated by (\w+)", text)
        if by:
            found.append((int(by.group(1)), by.group(2)))
    # Two lists were filled by one function, from two places of its caller.
    assert sorted(found) == sorted(
        (each.objects, f"crowd_fill_{each.owner.split('_')[-1]}") for each in batches(dump)
    )


@pytest.mark.parametrize("scenario", ["held", "unnoted"])
@pytest.mark.parametrize("kernel", kernels({"6.1"}))
def test_of_very_many_objects_it_is_told_how_old_half_are(kernel: str, scenario: str) -> None:
    """Where the kernel has noted the allocations, and by a word of theirs that is a time."""
    dump = crowded(kernel, scenario)
    half, oldest = ages(evidence(dump, lab.crashes_for(kernel)[-1])["age"])
    first, second, *_ = batches(dump)
    # The 15,000th oldest is of the second batch; both numbers are rounded down.
    assert second.begin - first.end - SECOND <= oldest - half <= second.end - first.begin + SECOND


@pytest.mark.parametrize("version", ["", DRGN])
@pytest.mark.parametrize("kernel", kernels({"6.1", "7.3"}))
def test_what_is_on_its_way_between_two_owners_is_not_lost(kernel: str, version: str) -> None:
    """Three tasks hand 64 objects around, by registers and stacks alone."""
    dump = crowded(kernel, "young")
    version = version or lab.crashes_for(kernel)[-1]
    lost, why = run_lines(dump, version, ["slablost -j", "slabwhy -j crowd_young"])
    assert len(list(for_each_young(dump))) == 64
    of_cache = [row for row in records(lost) if row["type"] == "lost"]
    assert [row for row in of_cache if row["name"] == "crowd_young" and surely(row)] == []
    found = [row for row in records(why) if row["type"] == "finding"]
    assert {row["strength"] for row in found} <= {"likely"}


def surely(row: Record) -> List[str]:
    """Objects that a record calls lost without a doubt."""
    return [*row["definitely"], *row["indirectly"]]
