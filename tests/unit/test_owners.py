# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated the objects: by stack, by line of source, by memcg; and else what to do."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import pytest

from crash_ext.hexa import hexa
from crash_ext.kernel.tasks import Tasks
from crash_ext.places.places import Places
from crash_ext.slub.model import Cache as Decoded
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session
from crash_ext.why.owners import OwnerReport, advise, owners
from crash_ext.why.tell_owners import owner_evidence
from mocks.extensions import Kept, ObjectExtensions
from mocks.heap import Heap
from mocks.history import HZ, History
from mocks.kfence import KfencePool
from mocks.landscape import Landscape
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from tests.unit.asked import session

both_forms = pytest.mark.parametrize("name", ["5.10", "6.12"])
WITH_EXTENSIONS = [
    name
    for name, layout in LAYOUTS.items()
    if layout.has("slab", "obj_exts")
    or layout.has("slab", "memcg_data")
    or layout.has("page", "obj_cgroups")
]
WITH_TAGS = [name for name in WITH_EXTENSIONS if LAYOUTS[name].has("slab", "obj_exts")]
IN_OBJECT = [name for name in WITH_TAGS if name.startswith("7.")]


def _asked(heap: Heap, name: bytes = b"slab_test") -> Tuple[Session, Decoded]:
    found = session(heap)
    (cache,) = [one for one in found.listed_caches().caches if one.name == name]
    return found, cache


def _owners(heap: Heap, tasks: Optional[Dict[int, str]] = None) -> OwnerReport:
    found, cache = _asked(heap)
    problems: List[str] = []
    slabs = list(for_each_decoded_slab(found, cache, problems))
    assert problems == []
    return owners(found, cache, slabs, None if tasks is None else lambda pid, _: tasks.get(pid))


def _built(name: str, *, red_zone: bool = False) -> Tuple[Heap, Slab, History]:
    heap = Heap(LAYOUTS[name], seed=8)
    cache = heap.cache("slab_test", 84, store_user=True, red_zone=red_zone)
    slab = heap.slab(cache, {0, 1, 2, 4, 5})
    return heap, slab, History(heap)


@both_forms
@pytest.mark.parametrize("red_zone", [False, True])
def test_objects_of_one_stack_are_one_group_and_the_oldest_comes_first(
    name: str, red_zone: bool
) -> None:
    heap, slab, history = _built(name, red_zone=red_zone)
    allocator = heap.function("kmem_cache_alloc_noprof")
    module, other = heap.function("slabtest_get", module=True), heap.function("slabtest_put")
    young, old = [allocator + 4, module + 8, other], [module + 0x10, other + 4]
    for index, ago in ((0, 10), (2, 50), (5, 30)):
        history.track(slab, index, young, caller=module + 8, pid=80 + index, ago=ago)
    for index, ago in ((1, 40), (4, 90)):
        history.track(slab, index, old, pid=7, ago=ago, cpu=1)
    report = _owners(heap, {7: "insmod"})
    assert (report.allocated, report.tracked, report.recorded) == (5, 5, True)
    assert (report.advice, report.problems, report.tags, report.memcgs) == (None, [], [], [])
    first, second = report.groups
    assert first.objects == [slab.object(index) for index in (4, 1)]
    assert (first.bytes, first.caller, first.frames) == (2 * 84, old[0], tuple(old))
    assert (first.oldest.age, first.newest.age, first.oldest.cpu) == (90, 40, 1)
    assert (first.pids, first.tasks) == ([7], {7: "insmod"})
    assert second.objects == [slab.object(index) for index in (2, 5, 0)]
    assert (second.caller, second.frames) == (module + 8, tuple(young))
    assert (second.pids, second.tasks) == ([82, 85, 80], {})


