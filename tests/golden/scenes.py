# SPDX-License-Identifier: GPL-3.0-or-later
"""Built kernels with one leak each: a scene for every cause that slabwhy names, and more.

A scene is a function of this file without its underscores; its folder beside it has the
command lines. Each has a leftover and a living cache of one name, `slab_test`, whose objects
are a struct conn: what living ones have in it is in CONN.
"""

from __future__ import annotations

from typing import Callable, Dict, Optional, Sequence

from mocks.crash_module import CrashError, FakeCrash
from mocks.history import History
from mocks.landscape import Landscape
from mocks.model import Cache, Slab
from mocks.structs import parse
from tests.unit import logs
from tests.unit.test_lostpage import whole
from tests.unit.test_pageuse import Pages

CONN = {"serial": 0x00, "since": 0x08, "owner": 0x10, "state": 0x18, "list": 0x20, "timer": 0x30}
SIZE = 120
TWINS = 10
LIST_POISON = (0xDEAD000000000100, 0xDEAD000000000122)
_TIMER = "entry:2p expires:p function:p flags:4"
_WAIT = "flags:4 private:p func:p entry:2p"
_WORK = "data:p entry:2p func:p"


class Scene:
    """A kernel with a leftover and its living twin; a scene writes the leaked objects."""

    def __init__(
        self,
        leaked: Sequence[int] = (1, 2, 3),
        *,
        layout: str = "6.1",
        debug: bool = False,
        tracked: bool = False,
        twin: bool = True,
    ) -> None:
        self.pages = Pages(layout)
        self.heap = heap = self.pages.heap
        self.land = Landscape(heap)
        self.owners = heap.cache("owners", 64)
        self.owner = heap.slab(self.owners, {1, 2, 3})
        self.left = heap.cache("slab_test", SIZE, red_zone=debug, poison=debug, store_user=tracked)
        self.slab = heap.slab(self.left, set(leaked))
        heap.leave_behind(self.left)
        self.twin = heap.cache(
            "slab_test" if twin else "other", SIZE, red_zone=debug, poison=debug, store_user=tracked
        )
        self.living = heap.slab(self.twin, set(range(TWINS)))
        self.leaked = [self.slab.object(index) for index in leaked]
        self.image = image = heap.image
        self.variables = {
            name: heap._arena.variable(name, 2 * image.word)
            for name in ("conn_list", "last_conn", "wheel", "first_owner")
        }
        if not tracked:
            image.pointer(heap._arena.variable("jiffies"), 250000)
        image.symbols.update(
            {"_stext": heap.layout.place.kernel, "_etext": heap.layout.place.kernel + 0x40000}
        )
        for at in self.leaked:
            image.write(at, b"\x6b" * (SIZE - 1) + b"\xa5" if debug else bytes(SIZE))
        for index in (1, 2, 3):
            image.write(self.owner.object(index), bytes(64))
        self._live()
        self.point(self.variables["first_owner"], self.owner.object(1))
        self.point(self.variables["first_owner"] + image.word, self.owner.object(2))

    def _live(self) -> None:
        """The twin's objects: on a list, and with a value in each member."""
        objects = [self.living.object(index) for index in range(TWINS)]
        for number, at in enumerate(objects):
            self.image.write(at, bytes(SIZE))
            self.conn(at, serial=100 + number, since=1000 + 7 * number, state=2)
        self.ring(self.variables["conn_list"], objects)

    def conn(
        self, at: int, *, serial: int = 0, since: int = 0, owner: bool = True, state: int = 0
    ) -> None:
        """Gives an object what who inserts it writes."""
        self.point(at + CONN["serial"], serial)
        self.point(at + CONN["since"], since)
        self.point(at + CONN["owner"], self.owner.object(1) if owner else 0)
        self.point(at + CONN["state"], state)

    def poison_list(self, at: int) -> None:
        """What an object has that was taken off its list."""
        self.conn(at, serial=7, since=8, state=3)
        for number, value in enumerate(LIST_POISON):
            self.point(at + CONN["list"] + 8 * number, value)

    def free_pointer(self, at: int, cache: Optional[Cache] = None) -> None:
        """Gives an object the free pointer that it had, to the one before it."""
        cache = cache or self.left
        where = at + cache.offset
        self.point(where, self.heap.writer.encode(cache, where, at - cache.size))

    def point(self, at: int, value: int) -> None:
        self.image.pointer(at, value)

    def ring(self, head: int, objects: Sequence[int]) -> None:
        """Puts objects on a list; no head: 0."""
        links = [at + CONN["list"] for at in objects]
        if head:
            self.heap.writer.ring(head, links)
        else:
            self.heap.writer.ring(links[0], links[1:])

    def empty(self, at: int) -> None:
        """INIT_LIST_HEAD() of an object's node."""
        self.heap.writer.ring(at + CONN["list"], [])

    def clear(self, key: str = "init_on_alloc") -> None:
        """init_on_alloc=1: an allocation clears what the last owner wrote."""
        self.image.u32(self.heap._arena.variable(key), 1)

    def function(self, name: str) -> int:
        return self.heap.function(name)

    def used(self, number: int = 0) -> int:
        """The address of a page in use."""
        self.pages.set(number, _refcount=1)
        return self.pages.start + number * self.image.page_size

    def done(self) -> FakeCrash:
        """The kernel's variables are in use, and nothing is missing from the dump."""
        # Asked of the heap: it writes what a scene has changed since.
        image, size = self.heap.image, self.image.page_size
        shift = self.land.show_image_again()
        data = self.heap.layout.place.kernel + 0x40000 + shift
        offset, length = image.structs["page"][1]["_refcount"]
        for address in range(data, data + 0x10000, size):
            image.put(image.virt_to_page(address) + offset, length, 1)
        whole(self.pages)
        return FakeCrash(image)


