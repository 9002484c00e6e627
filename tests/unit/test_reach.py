# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads to an object and what doesn't, in a built kernel."""

from __future__ import annotations

from array import array
from typing import List, Sequence, Tuple

import pytest

from crash_ext.kernel import pageuse
from crash_ext.kernel.image import KernelImage
from crash_ext.leak.duplicates import all_caches
from crash_ext.places.places import Places
from crash_ext.reach.hidden import find_hidden
from crash_ext.reach.model import MAYBE, REACHED, UNREACHED
from crash_ext.reach.reach import Reach
from mocks.kfence import KfencePool
from mocks.landscape import Landscape
from mocks.structs import parse
from tests.unit.asked import session
from tests.unit.test_pageuse import Pages
from tests.unit.test_stacks import Machine

RED_ZONE = 0x400


def reach(pages: Pages) -> Reach:
    kernel = session(pages.heap)
    caches = all_caches(kernel, [])
    return Reach(kernel, caches, Places(kernel, lambda: caches))


NOT_USED = "in a slot, a part of a stack or per-CPU memory that is not in use"


def test_a_chain_from_a_page_in_use_is_reached_and_its_path_is_told() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3, 4}), pages.image
    pages.set(0, _refcount=1)
    image.pointer(pages.start + 0x10, slab.object(1) + 3)
    image.pointer(slab.object(1) + 8, slab.object(2) + 0x20)
    image.pointer(slab.object(3), slab.object(4))
    found = reach(pages)
    levels = [found.level(slab.object(index)) for index in (1, 2, 3, 4)]
    assert levels == [REACHED, REACHED, UNREACHED, UNREACHED]
    steps = found.path(slab.object(2) + 0x30)
    assert [(step.holder, step.target, step.offset) for step in steps] == [
        (pages.start + 0x10, slab.object(1), 3),
        (slab.object(1) + 8, slab.object(2), 0x20),
    ]
    assert found.path(slab.object(3)) == []
    assert set(found.unreached()) >= {slab.object(3), slab.object(4)}
    two = {slab.object(3), slab.object(4)}
    assert [edge for edge in found.lost_edges() if two.issuperset(edge)] == [
        (slab.object(3), slab.object(4))
    ]


@pytest.mark.parametrize("around", [(), ("_stext", "_etext"), ("__start_rodata", "__end_rodata")])
def test_a_number_in_the_kernels_code_and_constants_is_no_physical_address(
    around: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flags of a struct kernel_param are like one: 01ff0100."""
    pages = Pages()
    slab, image = pages.zeroed({1}), pages.image
    pages.set(0, _refcount=1)
    image.pointer(pages.start + 0x10, slab.object(1) - image.page_offset)
    if around:
        image.symbols.update(zip(around, (pages.start, pages.start + 0x100)))
        monkeypatch.setattr(KernelImage, "alias", lambda self, address: address)
    found = find_hidden(session(pages.heap), reach(pages), array("Q", [slab.object(1)]))
    assert [each.holder for each in found] == ([] if around else [pages.start + 0x10])


@pytest.mark.parametrize("others", [0, 1])
def test_a_page_s_physical_address_counts_beside_those_of_others(others: int) -> None:
    """It is as likely a number by chance, or an entry of a page table."""
    pages = Pages()
    slab, image = pages.zeroed({0, 1}), pages.image
    assert slab.object(0) % image.page_size == 0
    pages.set(0, _refcount=1)
    for index in range(others + 1):
        image.pointer(pages.start + 8 * index, slab.object(index) - image.page_offset)
    objects = array("Q", [slab.object(0), slab.object(1)])
    found = {each.address for each in find_hidden(session(pages.heap), reach(pages), objects)}
    assert found == (set(objects) if others else set())


def test_a_slab_that_red_zones_fill_does_not_take_the_page_behind_it() -> None:
    """The red zone on the left is a part of each object's size."""
    pages = Pages()
    image = pages.image
    sizes = range(16, 1024, 8)
    caches = [pages.heap.cache(f"red_{n}", n, flags=RED_ZONE) for n in sizes]
    slabs = [pages.heap.slab(cache, {1}) for cache in caches]
    full = [s for s in slabs if s.objects * s.cache.size % image.page_size == 0]
    assert full
    use = reach(pages).use
    for slab in full:
        assert slab.object(0) > slab.va
        behind = slab.va + slab.objects * slab.cache.size
        owners = [s for s in slabs if s.va <= behind < s.va + s.objects * s.cache.size]
        assert use.of(behind - image.page_size) == pageuse.SLAB
        assert owners or use.of(behind) != pageuse.SLAB


def test_free_objects_and_free_pages_lead_nowhere() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3}), pages.image
    pages.set(0, _mapcount=-129)
    image.pointer(pages.start, slab.object(1))
    pages.free_on_cpu(0, 0, [2])
    image.pointer(pages.start + 2 * image.page_size, slab.object(2))
    # Behind the free pointer, which lies in the middle.
    image.pointer(slab.object(0) + 56, slab.object(3))
    found = reach(pages)
    assert [found.level(slab.object(index)) for index in (1, 2, 3)] == [UNREACHED] * 3
    assert found.holds(pages.start)[1] == "in a free page"
    assert found.holds(slab.object(0) + 56)[1] == "in a free object"