@pytest.mark.parametrize(("seconds", "named"), [(500, True), (301, True), (200, False)])
def test_a_task_that_began_after_the_allocation_is_not_its(seconds: int, named: bool) -> None:
    """Its number has been used again; the oldest object of a PID decides."""
    heap, slab, history = _built("6.12")
    land = Landscape(heap)
    task = land.task(80, b"later", heap.image.page_offset + (1 << 20))
    uptime = history.clock.uptime // HZ
    land.begin(task, (uptime - seconds) * 10**9)
    stack = [heap.function("slabtest_get")]
    for index, ago in ((0, 10), (1, 300), (2, 20)):
        history.track(slab, index, stack, ago=ago * HZ, pid=80)
    found, cache = _asked(heap)
    slabs = for_each_decoded_slab(found, cache, [])
    report = owners(found, cache, slabs, Tasks(found.reader).name_of)
    group = next(one for one in report.groups if slab.object(0) in one.objects)
    assert group.tasks == ({80: "later"} if named else {})


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        ("kmem_cache_alloc", True),
        ("__kmalloc_node_track_caller_noprof", True),
        ("__kvmalloc_node_noprof", True),
        ("kmem_cache_alloc_lru", True),
        ("__slab_alloc.isra.0", True),
        ("__kmalloc_flags_noprof", True),
        ("krealloc_node_align_noprof", True),
        ("_kzalloc_noprof.constprop.0", True),
        ("kmalloc_reserve", False),
        ("kmalloc_size_roundup", False),
        ("kstrdup", False),
        ("kmem_cache_alloc_of_a_module", False),
    ],
)
def test_the_caller_is_the_first_that_is_not_the_allocator(name: str, skipped: bool) -> None:
    heap, slab, history = _built("6.12")
    here, there = heap.function(name), heap.function("slabtest_get")
    history.track(slab, 0, [here + 4, there + 4])
    group = next(one for one in _owners(heap).groups if slab.object(0) in one.objects)
    assert group.caller == (there if skipped else here) + 4


@both_forms
def test_the_last_life_of_an_allocated_object_is_no_owner(name: str) -> None:
    heap, slab, history = _built(name)
    for index in slab.allocated:
        heap.image.write(history.at(slab, index), bytes(heap.image.sizeof("track")))
        history.track(slab, index, [heap.function(f"before_{index}")], free=True)
    report = _owners(heap)
    assert (report.groups, report.tracked, report.recorded) == ([], 0, False)


@both_forms
def test_many_damaged_tracks_are_counted_and_the_first_are_told(name: str) -> None:
    heap = Heap(LAYOUTS[name], seed=8)
    cache = heap.cache("slab_test", 16, store_user=True, order=1)
    slab = heap.slab(cache, range(cache.objects), where="full")
    history = History(heap)
    here = heap.function("f")
    handle = history.depot.add([here])
    for index in range(cache.objects):
        history.track(slab, index, [here], cpu=9, handle=handle)
    report = _owners(heap)
    assert report.tracked == 0
    assert len(report.problems) == 21
    told = f"tracks of {cache.objects} objects contradict themselves or can't be read"
    assert report.problems[-1] == told


@pytest.mark.parametrize(("name", "pointer"), [("6.5", False), ("6.12", True), ("7.3", True)])
def test_an_object_that_kfence_sampled_has_the_owner_that_kfence_noted(
    name: str, pointer: bool
) -> None:
    heap = Heap(LAYOUTS[name], seed=9)
    cache = heap.cache("slab_test", 84)
    pool = KfencePool(heap, pointer=pointer)
    sampled = pool.put(1, cache, 84)
    history = History(heap)
    here = heap.function("slabtest_get")
    frames = [heap.function("__kfence_alloc") + 4, heap.function("kmem_cache_alloc") + 8, here + 4]
    pool.track(1, frames, pid=80, cpu=1, nanoseconds=(history.clock.uptime - HZ) * 10**9 // HZ)
    report = _owners(heap)
    (group,) = report.groups
    assert (group.objects, group.bytes, group.caller) == ([sampled], 84, here + 4)
    assert (group.frames, group.pids, group.oldest.seconds) == (tuple(frames), [80], 1.0)
    assert group.oldest.when is None


def test_kfences_record_of_a_cpu_that_there_is_not_is_not_told() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=9)
    pool = KfencePool(heap)
    address = pool.put(1, heap.cache("slab_test", 84), 84)
    pool.track(1, [heap.function("f")], pid=80, cpu=2, nanoseconds=0)
    report = _owners(heap)
    assert report.groups == []
    assert report.problems == [f"object {address:x}: KFENCE alloc_track: cpu 2, but there are 2"]