def _report(slab: Slab, cache: Cache, also: Sequence[int] = ()) -> str:
    """The log of a failed destroy that printed its pointers as they are."""
    objects = [
        (f"{slab.object(index):016x}", slab.object(index) - slab.va)
        for index in sorted({*slab.allocated, *also})
    ]
    told = [(f"{slab.page:016x}", objects)]
    return logs.stamped(
        logs.report(logs.WORDINGS["6.1"], cache.name.decode(), told, per_slab=cache.objects)
    )


# --- freed since, held ---


def freed_late() -> FakeCrash:
    """The log lists two objects more than there are."""
    scene = Scene()
    scene.image.log = _report(scene.slab, scene.left, (7, 9))
    return scene.done()


def called_back() -> FakeCrash:
    """A timer of the first, an overdue one of the second, a work item of the third; the fourth
    has a list node behind a function, as an entry of a wait queue has."""
    scene = Scene((1, 2, 3, 4))
    image, heap = scene.image, scene.heap
    image.structs["wait_queue_entry"] = parse(_WAIT, image.word)
    image.structs["timer_list"] = parse(_TIMER, image.word)
    image.structs["timer_base"] = parse("vectors:8p", image.word)
    image.structs["work_struct"] = parse(_WORK, image.word)
    image.structs["pool_workqueue"] = parse("pool:p wq:p", image.word)
    image.structs["workqueue_struct"] = parse("pwqs:2p name:24", image.word)
    finish = scene.function("conn_finish")
    image.symbols["timer_bases"] = heap._arena.percpu(3 * image.sizeof("timer_base"))
    wheel = image.symbols["timer_bases"] + image.percpu_offsets[1]
    image.u32(image.virt_to_page(wheel) + image.structs["page"][1]["_refcount"][0], 1)
    for number, name, expires in ((0, "conn_expire", 250820), (1, "conn_retry", 249900)):
        at = scene.leaked[number] + CONN["timer"]
        scene.point(at + 8, wheel + 8 * number)
        scene.point(at + 16, expires)
        scene.point(at + 24, scene.function(name))
        scene.point(wheel + 8 * number, at)
    at = scene.leaked[2] + CONN["timer"]
    head = scene.used()
    pool, queue = head + 0x100, head + 0x200
    scene.point(pool + 8, queue)
    image.write(queue + 16, b"conn_wq\0")
    scene.point(at, pool | 5)
    scene.point(at + 24, finish)
    heap.writer.ring(head, [at + 8])
    at = scene.leaked[3] + CONN["timer"]
    scene.point(at + 16, scene.function("conn_remove"))
    heap.writer.ring(head + 0x300, [at + 24])
    return scene.done()


def still_listed() -> FakeCrash:
    """On the list that a variable heads."""
    scene = Scene()
    scene.ring(scene.variables["last_conn"], scene.leaked)
    return scene.done()


def held() -> FakeCrash:
    """By a variable, by an object that one leads to, by a page in use."""
    scene = Scene()
    first, second, third = scene.leaked
    scene.point(scene.variables["last_conn"], first)
    scene.point(scene.owner.object(2) + 8, second + CONN["list"])
    scene.point(scene.used() + 0x40, third)
    return scene.done()


