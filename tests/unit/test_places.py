# SPDX-License-Identifier: GPL-3.0-or-later
"""An address is named by what it lies in, and by nothing where that can't be told."""

from __future__ import annotations

from typing import List, Optional

import pytest

from crash_ext.hexa import hexa
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.place import (
    FREED_INIT,
    MODULE,
    OBJECT,
    PAGE,
    PAGE_STRUCT,
    PERCPU,
    STACK,
    SYMBOL,
    UNLOADED,
    VMALLOC,
    Place,
)
from crash_ext.places.places import Places
from crash_ext.slub.model import ALLOCATED, FREE, UNKNOWN
from crash_ext.view.notes import place_fields
from mocks.annex import take_pages
from mocks.heap import Heap
from mocks.kfence import KfencePool
from mocks.landscape import FORMS, REGION, STACK_PAGES, Landscape
from mocks.layouts import LAYOUTS
from tests.unit.asked import session

SYMBOLS = {
    b"cleanup_module": (0, 0x40),
    b"slabtest_ctor": (0, 0x40),
    b"slabtest_ops": (0x100, 8),
    b"$x": (0x100, 0),
}


def places(heap: Heap) -> Places:
    kernel = session(heap)
    return Places(kernel, lambda: all_caches(kernel, []))


def name(heap: Heap, address: int) -> Optional[Place]:
    return places(heap).name(address)


def named(heap: Heap, address: int) -> Place:
    place = name(heap, address)
    assert place is not None, f"{address:x} has no name"
    return place


def pages(heap: Heap, count: int) -> List[int]:
    """struct page * of so many pages that lie in no slab."""
    image = heap.image
    start = take_pages(image, count)
    return [image.virt_to_page(start + number * image.page_size) for number in range(count)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_address_in_an_object_is_the_objects_with_its_state(layout: str) -> None:
    heap = Heap(LAYOUTS[layout], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1, 3})
    known = places(heap)
    for index, state, text in ((1, ALLOCATED, "allocated"), (2, FREE, "free")):
        start = slab.object(index)
        place = known.name(start + 0x20)
        assert place is not None
        assert (place.kind, place.object, place.offset) == (OBJECT, start, 0x20)
        assert place.cache is not None
        assert (place.cache.address, place.state) == (cache.address, state)
        assert place.text == f"slab_test {hexa(start)}+0x20, {text}"


def test_objects_of_a_cache_off_the_list_have_its_name() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, range(cache.objects), where="full-unlisted")
    heap.leave_behind(cache)
    for caches in (lambda: all_caches(session(heap), []), list):
        kernel = session(heap)
        place = Places(kernel, caches).name(slab.object(2))
        assert place is not None
        assert (place.label, place.state) == ("slab_test", ALLOCATED)


def test_an_object_of_a_slab_that_contradicts_itself_is_unknown() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    slab = heap.slab(heap.cache("slab_test", 84), {1})
    image = heap.image
    image.pointer(heap.writer.member("slab", slab.page, "freelist"), slab.va + 1)
    assert named(heap, slab.object(1)).state == UNKNOWN


def test_what_a_cpu_holds_back_is_free() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    slab = heap.slab(heap.cache("slab_test", 84), {1}, where="cpu", cpu_freelist=[4])
    assert named(heap, slab.object(4)).state == FREE


def test_the_zone_before_an_object_is_told_from_that_object() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    slab = heap.slab(heap.cache("slab_test", 84, red_zone=True), {1})
    place = named(heap, slab.object(1) - 8)
    assert (place.object, place.offset) == (slab.object(1), -8)


def test_behind_the_last_object_there_is_a_slab_but_no_object() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1})
    assert cache.objects * cache.size < heap.image.page_size
    place = named(heap, slab.va + heap.image.page_size - 1)
    assert (place.kind, place.object, place.state) == (OBJECT, None, None)


def test_an_object_of_the_kfence_pool_is_its_caches() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=5)
    cache = heap.cache("slab_test", 84)
    pool = KfencePool(heap, 4, pointer=True, rcu_freeing=True)
    start = pool.put(2, cache, 84)
    place = named(heap, start + 0x10)
    assert (place.object, place.offset, place.state) == (start, 0x10, ALLOCATED)
    assert place.cache is not None
    assert (place.cache.address, place.cache.red_left) == (cache.address, 0)
    assert named(heap, pool.page(0)).kind == PAGE


