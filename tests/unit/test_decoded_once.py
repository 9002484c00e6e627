# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that asks for the slabs of a cache more than once has them decoded once."""

from __future__ import annotations

from collections import Counter
from typing import Dict, Tuple

import pytest

from crash_ext.slub import decoded
from crash_ext.slub.decoded import decoded_before, for_each_slab_decoded_once
from crash_ext.slub.model import Cache, Slab, SlabObjects
from crash_ext.slub.objects import Decoder
from crash_ext.slub.session import Session
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.replay import recorded, run_line
from tests.unit.asked import session

_RECORDINGS = ("lab-5.10-leak", "lab-6.1-leak", "lab-6.12-leak", "lab-7.3-leak")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Dict[int, int]:
    """struct slab * -> how often it was decoded."""
    counted: Dict[int, int] = Counter()
    decode = Decoder.decode

    def counting(self: Decoder, slab: Slab) -> SlabObjects:
        counted[slab.address] += 1
        return decode(self, slab)

    monkeypatch.setattr(Decoder, "decode", counting)
    return counted


@pytest.mark.parametrize("name", _RECORDINGS)
def test_slabwhy_decodes_no_slab_twice(name: str, decodes: Dict[int, int]) -> None:
    run_line(FakeCrash(recorded(name).image), "slabwhy -F")
    assert decodes
    assert set(decodes.values()) == {1}


@pytest.mark.parametrize("name", _RECORDINGS)
def test_without_room_for_slabs_the_answer_is_the_same(
    name: str, decodes: Dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = run_line(FakeCrash(recorded(name).image), "slabwhy -F")
    decodes.clear()
    monkeypatch.setattr(decoded, "_ROOM", 0)
    assert run_line(FakeCrash(recorded(name).image), "slabwhy -F") == roomy
    assert max(decodes.values()) > 1


@pytest.fixture
def damaged() -> Tuple[Session, Cache]:
    """A cache whose node counts a slab too many, and nothing was asked about it before."""
    heap = Heap(LAYOUTS["6.1"], seed=6)
    made = heap.cache("slab_test", 84)
    heap.slab(made, {1, 2}, node=0)
    heap.slab(made, {3}, node=0)
    offset, size = heap.layout.structs["kmem_cache_node"][1]["nr_slabs"]
    heap.image.put(made.nodes[0] + offset, size, 3)
    asked = session(heap)
    (cache,) = [one for one in asked.listed_caches().caches if one.address == made.address]
    return asked, cache


def test_each_question_gets_the_problems_of_the_cache(damaged: Tuple[Session, Cache]) -> None:
    for _ in range(2):
        problems = ["of another"]
        assert len(list(for_each_slab_decoded_once(*damaged, problems))) == 2
        assert problems == ["of another", "2 slabs found, nr_slabs says 3"]


def test_the_next_command_decodes_anew(
    damaged: Tuple[Session, Cache], decodes: Dict[int, int]
) -> None:
    asked, cache = damaged
    for _ in range(2):
        list(for_each_slab_decoded_once(asked, cache, []))
    assert list(decodes.values()) == [1, 1]
    assert len(decoded_before(asked, cache, False)) == 2
    asked.forget_caches()
    assert decoded_before(asked, cache, False) == []
    list(for_each_slab_decoded_once(asked, cache, []))
    assert list(decodes.values()) == [2, 2]
