# SPDX-License-Identifier: GPL-3.0-or-later
"""On the recorded 3.10 kernel, each object is told as the module that made it tells."""

from __future__ import annotations

import json
from typing import Dict, Iterator, Set, Tuple

import pytest

from crash_ext.host.target import Target
from crash_ext.leak.duplicates import all_caches
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import ALLOCATED as IN_USE
from crash_ext.slub.model import Cache
from crash_ext.slub.objects import for_each_decoded_slab
from mocks.crash_module import FakeCrash
from tests.replay import addresses, recorded, run_line

NAME = "el7-3.10.0-514"
TRUTH = recorded(NAME).truth


def _allocated_by_cache() -> Dict[str, Set[int]]:
    """kmem_cache address -> addresses of the objects that the module says are allocated."""
    found: Dict[str, Set[int]] = {}
    for name, roles in TRUTH["objects"].items():
        for role, states in roles.items():
            cache = TRUTH["caches"][name][role]["kmem_cache"]
            own = found.setdefault(cache, set())
            for state in ("leaked", "live"):
                own.update(int(row["addr"], 16) for row in states.get(state, []))
    return found


ALLOCATED = _allocated_by_cache()


@pytest.fixture
def fake() -> FakeCrash:
    return FakeCrash(recorded(NAME).image)


@pytest.mark.parametrize("cache", sorted(ALLOCATED))
def test_every_allocated_object_and_no_other_is_listed(fake: FakeCrash, cache: str) -> None:
    listed = addresses(fake, cache)
    assert len(listed) == len(set(listed))
    assert set(listed) == ALLOCATED[cache]


def test_a_name_lists_the_objects_of_both_caches(fake: FakeCrash) -> None:
    caches = TRUTH["caches"]["slab_test"]
    both = ALLOCATED[caches["live"]["kmem_cache"]] | ALLOCATED[caches["leftover"]["kmem_cache"]]
    assert set(addresses(fake, "slab_test")) == both


def _slabs(slub: Slub, caches: Tuple[Cache, ...]) -> Iterator[Tuple[int, str, int, int, int]]:
    for cache in caches:
        for decoded in for_each_decoded_slab(slub, cache, []):
            slab = decoded.slab
            yield slab.address, slab.place, slab.objects, slab.node or 0, decoded.count(IN_USE)


def test_every_slab_is_found_on_the_list_that_it_is_on(fake: FakeCrash) -> None:
    slub = Slub(Target(fake))
    caches = tuple(c for c in all_caches(slub, []) if f"{c.address:x}" in ALLOCATED)
    found = {row[0]: row[1:] for row in _slabs(slub, caches)}
    expected = {}
    for slab in TRUTH["slabs"]:
        place = {"cpu": "cpu {cpu}", "cpu_partial": "cpu {cpu} partial", "none": "-"}.get(
            slab["list"], slab["list"]
        )
        expected[int(slab["page"], 16)] = (
            place.format(cpu=slab.get("cpu")),
            slab["objects"],
            slab["node"],
            len(slab["allocated"]),
        )
    assert found == expected


def test_a_slab_of_the_leftover_is_never_shown_as_the_live_caches(fake: FakeCrash) -> None:
    """crash 8.0.2 answers `kmem ffffea000000e840` with the live cache's address."""
    text = run_line(fake, "slabobjs ffffea000000e840")
    assert "ffff88000006b900" in text
    assert "ffff88000006ba00" not in text


def test_all_caches_of_the_list_are_counted(fake: FakeCrash) -> None:
    records = [json.loads(line) for line in run_line(fake, "slabdup -a -j").splitlines()]
    listed = [(int(r["address"], 16), r["name"]) for r in records if r["type"] == "cache"]
    assert sorted(listed) == sorted(recorded(NAME).caches)
    assert records[-1]["type"] == "end"