def perhaps_held() -> FakeCrash:
    """By a page that may be free, for nothing says so; so is one of the owners."""
    scene = Scene()
    page = scene.pages.start + 16 * scene.image.page_size
    scene.point(page, scene.leaked[0])
    scene.point(page + 8, scene.owner.object(3))
    return scene.done()


def until_grace() -> FakeCrash:
    """An object that waits for the end of its grace period is the last one to know it."""
    scene = Scene(layout="7.0")
    waiting = scene.owner.object(3)
    scene.heap.sheaf(scene.owners, [waiting], where="rcu_free")
    scene.point(waiting + 8, scene.leaked[0])
    return scene.done()


def held_by_handle() -> FakeCrash:
    """A device has the physical address of one, an I/O request page and offset of another."""
    scene = Scene()
    image, page = scene.image, scene.used()
    scene.point(page + 0x40, scene.leaked[0] - image.page_offset)
    scene.point(page + 0x80, image.virt_to_page(scene.leaked[1]))
    image.u32(page + 0x88, SIZE)
    image.u32(page + 0x8C, scene.leaked[1] % image.page_size)
    return scene.done()


# --- lost ---


def never_written() -> FakeCrash:
    """Poison to the last byte, and red zones that say allocated."""
    return Scene(debug=True).done()


def never_written_perhaps() -> FakeCrash:
    """The same, but somebody had a pointer to one: it lies in a page that is free now."""
    scene = Scene((1,), debug=True)
    scene.pages.set(20, _mapcount=-129)
    scene.point(scene.pages.start + 20 * scene.image.page_size, scene.leaked[0])
    return scene.done()


def zeroes() -> FakeCrash:
    """All zero, where living objects never are; an old pointer to one in a free page."""
    scene = Scene((1,))
    scene.pages.set(20, _mapcount=-129)
    scene.point(scene.pages.start + 20 * scene.image.page_size, scene.leaked[0])
    return scene.done()


def no_head() -> FakeCrash:
    """Two lists: the head of one lies in an object that was freed; the other never had one."""
    scene = Scene((1, 2, 3, 4))
    for at in scene.leaked:
        scene.conn(at, serial=7, since=8, state=2)
    scene.ring(scene.owner.object(5) + 0x10, scene.leaked[:2])
    scene.ring(0, scene.leaked[2:])
    return scene.done()


def taken_off() -> FakeCrash:
    """list_del() without a free."""
    scene = Scene((1, 2))
    scene.clear()
    return _poisoned(scene)


def off_the_list_or_recycled() -> FakeCrash:
    """The same, where an allocation leaves what list_del() and a free have left."""
    return _poisoned(Scene((1, 2), twin=False), free_pointer=True)


def not_set_up() -> FakeCrash:
    """Given up right after the allocation, with all that the last owner left: of a list, too."""
    return _poisoned(Scene((1, 2)), free_pointer=True)


def _poisoned(scene: Scene, free_pointer: bool = False) -> FakeCrash:
    for at in scene.leaked:
        scene.poison_list(at)
        if free_pointer:
            scene.free_pointer(at)
    return scene.done()


def never_linked() -> FakeCrash:
    """An error path between allocation and insertion."""
    scene = Scene()
    for at in scene.leaked:
        scene.conn(at, owner=False, state=1)
        scene.empty(at)
    return scene.done()


def off_the_list() -> FakeCrash:
    """list_del_init() without a free; the state is another one than that of living objects."""
    scene = Scene()
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=3)
        scene.empty(at)
    return scene.done()


def off_the_list_unchanged() -> FakeCrash:
    """The same, and nothing else tells it from an object that was never linked."""
    scene = Scene((1,))
    scene.conn(scene.leaked[0], serial=7, since=8, state=2)
    scene.empty(scene.leaked[0])
    return scene.done()


def held_by_freed() -> FakeCrash:
    """What had the only pointer was freed."""
    scene = Scene((1,))
    scene.conn(scene.leaked[0], serial=7, since=8, state=2)
    scene.point(scene.owner.object(6) + 8, scene.leaked[0])
    return scene.done()


def lost_with_others() -> FakeCrash:
    """A chain of two, and two that lead to each other."""
    scene = Scene((1, 2, 3, 4))
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    first, second, third, fourth = scene.leaked
    for at, other in ((first, second), (third, fourth), (fourth, third)):
        scene.point(at + CONN["timer"], other)
    return scene.done()


