# SPDX-License-Identifier: GPL-3.0-or-later
"""Built kernels for what is told beside causes and errors: owners, a running destroy, places.

A scene is a function of this file without its underscores; its folder beside it has the command
lines.
"""

from __future__ import annotations

from typing import Callable, Dict

from mocks.crash_module import FakeCrash
from mocks.extensions import Kept, ObjectExtensions
from mocks.history import History
from mocks.structs import parse
from tests.golden.scenes import CONN, Scene, _report
from tests.unit import logs
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages


def destroyed_now() -> FakeCrash:
    """panic_on_warn: a task has slab_mutex and the cache's address, and its report isn't over."""
    scene = Scene((1, 2))
    land, image, heap = scene.land, scene.image, scene.heap
    task = land.task(95, b"insmod", 0)
    start = land.stack(task, [scene.pages.page(n) for n in range(4, 8)])
    for number in range(4, 8):
        scene.used(number)
    at = 3 * image.page_size + 0xF00
    scene.point(scene.pages.start + 4 * image.page_size + at, scene.left.address)
    image.map(start, image.read(scene.pages.start + 4 * image.page_size, 4 * image.page_size))
    heap.writer.set("mutex", image.symbols["slab_mutex"], owner=task)
    objects = [(f"{scene.slab.object(1):016x}", scene.slab.object(1) - scene.slab.va)]
    told = [(f"{scene.slab.page:016x}", objects)]
    image.log = logs.stamped(
        logs.report(
            logs.WORDINGS["6.1"], "slab_test", told, last=False, per_slab=scene.left.objects
        )
    )
    return scene.done()


def many_owners() -> FakeCrash:
    """More stacks, source lines and memcgs than are shown; of one memcg the path is lost."""
    scene = Scene(range(1, 15), layout="6.12", tracked=True)
    history, kept = History(scene.heap), {}
    extensions = ObjectExtensions(scene.heap)
    common = [scene.function("conn_open_0") + 8]
    handle = history.depot.add(common)
    for index in range(1, 15):
        number = max(0, index - 7)
        frames = [scene.function(f"conn_open_{number}") + 8] if number else common
        same = 0 if number else handle
        history.track(
            scene.slab, index, frames, pid=800 + index, ago=100 * (15 - index), handle=same
        )
        tag = extensions.tag(b"net/conn.c", 40 + number, b"conn_open")
        objcg = extensions.memcg(b"/user/%d" % number, 10 + number)
        if not number:
            cgroup = scene.image.get(extensions.memcg_of(objcg), 8)
            scene.point(cgroup + scene.image.structs["cgroup"][1]["kn"][0], 0)
        kept[index] = (tag, objcg)
    first = kept[1]
    extensions.put(
        scene.slab,
        {index: Kept(*reversed(first if index < 8 else found)) for index, found in kept.items()},
    )
    return scene.done()


def one_line() -> FakeCrash:
    """One line of source has allocated them all."""
    scene = Scene((1, 2, 3), layout="6.12", twin=False)
    extensions = ObjectExtensions(scene.heap, memcg=False)
    tag = extensions.tag(b"net/conn.c", 42, b"conn_open")
    extensions.put(scene.slab, {index: Kept(0, tag) for index in (1, 2, 3)})
    return scene.done()


def no_clock() -> FakeCrash:
    """Two stacks, and nothing tells how long a jiffy is."""
    scene = Scene((1, 2, 3), tracked=True)
    history = History(scene.heap)
    frames = [scene.function("conn_open") + 8]
    for index in (1, 2, 3):
        history.track(scene.slab, index, frames, ago=100 * index)
    del scene.image.symbols["clocksource_jiffies"]
    return scene.done()


def contents_away() -> FakeCrash:
    """Of a slab without a free object the dump lacks the memory."""
    scene = Scene((1,))
    slab = scene.heap.slab(scene.left, set(range(scene.left.objects)), where="full-unlisted")
    fake = scene.done()
    fake.image.unmap(slab.va, scene.image.page_size)
    return fake


def many_holders() -> FakeCrash:
    """Variables of many names have the objects of a cache in use."""
    scene = Scene((1,))
    objects = [scene.living.object(index) for index in range(8)]
    for number, at in enumerate(objects):
        scene.empty(at)
        scene.point(scene.heap._arena.variable(f"conn_of_{number % 7}"), at)
    return scene.done()


def sysctl() -> FakeCrash:
    """Nothing points to the header of a table of sysctls, and it is no leak."""
    scene = Scene((1,))
    image, heap = scene.image, scene.heap
    image.structs["ctl_table_header"] = parse("ctl_table:p used:4 count:4 root:p", image.word)
    root = heap._arena.variable("sysctl_table_root", 64)
    table = heap._arena.variable("conn_table", 64)
    for _ in range(2):
        header = heap._kmalloc(64)
        scene.point(header, table)
        scene.point(header + 16, root)
    return scene.done()


def one_size() -> FakeCrash:
    """Of two kmalloc caches of one size objects are lost, alike."""
    scene = Scene((1,))
    heap = scene.heap
    for _ in range(2):
        scene.point(heap._kmalloc(64), 0x636F6E6E)
    other = heap.slab(heap.cache("kmalloc-rcl-64", 64, align=64), {1, 2})
    for index in (1, 2):
        scene.image.write(other.object(index), bytes(64))
        scene.point(other.object(index), 0x636F6E6E)
    return scene.done()


def old_head() -> FakeCrash:
    """The head of the list that they were taken off one by one still leads to two of them."""
    scene = Scene((1, 2))
    for at in scene.leaked:
        scene.conn(at, serial=7, since=8, state=2)
        scene.empty(at)
    for number, at in enumerate(scene.leaked):
        scene.point(scene.variables["last_conn"] + 8 * number, at + CONN["list"])
    return scene.done()


def held_by_address() -> FakeCrash:
    """A device has the physical address of one: nothing else has it."""
    scene = Scene((1,))
    scene.point(scene.used() + 0x40, scene.leaked[0] - scene.image.page_offset)
    return scene.done()


def emptied_since() -> FakeCrash:
    """A leftover whose last object, which the log lists, was freed since."""
    scene = Scene((1,))
    scene.image.log = _report(scene.slab, scene.left)
    scene.heap._give_back(scene.left, scene.leaked[0])
    return scene.done()


def all_held() -> FakeCrash:
    """Every object is held, no cache was left behind; one is empty, one goes, one is damaged."""
    pages = Pages()
    heap = pages.heap
    cache = heap.cache("alone", 64)
    slab = heap.slab(cache, {1})
    broken = heap.cache("broken", 64)
    heap.slab(heap.cache("empty", 64), set())
    heap.slab(heap.cache("dying", 64, refcount=0), set())
    heap.writer.set("mutex", heap.image.symbols["slab_mutex"], owner=slab.va)
    heap.image.write(slab.object(1), bytes(64))
    pages.set(0, _refcount=1)
    heap.image.pointer(pages.start, slab.object(1))
    whole(pages)
    heap.writer.set("kmem_cache", broken.address, size=0)
    return FakeCrash(heap.image)


def no_registers() -> FakeCrash:
    """The dump has no notes of the CPUs: what only a register has looks lost."""
    fake = Scene((1,)).done()
    del fake.image.commands["help -r"]
    return fake


TOLD: Dict[str, Callable[[], FakeCrash]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        destroyed_now,
        many_owners,
        one_line,
        no_clock,
        contents_away,
        many_holders,
        sysctl,
        one_size,
        old_head,
        held_by_address,
        emptied_since,
        all_held,
        no_registers,
    )
}
"""Folder -> what builds its kernel."""
