# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of thing holds an object: an XArray, a maple tree, a mempool's reserve, a chain.

Told by the pointers on the way to the object and by what lies around them, never by the
way alone: where nothing speaks for a structure, the way is all that is said. Neighbours in
a tree or a chain hold nothing: named is what has the root.
"""

from __future__ import annotations

from functools import cached_property
from typing import Dict, Iterator, List, Optional, Set

from crash_ext.contents.callbacks import RCU, Callback, Callbacks
from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_string
from crash_ext.kernel.tasks import Task
from crash_ext.places.place import (
    MODULE,
    OBJECT,
    PAGE,
    PAGE_STRUCT,
    SYMBOL,
    VMALLOC,
    Place,
    words_of,
)
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import Step
from crash_ext.reader import ReadError
from crash_ext.report.text import text_of
from crash_ext.why.case import Case, Held, Subject

NODES = {"radix_tree_node": "", "maple_node": "a maple tree"}
"""Caches of the nodes of trees that point to whatever is in them."""
# include/linux/idr.h: ROOT_IS_IDR; include/linux/xarray.h: XA_FLAGS_TRACK_FREE is the same bit.
_IS_IDR = 4
_GFP = 0x007FFFC0
"""Bits of xa_flags that only a radix tree has: its gfp mask."""
_DEAD = 1
"""lib/klist.c, KNODE_DEAD: the low bit of klist_node.n_klist."""
_CHAIN = 64
"""Notifiers of a chain at most."""
_POOLS = ("mempool_s", "mempool")
"""By the DWARF of 7.3 the structure has the shorter name; 6.12 has the longer one."""
_MOST = 1 << 16
"""Elements of a mempool at most."""


IN_KLIST = "in a klist"
_CALLS = "in a notifier chain or the like"
"""Others have a function and a next, too: struct ftrace_ops."""


class Containers:
    """Names what holds objects of one kernel."""

    def __init__(self, places: Places, callbacks: Callbacks, blocks: Blocks) -> None:
        self._places = places
        self._blocks = blocks
        self._callbacks = callbacks
        self._reader = places.session.reader

    def name(self, case: Case, subject: Subject, held: Optional[Held]) -> str:
        """Who holds an object, as "in an XArray at …": "" where only the way is known."""
        path = subject.path
        if not path:
            return ""
        chain = self._kset(subject) or self._klist(subject) or self._notifiers(subject, held)
        if chain:
            return chain
        tree = self._tree(path) or self._task(path[-1])
        if tree:
            return tree
        last = path[-1]
        # A child has its parent's address with its own colour in the lowest bit.
        node = last.offset & -2
        if node in subject.trees and _is_tree(case, node):
            top = self._first_outside(case, path)
            return f"in an rb tree at {self._at(path, top)}"
        pool = self._mempool(path)
        if pool:
            return pool
        return self._kept_by_callback(path) or self._memory(subject)

    # --- trees of nodes ---

    def _tree(self, path: List[Step]) -> str:
        at = len(path) - 1
        kind = self._node_of(path[at])
        if kind is None:
            return ""
        while at and self._node_of(path[at]) == kind:
            at -= 1
        what = NODES[kind] or self._array(path[at].holder)
        return f"in {what} at {self._at(path, at)}"

    @staticmethod
    def _node_of(step: Step) -> Optional[str]:
        """The cache of the node that a pointer lies in; None where objects of others lie, too."""
        place = step.place
        if place is None or place.kind != OBJECT or place.label not in NODES:
            return None
        return None if place.cache is not None and place.cache.refcount > 1 else place.label

    def _array(self, head: int) -> str:
        """By struct xarray, which a radix tree is, too; before v4.20 there is none."""
        flags_at = self._reader.offset("xarray", "xa_flags")
        head_at = self._reader.offset("xarray", "xa_head")
        if flags_at is None or head_at is None:
            return "a radix tree or IDR"
        flags = self._number(head - head_at + flags_at, 4)
        if flags is None:
            return "an XArray, IDR or radix tree"
        if flags & _GFP:
            return "a radix tree"
        return "an IDR or XArray" if flags & _IS_IDR else "an XArray"

    def _first_outside(self, case: Case, path: List[Step]) -> int:
        """Which step has the pointer from outside of the cache."""
        at = len(path) - 1
        while at:
            place = path[at].place
            if place is None or place.cache is None or place.cache.address not in case.kin:
                break
            at -= 1
        return at

    # --- a task ---

    def _task(self, step: Step) -> str:
        """The task whose task_struct has the pointer: the way there by its PID says nothing.

        What a task waits for is in task_struct.blocked_on, where the kernel has that.
        """
        place = step.place
        if place is None or place.kind != OBJECT or place.label != "task_struct":
            return ""
        task = self._tasks.get(place.object or 0)
        if task is None:
            return ""
        who = f"task {task.pid} {text_of(task.comm)}"
        if place.offset == self._reader.offset("task_struct", "blocked_on"):
            return f"by {who}, which waits for a mutex at +{step.offset:#x} of it"
        return f"by {who}, at +{place.offset:#x} of its task_struct"

    @cached_property
    def _tasks(self) -> Dict[int, Task]:
        return {task.address: task for task in self._places.tasks.by_stack.values()}

    # --- a notifier chain ---

    def _notifiers(self, subject: Subject, held: Optional[Held]) -> str:
        """The chain that a notifier_block of the object is in, by what has its head.

        A function, a next and a priority are three words as others: another notifier has to be
        before or behind it.
        """
        next_at = self._reader.offset("notifier_block", "next")
        call_at = self._reader.offset("notifier_block", "notifier_call")
        if held is None or next_at is None or call_at is None:
            return ""
        function = self._function(held.value + call_at)
        if function is None:
            return ""
        following = self._number(held.value + next_at, self._reader.word)
        holder = self._places.own_address(subject.path[0].holder)
        above = self._function(self._places.own_address(held.holder) - next_at + call_at)
        if not above and not (following and self._function(following + call_at)):
            return ""
        for _ in range(_CHAIN):
            if self._function(holder - next_at + call_at) is None:
                where = words_of(self._places.name(holder))
                return f"{_CALLS}, for {function}: {where} has its head"
            # A notifier before it in the chain.
            found = self._blocks.variables_with(holder - next_at)
            if not found:
                break
            holder = found[0]
        return f"{_CALLS}, for {function}"

    def _function(self, at: int) -> Optional[str]:
        value = self._number(at, self._reader.word)
        return None if not value else self._callbacks.function(value)

    # --- a mempool's reserve ---

    def _mempool(self, path: List[Step]) -> str:
        """By struct mempool_s: the array of elements that the last pointer lies in."""
        reader, word = self._reader, self._reader.word
        offsets = [
            next(
                (at for at in (reader.offset(one, name) for one in _POOLS) if at is not None), None
            )
            for name in ("elements", "min_nr", "curr_nr", "alloc", "free")
        ]
        if len(path) < 2 or None in offsets or path[-1].place is None:
            return ""
        elements, least, current, allocates, frees = (each or 0 for each in offsets)
        pool = path[-2].holder - elements
        reserve, number = self._number(pool + least, 4), self._number(pool + current, 4)
        if reserve is None or number is None or not 0 < number <= reserve <= _MOST:
            return ""
        first = self._number(pool + elements, word) or 0
        if not first <= path[-1].holder < first + number * word:
            return ""
        if not all(self._function(pool + at) for at in (allocates, frees)):
            return ""
        return f"in the reserve of a mempool, {hexa(pool)}: {self._at(path, len(path) - 2)}"

    # --- a kset ---

    def _kset(self, subject: Subject) -> str:
        """The kset that a kobject of the object is in: it says so, and its list has it.

        On that list may be kobjects in objects of many kinds.
        """
        reader, word = self._reader, self._reader.word
        offsets = [
            reader.offset(struct, name)
            for struct, name in (
                *(("kobject", "entry"), ("kobject", "kset"), ("kset", "list")),
                *(("kset", "kobj"), ("kobject", "name")),
            )
        ]
        if None in offsets:
            return ""
        entry, owner, members, own, name = (each or 0 for each in offsets)
        for offset in subject.memberships:
            kset = subject.values.get(offset - entry + owner)
            if kset and self._is_on(kset + members, subject.address + offset):
                at = self._number(kset + own + name, word)
                try:
                    text = text_of(read_string(reader, at or 0) or b"")
                except ReadError:
                    text = ""
                return f"in the kset {text or hexa(kset)}, as a kobject at +{offset - entry:#x}"
        return ""

    def _klist(self, subject: Subject) -> str:
        """The struct klist that a klist_node of the object is in: it says so, and has the head."""
        reader = self._reader
        owner, link = reader.offset("klist_node", "n_klist"), reader.offset("klist_node", "n_node")
        members = reader.offset("klist", "k_list")
        if owner is None or link is None or members is None:
            return ""
        for offset, ring in subject.memberships.items():
            klist = subject.values.get(offset - link + owner, 0) & ~_DEAD
            if klist and klist + members == ring.at:
                return f"{IN_KLIST} at {words_of(self._places.name(klist))}"
        return ""

    def _is_on(self, head: int, node: int) -> bool:
        """Whether a node is on the list of that head."""
        at, word = head, self._reader.word
        for _ in range(_MOST):
            following = self._number(at, word)
            if following == node:
                return True
            if not following or following == head or self._number(following + word, word) != at:
                return False
            at = following
        return False

    # --- what will be called back, and has the object ---

    def _kept_by_callback(self, path: List[Step]) -> str:
        """By an object that a timer, a work item or RCU will call a function of."""
        for at in reversed(range(len(path) - 1)):
            step = path[at]
            found = self._callback(path[: at + 1], step)
            if found is not None:
                holder = self._places.name(step.target)
                what = holder.label if holder is not None else "memory"
                return (
                    f"by an object of {what}, {hexa(step.target)}, whose {found.kind}"
                    f" {found.function} is still to be called"
                )
        return ""

    def _callback(self, path: List[Step], step: Step) -> Optional[Callback]:
        place = self._places.name(step.target)
        if place is None or place.cache is None:
            return None
        data = self._reader.try_read(step.target, place.cache.object_size)
        if data is None:
            return None
        found = self._callbacks.at(step.target, data, step.offset)
        chained = self._callbacks.in_rcu_chain(path, step.target + step.offset)
        if found is None or not found.sure or (found.kind == RCU and not chained):
            return None
        return found

    # --- memory without a name ---

    def memory_of(self, step: Step) -> str:
        """Who has the page or the area in which a way begins; "" where that isn't known."""
        place = step.place
        if place is None or place.kind not in (PAGE, VMALLOC):
            return ""
        if self._is_kfree_rcu(step.holder):
            return "kfree_rcu(), until the end of a grace period"
        if self._is_percpu(step.holder):
            return "dynamic per-CPU memory"
        who = self._blocks.owner(step.holder, place)
        if who:
            return f"{'vmalloc area' if place.kind == VMALLOC else 'memory'} of {who.rstrip(',')}"
        before = self._blocks.before(step.holder, place)
        return f"memory from boot, behind what {before} points to" if before else ""

    def _memory(self, subject: Subject) -> str:
        """Pages and areas: by who has their address."""
        path = subject.path
        place = path[0].place
        if place is not None and place.kind == PAGE_STRUCT:
            return self._page_struct(path, place)
        if place is None or place.kind not in (PAGE, VMALLOC):
            return ""
        way = "" if len(path) == 1 else f" and {words_of(path[-1].place)}"
        if self._is_kfree_rcu(path[0].holder):
            freed = self._places.name(path[0].target)
            what = freed.label if freed is not None else "memory"
            subject.freed_by = f"{what} {hexa(path[0].target)}, given to kfree_rcu()"
            subject.kfree_rcu = path[0].target == subject.address
            return ""
        if self._is_percpu(path[0].holder):
            return f"by dynamic per-CPU memory, {place.text}{way}"
        who = self._blocks.owner(path[0].holder, place)
        if who:
            subject.keeper = who
            return f"by way of {place.text}{way}: {who} has that memory"
        before = self._blocks.before(path[0].holder, place)
        if before:
            return f"by way of {place.text}{way}, from boot, behind what {before} points to"
        subject.adrift = self._blocks.has_beginning(path[0].holder, place)
        return ""

    def _page_struct(self, path: List[Step], place: Place) -> str:
        """What a page structure says of its page, mostly page->private: who has that page?"""
        way = "" if len(path) == 1 else f" and {words_of(path[-1].place)}"
        who = self._blocks.owner(path[0].holder, place)
        return f"by {place.text}{way}" + (f": {who} has that page" if who else "")

    def _is_kfree_rcu(self, holder: int) -> bool:
        """Whether kfree_rcu() has noted there what it is to free.

        By the per-CPU struct kfree_rcu_cpu, which has each page of such notes or one before it
        in a chain: in no other way. Behind the last note are those of what was freed long ago.
        """
        reader, struct = self._reader, "kvfree_rcu_bulk_data"
        page = holder - holder % reader.page_size
        if page not in self._noted:
            return False
        first, count = reader.offset(struct, "records"), reader.offset(struct, "nr_records")
        if first is None or count is None:
            return True
        number = self._number(page + count, reader.word) or 0
        return first <= holder - page < first + number * reader.word

    @cached_property
    def _noted(self) -> Set[int]:
        return set(self._kfree_rcu_pages())

    def _kfree_rcu_pages(self) -> Iterator[int]:
        """The pages, without those that a CPU keeps for later, old notes and all."""
        reader = self._reader
        start, size = reader.symbol("krc"), reader.struct_size("kfree_rcu_cpu")
        following = reader.offset("kvfree_rcu_bulk_data", "next")
        if following is None:
            # In newer kernels a struct list_head: its head lies in the per-CPU structure.
            following = reader.offset("kvfree_rcu_bulk_data", "list")
        if start is None or not size or following is None:
            return
        for cpu in reader.possible_cpus():
            area = reader.percpu(start, cpu)
            data = None if area is None else reader.try_read(area, size)
            for at in range(0, len(data or b"") - reader.word + 1, reader.word):
                if at == reader.offset("kfree_rcu_cpu", "bkvcache"):
                    continue
                page: Optional[int] = int.from_bytes(
                    (data or b"")[at : at + reader.word], reader.byteorder
                )
                for _ in range(_CHAIN):
                    if not page or page % reader.page_size or not reader.virt_to_page(page):
                        break
                    yield page
                    page = self._number(page + following, reader.word)

    def _is_percpu(self, holder: int) -> bool:
        """Whether a page is one of alloc_percpu()'s: its structure has the struct pcpu_chunk."""
        reader = self._reader
        page, base = reader.virt_to_page(holder), reader.offset("pcpu_chunk", "base_addr")
        for member in ("index", "__folio_index"):
            at = reader.offset("page", member)
            if page is None or base is None or at is None:
                continue
            chunk = self._number(page + at, reader.word)
            first = self._number(chunk + base, reader.word) if chunk else None
            if first and self._places.vmalloc.areas.at(first) is not None:
                return True
        return False

    # --- words ---

    def _at(self, path: List[Step], at: int) -> str:
        """The place of a step's pointer, and the root of the way where that is another."""
        text = words_of(path[at].place)
        root = path[0].place
        if at and root is not None:
            text += f", to which {root.label if root.kind in (SYMBOL, MODULE) else root.text} leads"
        return text

    def _number(self, address: int, size: int) -> Optional[int]:
        try:
            return int.from_bytes(self._reader.read(address, size), self._reader.byteorder)
        except ReadError:
            return None


def _is_tree(case: Case, offset: int) -> bool:
    """Whether an object has a parent there: a root with one child is as good as an hlist_node."""
    return any(offset in s.trees and s.values.get(offset, 0) > 1 for s in case.subjects)