def lost() -> FakeCrash:
    """Nothing leads to them, and nothing in them tells why."""
    scene = Scene((1, 2))
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    return scene.done()


# --- beside the causes ---


def in_use() -> FakeCrash:
    """No leftover is asked for, but a cache in use: to four of its objects nothing leads."""
    scene = Scene((1,))
    objects = [scene.living.object(index) for index in range(TWINS)]
    scene.ring(scene.variables["conn_list"], objects[:6])
    for at in objects[6:]:
        scene.empty(at)
    return scene.done()


def paths() -> FakeCrash:
    """A register, a task's stack, a chain of objects and a vmalloc area lead to one each."""
    scene = Scene((1, 2, 3, 4))
    land, size = scene.land, scene.image.page_size
    register, on_stack, behind, area = scene.leaked
    scene.image.commands["help -r"] = f"CPU 1:\n  RIP: 0000000000000000  RAX: {register:016x}\n"
    start = land.stack(land.task(77, b"conn server", 0), [scene.pages.page(n) for n in range(4, 8)])
    assert start
    scene.point(scene.pages.start + 7 * size + 0x100, on_stack)
    scene.point(scene.owner.object(2) + 8, scene.owner.object(3))
    scene.point(scene.owner.object(3) + 0x10, behind + 4)
    scene.used(10)
    land.area([scene.pages.page(10)], scene.function("conn_alloc_table"))
    scene.point(scene.pages.start + 10 * size + 0x20, area)
    return scene.done()


def merged() -> FakeCrash:
    """The log has a failed destroy of what is a cache in use: it was merged into."""
    scene = Scene((1,))
    scene.image.log = _report(scene.living, scene.twin)
    return scene.done()


def log_differs() -> FakeCrash:
    """Of what is allocated the log lacks some, for one reason each; and it lists more."""
    scene = Scene((1, 2, 3))
    heap = scene.heap
    heap.slab(scene.left, set(range(scene.left.objects)), where="full-unlisted")
    heap.slab(scene.left, {4}, node=1)
    gone = f"{scene.slab.page + 0x4000:016x}"
    listed = [(f"{scene.slab.object(1):016x}", scene.slab.object(1) - scene.slab.va)]
    told = [(f"{scene.slab.page:016x}", listed), (gone, [(f"{scene.slab.va + 0x80000:016x}", 0)])]
    heap.image.log = logs.stamped(
        logs.report(logs.WORDINGS["6.1"], "slab_test", told, per_slab=scene.left.objects)
    )
    return scene.done()


def log_of_another() -> FakeCrash:
    """The log is whole, and its one report is of a cache of another name."""
    scene = Scene((1,), twin=False)
    scene.image.log = logs.stamped(logs.report(logs.WORDINGS["6.1"], "another"))
    return scene.done()


def crowd() -> FakeCrash:
    """Many hold: variables, objects of several caches, and an hlist."""
    scene = Scene(range(1, 9))
    scene.point(scene.used(), scene.owner.object(3))
    for number, at in enumerate(scene.leaked[:2]):
        scene.point(scene.owner.object(2) + 8 + 8 * number, at)
    scene.point(scene.owner.object(3) + 8, scene.leaked[2])
    for number in range(3, 6):
        head, node = scene.used() + 0x100 + 8 * number, scene.leaked[number] + CONN["timer"]
        scene.point(head, node)
        scene.point(node + 8, head)
    for number, name in ((6, "kmalloc_users"), (7, "pages_of_conn")):
        holder = scene.heap._arena.variable(name)
        scene.point(holder, scene.leaked[number])
    return scene.done()


def broken_list() -> FakeCrash:
    """A list that a stray write has cut: one neighbour points back."""
    scene = Scene((1, 2, 3, 4))
    scene.ring(scene.variables["last_conn"], scene.leaked)
    scene.point(scene.leaked[2] + CONN["list"] + 8, scene.owner.object(1))
    return scene.done()


def absent() -> FakeCrash:
    """The leaked objects' page is not in the dump."""
    scene = Scene((1, 2))
    fake = scene.done()
    fake.image.unmap(scene.slab.object(2), 64)
    return fake


def one_stack() -> FakeCrash:
    """All were allocated by one stack, and there is no living cache to compare with."""
    scene = Scene((1, 2, 3), tracked=True, twin=False)
    history = History(scene.heap)
    frame = scene.function("conn_open")
    handle = history.depot.add([frame + 8]) if history.by_handle else 0
    for index in (1, 2, 3):
        history.track(scene.slab, index, [frame + 8], ago=100 * 250, handle=handle)
    return scene.done()


