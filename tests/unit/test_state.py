# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache is called a leftover on evidence, never by its name."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.leak.state import LEFTOVER, LIVE, UNKNOWN, Held, judge
from crash_ext.slub.model import Cache
from tests.unit.plain import CACHE

POISON = (0xDEAD000000000100, 0xDEAD000000000122)
UNLINKED = CACHE._replace(listed=False, refcount=0, list_next=POISON[0], list_prev=POISON[1])


@pytest.mark.parametrize(
    ("cache", "slabs", "allocated", "mutex", "kind"),
    [
        (CACHE, 3, 40, True, LIVE),
        (CACHE._replace(refcount=-1), 3, 40, None, LIVE),
        (CACHE, 0, 0, False, LIVE),
        (CACHE._replace(refcount=0), 1, 1, True, LEFTOVER),
        (CACHE._replace(refcount=0), 1, 0, False, LEFTOVER),
        (CACHE._replace(refcount=0), 1, 0, True, UNKNOWN),
        (CACHE._replace(refcount=0), 1, 0, None, UNKNOWN),
        (CACHE._replace(refcount=0), 0, 0, True, UNKNOWN),
        (UNLINKED, 1, 1, True, LEFTOVER),
        (UNLINKED, 1, 0, True, LEFTOVER),
        (UNLINKED, 0, 0, False, UNKNOWN),
        (UNLINKED._replace(list_prev=POISON[0] + 0x100), 1, 1, None, LEFTOVER),
        (UNLINKED._replace(list_next=0, list_prev=0), 0, 0, True, UNKNOWN),
        (UNLINKED._replace(list_prev=0xFFFF888000030068), 1, 1, False, UNKNOWN),
        (UNLINKED._replace(refcount=1), 1, 1, False, UNKNOWN),
    ],
)
def test_the_state_follows_from_references_list_and_contents(
    cache: Cache, slabs: int, allocated: int, mutex: Optional[bool], kind: str
) -> None:
    state = judge(cache, Held(slabs, allocated, 0, False), mutex)
    assert state.kind == kind
    assert state.reason
