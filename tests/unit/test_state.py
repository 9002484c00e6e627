# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache is called a leftover on evidence, never by its name."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.leak.state import LEFTOVER, LIVE, UNKNOWN, Held, judge
from crash_ext.slub.model import Cache
from tests.unit.plain import CACHE

POISON = (0xDEAD000000000100, 0xDEAD000000000122)
BOOT = CACHE._replace(name=b"kmalloc-64", refcount=-1)
UNLINKED = CACHE._replace(listed=False, refcount=0, list_next=POISON[0], list_prev=POISON[1])


@pytest.mark.parametrize(
    ("cache", "slabs", "allocated", "mutex", "kind", "reason"),
    [
        (CACHE, 3, 40, True, LIVE, "on slab_caches, refcount 1"),
        (BOOT, 3, 40, None, LIVE, "on slab_caches, refcount -1"),
        (BOOT._replace(name=b"kmem_cache"), 3, 40, None, LIVE, "on slab_caches, refcount -1"),
        (BOOT._replace(name=None), 3, 40, None, LIVE, "on slab_caches, refcount -1"),
        (
            CACHE._replace(refcount=-1),
            1,
            2,
            None,
            LEFTOVER,
            "on slab_caches, refcount -1 (destroyed again after that had failed),"
            " 2 allocated objects in 1 slab",
        ),
        (CACHE, 0, 0, False, LIVE, "on slab_caches, refcount 1"),
        (
            CACHE._replace(refcount=0),
            1,
            1,
            True,
            LEFTOVER,
            "on slab_caches, refcount 0, 1 allocated object in 1 slab",
        ),
        (
            CACHE._replace(refcount=0),
            1,
            0,
            False,
            LEFTOVER,
            "on slab_caches, refcount 0, no destroy is running, 0 allocated objects in 1 slab",
        ),
        (
            CACHE._replace(refcount=0),
            1,
            0,
            True,
            UNKNOWN,
            "refcount 0, 0 allocated objects in 1 slab: being destroyed,"
            " or emptied since it failed",
        ),
        (
            CACHE._replace(refcount=0),
            1,
            0,
            None,
            UNKNOWN,
            "refcount 0, 0 allocated objects in 1 slab: being destroyed,"
            " or emptied since it failed",
        ),
        (
            CACHE._replace(refcount=0),
            0,
            0,
            True,
            UNKNOWN,
            "refcount 0, 0 allocated objects in 0 slabs: being destroyed,"
            " or emptied since it failed",
        ),
        (
            UNLINKED,
            1,
            1,
            True,
            LEFTOVER,
            "unlinked from slab_caches, refcount 0, 1 allocated object in 1 slab",
        ),
        (
            UNLINKED._replace(refcount=-2),
            1,
            1,
            True,
            LEFTOVER,
            "unlinked from slab_caches, refcount -2 (destroyed again after that had failed),"
            " 1 allocated object in 1 slab",
        ),
        (
            UNLINKED,
            1,
            0,
            True,
            LEFTOVER,
            "unlinked from slab_caches, refcount 0, 0 allocated objects in 1 slab",
        ),
        (
            UNLINKED,
            0,
            0,
            False,
            UNKNOWN,
            "unlinked, no slab: being destroyed, or emptied since it failed",
        ),
        (
            UNLINKED._replace(list_prev=POISON[0] + 0x100),
            1,
            1,
            None,
            LEFTOVER,
            "unlinked from slab_caches, refcount 0, 1 allocated object in 1 slab",
        ),
        (
            UNLINKED._replace(list_next=0, list_prev=0),
            0,
            0,
            True,
            UNKNOWN,
            "never linked to slab_caches: being created",
        ),
        (
            UNLINKED._replace(list_prev=0xFFFF888000030068),
            1,
            1,
            False,
            UNKNOWN,
            "not on slab_caches, refcount 0, 1 allocated object in 1 slab: being destroyed",
        ),
        (UNLINKED._replace(refcount=1), 1, 1, False, UNKNOWN, "not on slab_caches, but refcount 1"),
    ],
)
def test_the_state_follows_from_references_list_and_contents(
    cache: Cache, slabs: int, allocated: int, mutex: Optional[bool], kind: str, reason: str
) -> None:
    state = judge(cache, Held(slabs, allocated, 0, False), mutex)
    assert state == (kind, reason)


@pytest.mark.parametrize(
    ("allocated", "mutex", "kind", "more"),
    [
        (2, True, LEFTOVER, ""),
        (0, False, LEFTOVER, ""),
        (0, None, UNKNOWN, ": being destroyed, or emptied since it failed"),
    ],
)
def test_a_memcg_child_shares_the_state_of_its_root(
    allocated: int, mutex: Optional[bool], kind: str, more: str
) -> None:
    root = CACHE._replace(address=0x5000, refcount=0)
    held = f"{allocated} allocated objects in 1 slab"
    assert judge(CACHE, Held(1, allocated, 0, False), mutex, root=root) == (
        kind,
        f"memcg child of 0000000000005000, which has refcount 0: {held}{more}",
    )


def test_what_could_not_be_read_may_be_why_nothing_was_found() -> None:
    held = Held(0, 0, 0, True)
    passing = "being destroyed, emptied since it failed, or with objects that can't be read"
    assert judge(UNLINKED, held, None) == (UNKNOWN, f"unlinked, no slab could be found: {passing}")
