# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the commands about a built heap, or its rooms about its memory."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Set

from crash_ext.host.target import Target
from crash_ext.slub.session import Session
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from tests.replay import run_command

Record = Dict[str, Any]


def target(heap: Heap) -> Target:
    """The heap's memory as the rooms of crash_ext see it."""
    return Target(FakeCrash(heap.image), heap.image.byteorder)


def session(heap: Heap) -> Session:
    return Session(target(heap))


def text(heap: Heap, name: str, *arguments: str) -> str:
    """What a command prints, errors too."""
    return run_command(FakeCrash(heap.image), name, arguments)


def records(heap: Heap, name: str, *arguments: str) -> List[Record]:
    """The same with -j, decoded."""
    return [json.loads(line) for line in text(heap, name, "-j", *arguments).splitlines()]


def of_type(rows: List[Record], kind: str) -> List[Record]:
    return [row for row in rows if row["type"] == kind]


def problems(rows: List[Record]) -> List[str]:
    """The texts of the error lines."""
    return [row["text"] for row in of_type(rows, "problem")]


def by_state(rows: List[Record]) -> Dict[str, Set[int]]:
    """State -> the addresses of the objects in it. No object may be listed twice."""
    found: Dict[str, Set[int]] = {}
    objects = of_type(rows, "object")
    for row in objects:
        found.setdefault(row["state"], set()).add(int(row["address"], 16))
    assert sum(map(len, found.values())) == len({row["address"] for row in objects})
    return found
