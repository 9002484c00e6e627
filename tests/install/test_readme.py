# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md and docs/ name what there is: targets, variables, options, records, tables."""

from __future__ import annotations

import getopt
import json
import re
import shlex
from typing import Dict, List, Set

import pytest

from crash_ext import slabdup, slabobjs
from crash_ext.report.caches import CACHE_HEAD, SLAB_HEAD
from crash_ext.report.jsonl import VERSION
from crash_ext.report.table import table_lines
from mocks.crash_module import FakeCrash
from tests import lab
from tests.install.machine import TOP
from tests.lab import matrix
from tests.lab.session import DRGN
from tests.marked import read_marked
from tests.replay import COMMANDS, recorded, run_line

README = (TOP / "README.md").read_text(encoding="utf-8")
HOSTS = (TOP / "docs/hosts.md").read_text(encoding="utf-8")
RECORDS = (TOP / "crash_ext/batch/RECORDS.md").read_text(encoding="utf-8")
MAKEFILE = (TOP / "Makefile").read_text(encoding="utf-8")
CODE = re.findall(r"(?m)^    (.*)$", README + HOSTS)
"""Lines of code, without their indentation."""


def typed(program: str) -> List[str]:
    """The command lines that call a program, in blocks and between backticks."""
    inline = re.findall(r"`([^`\n]+)`", README + HOSTS)
    lines = [re.sub(r"^(crash>|\$) ", "", line) for line in CODE + inline]
    found = [re.split(r"  +|[|>#]", line)[0] for line in lines]
    return [line for line in found if re.match(rf"(sudo )?{program}(?= |$)", line)]


def test_a_stranger_reads_less_than_200_lines() -> None:
    assert len(README.splitlines()) < 200


def test_links_lead_to_files_of_the_checkout() -> None:
    for file in [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text(encoding="utf-8")):
            assert (file.parent / link).is_file(), (file.name, link)


def test_make_targets_and_variables_exist() -> None:
    words = [word for line in typed("make") for word in line.split()[1:] if word != "make"]
    targets = {word for word in words if "=" not in word}
    assert {"demo", "test", "run", "install", "uninstall", "test-matrix"} <= targets
    assert targets <= set(re.findall(r"(?m)^([a-z-]+):.*##", MAKEFILE))
    variables = {word.split("=")[0] for word in words if "=" in word}
    variables |= set(re.findall(r"\b([A-Z_]+)=", HOSTS.partition("## PyKdump")[0]))
    assert {"PYTHON", "CRASH", "VMLINUX"} <= variables
    variables -= {"CRASH_EXTENSIONS"}  # crash's own, of the environment
    assert all(re.search(rf"\$\({name}\)", MAKEFILE) for name in variables), variables


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_lines_can_be_typed(name: str) -> None:
    lines = [line for line in typed(name) if not line.endswith(":") and ": " not in line]
    assert len(lines) >= 3
    for line in lines:
        getopt.gnu_getopt(shlex.split(line)[1:], COMMANDS[name].options)


def test_options_in_the_text_exist() -> None:
    ours = {f"-{letter}" for command in COMMANDS.values() for letter in command.options}
    crash, makedumpfile, extend = {"-s", "-i", "-c"}, {"-d"}, {"-u"}
    named = set(re.findall(r"(?<![\w-])-[a-zA-Z]\b", README + RECORDS))
    assert named <= ours | crash | makedumpfile | extend


def test_transcript_has_the_heads_that_are_printed() -> None:
    assert CACHE_HEAD in CODE
    assert SLAB_HEAD in CODE
    head = next(line for line in CODE if line.split()[-2:] == ["STATE", "NAME"])
    start = CODE.index(head)
    table = [line.split() for line in CODE[start : start + 3]]
    assert table[0] == list(slabdup._HEAD)
    assert table_lines(table[0], table[1:], slabdup._ALIGN) == CODE[start : start + 3]


def record_fields() -> Dict[str, Set[str]]:
    """What RECORDS.md says: "slabdup cache" -> names of the fields."""
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| (.*) \|$", RECORDS)
    return {
        f"{command} {kind}": set(re.findall(r"`(\w+)`", fields)) | {"type"}
        for kind, commands, fields in rows
        for command in (
            ["slabdup", "slabdup NAME", "slabobjs", "slabwhy"] if commands == "all" else [commands]
        )
        if command in ("slabdup", "slabdup NAME", "slabobjs", "slabwhy")
    }


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("slabdup", "slabdup -j"),
        ("slabdup NAME", "slabdup -j slab_test nosuch"),
        ("slabobjs", "slabobjs -j slab_test nosuch"),
        ("slabwhy", "slabwhy -Fj"),
    ],
)
def test_json_records_have_the_fields_that_are_written_down(command: str, line: str) -> None:
    fake = FakeCrash(recorded("lab-6.1-leak").image)
    records = [json.loads(text) for text in run_line(fake, line).splitlines()]
    said = record_fields()
    for record in records:
        kind = f"{command} {record['type']}"
        if kind == "slabdup NAME cache":
            kind = "slabdup cache"
        assert set(record) == said[kind], kind
    kinds = [record["type"] for record in records]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    assert records[0]["version"] == VERSION
    assert f"(of the records' form: {VERSION})" in RECORDS
    documented = {kind.rpartition(" ")[2] for kind in said if kind.rpartition(" ")[0] == command}
    # Nothing is found without a search of memory, for which a recording has no room.
    assert set(kinds) | {"problem", "finding"} >= documented


def test_states_and_lists_are_those_of_the_help_pages() -> None:
    for state in ("live", "leftover", "unknown"):
        assert f"`{state}`: " in README
        assert f"\n      {state}" in slabdup.COMMAND.text
    for place in ("cpu N", "cpu N partial", "partial", "full", "-"):
        assert f"`{place}`: " in README
        assert f'"{place.replace("cpu N partial", "N partial")}' in slabobjs.COMMAND.text.replace(
            '"cpu\n  N partial', '"N partial'
        )


def test_matrix_covers_every_kernel_and_host() -> None:
    table = read_marked(matrix.TABLE, matrix.MARK)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    assert tuple(word.upper() for word in rows[0]) == matrix.HEAD
    covered = {
        (kernel, scenario, host)
        for kernel, scenario, hosts, *_ in rows[2:]
        for host in hosts.split(", ")
    }
    assert {(kernel, host) for kernel, _, host in covered} == {
        (kernel, host) for kernel in lab.KERNELS for host in [*lab.crashes_for(kernel), DRGN]
    }
    assert {scenario for _, scenario, _ in covered} <= set(lab.SCENARIOS)
