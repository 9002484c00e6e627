# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache whose slabs and log were looked at, before memory is searched for who has its objects."""

from __future__ import annotations

from typing import Dict, List, NamedTuple

from crash_ext.leak.state import Held, State
from crash_ext.slub.model import SlabObjects
from crash_ext.why.case import Case
from crash_ext.why.log.match import LogEvidence
from crash_ext.why.users import Users


class Opened(NamedTuple):
    """A cache before memory is searched: what its slabs and the kernel log say of it."""

    case: Case
    state: State
    slabs: List[SlabObjects]
    allocated: int
    unknown: int
    lacking: bool
    within: List[Held]
    """What each of its memcg children has of it."""
    left: int
    """Of a live cache: the objects that are leaked, or that nothing leads to."""
    perhaps: int
    """Of a live cache: those that only memory which may be old leads to."""
    harmless: Dict[str, int]
    """Of a live cache: why nothing leads to objects that are no leak -> how many."""
    asked: List[SlabObjects]
    """The slabs with only the objects that -w chooses; without it, all of them."""
    users: List[Users]
    """Of a live cache: who has its objects."""
    log: LogEvidence
    running: str
    """The task that is still destroying it; "" for none."""
    problems: List[str]
