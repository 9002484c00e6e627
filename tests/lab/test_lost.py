# SPDX-License-Identifier: GPL-3.0-or-later
"""slablost on real dumps: what was planted, all of it, and nothing else."""

from __future__ import annotations

from typing import Dict, List, Set

import pytest

from tests import lab
from tests.lab.answers import LOST, answer
from tests.lab.session import Record

KNOWN = 8
"""Objects at most that an untouched kernel has lost at boot, and slablost knows."""
STRAY = 2
"""Objects at most that nothing leads to though nobody planted them (of some 40,000)."""


def lost(kernel: str, scenario: str) -> List[Record]:
    rows = answer(kernel, scenario, LOST)
    assert [row for row in rows if row["type"] == "problem"] == []
    return rows


@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_exactly_the_planted_objects_are_lost(kernel: str) -> None:
    """Those of the leftover, and what only they point to: a kmalloc-64 object each."""
    truth = lab.dump(kernel, "leak").truth
    planted = {row["addr"] for row in truth["objects"]["slab_test"]["leftover"]["leaked"]}
    found: Dict[str, Set[str]] = {}
    known = 0
    for row in lost(kernel, "leak"):
        if row["type"] == "lost":
            found.setdefault(row["name"], set()).update(row["definitely"], row["indirectly"])
            known += len(row["known"])
            if row["name"] == "slab_test":
                assert set(row["definitely"]) == planted, "nothing points to them"
            if row["name"] == "kmalloc-64":
                assert row["definitely"] == []
    assert found.pop("slab_test") == planted
    assert len(found.pop("kmalloc-64")) == len(planted)
    assert sum(map(len, found.values())) <= STRAY, found
    assert known <= KNOWN


@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_what_is_held_or_on_a_list_is_not_lost(kernel: str) -> None:
    truth = lab.dump(kernel, "causes").truth
    found: Set[str] = set()
    for row in lost(kernel, "causes"):
        if row["type"] == "lost":
            found.update(row["definitely"], row["indirectly"], row["possibly"])
    for name in ("slab_held", "slab_listed"):
        leaked = {row["addr"] for row in truth["objects"][name]["leftover"]["leaked"]}
        assert leaked
        assert not leaked & found
    for name in ("slab_never", "slab_forgot", "slab_nohead", "slab_orphan", "slab_blank"):
        leaked = {row["addr"] for row in truth["objects"][name]["leftover"]["leaked"]}
        assert leaked <= found, name
    for name, roles in truth["objects"].items():
        if name == "slab_owner":
            # The module keeps no pointer to one of these.
            continue
        living = {row["addr"] for row in roles.get("live", {}).get("live", [])}
        assert not living & found
