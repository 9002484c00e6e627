# SPDX-License-Identifier: GPL-3.0-or-later
"""Two leftovers of one name: a report without addresses is not given to both."""

from __future__ import annotations

from typing import List, Sequence, Set, Tuple

import pytest

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache
from tests.unit.asked import of_type, records
from tests.unit.test_logmatch import Hide, blind, raw, report, told

Objects = Sequence[Set[int]]

DOUBTFUL = "matched by name alone: it may be of another"
BY_PLACE = "its objects lie as this cache's do"


def _left(heap: Heap, slabs: Objects) -> Cache:
    cache = heap.cache("slab_test", 84)
    for objects in slabs:
        heap.slab(cache, objects)
    heap.leave_behind(cache)
    return cache


def _two(layout: str, first: Objects, second: Objects, hide: Hide) -> Tuple[Heap, Cache, Cache]:
    """The log has the report of the first alone."""
    heap = Heap(LAYOUTS[layout], seed=3)
    caches = _left(heap, first), _left(heap, second)
    heap.image.log = report(caches[0], [told(slab, hide) for slab in caches[0].slabs])
    return (heap, *caches)


def _said(heap: Heap, cache: Cache) -> Tuple[List[str], str]:
    """The statements on the log, and the conclusion."""
    rows = records(heap, "slabwhy", "-F", f"{cache.address:x}")
    texts = [row["text"] for row in of_type(rows, "evidence") if row["topic"] == "log"]
    (conclusion,) = of_type(rows, "conclusion")
    return texts, conclusion["text"]


every_layout = pytest.mark.parametrize("layout", ["4.18", "5.10", "6.1", "6.12"])


@every_layout
def test_a_report_that_fits_both_is_of_neither_for_sure(layout: str) -> None:
    heap, *both = _two(layout, [{3}, {4, 7}], [{3}, {4, 7}], blind)
    for cache in both:
        texts, conclusion = _said(heap, cache)
        assert any(DOUBTFUL in text for text in texts), texts
        assert not any("listed object" in text for text in texts)
        assert "was called from" not in conclusion


@every_layout
def test_a_report_that_fits_the_other_is_the_other_s(layout: str) -> None:
    heap, own, other = _two(layout, [{3}, {4, 7}], [{9}, {12}, {13}], blind)
    texts, conclusion = _said(heap, own)
    assert any(BY_PLACE in text for text in texts), texts
    assert "was called from" in conclusion
    texts, conclusion = _said(heap, other)
    assert texts == ["1 report of the same name: of another cache's slabs"]
    assert "was called from" not in conclusion


@every_layout
def test_the_only_report_is_not_called_the_cause_of_both_where_it_fits_neither(layout: str) -> None:
    heap, *both = _two(layout, [{3}], [{9}], blind)
    lines = [("(____ptrval____)", [("(____ptrval____)", 84 * 20), ("(____ptrval____)", 84 * 21)])]
    heap.image.log = report(both[0], lines)
    for cache in both:
        texts, conclusion = _said(heap, cache)
        assert any(DOUBTFUL in text for text in texts), texts
        assert "was called from" not in conclusion


@every_layout
def test_addresses_tell_them_apart_where_objects_lie_alike(layout: str) -> None:
    heap, own, other = _two(layout, [{3}, {4, 7}], [{3}, {4, 7}], raw)
    assert any("its slabs are this cache's" in text for text in _said(heap, own)[0])
    assert _said(heap, other)[0] == ["1 report of the same name: of another cache's slabs"]
