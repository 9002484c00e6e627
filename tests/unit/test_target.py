# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs, memory and its holes are what the kernel says, as far as that can be."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from crash_ext.hexa import hexa
from crash_ext.host.target import Target
from crash_ext.reader import ReadError
from mocks.crash_module import FakeCrash
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import by_state, problems, records, target


@pytest.mark.parametrize("name", ["3.10", "6.1", "6.1-s390x", "5.10-i386", "7.3"])
def test_only_possible_cpus_have_an_area(name: str) -> None:
    heap = Heap(LAYOUTS[name], cpus=(1, 3))
    reader = target(heap)
    assert reader.possible_cpus() == [1, 3]
    # CPU 0's entry of __per_cpu_offset holds an address that is no area's.
    assert [reader.percpu(0x4000, cpu) for cpu in (0, 2, 4)] == [None, None, None]
    offset = heap.image.percpu_offsets[3]
    assert reader.percpu(0x4000, 3) == (0x4000 + offset) & ((1 << 8 * reader.word) - 1)


def test_more_cpus_than_a_word_has_bits_are_told() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=1)
    image = heap.image
    table = image.page_offset + (image.present[0][1] - 1) * image.page_size
    image.map(table, bytes(image.page_size))
    image.symbols["__per_cpu_offset"] = table
    mask = table + 1024
    image.symbols["__cpu_possible_mask"] = mask
    image.u64(mask, 1 << 2)
    image.u64(mask + 8, 1 << 6)
    image.u32(image.symbols["nr_cpu_ids"], 71)
    assert target(heap).possible_cpus() == [2, 70]


def test_a_damaged_number_of_cpus_is_cut_to_what_a_kernel_can_have() -> None:
    heap = Heap(LAYOUTS["6.1"])
    heap.image.u32(heap.image.symbols["nr_cpu_ids"], 0xFFFFFFFF)
    fake = FakeCrash(heap.image)
    reader = Target(fake)
    assert len(reader.possible_cpus()) <= 1 << 14
    assert fake.reads < 1 << 15


def test_a_kernel_without_a_mask_has_all_its_cpus() -> None:
    heap = Heap(LAYOUTS["6.1"], cpus=3)
    del heap.image.symbols["__cpu_possible_mask"]
    assert target(heap).possible_cpus() == [0, 1, 2]


def test_a_kernel_for_one_processor_has_plain_pointers_for_per_cpu_ones() -> None:
    """Without CONFIG_SMP there is no __per_cpu_offset."""
    heap = Heap(LAYOUTS["6.1"], cpus=1)
    del heap.image.symbols["__per_cpu_offset"]
    reader = target(heap)
    assert reader.possible_cpus() == [0]
    assert reader.percpu(0xFFFF888000123000, 0) == 0xFFFF888000123000


def test_memory_is_told_by_its_ranges_and_the_holes_are_left_out() -> None:
    heap = Heap(LAYOUTS["6.1"], nodes=3)
    image = heap.image
    size = image.sizeof("page")
    wanted = [(image.vmemmap + first * size, end - first) for first, end in image.present]
    assert len(wanted) == 3
    assert list(target(heap).page_ranges()) == wanted


def test_an_address_and_its_page_lead_to_each_other() -> None:
    heap = Heap(LAYOUTS["6.1-s390x"], nodes=2)
    image, reader = heap.image, target(heap)
    for first, end in image.present:
        for frame in (first, end - 1):
            virtual = image.page_offset + frame * image.page_size
            page = image.vmemmap + frame * image.sizeof("page")
            assert reader.virt_to_page(virtual + 5) == page
            assert reader.page_to_virt(page) == virtual


def test_a_hole_between_ranges_has_neither_pages_nor_addresses() -> None:
    heap = Heap(LAYOUTS["6.1"], nodes=2)
    image, reader = heap.image, target(heap)
    hole = image.present[0][1]
    assert hole < image.present[1][0]
    assert reader.virt_to_page(image.page_offset + hole * image.page_size) is None
    assert reader.page_to_virt(image.vmemmap + hole * image.sizeof("page")) is None


@pytest.mark.parametrize("off", [-64, 8, 63])
def test_what_is_no_page_structure_has_no_memory(off: int) -> None:
    heap = Heap(LAYOUTS["6.1"], nodes=1)
    assert target(heap).page_to_virt(heap.image.vmemmap + off) is None


def test_an_address_below_or_behind_the_direct_map_is_no_pages() -> None:
    heap = Heap(LAYOUTS["6.1"], nodes=1)
    image, reader = heap.image, target(heap)
    assert reader.virt_to_page(image.page_offset - 1) is None
    assert reader.virt_to_page(image.page_offset + image.max_pfn * image.page_size) is None
    assert reader.virt_to_page(image.symbols["slab_caches"]) is None


