# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory without a name is named by who has its address, and by nobody who is only in it."""

from __future__ import annotations

import pytest

from crash_ext.contents.callbacks import Callbacks
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.reach import Reach
from crash_ext.why.users import UserNames
from tests.unit.asked import session
from tests.unit.test_containers import Scene


def users(scene: Scene) -> str:
    """Who has the first object, as a cache in use is told."""
    kernel = session(scene.pages.heap)
    caches = all_caches(kernel, [])
    places = Places(kernel, lambda: caches)
    reach = Reach(kernel, caches, places)
    (found,) = UserNames(places, reach, Callbacks(places), Blocks(places, reach)).users_of(
        scene.objects[:1], 128
    )
    assert (found.number, found.of, found.example) == (1, 1, scene.objects[0])
    return found.text


def owner_of(scene: Scene, at: int, block: int) -> str:
    """An object in use, to which another page leads, has a block: in words."""
    scene.pages.set(4, _refcount=1)
    other = scene.pages.start + 4 * 4096
    scene.put(other + 8, scene.holders[0])
    scene.put(scene.holders[0] + at, block)
    led = f"to which page {other:x}, of no slab, leads,"
    return f"kmalloc-128 {scene.holders[0]:x}+{at:#x}, allocated, {led}"


def test_a_table_is_told_by_the_object_that_has_it_and_what_leads_there() -> None:
    scene = Scene()
    scene.put(scene.root, scene.objects[0])
    owner = owner_of(scene, 0x18, scene.pages.start)
    page = f"page {scene.pages.start:x}, of no slab"
    assert scene.name() == f"by way of {page}: {owner} has that memory"
    assert users(scene) == f"memory of {owner.rstrip(',')}"


def test_who_points_to_its_own_slot_of_a_table_does_not_have_the_table() -> None:
    scene = Scene()
    scene.root = scene.pages.start
    scene.put(scene.root, scene.objects[0])
    scene.put(scene.objects[0] + 8, scene.root)
    assert scene.name() == ""
    assert users(scene) == "a page of no slab"


def test_a_lost_object_has_no_table() -> None:
    scene = Scene()
    scene.put(scene.root, scene.objects[0])
    scene.put(scene.holders[0] + 0x18, scene.pages.start)
    assert scene.name() == ""


def test_a_vmalloc_area_s_own_record_does_not_have_it() -> None:
    scene = Scene()
    start, record = scene.land.area([scene.pages.page(0)])
    scene.put(scene.root, scene.objects[0])
    image, size = scene.image, scene.image.sizeof("vm_struct")
    owner = owner_of(scene, 0x60, 0)
    image.write(scene.holders[0], image.read(record, size))
    assert "has that memory" not in scene.name()
    image.write(scene.holders[0], bytes(size))
    scene.put(scene.holders[0] + 0x60, start)
    assert scene.name().endswith(f": {owner} has that memory")


@pytest.mark.parametrize("told", [True, False])
def test_a_variable_that_only_boot_writes_lies_before_the_others(told: bool) -> None:
    """With the kernel's constants: __ro_after_init."""
    scene = Scene()
    scene.image.enums["PG_reserved"] = 12
    variable = scene.pages.heap._arena.variable("conn_hashtable")
    scene.put(variable, scene.pages.start)
    scene.pages.set(0, _refcount=1, flags=1 << 12)
    scene.root = scene.pages.start + 0x40
    scene.put(scene.root, scene.objects[0])
    page = variable - variable % 4096
    scene.image.symbols["_sdata"] = page + 4096
    if told:
        scene.image.symbols["__start_ro_after_init"] = page
        scene.image.symbols["__end_ro_after_init"] = page + 4096
    assert scene.name().endswith("behind what conn_hashtable points to") == told


@pytest.mark.parametrize("reserved", [True, False])
def test_a_table_from_boot_is_told_by_the_variable_before_it(reserved: bool) -> None:
    scene = Scene()
    scene.image.enums["PG_reserved"] = 12
    scene.put(scene.pages.heap._arena.variable("conn_hashtable"), scene.pages.start + 0xC0)
    for number in (0, 1):
        scene.pages.set(number, _refcount=1, flags=1 << 12 if reserved or number else 0)
    scene.root = scene.pages.start + 4096 + 0x40
    scene.put(scene.root, scene.objects[0])
    page = f"page {scene.pages.start + 4096:x}, of no slab"
    words = "from boot, behind what conn_hashtable points to"
    assert scene.name() == (f"by way of {page}, {words}" if reserved else "")
    assert users(scene) == (f"memory {words}" if reserved else "a page of no slab")
    holder = scene.holders[0]
    scene.put(scene.root, holder)
    scene.put(holder + 0x20, scene.objects[0])
    way = f", and kmalloc-128 {holder:x}+0x20, allocated"
    assert scene.name() == (f"by way of {page}, {words}{way}" if reserved else "")
