# SPDX-License-Identifier: GPL-3.0-or-later
"""A large cache's summary goes by its slabs' counters, and never stands where it is wrong."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import List
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from mocks.crash_module import FakeCrash
from mocks.damage import Plan
from mocks.heap import Heap
from mocks.image import Hole
from mocks.layouts import LAYOUTS
from mocks.strategies import damages, heaps
from tests.replay import run_command
from tests.unit.asked import text

LARGE, SMALL = 1, 1 << 40


def _as(ahead: int, heap: Heap, *line: str) -> str:
    """slabobjs where more than so many bytes make a cache large; no sentence is wrapped."""
    with mock.patch("crash_ext.view.slabs._LARGE", ahead), mock.patch(
        "crash_ext.report.text.WIDTH", 1 << 20
    ):
        return text(heap, "slabobjs", *line)


@given(heaps())
def test_a_large_cache_is_told_as_a_small_one(heap: Heap) -> None:
    names = [f"{cache.address:x}" for cache in heap.caches]
    assert _as(LARGE, heap, *names) == _as(SMALL, heap, *names)
    assert _as(LARGE, heap, "-f", "-n", "0", *names) == _as(SMALL, heap, "-f", "-n", "0", *names)


@given(heaps(), st.integers(0, 5))
def test_what_a_limit_leaves_out_is_counted_right(heap: Heap, limit: int) -> None:
    names = [f"{cache.address:x}" for cache in heap.caches]
    few = ["-n", "0", "-l", str(limit), *names]
    lines = _as(LARGE, heap, *few).splitlines()
    by_counters = [line for line in lines if line.endswith("by their slabs' counters")]
    assert [line for line in lines if line not in by_counters] == _as(SMALL, heap, *few).split(
        "\n"
    )[:-1]


@given(heaps(), st.lists(damages(), min_size=1, max_size=3))
def test_a_summary_that_decoding_contradicts_is_corrected(heap: Heap, plans: List[Plan]) -> None:
    for plan in plans:
        # What another damage has made unreadable can't be overwritten.
        with suppress(Hole):
            plan.apply(heap)
    for cache in heap.caches:
        large, small = (_as(size, heap, f"{cache.address:x}") for size in (LARGE, SMALL))
        summaries = [re.findall(r"^CACHE .*\n(.*)", said, re.M) for said in (large, small)]
        corrected = re.search(r"by what was decoded it has (\S+) allocated objects of (\S+)", large)
        assert corrected or summaries[0] == summaries[1]
        if corrected:
            assert summaries[1][0].split()[2:4] == list(corrected.groups())


def test_ten_objects_of_a_large_cache_cost_ten_not_all() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=2, pages=8192)
    cache = heap.cache("slab_test", 84)
    for _ in range(3000):
        heap.slab(cache, range(0, 46, 2))
    read = []
    for line in (["-l", "10"], ["-q", "-l", "10"], []):
        fake = FakeCrash(heap.image)
        said = run_command(fake, "slabobjs", [*line, "slab_test"])
        read.append(fake.bytes_read)
        found = len(re.findall(r"^(?:  \[|ffff\w{12}$)", said, re.M))
        assert found == (10 if line else 3000 * 23)
    # 8 MB are looked at before a cache counts as large; the descriptors are read anyway.
    assert max(read[:2]) < read[2] - (3000 * 4096 - (9 << 20))
    assert "68990 objects left out (-l)" in run_command(
        FakeCrash(heap.image), "slabobjs", ["-l", "10", "slab_test"]
    )