@pytest.mark.parametrize("max_pfn", [(1 << 64) - 1, 1 << 52, 1 << 40])
def test_a_damaged_max_pfn_ends_the_search_and_the_scan_all_the_same(
    mocker: MockerFixture, max_pfn: int
) -> None:
    mocker.patch("crash_ext.host.target._RANGE_STEPS", 256)
    heap = Heap(LAYOUTS["6.1"], nodes=2)
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, range(cache.objects), where="full-unlisted", node=1)
    heap.image.pointer(heap.image.symbols["max_pfn"], max_pfn)
    fake = FakeCrash(heap.image)
    asked = mocker.spy(fake, "phys_to_page")
    ranges = list(Target(fake).page_ranges())
    assert asked.call_count <= 256
    # Coarser steps may take a hole for memory, but never more than one step of it.
    assert sum(pages for _, pages in ranges) <= (1 << 30) // heap.image.page_size
    states = by_state(records(heap, "slabobjs", "slab_test"))
    assert states == {"allocated": heap.truth()[cache.address].allocated}


def test_without_max_pfn_no_page_is_found_and_what_is_missing_is_said_in_numbers() -> None:
    heap = Heap(LAYOUTS["6.1"])
    slab = heap.slab(heap.cache("slab_test", 84), {1})
    del heap.image.symbols["max_pfn"]
    assert list(target(heap).page_ranges()) == []
    rows = records(heap, "slabobjs", "slab_test")
    assert by_state(rows) == {}
    said = problems(rows)
    assert f"partial: slab {slab.page:x}: not the address of a page structure" in said
    assert "0 slabs found, nr_slabs says 1" in said


@pytest.mark.parametrize("address", [0, 0xDEAD0000, (1 << 64) - 1])
def test_memory_that_is_not_there_is_one_kind_of_error(address: int) -> None:
    with pytest.raises(ReadError) as caught:
        target(Heap(LAYOUTS["6.1"])).read(address, 8)
    assert (caught.value.address, caught.value.size) == (address, 8)
    assert str(caught.value) == f"cannot read 8 bytes at {hexa(address)}"


def test_registers_are_told_of_each_cpu_that_the_dump_has_them_of() -> None:
    fake = FakeCrash(Heap(LAYOUTS["6.1"]).image)
    fake.commands["help -r"] = (
        "CPU 0:\n    RIP: ffffffff95217a0b  RSP: ffffffff96203e98  RFLAGS: 00000246\n"
        "    R8: 0000000000000000   R9: 00000000313b162c\n    CS: 0010  SS: 0018\n\n"
        "CPU 1: [OFFLINE]\n\nCPU 2:\n   X0: ffff000012345678   SP: ffff800010003e98\n"
    )
    found = Target(fake).registers()
    assert set(found) == {0, 2}
    first, second = found[0], found[2]
    assert (first["RSP"], first["R9"]) == (0xFFFFFFFF96203E98, 0x313B162C)
    assert "CS" not in first
    assert second == {"X0": 0xFFFF000012345678, "SP": 0xFFFF800010003E98}


def test_a_dump_without_registers_has_none() -> None:
    assert target(Heap(LAYOUTS["6.1"])).registers() == {}


def test_a_mark_that_crash_makes_where_a_modules_part_begins_is_no_symbol() -> None:
    heap = Heap(LAYOUTS["6.12"])
    at = heap.image.symbols["slab_caches"] + 0x1000
    heap.image.symbols["_MODULE_RODATA_START_slabtest"] = at
    assert FakeCrash(heap.image).addr2sym(at + 4, True) == ("_MODULE_RODATA_START_slabtest", 4)
    assert Target(FakeCrash(heap.image)).symbol_at(at + 4) is None


@pytest.mark.parametrize("shift", [0, 0x20C00000])
def test_gdb_names_per_cpu_variables_that_are_counted_from_0(
    shift: int, mocker: MockerFixture
) -> None:
    crash = FakeCrash(Heap(LAYOUTS["6.1"]).image)
    # crash has no names below the image.
    mocker.patch.object(crash, "addr2sym", return_value=(None, None))
    crash.image.symbols.update({"__per_cpu_start": 0, "__per_cpu_end": 0x400})
    crash.gdb["print &__per_cpu_start"] = f"$1 = (char (*)[]) 0x{shift:x}\n"
    crash.gdb[f"info symbol 0x{shift + 0x348:x}"] = "runqueues + 8 in section .data..percpu\n"
    crash.gdb[f"info symbol 0x{shift + 0x350:x}"] = "No symbol matches 0x350.\n"
    crash.gdb[f"info symbol 0x{shift + 0x400:x}"] = "no_variable in section .text\n"
    target = Target(crash)
    assert target.percpu_symbol_at(0x348) == ("runqueues", 8)
    assert target.symbol_at(0x348) is None
    assert target.percpu_symbol_at(0x350) is None
    assert target.percpu_symbol_at(0x400) is None