def test_a_slab_is_decoded_once_for_all_of_its_addresses() -> None:
    heap = Heap(LAYOUTS["6.1"], seed=5)
    cache = heap.cache("slab_test", 84)
    slab = heap.slab(cache, {1})
    known = places(heap)
    assert known.name(slab.object(0)) is not None
    heap.image.unmap(slab.va, heap.image.page_size)
    heap.image.unmap(slab.page, 64)
    states = [known.name(slab.object(index)) for index in range(cache.objects)]
    assert [place and place.state for place in states].count(ALLOCATED) == 1


def test_a_symbol_is_only_named_inside_the_kernels_image() -> None:
    heap = Heap(LAYOUTS["6.1"])
    land = Landscape(heap)
    function = heap.function("kmem_cache_free")
    place = named(heap, function + 0x10)
    assert (place.kind, place.text, place.label) == (
        SYMBOL,
        "kmem_cache_free+0x10",
        "kmem_cache_free",
    )
    assert name(heap, land.image.symbols["_end"] + 0x10) is None
    assert name(heap, land.image.symbols["_text"] - 0x10) is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", ["6.1", "6.1-s390x", "5.10-i386"])
def test_a_modules_symbols_are_its_own_ones(layout: str, form: str) -> None:
    heap = Heap(LAYOUTS[layout])
    land = Landscape(heap, form)
    land.module(b"other", {b"x": (0, 0)})
    base = land.module(b"slabtest", SYMBOLS)
    known = places(heap)
    told = {offset: known.name(base + offset) for offset in (0x10, 0x100, 0x200)}
    assert {offset: place and place.text for offset, place in told.items()} == {
        0x10: "slabtest_ctor+0x10 [slabtest]",
        0x100: "slabtest_ops [slabtest]",
        # Behind a symbol of a known size there is no symbol.
        0x200: "[slabtest]+0x200",
    }
    assert {place and place.kind for place in told.values()} == {MODULE}


def test_behind_a_symbols_own_size_the_host_s_name_for_it_is_none() -> None:
    heap = Heap(LAYOUTS["6.1"])
    base = Landscape(heap).module(b"slabtest", SYMBOLS)
    # Without CONFIG_KALLSYMS_ALL crash has no symbol behind the module's text.
    heap.image.symbols["slabtest_ops"] = base + 0x100
    assert named(heap, base + 0x104).text == "slabtest_ops+0x4 [slabtest]"
    assert named(heap, base + 0xF00).text == "[slabtest]+0xf00"
    # Of the module's own file it knows what the kernel hasn't kept.
    heap.image.symbols["slabtest_list"] = base + 0xE00
    assert named(heap, base + 0xE10).text == "slabtest_list+0x10 [slabtest]"


def test_a_symbol_without_a_size_does_not_reach_far() -> None:
    heap = Heap(LAYOUTS["6.12"])
    land = Landscape(heap, "core_layout")
    base = land.module(b"slabtest", {b"entry": (0x10, 0), b"next": (0x80, 4)})
    assert named(heap, base + 0x7F).text == "entry+0x6f [slabtest]"
    assert named(heap, base + 0x84).text == "[slabtest]+0x84"


@pytest.mark.parametrize("form", FORMS)
def test_a_loaded_modules_freed_init_code_is_told_as_such(form: str) -> None:
    heap = Heap(LAYOUTS["6.1"])
    land = Landscape(heap, form)
    base = land.module(b"slabtest", SYMBOLS, init=2 * REGION + 0x40)
    land.module(b"other", {}, init=0x10)
    found = named(heap, base + 2 * REGION + 0x80)
    assert (found.kind, found.text) == (FREED_INIT, "freed init code of [slabtest]")
    assert named(heap, base + 3 * REGION).kind == UNLOADED
    assert named(heap, base + 0x10).kind == MODULE


def test_each_region_of_a_module_is_the_modules() -> None:
    heap = Heap(LAYOUTS["6.12"])
    base = Landscape(heap, "mem").module(b"slabtest", {b"data": (2 * REGION, 8)}, regions=3)
    assert named(heap, base + 2 * REGION).text == "data [slabtest]"
    assert named(heap, base + 4 * REGION + 4).text == "[slabtest]+0x4"
    assert named(heap, base + REGION).kind == UNLOADED


def test_where_no_module_is_any_more_the_last_one_that_went_is_said() -> None:
    heap = Heap(LAYOUTS["6.1"])
    land = Landscape(heap)
    base = land.module(b"slabtest", {})
    land.module(b"other", {})
    symbol = heap.image.symbols["slab_caches"] + 0x8000
    heap.image.symbols["last_unloaded_module"] = symbol
    heap.image.write(symbol, b"gone\0")
    text = "module area, no module loaded there (last unloaded: gone)"
    for address in (base + 2 * REGION, base + (64 << 20)):
        assert (named(heap, address).kind, named(heap, address).text) == (UNLOADED, text)


