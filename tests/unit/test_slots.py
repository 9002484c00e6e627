# SPDX-License-Identifier: GPL-3.0-or-later
"""A slot that its array's own counters don't count holds nothing."""

from __future__ import annotations

from typing import Optional

import pytest

from crash_ext.contents.callbacks import Callbacks
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.why.slots import FIFO, POOL, Slot, Slots
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.test_containers import Scene, mempool


def slot(scene: Scene, at: int, above: int = 0) -> Optional[Slot]:
    kernel = session(scene.pages.heap)
    callbacks = Callbacks(Places(kernel, lambda: all_caches(kernel, [])))
    return Slots(kernel.reader, callbacks).of(at, above)


def fifo(scene: Scene, at: int, data: int, put: int, got: int, *, slots: int, size: int = 8) -> int:
    """A struct __kfifo; returns where the address of its slots stands."""
    scene.image.structs["__kfifo"] = parse("in:4 out:4 mask:4 esize:4 data:p", 8)
    for number, value in enumerate((put, got, slots - 1, size)):
        scene.image.u32(at + 4 * number, value)
    scene.image.pointer(at + 16, data)
    return at + 16


@pytest.mark.parametrize("inside", [True, False])
def test_of_a_kfifo_what_lies_between_out_and_in_waits(inside: bool) -> None:
    """Counters run on: of 8 slots 19 were filled and 17 read. 1 and 2 are the last ones."""
    scene = Scene()
    own, other = scene.pages.start + 0x200, scene.pages.start + 0x800
    data = own + 24 if inside else other
    above = fifo(scene, own, data, 19, 17, slots=8)
    found = [slot(scene, data + 8 * index, 0 if inside else above) for index in range(8)]
    assert [each is not None and each.kind == FIFO for each in found] == [True] * 8
    assert [index for index, each in enumerate(found) if each and each.used] == [1, 2]
    assert found[0] is not None
    assert found[0].why == "in a slot of a kfifo that was read or reset"


def test_an_element_of_a_kfifo_may_be_longer_than_a_pointer() -> None:
    scene = Scene()
    data = scene.pages.start + 0x800
    above = fifo(scene, scene.pages.start + 0x200, data, 2, 1, slots=4, size=24)
    used = [at for at in range(0, 96, 8) if (each := slot(scene, data + at, above)) and each.used]
    assert used == [24, 32, 40]


@pytest.mark.parametrize(
    ("put", "got", "slots", "size"), [(19, 5, 8, 8), (2, 1, 6, 8), (2, 1, 8, 0), (0, 0, 8, 8)]
)
def test_numbers_that_are_no_kfifos_count_nothing(
    put: int, got: int, slots: int, size: int
) -> None:
    scene = Scene()
    data = scene.pages.start + 0x800
    above = fifo(scene, scene.pages.start + 0x200, data, put, got, slots=slots, size=size)
    assert slot(scene, data, above) is None


def test_a_kfifo_that_was_reset_counts_nothing() -> None:
    """Its counters are 0 then; that its slots lie behind it tells that they are counters."""
    scene = Scene()
    own = scene.pages.start + 0x200
    fifo(scene, own, own + 24, 0, 0, slots=8)
    found = slot(scene, own + 24 + 16)
    assert found is not None
    assert (found.kind, found.used) == (FIFO, False)


def test_what_was_taken_from_a_mempools_reserve_is_not_counted() -> None:
    scene = Scene()
    mempool(scene, 2)
    pool, elements = scene.holders
    above = pool + scene.image.structs["mempool_s"][1]["elements"][0]
    found = [slot(scene, elements + 8 * index, above) for index in range(3)]
    assert [each and each.used for each in found] == [True, True, False]
    assert found[2] is not None
    assert found[2].kind == POOL
    assert found[2].why == "in a slot of the reserve of a mempool that was emptied"
    # Behind the reserve lies what isn't the mempool's.
    assert slot(scene, elements + 24, above) is None