def test_a_register_alone_holds_an_object() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1}), pages.image
    assert reach(pages).level(slab.object(1)) == UNREACHED
    image.commands["help -r"] = f"CPU 3:\n  RIP: 0000000000000000  RAX: {slab.object(1):016x}\n"
    found = reach(pages)
    assert found.level(slab.object(1)) == REACHED
    (step,) = found.path(slab.object(1))
    assert step.place is not None
    assert step.place.text == "register RAX of cpu 3"


def test_a_cpus_reserve_of_socket_buffers_has_only_those_below_its_count() -> None:
    pages = Pages()
    image = pages.heap.image
    slab = pages.heap.slab(pages.heap.cache("skbuff_head_cache", 64), {1, 2})
    for index in (1, 2):
        image.write(slab.object(index), bytes(64))
    image.structs["napi_alloc_cache"] = parse("page:2p skb_count:8 skb_cache:4p", image.word)
    pages.set(0, _refcount=1)
    image.symbols["napi_alloc_cache"] = pages.start - image.percpu_offsets[0]
    image.put(pages.start + 16, 4, 1)
    image.pointer(pages.start + 24, slab.object(1))
    image.pointer(pages.start + 32, slab.object(2))
    found = reach(pages)
    assert [found.level(slab.object(index)) for index in (1, 2)] == [REACHED, UNREACHED]
    assert found.holds(pages.start + 32) == (UNREACHED, NOT_USED)


def test_notes_of_kfree_rcu_hold_only_what_is_to_be_freed() -> None:
    """Behind their number, and in a page that is kept for later, are those of what was freed."""
    pages = Pages()
    image = pages.heap.image
    slab = pages.heap.slab(pages.heap.cache("slab_test", 64), {1, 2, 3})
    for index in (1, 2, 3):
        image.write(slab.object(index), bytes(64))
    image.structs["kfree_rcu_cpu"] = parse("head:p bkvhead:2p bkvcache:p", image.word)
    image.structs["kvfree_rcu_bulk_data"] = parse("nr_records:8 next:p records:0p", image.word)
    own = pages.heap._arena.percpu(32)
    image.symbols["krc"] = own
    own += image.percpu_offsets[1]
    spare = pages.start + image.page_size
    for number in (0, 1):
        pages.set(number, _refcount=1)
    image.put(pages.start, 8, 1)
    image.put(spare, 8, 0)
    image.pointer(own + 8, pages.start)
    image.pointer(own + 24, spare)
    for index, at in enumerate((pages.start + 16, pages.start + 24, spare + 16), 1):
        image.pointer(at, slab.object(index))
    found = reach(pages)
    assert [found.level(slab.object(n)) for n in (1, 2, 3)] == [REACHED, UNREACHED, UNREACHED]
    assert found.holds(spare + 16) == (UNREACHED, NOT_USED)


