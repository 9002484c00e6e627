# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a recording, with a replay in the place of crash: the tool needs no virtual machine."""

from __future__ import annotations

import copy
import json
from typing import Any, Dict

import pytest

from mocks.crash_module import FakeCrash, install
from mocks.recording import Recording
from tests.record.lines import for_each_cache, printed_lines, unprinted_lines
from tests.record.make import NotReplayed, assemble, check
from tests.record.slabrecord import record
from tests.replay import recorded, run_line

SOURCE = "lab-6.12-leak"


def _crash(source: Recording) -> FakeCrash:
    """A replay that also answers the commands which slabrecord itself types."""
    crash = FakeCrash(source.image)
    crash.commands = {
        "slabdup": lambda line: run_line(crash, line),
        "slabobjs": lambda line: run_line(crash, line),
        "slabwhy": lambda line: run_line(crash, line),
        "list": "".join(f'{a:x}\n  name = 0x1 "{name}",\n' for a, name in source.caches),
        "gdb": lambda line: " ".join(source.image.structs[line.split()[-1]][1]),
        "log": f"[    0.000000] Linux version {source.kernel}\n{source.log}",
    }
    return crash


@pytest.fixture(scope="module")
def notes() -> Dict[str, Any]:
    source = recorded(SOURCE)
    request = {
        "lines": printed_lines(source.truth),
        "unprinted": unprinted_lines(source.truth),
        "caches": [address for _, _, address in for_each_cache(source.truth)],
    }
    with install(_crash(source)):
        made: Dict[str, Any] = json.loads(json.dumps(record(request)))
    return made


@pytest.fixture
def made(notes: Dict[str, Any]) -> Recording:
    source = recorded(SOURCE)
    return copy.deepcopy(assemble("6.12", "leak", "8.0.6", source.truth, notes))


def test_a_recording_of_a_replay_is_the_replay(made: Recording, notes: Dict[str, Any]) -> None:
    source = recorded(SOURCE)
    check(made, notes)
    assert made.outputs == source.outputs
    assert (made.kernel, made.log) == (source.kernel, source.log)
    assert (made.caches, made.truth) == (source.caches, source.truth)
    assert made.image.structs == source.image.structs
    assert made.image.asked_in_vain == source.image.asked_in_vain
    assert list(made.image.extents()) == list(source.image.extents())


def test_a_wrong_answer_is_refused(made: Recording, notes: Dict[str, Any]) -> None:
    made.image.symbols["slab_caches"] += 8
    with pytest.raises(NotReplayed, match="sym2addr"):
        check(made, notes)


def test_a_wrong_output_is_refused(made: Recording, notes: Dict[str, Any]) -> None:
    leftover = int(recorded(SOURCE).truth["caches"]["slab_test"]["leftover"]["kmem_cache"], 16)
    offset = made.image.structs["kmem_cache"][1]["refcount"][0]
    made.image.u32(leftover + offset, 1)
    with pytest.raises(NotReplayed, match=r"slabdup:\n(.*\n)*-.* leftover(.*\n)*\+"):
        check(made, notes)


def test_memory_whose_page_structures_are_in_pieces_is_refused(notes: Dict[str, Any]) -> None:
    moved = [
        [function, arguments, answer + 64 if arguments == [1 << 24] else answer]
        for function, arguments, answer in notes["answers"]
        if function == "phys_to_page"
    ]
    with pytest.raises(NotReplayed, match="in pieces"):
        assemble("6.12", "leak", "8.0.6", recorded(SOURCE).truth, {**notes, "answers": moved})
