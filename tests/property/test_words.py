# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever an object holds and whatever is damaged, its words are explained and it ends."""

from __future__ import annotations

from typing import List

from hypothesis import given
from hypothesis import strategies as st

from crash_ext.contents.groups import Groups
from crash_ext.contents.words import Words
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.slub.session import Session
from mocks.damage import Plan
from mocks.heap import Heap
from mocks.landscape import Landscape
from mocks.strategies import damages, heaps
from tests.unit.asked import target


def _addresses(heap: Heap) -> List[int]:
    """Addresses that mean something, and such beside them."""
    image = heap.image
    starts = [start for start, _ in image.extents()]
    known = [*starts, *image.symbols.values(), *(cache.address for cache in heap.caches)]
    known += [
        slab.object(index) for cache in heap.caches for slab in cache.slabs for index in (0, 1)
    ]
    return sorted(set(known))


@st.composite
def _contents(draw: st.DrawFn, heap: Heap, own: int) -> bytes:
    """Bytes among which there are addresses, the object's own too, and neighbours of both."""
    image = heap.image
    addresses = st.sampled_from([*_addresses(heap), own, *heap.layout.place.poison])
    near = st.builds(lambda address, step: address + step, addresses, st.integers(-2, 40))
    word = st.one_of(
        st.binary(min_size=image.word, max_size=image.word),
        addresses.map(image.bytes_of),
        near.map(image.bytes_of),
        st.sampled_from([b"\0", b"\x6b", b"\x5a", b"A"]).map(lambda byte: byte * image.word),
    )
    return b"".join(draw(st.lists(word, max_size=12))) + draw(st.binary(max_size=7))


@given(heap=heaps(), plans=st.lists(damages(), max_size=3), landscape=st.booleans(), data=st.data())
def test_any_bytes_in_any_memory_are_explained(
    heap: Heap, plans: List[Plan], landscape: bool, data: st.DataObject
) -> None:
    if landscape:
        Landscape(heap).module(b"slabtest", {b"slabtest_ops": (0, 8)})
    objects = [
        slab.object(index)
        for cache in heap.caches
        for slab in cache.slabs
        for index in range(min(3, slab.objects))
    ]
    written = data.draw(st.lists(st.sampled_from(objects), max_size=6))
    for address in written:
        contents = data.draw(_contents(heap, address))
        if heap.image.is_mapped(address, len(contents)):
            heap.image.write(address, contents)
    for plan in plans:
        plan.apply(heap)
    kernel = Session(target(heap))
    words = Words(Places(kernel, lambda: all_caches(kernel, [])))
    groups = Groups(words)
    for address in data.draw(st.lists(st.sampled_from(objects), min_size=1, max_size=4)):
        contents = data.draw(_contents(heap, address))
        end = 0
        for word in words.explain(address, contents):
            assert word.offset >= end
            assert word.text
            end = word.offset + word.size
        assert end <= len(contents)
        groups.add(address, contents)
    assert sum(group.objects for group in groups.groups()) == groups.total
    for address in _addresses(heap):
        words.places.name(address + data.draw(st.integers(-9, 9)))