@pytest.mark.parametrize("layout", ["6.1", "6.1-s390x"])
def test_percpu_memory_that_was_given_back_holds_nothing(layout: str) -> None:
    pages = Pages(layout)
    slab, image, annex = pages.zeroed({1, 2}), pages.image, pages.annex
    pages.set(0, _refcount=1)
    image.structs["pcpu_chunk"] = parse("list:2p base_addr:p alloc_map:p nr_pages:4", image.word)
    chunk, bits = annex.take(image.sizeof("pcpu_chunk")), annex.take(image.page_size // 32)
    # Of the units of all CPUs this is the first one's.
    image.pointer(annex.variable("pcpu_base_addr"), image.percpu_offsets[pages.heap.cpus[0]])
    image.u32(annex.variable("pcpu_nr_slots", 4), 1)
    slots = annex.take(2 * image.word)
    image.pointer(annex.variable("pcpu_chunk_lists"), slots)
    pages.heap.writer.ring(slots, [chunk])
    for name, value in (("base_addr", pages.start), ("alloc_map", bits), ("nr_pages", 1)):
        offset, size = image.structs["pcpu_chunk"][1][name]
        image.put(chunk + offset, size, value)
    # The first eight bytes of the second long are somebody's, the rest is nobody's.
    image.put(bits + 8, 8, 3)
    given = pages.start + 64 * 4
    image.pointer(given, slab.object(1))
    image.pointer(given + 8, slab.object(2))
    found = reach(pages)
    assert [found.level(slab.object(index)) for index in (1, 2)] == [REACHED, UNREACHED]
    assert found.holds(given + 8) == (UNREACHED, NOT_USED)


@pytest.mark.parametrize("used", [True, False])
def test_a_cpus_interrupt_stack_holds_what_is_live_of_it(used: bool) -> None:
    """In an interrupt that is what lies above its stack pointer, else nothing."""
    pages = Pages()
    image, cpu = pages.heap.image, pages.heap.cpus[0]
    slab = pages.heap.slab(pages.heap.cache("slab_test", 64), {1, 2})
    for index in (1, 2):
        image.write(slab.object(index), bytes(64))
    image.structs["irq_stack"] = parse("stack:4096", image.word)
    offset = image.percpu_offsets[cpu]
    image.symbols["irq_stack_backing_store"] = pages.start - offset
    pages.set(0, _refcount=1)
    mapped = image.page_offset - (1 << 40)
    for name, value in (("hardirq_stack_ptr", mapped + 4096 - 8), ("hardirq_stack_inuse", used)):
        image.symbols[name] = pages.heap._arena.percpu(8)
        image.pointer(image.symbols[name] + offset, value)
    image.commands["help -r"] = f"CPU {cpu}:\n  RIP: 0000000000000000  RSP: {mapped + 0x800:016x}\n"
    image.pointer(pages.start + 0x400, slab.object(1))
    image.pointer(pages.start + 0xC00, slab.object(2))
    found = reach(pages)
    levels = [found.level(slab.object(index)) for index in (1, 2)]
    assert levels == [UNREACHED, REACHED if used else UNREACHED]
    assert found.holds(pages.start + 0x400) == (UNREACHED, NOT_USED)


def test_kfences_own_record_of_an_object_holds_nothing() -> None:
    pages = Pages()
    image = pages.heap.image
    cache = pages.heap.cache("slab_test", 64)
    pool = KfencePool(pages.heap)
    lost, freed = pool.put(0, cache, 64), pool.put(1, cache, 64, state="FREED")
    image.pointer(freed + 8, lost)
    for address in (lost, freed, pool.metadata):
        # All of the pool is in use, and so are the records.
        at = image.virt_to_page(address - address % image.page_size)
        offset, size = image.structs["page"][1]["_refcount"]
        image.put(at + offset, size, 1)
    found = reach(pages)
    assert found.level(lost) == UNREACHED
    assert found.holds(freed + 8)[1] == "in a free object"


def test_each_reason_why_a_pointer_holds_nothing_is_told() -> None:
    pages = Pages()
    slab, image = pages.zeroed({1, 2, 3}), pages.image
    pages.set(0, _mapcount=-129)
    pages.set(1, _refcount=1, mapping=1)
    pages.set(2, _refcount=1)
    found = reach(pages)

    def at(number: int) -> Tuple[int, str]:
        return found.holds(pages.start + number * image.page_size)

    assert at(0) == (UNREACHED, "in a free page")
    assert at(1) == (UNREACHED, "in a page of a process or of the page cache")
    assert at(2) == (REACHED, "")
    assert at(16) == (MAYBE, "in a page that may be free")
    assert found.holds(slab.object(2)) == (UNREACHED, "in an object that nothing leads to")
    assert found.holds(slab.object(5) + 8) == (UNREACHED, "in a free object")
    assert found.holds(0x1238) == (UNREACHED, "in memory that can't be named")


def test_of_a_task_s_stack_only_what_is_above_its_pointer_holds() -> None:
    machine = Machine()
    asleep, stack = machine.task(7, 0x3100)
    _, running = machine.task(8, 0x3000, on_cpu=1)
    kernel = session(machine.heap)
    caches = all_caches(kernel, [])
    found = Reach(kernel, caches, Places(kernel, lambda: caches))
    assert asleep
    assert found.holds(stack + 0x3200) == (REACHED, "")
    assert found.holds(stack + 0x1000) == (UNREACHED, "in the dead part of a stack")
    assert found.holds(running + 0x3200) == (MAYBE, "on the stack of a running task")


def test_what_lies_behind_the_entries_of_a_sheaf_holds_nothing() -> None:
    pages = Pages("7.0")
    heap = pages.heap
    cache = heap.cache("slab_test", 64)
    slab = heap.slab(cache, set(range(8)))
    sheaf = heap.sheaf(cache, [slab.object(1), slab.object(2)])
    at = heap.writer.member("slab_sheaf", sheaf.address, "objects") + 3 * 8
    heap.image.pointer(at, slab.object(3))
    assert reach(pages).holds(at) == (UNREACHED, "behind the entries of a sheaf")


def test_what_is_left_in_the_frame_of_kthread_may_be_old() -> None:
    machine = Machine()
    image = machine.image
    _, stack = machine.task(7, 0x3000)
    image.map(stack, bytes(4 * image.page_size))
    function = machine.heap.function("kthread")
    image.pointer(stack + 0x3ED0, 0x1110)
    image.pointer(stack + 0x3ED8, 0x2220)
    image.pointer(stack + 0x3EE0, function + 8)
    image.pointer(stack + 0x3F00, 0x1110)
    image.structs["kthread"] = parse("flags:p threadfn:p data:p", image.word)
    kernel = session(machine.heap)
    caches = all_caches(kernel, [])
    found = Reach(kernel, caches, Places(kernel, lambda: caches))
    left = "left in the frame of kthread(), maybe old"
    assert found.holds(stack + 0x3ED0) == (MAYBE, left)


def test_the_stack_of_an_idle_task_holds_perhaps() -> None:
    """It is on no list of tasks, and another function than fork's has made it."""
    pages = Pages()
    land = Landscape(pages.heap)
    for number in range(4, 16):
        pages.set(number, _refcount=1)
    callers = [pages.heap.function(name) for name in ("dup_task_struct", "fork_idle", "table")]
    areas = [
        land.area([pages.page(n) for n in range(4 * i + 4, 4 * i + 8)], caller, guard=False)
        for i, caller in enumerate(callers)
    ]
    (start, vm), (idle, _), (table, _) = areas
    land.image.set("task_struct", land.task(7, b"alive", start), stack_vm_area=vm)
    pages.heap.image.map(idle, (0x57AC6E9D).to_bytes(8, "little"))
    pages.heap.image.map(table, (0x57AC6E9C).to_bytes(8, "little"))
    found = reach(pages)
    size = pages.heap.image.page_size
    assert found.holds(idle + size) == (MAYBE, "on the stack of an idle task")
    assert found.holds(pages.start + 13 * size) == (REACHED, "")


def test_the_stack_of_a_task_that_has_ended_holds_nothing() -> None:
    pages = Pages()
    land = Landscape(pages.heap)
    for number in range(4, 12):
        pages.set(number, _refcount=1)
    caller = pages.heap.function("dup_task_struct")
    start, vm = land.area([pages.page(n) for n in range(4, 8)], caller, guard=False)
    land.image.set("task_struct", land.task(7, b"alive", start), stack_vm_area=vm)
    land.area([pages.page(n) for n in range(8, 12)], caller, guard=False)
    at = pages.start + 9 * pages.image.page_size
    assert reach(pages).holds(at) == (UNREACHED, "in the stack of a task that has ended")


def test_words_that_former_owners_left_in_page_structures_hold_nothing() -> None:
    """Of a free page, of a slab's tail, and the freelist of a slab that lay beside this one."""
    pages = Pages()
    image = pages.heap.image
    slab = pages.zeroed({0, 1, 2, 3, 4, 5})
    large = pages.heap.slab(pages.heap.cache("large", 3000, order=3), {0})
    member, size = image.structs["page"][1], image.page_size

    def leave(page: int, name: str, number: int) -> int:
        """A pointer to that object in a page structure; where a page of memory shows it."""
        at = page + member[name][0]
        image.pointer(at, slab.object(number))
        shown.append(at)
        return at

    shown: List[int] = []
    behind = image.virt_to_page(slab.object(0) // size * size ^ size)
    leave(pages.page(20), "index", 1)
    image.put(pages.page(20) + member["_mapcount"][0], 4, -129 & 0xFFFFFFFF)
    leave(large.page + 64, "index", 2)
    leave(behind, "index", 3)
    leave(pages.page(21), "index", 4)
    leave(pages.page(22), "private", 5)
    for page in (behind, pages.page(21), pages.page(22)):
        image.put(page + member["_refcount"][0], 4, 1)
    at = {}
    for number, own in enumerate(sorted({where & -size for where in shown})):
        pages.set(number, _refcount=1)
        at[own] = pages.start + number * size
    session(pages.heap)  # writes the slabs' own structures
    for own, copy in at.items():
        image.write(copy, image.read(own, size))
    found = reach(pages)
    levels = [found.level(slab.object(index)) for index in range(6)]
    assert levels == [UNREACHED, UNREACHED, UNREACHED, UNREACHED, REACHED, REACHED]
    holders = [at[where & -size] + where % size for where in shown]
    assert [found.holds(holder)[0] for holder in holders] == [UNREACHED] * 3 + [REACHED] * 2


def test_an_area_of_a_process_and_a_page_directory_do_not_hold_the_mm() -> None:
    """Page 0 has the area; page 3 shows the directories' page structures, which are on a list."""
    pages = Pages()
    image, heap = pages.heap.image, pages.heap
    size, member = image.page_size, image.structs["page"][1]
    image.structs["vm_area_struct"] = parse("vm_start:p vm_end:p vm_mm:p other:p", image.word)
    image.structs["page"] = (image.structs["page"][0], {**member, "pt_mm": member["index"]})
    areas = heap.slab(heap.cache("vm_area_struct", 32), {1})
    mms = heap.slab(heap.cache("mm_struct", 64), {1, 2, 3})
    for start, length in ((areas.object(1), 32), *((mms.object(n), 64) for n in (1, 2, 3))):
        image.write(start, bytes(length))
    for number in (0, 3):
        pages.set(number, _refcount=1)
    image.pointer(pages.start, areas.object(1))
    image.pointer(areas.object(1) + 16, mms.object(1))
    image.pointer(areas.object(1) + 24, mms.object(2))
    head = pages.annex.variable("pgd_list", 2 * image.word)
    heap.writer.ring(head, [pages.page(number) + member["lru"][0] for number in (5, 6)])
    pages.set(5, index=mms.object(3), _refcount=1)
    own = pages.page(0) // size * size
    session(heap)
    image.write(pages.start + 3 * size, image.read(own, size))
    found = reach(pages)
    levels = [found.level(mms.object(number)) for number in (1, 2, 3)]
    assert levels == [UNREACHED, REACHED, UNREACHED]