def test_kfences_count_of_a_stack_that_is_no_stacks_is_not_told() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=9)
    pool = KfencePool(heap)
    pool.put(1, heap.cache("slab_test", 84), 84)
    pool.track(1, [heap.function("f")] * 3, pid=80, cpu=0, nanoseconds=0, count=1 << 30)
    report = _owners(heap)
    assert report.groups == []
    assert report.problems[0].endswith(f"KFENCE alloc_track: {1 << 30} stack entries")


def test_kfences_time_of_a_moment_that_is_to_come_is_not_told() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=9)
    History(heap)
    pool = KfencePool(heap)
    address = pool.put(1, heap.cache("slab_test", 84), 84)
    pool.track(1, [heap.function("f")], pid=80, cpu=0, nanoseconds=1 << 62)
    told = f"object {address:x}: KFENCE alloc_track: a moment that is to come"
    assert _owners(heap).problems == [told]


def _extended(name: str, **built: bool) -> Tuple[Heap, Slab, ObjectExtensions]:
    heap = Heap(LAYOUTS[name], seed=10)
    # 84 bytes in 128: room for an entry at 104, as calculate_sizes() would find it.
    slab = heap.slab(heap.cache("slab_test", 84, align=64), {0, 1, 2, 4})
    return heap, slab, ObjectExtensions(heap, **built)


@pytest.mark.parametrize("name", WITH_EXTENSIONS)
def test_objects_are_grouped_by_the_memcg_that_pays_for_them(name: str) -> None:
    heap, slab, extensions = _extended(name)
    one, other = extensions.memcg(b"/system.slice/a", 17), extensions.memcg(b"/", 1)
    # 3 is free, and its entry is of an earlier life.
    extensions.put(slab, {0: Kept(one), 2: Kept(other), 3: Kept(one), 4: Kept(one)})
    report = _owners(heap)
    first, second = report.memcgs
    assert first.objects == [slab.object(0), slab.object(4)]
    assert first.bytes == 2 * 84
    assert first.memcg == (extensions.memcg_of(one), 17, b"/system.slice/a", False)
    assert second.objects == [slab.object(2)]
    assert second.memcg == (extensions.memcg_of(other), 1, b"/", False)
    assert (report.tags, report.problems, report.recorded) == ([], [], False)


@pytest.mark.parametrize("memcg", [False, True])
@pytest.mark.parametrize("name", WITH_TAGS)
def test_objects_are_grouped_by_the_line_that_allocated_them(name: str, memcg: bool) -> None:
    heap, slab, extensions = _extended(name, memcg=memcg)
    here = extensions.tag(b"drivers/a.c", 42, b"a_get", b"slabtest")
    there = extensions.tag(b"mm/b.c", 7, b"b_get")
    empty = 1
    extensions.put(
        slab,
        {
            0: Kept(0, here),
            1: Kept(0, empty),
            2: Kept(0, there),
            3: Kept(0, there),
            4: Kept(0, here),
        },
        needs_objcg=memcg,
    )
    report = _owners(heap)
    assert [(group.tag[1:], group.objects, group.bytes) for group in report.tags] == [
        (
            (b"drivers/a.c", 42, b"a_get", b"slabtest"),
            [slab.object(0), slab.object(4)],
            2 * 84,
        ),
        ((b"mm/b.c", 7, b"b_get", None), [slab.object(2)], 84),
    ]
    assert (report.recorded, report.advice, report.problems) == (True, None, [])


@pytest.mark.parametrize("name", IN_OBJECT)
def test_entries_in_the_objects_own_padding_are_found(name: str) -> None:
    heap, slab, extensions = _extended(name)
    tag, memcg = extensions.tag(b"a.c", 1, b"a"), extensions.memcg(b"/x", 3)
    extensions.put(slab, {1: Kept(memcg, tag), 4: Kept(0, tag)}, in_object=104)
    report = _owners(heap)
    assert [group.objects for group in report.tags] == [[slab.object(1), slab.object(4)]]
    assert [group.objects for group in report.memcgs] == [[slab.object(1)]]


def test_7_3_with_profiling_switched_off_has_no_tag_beside_a_memcg() -> None:
    heap, slab, extensions = _extended("7.3", codetags=False)
    memcg = extensions.memcg(b"/x", 3)
    extensions.put(slab, {index: Kept(memcg) for index in (0, 1, 2, 4)})
    report = _owners(heap)
    assert [group.objects for group in report.memcgs] == [list(map(slab.object, (0, 1, 2, 4)))]
    assert (report.tags, report.problems) == ([], [])