def no_leftover() -> FakeCrash:
    """Every object is held, and no cache was left behind."""
    pages = Pages()
    slab = pages.heap.slab(pages.heap.cache("alone", 64), {1})
    pages.image.write(slab.object(1), bytes(64))
    pages.set(0, _refcount=1)
    pages.image.pointer(pages.start, slab.object(1))
    whole(pages)
    return FakeCrash(pages.heap.image)


def emptied() -> FakeCrash:
    """A leftover whose last object was freed since, and none of what it had is left."""
    scene = Scene((1,))
    scene.heap._give_back(scene.left, scene.leaked[0])
    return scene.done()


def unknown() -> FakeCrash:
    """A freelist that leaves its slab: the objects may be allocated or not."""
    scene = Scene((1, 2))
    page = scene.slab.page
    offset, size = scene.image.structs["slab"][1]["freelist"]
    scene.image.put(page + offset, size, 0xDEAD)
    return scene.done()


def owned() -> FakeCrash:
    """The allocator noted who allocated: two ways; of the fourth a time after the dump."""
    scene = Scene((1, 2, 3, 4), tracked=True)
    history = History(scene.heap)
    one, other = scene.function("conn_open"), scene.function("conn_accept")
    for index, frame, ago in ((1, one, 20), (2, one, 5000), (3, other, 200000)):
        history.track(scene.slab, index, [frame + 8, scene.function(f"caller_{index}")], ago=ago)
    history.track(scene.slab, 4, [other + 8], ago=-5000)
    for number, at in enumerate(scene.leaked):
        scene.conn(at, serial=7 + number, since=8, state=2)
    return scene.done()


def asked() -> FakeCrash:
    """One object of each fate, and a host that knows their structure: for every option."""
    scene = Scene((1, 2, 3))
    first, second, third = scene.leaked
    scene.point(scene.variables["last_conn"], first)
    scene.conn(second, serial=7, since=8, state=3)
    scene.empty(second)
    scene.conn(third, owner=False, state=1)
    fake = scene.done()
    members = {name: (at, 16 if name == "list" else 8) for name, at in CONN.items()}
    fake.image.structs["conn"] = (SIZE, members)
    fake.commands["struct"] = _struct_conn
    return fake


def _struct_conn(line: str) -> str:
    """crash's `struct` of a struct conn, or of one member; no other structure is known."""
    _, what, *rest = line.split()
    name, _, member = what.partition(".")
    if name != "conn":
        raise CrashError(f"struct: invalid data structure reference: {name}\n")
    if not rest:
        return f"struct conn {{\n}}\nSIZE: {SIZE}\n"
    if member:
        return f"  {member} = 0x1,\n"
    return f"struct conn {{\n  serial = 0x{rest[0]}\n}}\n\n"


def log_in_a_file() -> FakeCrash:
    """The dump's log has the boot's first lines only; dmesg.txt has the report, too."""
    scene = Scene()
    scene.image.log = "\n".join(_boot_and_report(scene).splitlines()[:3]) + "\n"
    return scene.done()


def _boot_and_report(scene: Scene) -> str:
    report = _report(scene.slab, scene.left)
    return f"[    0.000000] {logs.BOOT}\n[    0.100000] conn: one\n[    0.200000] two\n{report}"


FILES: Dict[str, Callable[[], str]] = {
    "dmesg.txt": lambda: _boot_and_report(Scene()),
    "qemu": lambda: "KDUMP   " + "\0" * 8192,
}
"""What a line can name: file -> what is in it."""

SCENES: Dict[str, Callable[[], FakeCrash]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        freed_late,
        called_back,
        still_listed,
        held,
        perhaps_held,
        until_grace,
        held_by_handle,
        never_written,
        never_written_perhaps,
        zeroes,
        no_head,
        taken_off,
        never_linked,
        off_the_list,
        off_the_list_unchanged,
        off_the_list_or_recycled,
        not_set_up,
        held_by_freed,
        lost_with_others,
        lost,
        in_use,
        paths,
        merged,
        log_differs,
        log_of_another,
        crowd,
        broken_list,
        absent,
        one_stack,
        no_leftover,
        emptied,
        unknown,
        owned,
        asked,
        log_in_a_file,
    )
}
"""Folder -> what builds its kernel."""
