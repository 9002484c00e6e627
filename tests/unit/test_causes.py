# SPDX-License-Identifier: GPL-3.0-or-later
"""A cause is data: help page, README and the records' schema have each, and no other."""

from __future__ import annotations

import re
from typing import Tuple

import pytest

from crash_ext import slabwhy
from crash_ext.why.finding import CERTAIN, LIKELY
from crash_ext.why.rules import RULES
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.batch import SCHEMA
from tests.install.machine import TOP
from tests.unit.asked import text

CAUSES = [rule.cause for rule in RULES]


def test_each_cause_has_its_own_name_and_says_how_strong_it_may_be() -> None:
    assert len(set(CAUSES)) == len(CAUSES)
    for rule in RULES:
        assert rule.help
        assert len(rule.help) <= 56
        assert set(rule.strengths) <= {CERTAIN, LIKELY}
        assert rule.strengths


def test_the_help_page_lists_them_in_the_table_s_order() -> None:
    page = slabwhy.COMMAND.text
    lines = [f"      {rule.cause:<16}  {rule.help}." for rule in RULES]
    assert "\n".join(lines) in page


def test_the_schema_takes_these_causes_and_no_others() -> None:
    assert SCHEMA["$defs"]["finding"]["properties"]["cause"]["enum"] == CAUSES


def test_readme_s_table_has_each() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| CAUSE |")[2].partition("\n\n")[0]
    rows = [f"| `{rule.cause}` | {rule.help} | {', '.join(rule.strengths)} |" for rule in RULES]
    assert re.findall(r"(?m)^\| `.*$", table) == rows


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (("-F",), ("fast (-F): memory was not searched for pointers",)),
        (("-Fp",), ("lists only (-p)", "fast (-F)")),
        ((), ()),
    ],
)
def test_what_an_option_leaves_out_is_said_in_text_too(
    options: Tuple[str, ...], limits: Tuple[str, ...]
) -> None:
    heap = Heap(LAYOUTS["6.1"], seed=3)
    heap.slab(heap.cache("slab_test", 64), {1})
    said = text(heap, "slabwhy", *options, "slab_test").splitlines()
    for limit in limits:
        assert any(line.startswith(limit) for line in said)
    assert bool(limits) == any("-F)" in line or "-p)" in line for line in said)