def test_where_init_code_was_freed_a_module_may_have_been_that_is_gone_too() -> None:
    """The area that init code leaves is the next module's."""
    heap = Heap(LAYOUTS["6.1"])
    base = Landscape(heap).module(b"slabtest", {}, init=2 * REGION + 0x40)
    symbol = heap.image.symbols["slab_caches"] + 0x8000
    heap.image.symbols["last_unloaded_module"] = symbol
    heap.image.write(symbol, b"gone\0")
    found = named(heap, base + 2 * REGION + 0x80)
    assert (found.kind, found.text) == (
        UNLOADED,
        "module area, no module loaded there (last unloaded: gone, or freed init code of"
        " [slabtest])",
    )


@pytest.mark.parametrize("nodes", [False, True])
def test_a_stack_is_its_tasks_and_so_are_its_pages(nodes: bool) -> None:
    heap = Heap(LAYOUTS["6.12"])
    land = Landscape(heap, nodes=nodes)
    leader = land.task(7, b"init", 0)
    thread = land.task(8, b"worker", 0, leader=leader)
    land.stack(leader, pages(heap, STACK_PAGES))
    own = pages(heap, STACK_PAGES)
    stack = land.stack(thread, own)
    last = stack + STACK_PAGES * heap.image.page_size - 8
    known = places(heap)
    assert known.tasks.stack_size == STACK_PAGES * heap.image.page_size
    for address in (last, heap.image.page_to_virt(own[-1]) + heap.image.page_size - 8):
        place = known.name(address)
        assert place is not None
        assert (place.kind, place.text) == (STACK, "stack of 8 worker+0x3ff8")
        assert place.address == address


def test_without_an_area_the_stacks_size_is_what_they_are_aligned_to() -> None:
    heap = Heap(LAYOUTS["3.10"])
    land = Landscape(heap, "module_core")
    del heap.image.structs["task_struct"][1]["stack_vm_area"]
    start = heap.image.page_offset + (1 << 20)
    for number in range(20):
        land.task(100 + number, b"task", start + number * 0x4000)
    known = places(heap)
    assert known.tasks.stack_size == 0x4000
    place = known.name(start + 0x4000 + 0x3FF8)
    assert place is not None
    assert place.text == "stack of 101 task+0x3ff8"


@pytest.mark.parametrize("nodes", [False, True])
def test_an_area_is_told_with_who_made_it_and_so_are_its_pages(nodes: bool) -> None:
    heap = Heap(LAYOUTS["6.12"])
    land = Landscape(heap, nodes=nodes)
    caller = heap.function("slabtest_init")
    own = pages(heap, 2)
    start, _ = land.area(own, caller + 8)
    land.area(pages(heap, 1))
    page_size = heap.image.page_size
    text = f"vmalloc {start:x}+{page_size + 4:#x}, made by slabtest_init+0x8"
    known = places(heap)
    for address in (start + page_size + 4, heap.image.page_to_virt(own[1]) + 4):
        place = known.name(address)
        assert place is not None
        assert (place.kind, place.text, place.address) == (VMALLOC, text, address)


def test_a_percpu_address_is_told_with_its_cpu_and_pointer() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    land = Landscape(heap)
    second = land.chunk()
    offsets = heap.image.percpu_offsets
    distance = offsets[1] - offsets[0]
    assert named(heap, offsets[1] + 0x4010).text == "per-CPU 4010 of cpu 1"
    place = named(heap, second + distance + 0x10)
    assert (place.kind, place.text) == (PERCPU, f"per-CPU {second - offsets[0] + 0x10:x} of cpu 1")


@pytest.mark.parametrize("form", ["mem", "core_layout", "module_core"])
def test_a_modules_own_percpu_variable_is_told_with_its_name(form: str) -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    land = Landscape(heap, form)
    land.chunk()
    base, own = heap.layout.place.module, 0x4000
    land.module(b"bar", {b"queues": (own + 0x20 - base, 16)}, percpu=(own, 0x100))
    at = heap.image.percpu_offsets[1]
    place = named(heap, at + own + 0x28)
    assert place.text == "per-CPU queues+0x8 [bar] of cpu 1"
    assert (place.kind, place.label) == (PERCPU, "queues [bar]")
    assert named(heap, at + own + 0x128).text == f"per-CPU {own + 0x128:x} of cpu 1"


