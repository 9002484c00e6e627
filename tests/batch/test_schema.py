# SPDX-License-Identifier: GPL-3.0-or-later
"""Every record that a command writes is in the schema, and the schema takes no others."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Dict, List

import pytest

from crash_ext.report.jsonl import VERSION
from mocks.crash_module import FakeCrash
from tests.batch import SCHEMA, offences, validator
from tests.golden import BUILT
from tests.golden import HERE as GOLDEN
from tests.replay import COMMANDS, recorded, run_line

RECORDINGS = sorted(
    path.name for path in GOLDEN.iterdir() if path.name not in BUILT and (path / "slabdup").exists()
)
SOURCES = [
    path for path in (GOLDEN.parents[1] / "crash_ext").rglob("*.py") if path.parent.name != "batch"
]

Record = Dict[str, Any]


def records(fake: FakeCrash, line: str) -> List[Record]:
    return [json.loads(text) for text in run_line(fake, line).splitlines()]


def lines_for(fake: FakeCrash) -> List[str]:
    """Command lines that show every kind of record of a recording."""
    caches = [one for one in records(fake, "slabdup -j") if one["type"] == "cache"]
    names = sorted({cache["name"] for cache in caches})[:2]
    assert names
    explained = []
    if "slab_test" in names:
        explained = ["slabobjs -je -l 1 slab_test", "slabobjs -jg slab_test", "slabwhy -Fj"]
    return [
        *explained,
        *("slabdup -j", f"slabdup -j {names[0]} nosuch"),
        f"slabobjs -jf -l 40 {' '.join(names)} nosuch 0",
        f"slabobjs -jp -b 0 {names[0]}",
        f"slabobjs -j -b 100000 -l 3 {names[0]}",
    ]


def with_all_caches(recording: str) -> List[Record]:
    """The records of `slabdup -a`, which asks for more than a recording has: that is missing."""
    image = copy.copy(recorded(recording).image)
    image.asked_in_vain = None
    return records(FakeCrash(image), "slabdup -ajp")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_where_the_memory_went_is_in_the_schema(recording: str) -> None:
    written = with_all_caches(recording)
    assert [text for record in written for text in offences(record)] == []
    (usage,) = [row for row in written if row["type"] == "usage"]
    caches = [row for row in written if row["type"] == "cache"]
    assert usage["bytes"] == sum(row["bytes"] for row in caches)
    assert [row["bytes"] for row in caches] == sorted((r["bytes"] for r in caches), reverse=True)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_every_record_of_every_recording_is_in_the_schema(recording: str) -> None:
    fake = FakeCrash(recorded(recording).image)
    for line in lines_for(fake):
        written = records(fake, line)
        assert [text for record in written for text in offences(record)] == [], line
        assert (written[0]["type"], written[-1]["type"]) == ("begin", "end")


def test_every_kind_of_record_is_seen() -> None:
    fake = FakeCrash(recorded("lab-6.1-leak").image)
    seen = {record["type"] for line in lines_for(fake) for record in records(fake, line)}
    seen |= {record["type"] for record in with_all_caches("lab-6.1-leak")}
    described = {
        entry["properties"]["type"]["const"]
        for entry in SCHEMA["$defs"].values()
        if "type" in entry.get("properties", {})
    }
    # finding and lost need all of memory: tests/lab has them.
    assert seen == described - {"dump", "run", "finding", "lost"}
    # A kind that is written anywhere in the code has to be described.
    kinds = {
        kind
        for path in SOURCES
        for kind in re.findall(r'\.record\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert kinds <= described


def test_an_interrupted_command_ends_with_a_record_of_the_schema() -> None:
    fake = FakeCrash(recorded("lab-6.1-leak").image)

    def interrupt(_address: int, _size: int) -> None:
        raise KeyboardInterrupt

    records(fake, "slabobjs -j slab_test")
    fake.on_read = interrupt
    *written, last = run_line(fake, "slabobjs -j slab_test").splitlines()
    assert last == "slabobjs: interrupted: the output is incomplete"
    ends = [json.loads(text) for text in written]
    assert (ends[-1]["type"], ends[-1]["complete"]) == ("end", False)
    assert [text for record in ends for text in offences(record)] == []


def test_commands_and_version_are_those_of_the_code() -> None:
    begin = SCHEMA["$defs"]["begin"]["properties"]
    assert set(begin["command"]["enum"]) == set(COMMANDS)
    assert begin["version"]["const"] == VERSION


def test_every_description_is_used_and_strict() -> None:
    listed = {entry["$ref"].rpartition("/")[2] for entry in SCHEMA["oneOf"]}
    described = {
        name for name, entry in SCHEMA["$defs"].items() if "type" in entry.get("properties", {})
    }
    assert listed == described
    for name in described:
        entry = SCHEMA["$defs"][name]
        assert entry["additionalProperties"] is False, name
        assert set(entry["required"]) <= set(entry["properties"]), name


@pytest.mark.parametrize(
    "change",
    [
        {"type": "nosuch"},
        {"surprise": 1},
        {"address": "0xffff"},
        {"address": 4096},
        {"allocated": "5"},
        {"allocated": -1},
        {"state": "leaked"},
        {"name": None, "size": None},
    ],
)
def test_what_is_no_record_is_refused(change: Record) -> None:
    fake = FakeCrash(recorded("lab-6.1-leak").image)
    good = next(one for one in records(fake, "slabdup -j") if one["type"] == "cache")
    assert validator().is_valid(good)
    assert not validator().is_valid({**good, **change})
    for field in good:
        less = copy.deepcopy(good)
        del less[field]
        assert not validator().is_valid(less), field


BY_OPTION = {
    "begin": {"filter"},
    "end": {"fit", "of", "not_judged"},
    "object": {"words", "members_of", "references", "more_references", "struct", "log"},
    "group": {"words", "members_of"},
}
"""Fields that RECORDS.md names below its table."""


def test_the_table_of_records_has_the_schema_s_fields() -> None:
    table = (GOLDEN.parents[1] / "crash_ext/batch/RECORDS.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| (.*) \|$", table)
    known = SCHEMA["$defs"]
    assert len(rows) >= 19
    for kind, command, text in rows:
        name = f"{command.lower().replace(' ', '_')}_{kind}"
        fields = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", text)))
        wanted = set(known[name if name in known else kind]["properties"]) - {"type"}
        assert fields == wanted - BY_OPTION.get(kind, set()), (kind, command)
