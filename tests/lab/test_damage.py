# SPDX-License-Identifier: GPL-3.0-or-later
"""Real dumps with damaged slabs, in real crash: the module's account judges.

What is whole is told as the module tells it; of what is damaged nothing is claimed, and it
is named. `make test-forms` damages more copies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Set

import pytest

from tests.lab.damage import LINE, Before, damage, look, slabs_of
from tests.lab.forms import form
from tests.lab.session import records, run_lines
from tests.lab.truth import allocated_rows

VERSION = "8.0.2"
SEEDS = range(6 if os.environ.get("FORMS") == "all" else 1)


@pytest.fixture(scope="module")
def before() -> Before:
    return look(form("plain"), VERSION)


def _account(before: Before) -> Set[int]:
    """The objects that the module holds allocated."""
    return {int(row["addr"], 16) for row in allocated_rows(before.dump.truth, "slab_test")}


def test_the_whole_dump_is_as_the_module_says(before: Before) -> None:
    told = {a for s in before.slabs.values() for a, state in s.states.items() if state[0] == "a"}
    assert told == _account(before)
    assert len(before.partial()) > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_slabs_are_named_and_all_others_told_right(
    before: Before, seed: int, tmp_path: Path
) -> None:
    done = damage(tmp_path, before, seed)
    listed, quiet, table = run_lines(done.dump, VERSION, [LINE, "slabobjs -q slab_test", "slabdup"])
    rows = records(listed)
    now = slabs_of(rows)
    problems = [row["text"] for row in rows if row["type"] == "problem"]
    account = _account(before)
    for address, slab in before.slabs.items():
        if address in done.damaged:
            what = done.damaged[address]
            states = set(now[address].states.values()) if address in now else set()
            assert states <= {"unknown"}, (what, states)
            names = f"{slab.memory:x}" if what == "memory" else f"{address:x}"
            assert [text for text in problems if names in text], (what, problems)
        else:
            told = {a for a, state in now[address].states.items() if state == "allocated"}
            assert told == account & set(slab.states), f"{address:x}"
    assert set(now) <= set(before.slabs)
    assert rows[-1]["complete"] is False
    whole = {a for n, s in before.slabs.items() if n not in done.damaged for a in s.states}
    addresses = [line for line in quiet.splitlines() if not line.startswith("slabobjs: ")]
    assert {int(line, 16) for line in addresses} == account & whole
    assert "leftover  slab_test" in table
    assert "live      slab_test" in table
