# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command line prints exactly what its golden file holds, and every cause has one."""

from __future__ import annotations

import re
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Iterator, Set

import pytest

from crash_ext.command import COMMON, Command
from crash_ext.why.rules import RULES, Rule
from tests.golden import HERE, for_each_golden, printed
from tests.golden.scenes import SCENES
from tests.replay import COMMANDS

GOLDEN = list(for_each_golden())


@pytest.mark.parametrize(
    ("folder", "file"), GOLDEN, ids=[f"{folder}/{file.name}" for folder, file in GOLDEN]
)
def test_prints_what_the_golden_file_holds(folder: str, file: Path) -> None:
    assert printed(folder, file.name) == file.read_text(encoding="ascii")


@pytest.mark.parametrize("rule", RULES, ids=[rule.cause for rule in RULES])
def test_each_cause_is_printed_by_a_golden_file_in_each_strength(rule: Rule) -> None:
    """Who adds a cause adds a scene: see CONTRIBUTING.md."""
    cause, strengths = rule.cause, rule.strengths
    told = {
        found.group(1)
        for folder, file in GOLDEN
        if file.name.startswith("slabwhy") and folder in SCENES
        for found in re.finditer(
            rf"(?m)^  {re.escape(cause)} +\d+  (\w+)", file.read_text(encoding="ascii")
        )
    }
    assert told == set(strengths)


@pytest.mark.parametrize("name", SCENES)
def test_each_scene_is_asked_for_its_causes_and_for_what_is_lost(name: str) -> None:
    lines = {file.name for file in (HERE / name).iterdir()}
    assert {"slabwhy", "slablost"} <= lines


def _typed(command: Command) -> Iterator[Set[str]]:
    """The letters of each golden line of a command."""
    for _, file in GOLDEN:
        name, *words = file.name.split()
        if name == command.name:
            try:
                pairs, _ = gnu_getopt(words, command.options + COMMON)
            except GetoptError:
                continue
            yield {option[1] for option, _ in pairs}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_each_option_is_typed_in_a_golden_line_as_text_and_with_j(command: Command) -> None:
    """So that what it prints in both forms is held."""
    lines = list(_typed(command))
    letters = set(command.options + COMMON) - {":", "j"}
    for letter in letters:
        assert any(letter in line and "j" not in line for line in lines), letter
        assert any({letter, "j"} <= line for line in lines), letter
