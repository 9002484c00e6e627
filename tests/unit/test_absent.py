# SPDX-License-Identifier: GPL-3.0-or-later
"""What isn't in the dump is said by ranges, and never invented."""

from __future__ import annotations

from typing import List, Tuple

from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Cache, Slab
from tests.unit.asked import by_state, of_type, problems, records, text

LOST = "their objects are unknown"


def _heap(slabs: int = 6, name: str = "6.1") -> Tuple[Heap, Cache, List[Slab]]:
    """Slabs by address, an object of each in use."""
    heap = Heap(LAYOUTS[name], seed=4)
    cache = heap.cache("slab_test", 500)
    made = [heap.slab(cache, {1}) for _ in range(slabs)]
    made.sort(key=lambda slab: slab.va)
    return heap, cache, made


def _line(cache: Cache, said: str, command: str = "slabobjs") -> str:
    return f"{command}: {cache.address:x} slab_test: {said}"


def test_slabs_in_a_row_are_one_line_and_the_others_are_listed() -> None:
    heap, cache, slabs = _heap()
    at = next(n for n in range(4) if slabs[n + 2].va == slabs[n].va + 8192)
    heap.image.unmap(slabs[at].va, 3 * 4096)
    shown = text(heap, "slabobjs", "-b", "0", "slab_test").splitlines()
    first, last = slabs[at].va, slabs[at + 2].va + 4095
    del slabs[at : at + 3]
    assert [line for line in shown if line.startswith("slabobjs")] == [
        _line(cache, f"not in the dump: {first:x}-{last:x} (12k): 3 slabs: {LOST}")
    ]
    objects = [int(line.strip()[1:-1], 16) for line in shown if line.startswith("  [")]
    assert sorted(objects) == [slab.object(1) for slab in slabs]
    assert not [line for line in shown if "?" in line], "no row for what isn't there"


def test_the_addresses_are_those_that_are_known() -> None:
    heap, cache, slabs = _heap()
    heap.image.unmap(slabs[2].va, 4096)
    shown = text(heap, "slabobjs", "-q", "slab_test").splitlines()
    gone = slabs.pop(2).va
    assert shown[-1] == _line(
        cache, f"not in the dump: {gone:x}-{gone + 4095:x} (4k): 1 slab: {LOST}"
    )
    assert sorted(shown[:-1]) == [f"{slab.object(1):016x}" for slab in slabs]


def test_records_have_each_slab_and_its_objects_as_unknown() -> None:
    heap, _, slabs = _heap()
    heap.image.unmap(slabs[2].va, 4096)
    rows = records(heap, "slabobjs", "-f", "slab_test")
    states = by_state(rows)
    assert states["unknown"] == set(map(slabs[2].object, range(slabs[2].objects)))
    told = {int(row["address"], 16): row["allocated"] for row in of_type(rows, "slab")}
    assert told[slabs[2].page] is None
    assert told[slabs[3].page] == 1
    assert rows[-1]["complete"] is False
    assert ["objects are unknown" in row for row in problems(rows)] == [True, False]


def test_of_a_large_slab_only_the_missing_page_is_named() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=4)
    cache = heap.cache("slab_test", 500, order=2)
    slab = heap.slab(cache, {1})
    heap.image.unmap(slab.va + 8192, 4096)
    assert f"not in the dump: {slab.va + 8192:x}-{slab.va + 12287:x} (4k): 1 slab" in text(
        heap, "slabobjs", "slab_test"
    )


def test_contents_that_are_missing_are_one_line_beside_known_states() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=4)
    cache = heap.cache("slab_test", 500)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    heap.image.unmap(slab.va, 4096)
    rows = records(heap, "slabobjs", "slab_test")
    assert by_state(rows) == {"allocated": set(map(slab.object, range(slab.objects)))}
    assert {row["data"] for row in of_type(rows, "object")} == {None}
    shown = text(heap, "slabobjs", "slab_test").splitlines()
    assert [line for line in shown if line.startswith("slabobjs")] == [
        _line(
            cache,
            f"not in the dump: {slab.va:x}-{slab.va + 4095:x} (4k): 1 slab: contents of objects"
            " are missing",
        )
    ]


def test_many_ranges_end_in_a_sum() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=4)
    cache = heap.cache("slab_test", 500, order=1)
    slabs = sorted((heap.slab(cache, {1}) for _ in range(32)), key=lambda slab: slab.va)
    for slab in slabs:
        heap.image.unmap(slab.va, 4096)
    shown = text(heap, "slabobjs", "slab_test").splitlines()
    said = [line for line in shown if line.startswith("slabobjs")]
    assert len(said) == 17
    assert said[-1] == _line(
        cache,
        f"not in the dump: 16 more ranges (64k) up to {slabs[-1].va + 4095:x}: 16 slabs: {LOST}",
    )
    (line,) = [row for row in text(heap, "slabdup", "-a").splitlines() if row.startswith("slabdup")]
    first = f"{slabs[0].va:x}-{slabs[0].va + 4095:x} (4k)"
    assert line == _line(
        cache,
        f"not in the dump: {first} and 31 more ranges (124k): 32 slabs: {LOST}",
        "slabdup",
    )


def test_missing_page_structures_are_said_once_for_all_caches() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=4)
    for name in ("slab_test", "slab_test2"):
        cache = heap.cache(name, 500)
        slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    page = slab.page // 4096 * 4096
    heap.image.unmap(page, 4096)
    shown = text(heap, "slabdup", "-a").splitlines()
    assert [line for line in shown if "not in the dump" in line] == [
        f"slabdup: not in the dump: {page:x}-{page + 4095:x} (4k): 64 page structures:"
        " slabs there can't be seen"
    ]
    assert sum("nr_slabs says" in line for line in shown) >= 2


def test_page_structures_that_no_cache_misses_are_not_mentioned() -> None:
    heap, _, _ = _heap()
    end = heap.image.present[0][1]
    page = heap.image.vmemmap + (end - 64) * 64
    assert heap.image.is_mapped(page, 4096)
    heap.image.unmap(page, 4096)
    assert "not in the dump" not in text(heap, "slabdup", "-a")