@pytest.mark.parametrize("name", WITH_TAGS)
def test_a_failed_vector_is_none(name: str) -> None:
    """OBJEXTS_ALLOC_FAIL: 4 in 6.11, 1 later, and no vector behind it."""
    heap, slab, extensions = _extended(name)
    extensions.put(slab, {})
    offset = heap.image.structs["slab"][1]["obj_exts"][0]
    for value in (0, 1, 4, 5):
        heap.image.pointer(slab.page + offset, value)
        report = _owners(heap)
        assert (report.tags, report.memcgs, report.problems) == ([], [], [])


def test_a_stride_that_is_no_entrys_is_said() -> None:
    heap, slab, extensions = _extended("7.0")
    extensions.put(slab, {0: Kept(0, extensions.tag(b"a.c", 1, b"a"))})
    offset, size = heap.image.structs["slab"][1]["stride"]
    heap.image.put(slab.page + offset, size, 24)
    report = _owners(heap)
    assert report.tags == []
    assert report.problems == [
        f"slab {hexa(slab.page)}: object extensions: stride 24, an entry is 16 bytes"
    ]


@pytest.mark.parametrize("damage", ["line", "name", "unmapped"])
def test_a_tag_that_is_gone_with_its_module_is_said_once(damage: str) -> None:
    heap, slab, extensions = _extended("6.12")
    tag = extensions.tag(b"a.c", 1, b"a", b"gone")
    extensions.put(slab, {0: Kept(0, tag), 1: Kept(0, tag)})
    if damage == "line":
        heap.writer.image.u32(tag + 4, 0)
    elif damage == "name":
        heap.image.pointer(tag + 8, slab.va + heap.image.page_size - 1)
    else:
        heap.image.unmap(tag & -4096, 4096)
    report = _owners(heap)
    assert report.tags == []
    if damage == "unmapped":
        assert len(report.problems) == 1
        assert report.problems[0].startswith(f"slab {hexa(slab.page)}: object extensions: cannot")
    else:
        assert report.problems == [f"allocation tag {hexa(tag)}: no struct codetag any more"]


def test_a_tag_that_is_not_in_the_dump_is_said() -> None:
    heap, slab, extensions = _extended("6.12")
    tag = extensions.tag(b"a.c", 1, b"a")
    extensions.put(slab, {0: Kept(0, 0x1230)})
    report = _owners(heap)
    assert tag
    assert report.problems == [
        "allocation tag 0000000000001230: cannot read 32 bytes at 0000000000001230"
    ]


def test_a_vector_without_room_for_anything_is_said() -> None:
    heap, slab, extensions = _extended("7.3")
    extensions.put(slab, {0: Kept(extensions.memcg(b"/x", 1))}, needs_objcg=False)
    heap.image.u32(heap.image.symbols["slab_obj_ext_has_codetag_key"], 0)
    assert _owners(heap).problems == [
        f"slab {hexa(slab.page)}: object extensions: a vector, but nothing to keep in it"
    ]


@pytest.mark.parametrize("name", WITH_EXTENSIONS)
def test_a_vector_that_is_not_in_the_dump_is_said(name: str) -> None:
    heap, slab, extensions = _extended(name)
    base = extensions.put(slab, {0: Kept(extensions.memcg(b"/x", 1))})
    heap.image.unmap(base & -4096, 4096)
    report = _owners(heap)
    assert report.memcgs == []
    assert len(report.problems) == 1
    assert report.problems[0].startswith(f"slab {hexa(slab.page)}: object extensions: cannot read")


@pytest.mark.parametrize("name", WITH_EXTENSIONS)
def test_what_is_of_no_memory_controller_is_no_memcg(name: str) -> None:
    heap, slab, extensions = _extended(name)
    objcg = extensions.memcg(b"/x", 1)
    extensions.put(slab, {0: Kept(objcg), 1: Kept(objcg)})
    memcg = extensions.memcg_of(objcg)
    heap.image.pointer(memcg + heap.image.word, extensions.subsystem + 8)
    report = _owners(heap)
    assert report.memcgs == []
    assert report.problems == [f"obj_cgroup {hexa(objcg)}: {hexa(memcg)} is no struct mem_cgroup"]


