# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command line prints exactly what its golden file holds, and every cause has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crash_ext.why.rules import RULES, Rule
from tests.golden import HERE, for_each_golden, kernel
from tests.golden.scenes import SCENES
from tests.replay import run_line

GOLDEN = list(for_each_golden())


@pytest.mark.parametrize(
    ("folder", "file"), GOLDEN, ids=[f"{folder}/{file.name}" for folder, file in GOLDEN]
)
def test_prints_what_the_golden_file_holds(folder: str, file: Path) -> None:
    assert run_line(kernel(folder), file.name) == file.read_text(encoding="ascii")


@pytest.mark.parametrize("rule", RULES, ids=[rule.cause for rule in RULES])
def test_each_cause_is_printed_by_a_golden_file_in_each_strength(rule: Rule) -> None:
    """Who adds a cause adds a scene: see CONTRIBUTING.md."""
    cause, strengths = rule.cause, rule.strengths
    printed = {
        found.group(1)
        for folder, file in GOLDEN
        if file.name.startswith("slabwhy") and folder in SCENES
        for found in re.finditer(
            rf"(?m)^  {re.escape(cause)} +\d+  (\w+)", file.read_text(encoding="ascii")
        )
    }
    assert printed == set(strengths)


@pytest.mark.parametrize("name", SCENES)
def test_each_scene_is_asked_for_its_causes_and_for_what_is_lost(name: str) -> None:
    lines = {file.name for file in (HERE / name).iterdir()}
    assert {"slabwhy", "slablost"} <= lines
