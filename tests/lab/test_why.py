# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy on real dumps: it names the cause that was planted, for every object, and no other."""

from __future__ import annotations

from typing import Dict, Set

import pytest

from tests import lab
from tests.lab.answers import POINTERS, WHY, answer
from tests.lab.session import Record

MEMORY_BEARS = {
    # The module writes nothing at the insertion but the links: list_del_init() looks the same.
    "never linked": {"off the list"},
    "forgotten": {"taken off"},
    # The object was taken off a list, too, before its owner was freed.
    "held by freed": {"taken off", "held by freed"},
    # The first of a ring that nothing leads to, and the others.
    "no head": {"no head"},
    "still listed": {"still listed"},
    "held": {"held"},
    # Poison (the guest of `whys`) tells; zeroes of __GFP_ZERO could be a wiped object's, too.
    "never written": {"never written", "all zeroes"},
}
"""What was planted -> the causes that are true of it."""


def leaked(kernel: str, scenario: str, name: str) -> Set[str]:
    states = lab.dump(kernel, scenario).truth["objects"][name]["leftover"]
    return {row["addr"] for row in states.get("leaked", [])}


@pytest.mark.parametrize("scenario", ["causes", "whys"])
@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_what_is_said_of_every_planted_object_is_true_of_it(kernel: str, scenario: str) -> None:
    truth = lab.dump(kernel, scenario).truth
    rows = answer(kernel, scenario, WHY)
    named = {row["address"]: row["name"] for row in rows if row["type"] == "cache"}
    found: Dict[str, Dict[str, Set[str]]] = {name: {} for name in named.values()}
    for row in rows:
        if row["type"] == "finding":
            found[named[row["cache"]]][row["cause"]] = set(row["objects"])
            if row["cause"] == "freed late":
                freed = row
    # Of slabs that were given back nothing but the log is left, and it may have hashes.
    addresses = {row["addr"] for row in late(truth, "slab_late")}
    assert found["slab_late"].pop("freed late") <= addresses
    assert freed["text"].startswith(f"{len(addresses)} objects were freed late")
    assert truth["causes"].pop("slab_late") == "freed late"
    assert found.pop("slab_late") == {}
    for name, planted in truth["causes"].items():
        assert set(found[name]) <= MEMORY_BEARS[planted], name
        assert set().union(*found[name].values()) == leaked(kernel, scenario, name), name
    assert set(found) == set(truth["causes"])
    assert [row for row in rows if row["type"] == "problem"] == []
    assert rows[-1]["complete"] is True


def late(truth: Record, name: str) -> list[Record]:
    """Objects that the module freed only after it had destroyed the cache."""
    rows: list[Record] = truth["objects"][name]["leftover"]["late"]
    return rows


@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_every_pointer_to_an_object_is_found_and_no_lost_object_has_one(kernel: str) -> None:
    dump = lab.dump(kernel, "causes")
    found = {
        row["address"]: {
            (each["holder"], each["offset"])
            for each in row["references"]
            if (each["place"]["state"] == "allocated" and not each["sheaf"])
            or each["place"]["kind"] in ("symbol", "module")
        }
        for row in answer(kernel, "causes", POINTERS)
        if row["type"] == "object"
    }
    held = {row["addr"]: {(row["holder"], 0)} for row in dump.truth["refs"]}
    assert {address: found[address] for address in held} == held
    assert set(held) == leaked(kernel, "causes", "slab_held")
    lost = leaked(kernel, "causes", "slab_never")
    assert {address: found[address] for address in lost} == {address: set() for address in lost}
    linked = [
        row["addr"]
        for name in ("slab_held", "slab_never")
        for row in dump.truth["objects"][name]["live"]["live"]
    ]
    assert {len(found[address]) for address in linked} == {2}, "their two neighbours on the list"


@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_objects_of_a_leftover_that_was_merged_into_are_told_from_its_new_users(
    kernel: str,
) -> None:
    """Up to v6.11 it has a reference again: only the log's addresses tell them apart."""
    rows = answer(kernel, "merge", WHY)
    (cache,) = [row for row in rows if row["type"] == "cache"]
    assert (cache["name"], cache["state"]) == ("slab_merge", "live")
    (finding,) = [row for row in rows if row["type"] == "finding"]
    assert finding["cause"] == "off the list"
    assert set(finding["objects"]) == leaked(kernel, "merge", "slab_merge")