def test_a_cgroup_that_is_its_own_parent_has_no_path() -> None:
    heap, slab, extensions = _extended("6.12")
    objcg = extensions.memcg(b"/x/y", 9)
    extensions.put(slab, {0: Kept(objcg)})
    image = heap.image
    members = image.structs["kernfs_node"][1]
    cgroup = image.get(extensions.memcg_of(objcg), 8)
    node = image.get(cgroup + image.structs["cgroup"][1]["kn"][0], 8)
    image.pointer(node + members["parent"][0], node)
    ((memcg, objects, _),) = _owners(heap).memcgs
    assert (memcg.number, memcg.path, objects) == (9, None, [slab.object(0)])


@pytest.mark.parametrize(
    ("name", "symbols", "profiling", "advice"),
    [
        ("5.10", (), False, "boot with slub_debug=U,slab_test"),
        ("6.12", ("no_hash_pointers",), False, "boot with slub_debug=U,slab_test no_hash_pointers"),
        (
            "7.3",
            (),
            True,
            "boot with slub_debug=U,slab_test, or boot with sysctl.vm.mem_profiling=1",
        ),
    ],
)
def test_where_nothing_is_noted_one_line_says_what_to_switch_on(
    name: str, symbols: Tuple[str, ...], profiling: bool, advice: str
) -> None:
    heap = Heap(LAYOUTS[name], seed=1)
    heap.slab(heap.cache("slab_test", 84), {1})
    for symbol in symbols:
        heap.function(symbol)
    if profiling:
        ObjectExtensions(heap)
    report = _owners(heap)
    assert report.advice == f"to have the allocations noted, {advice}"
    assert not report.recorded


def test_without_objects_nobody_needs_advice() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=1)
    heap.slab(heap.cache("slab_test", 84))
    assert _owners(heap) == OwnerReport([], [], [], 0, 0, False, None, [])


def test_a_name_that_the_parameter_cannot_hold_is_not_given_to_it() -> None:
    heap = Heap(LAYOUTS["6.12"], seed=1)
    heap.cache("a b,c;d\x1b", 84)
    assert advise(*_asked(heap, b"a b,c;d\x1b")).endswith("boot with slub_debug=U")


def test_a_memcg_childs_advice_is_its_roots() -> None:
    heap = Heap(LAYOUTS["4.18"], seed=1)
    root = heap.cache("slab_test", 84)
    heap.cache("slab_test(12:a)", 84, root=root)
    assert advise(*_asked(heap, b"slab_test(12:a)")).endswith("boot with slub_debug=U,slab_test")


def test_a_kernel_without_slab_debugging_is_told_to_be_one() -> None:
    heap = Heap(LAYOUTS["6.6-tiny"], seed=1)
    heap.cache("slab_test", 84)
    assert advise(*_asked(heap)) == (
        "this kernel can't note who allocates: it takes one with CONFIG_SLUB_DEBUG"
    )


def test_of_many_stacks_the_oldest_and_those_with_the_most_objects_are_told() -> None:
    """Six callers have one old object each, and the leak has all the young ones."""
    heap = Heap(LAYOUTS["5.10"], seed=8)
    slab = heap.slab(heap.cache("slab_test", 84, store_user=True), set(range(9)))
    history = History(heap)
    callers = [heap.function(f"caller_{number}") for number in range(7)]
    for index in range(9):
        history.track(slab, index, [callers[min(index, 6)] + 8], ago=1000 - 10 * index)
    Landscape(heap)
    kernel, cache = _asked(heap)
    report = owners(kernel, cache, list(for_each_decoded_slab(kernel, cache, [])))
    told = owner_evidence(Places(kernel, lambda: [cache]), report)
    texts = [item.text for item in told if "allocated by" in item.text or "more by" in item.text]
    by = [text.split(",")[0] for text in texts]
    assert by == [
        "1 of 9 allocated by caller_0+0x8",
        "1 of 9 allocated by caller_1+0x8",
        "1 of 9 allocated by caller_2+0x8",
        "1 of 9 allocated by caller_3+0x8",
        "3 of 9 allocated by caller_6+0x8",
        "2 more by stack: 2 objects",
    ]