def test_the_kernels_data_is_named_where_the_direct_map_shows_it() -> None:
    heap = Heap(LAYOUTS["6.1"])
    shift = Landscape(heap).show_image_again()
    head = heap.image.symbols["slab_caches"]
    place = named(heap, head + shift + 8)
    assert (place.kind, place.text, place.address) == (SYMBOL, "slab_caches+0x8", head + shift + 8)


def test_a_placement_of_the_image_that_memory_belies_is_not_believed() -> None:
    heap = Heap(LAYOUTS["6.1"])
    shift = Landscape(heap).show_image_again()
    heap.image.put(heap.image.symbols["linux_banner"] + shift, 1, 0)
    assert named(heap, heap.image.symbols["slab_caches"] + shift).kind == PAGE


def test_the_memory_that_is_given_back_after_booting_is_no_symbols() -> None:
    heap = Heap(LAYOUTS["6.1"])
    shift = Landscape(heap).show_image_again()
    head = heap.image.symbols["slab_caches"]
    heap.image.symbols.update({"__init_begin": head, "__init_end": head + 0x1000})
    assert named(heap, head + shift).kind == PAGE


def test_the_brk_that_nobody_took_is_no_symbol_s() -> None:
    """From the page behind what was taken of it on."""
    heap = Heap(LAYOUTS["6.1"])
    shift = Landscape(heap).show_image_again()
    image = heap.image
    end, size = image.symbols["_end"], image.page_size
    taken = end - 2 * size
    image.symbols.update({"__brk_base": taken - size, "__brk_limit": end})
    image.pointer(heap._arena.variable("_brk_end"), taken - 8)
    assert named(heap, taken - 8 + shift).text == "__brk_base+0xff8"
    assert named(heap, taken + shift).kind == PAGE


def test_other_pages_and_their_structures_are_told_as_that() -> None:
    heap = Heap(LAYOUTS["6.1"])
    (page,) = pages(heap, 1)
    base = heap.image.page_to_virt(page)
    assert named(heap, base + 8).text == f"page {base:x}, of no slab"
    place = named(heap, page + 8)
    assert (place.kind, place.text) == (PAGE_STRUCT, f"struct page of {base:x}+0x8")


def test_a_lock_class_key_has_no_bytes_so_another_variable_lies_there() -> None:
    heap = Heap(LAYOUTS["6.1"])
    Landscape(heap)
    at = heap._arena.variable("mnt")
    assert named(heap, at).text == "mnt"
    heap.image.symbols = {"__key.0": at, **heap.image.symbols}
    del heap.image.symbols["mnt"]
    assert named(heap, at).text == f"the kernel's image, {at:x}"


@pytest.mark.parametrize("address", [-1, 0, 8, 0x7FFF00001000, 1 << 64, 1 << 70])
def test_what_is_nothing_has_no_name(address: int) -> None:
    assert name(Heap(LAYOUTS["6.1"]), address) is None


def test_a_broken_list_of_modules_or_tasks_loses_what_is_behind_it_only() -> None:
    heap = Heap(LAYOUTS["6.1"])
    land = Landscape(heap)
    base = land.module(b"slabtest", SYMBOLS)
    head = heap.image.symbols["modules"]
    heap.image.pointer(heap.image.get(head, 8), 0x10)
    assert named(heap, base).text == "slabtest_ctor [slabtest]"
    heap.image.pointer(head, 0x10)
    heap.image.pointer(head + 8, 0x10)
    assert name(heap, base) is None


def test_a_cpus_own_variable_of_the_kernel_is_told_with_its_name() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=2)
    Landscape(heap).chunk()
    heap.image.symbols["runqueues"] = 0x100
    place = named(heap, heap.image.percpu_offsets[1] + 0x108)
    assert (place.kind, place.text) == (PERCPU, "per-CPU runqueues+0x8 of cpu 1")


def test_of_the_image_without_a_symbol_the_address_is_told() -> None:
    heap = Heap(LAYOUTS["6.1"])
    Landscape(heap)
    heap.image.symbol_reach = 0x10
    at = heap.layout.place.kernel + 0x38000
    assert named(heap, at).text == f"the kernel's image, {at:016x}"


def test_behind_a_slab_s_last_object_is_no_object() -> None:
    heap = Heap(LAYOUTS["6.1"])
    slab = heap.slab(heap.cache("slab_test", 84), {1})
    assert named(heap, slab.va + 4090).text == "slab_test (in its slab, in no object)"


def test_the_kind_of_a_place_stands_in_its_record() -> None:
    gone = [Place(UNLOADED, "x", 1, ""), Place(FREED_INIT, "x", 1, "")]
    told = [(place_fields(place) or {})["kind"] for place in gone]
    assert [f"{kind}" for kind in told] == ["unloaded module", "freed init code"]
