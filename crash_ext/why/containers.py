# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of thing holds an object: an XArray, a maple tree, a mempool's reserve, a chain.

Told by the pointers on the way to the object and by what lies around them, never by the
way alone: where nothing speaks for a structure, the way is all that is said. Neighbours in
a tree or a chain hold nothing: named is what has the root.
"""

from __future__ import annotations

from functools import cached_property
from typing import Callable, Dict, List, Optional, Set, Tuple

from crash_ext.contents.callbacks import BY_RCU, SRCU, Callback, Callbacks
from crash_ext.hexa import hexa
from crash_ext.kernel.kernfs import kernfs_path
from crash_ext.kernel.kfreercu import given_to_kfree_rcu
from crash_ext.kernel.memory import read_string, try_number
from crash_ext.kernel.tasks import Task
from crash_ext.places.place import (
    MODULE,
    OBJECT,
    SYMBOL,
    words_of,
)
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import IN_USE, Step
from crash_ext.reader import ReadError
from crash_ext.report.text import text_of
from crash_ext.why.areas import Areas
from crash_ext.why.case import Case, Held, Subject
from crash_ext.why.kernelobjects import KernelObjects
from crash_ext.why.notifiers import Notifiers
from crash_ext.why.phrases import is_kin
from crash_ext.why.slots import FIFO, POOL, Slots

NODES = {"radix_tree_node": "", "maple_node": "a maple tree"}
"""Caches of the nodes of trees that point to whatever is in them."""
# include/linux/idr.h: ROOT_IS_IDR; include/linux/xarray.h: XA_FLAGS_TRACK_FREE is the same bit.
_IS_IDR = 4
_GFP = 0x007FFFC0
"""Bits of xa_flags that only a radix tree has: its gfp mask."""
_DEAD = 1
"""lib/klist.c, KNODE_DEAD: the low bit of klist_node.n_klist."""
_DEEPEST = 128
"""Levels of an rb tree at most: twice the logarithm of its nodes."""
_MOST = 1 << 16
"""Entries of a kset at most."""
_MAPLE = -1 << 8
"""lib/maple_tree.c, MAPLE_NODE_MASK: a node is aligned to 256 bytes."""


IN_KLIST = "in a klist"
IN_KERNFS = "of sysfs or another kernfs"


class Containers:
    """Names what holds objects of one kernel."""

    def __init__(
        self,
        places: Places,
        callbacks: Callbacks,
        blocks: Blocks,
        path_to: Callable[[int], List[Step]] = lambda address: [],
    ) -> None:
        """path_to: the pointers that lead to the object which an address lies in."""
        self._path_to = path_to
        self._by_address: Tuple[Optional[Case], Dict[int, Subject]] = (None, {})
        self._places = places
        self._blocks = blocks
        self._callbacks = callbacks
        self._slots = Slots(places.session.reader, callbacks)
        self._own = KernelObjects(places)
        self.areas = Areas(places, blocks)
        """Names pages and areas of vmalloc()."""
        self._chains = Notifiers(places, callbacks, blocks)
        self._on_lists: Dict[int, Set[int]] = {}
        """Head of a kset's list -> the nodes on it."""
        self._reader = places.session.reader

    def name(self, case: Case, subject: Subject, held: Optional[Held]) -> str:
        """Who holds an object, as "in an XArray at …": "" where only the way is known."""
        path = subject.path
        if not path or self.note_given(subject):
            return ""
        subject.freed_by = self._freed_by(path)
        if subject.freed_by:
            return ""
        chain = self._kset(subject) or self._klist(subject) or self._notifiers(subject, held)
        if chain:
            return chain
        last = path[-1]
        tree = self._tree(path) or self._task(last) or self._kernfs(last)
        tree = tree or self._kernels_own(case, path)
        if tree:
            return tree
        table = self._rhashtable(path) or self._rb_tree(case, subject)
        if table:
            return table
        slot = self._slot(path)
        if slot:
            return slot
        kept = self._kept_by_callback(path) or self._kept_by_notifier(path)
        return kept or self.areas.name(subject)

    # --- trees of nodes ---

    def _tree(self, path: List[Step]) -> str:
        at = len(path) - 1
        kind = self._node_of(path, at)
        if kind is None:
            return ""
        while at and self._node_of(path, at) == kind:
            at -= 1
        what = NODES[kind] or self._array(path[at].holder)
        where = self._whole(path[at], self._to_nodes(kind)) + (self._led(path) if at else "")
        return f"in {what} at {where}"

    def _to_nodes(self, kind: str) -> int:
        """Where the tree's own structure has the pointer to its nodes."""
        heads = (("xarray", "xa_head"), ("radix_tree_root", "rnode"))
        found = [self._reader.offset(*head) for head in heads]
        if NODES[kind]:
            found = [self._offset_of_root]
        return next((offset for offset in found if offset is not None), 0)

    def _whole(self, step: Step, offset: int) -> str:
        """The place of the structure that has a step's pointer at an offset."""
        place, whole = step.place, self._places.name(step.holder - offset)
        same = whole is not None and place is not None and place.label == whole.label != ""
        return words_of(whole if same else place)

    def _node_of(self, path: List[Step], at: int) -> Optional[str]:
        """The cache of the node that a pointer lies in; None for another's object in that cache."""
        place = path[at].place
        if place is None or place.kind != OBJECT or place.label not in NODES:
            return None
        merged = place.cache is not None and place.cache.refcount > 1
        if merged and not (at and self._is_maple_node(place.object or 0, path[at - 1])):
            return None
        return place.label

    def _is_maple_node(self, node: int, above: Step) -> bool:
        """Whether an object knows what points to it as a maple node does: maple_node.parent.

        lib/maple_tree.c, mte_set_parent(), mas_root_expand(): the parent's address with its type
        and slot in the low byte; of the topmost node the maple_tree's, with the lowest bit.
        """
        parent, root = self._number(node, self._reader.word), self._offset_of_root
        if parent is None or not self._reader.struct_size("maple_node"):
            return False
        if parent & 1:
            return root is not None and parent - 1 + root == self._places.own_address(above.holder)
        inside = above.place is not None and above.place.label in NODES
        return inside and parent & _MAPLE == above.holder & _MAPLE

    @cached_property
    def _offset_of_root(self) -> Optional[int]:
        return self._reader.offset("maple_tree", "ma_root")

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

    def _rb_tree(self, case: Case, subject: Subject) -> str:
        """The rb tree that a node of the object is in, though another pointer was met first.

        By the node's parents, each of which has it as a child: rb_erase() leaves a node's own
        words. The tree's root is who points to the topmost node.
        """
        if self._by_address[0] is not case:
            self._by_address = (case, {each.address: each for each in case.subjects})
        for node in subject.trees:
            top = self._top(subject.address + node) if _is_tree(case, node) else None
            if top is None:
                continue
            for number, step in enumerate(subject.path):
                if (step.target + step.offset) & -4 == top:
                    return f"in an rb tree at {self._at(subject.path, number)}"
            first = self._by_address[1].get(top - node)
            for held in first.held if first is not None else ():
                place = held.place
                if held.value != top or held.worth != IN_USE or place is None:
                    continue
                if place.cache is not None and place.cache.address in case.kin:
                    continue
                path = self._path_to(held.holder) if place.kind == OBJECT else []
                subject.root = path[0].place if path else place
                return f"in an rb tree at {place.text}{self._led(path)}"
        return ""

    def _top(self, node: int) -> Optional[int]:
        """The topmost node of the tree that a node is in; None for one that isn't in any."""
        word = self._reader.word
        for _ in range(_DEEPEST):
            parent = (self._number(node, word) or 0) & -4
            if not parent:
                return node
            # struct rb_node: rb_right, rb_left behind the parent's address.
            if node not in (self._number(parent + at * word, word) for at in (1, 2)):
                return None
            node = parent
        return None

    # --- a hash table that grows ---

    def bucket_of(self, address: int) -> str:
        """The rhashtable in whose table a bucket lies, in words; "" where it's no such."""
        return self._rhashtable([*self._path_to(address), Step(address, None, 0, 0)])[3:]

    def _rhashtable(self, path: List[Step]) -> str:
        """The struct rhashtable whose table the way goes through, by its work's function."""
        reader = self._reader
        names = (("rhashtable", "tbl"), ("rhashtable", "run_work"), ("work_struct", "func"))
        offsets = [reader.offset(*name) for name in names]
        worker = reader.symbol("rht_deferred_worker")
        if worker is None or None in offsets:
            return ""
        table, work, function = (each or 0 for each in offsets)
        for number, step in enumerate(path[:-1]):
            if self._number(step.holder - table + work + function, reader.word) == worker:
                where = self._whole(step, table) + (self._led(path) if number else "")
                return f"in the rhashtable at {where}"
        return ""

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
        who = f"task {task.text}"
        if place.offset == self._reader.offset("task_struct", "blocked_on"):
            return f"by {who}, which waits for a mutex at +{step.offset:#x} of it"
        return f"by {who}, at +{place.offset:#x} of its task_struct"

    @cached_property
    def _tasks(self) -> Dict[int, Task]:
        return {task.address: task for task in self._places.tasks.by_stack.values()}

    # --- a file or a directory of sysfs ---

    def _kernfs(self, step: Step) -> str:
        """By kernfs_node.priv: the way to a node is by any of those below or beside it."""
        path = self._kernfs_path(step)
        return "" if path is None else f"by {text_of(path)} {IN_KERNFS}"

    def kernfs_folder(self, step: Step) -> str:
        """The folder of the kernfs node whose priv a pointer is, in words; "" where it's none."""
        path = self._kernfs_path(step)
        folder = b"/" if path is None else path.rpartition(b"/")[0] or b"/"
        return "" if path is None else f"entries in {text_of(folder)} {IN_KERNFS}"

    def _kernfs_path(self, step: Step) -> Optional[bytes]:
        place = step.place
        if place is None or place.kind != OBJECT or place.label != "kernfs_node_cache":
            return None
        if place.offset != self._reader.offset("kernfs_node", "priv"):
            return None
        return kernfs_path(self._reader, place.object or 0)

    # --- another of the kernel's own structures ---

    def _kernels_own(self, case: Case, path: List[Step]) -> str:
        """What has the object in its private word; and the module's variable that leads to that.

        A variable of the kernel's leads to many.
        """
        if is_kin(case, path[-1].place):
            return ""
        name, root = self._own.name(path[-1]), path[0].place
        return name + self._led(path) if name and root and root.kind == MODULE else name

    # --- a notifier chain ---

    def _notifiers(self, subject: Subject, held: Optional[Held]) -> str:
        """The chain that a notifier_block of the object is in."""
        if held is None:
            return ""
        return self._chains.chain_of(held.value, held.holder, subject.path[0].holder)

    def _kept_by_notifier(self, path: List[Step]) -> str:
        """By an object that is in such a chain: the way there is by those before it."""
        for step in reversed(path[:-1]):
            node = step.target + step.offset
            chain = self._chains.chain_of(node, step.holder, path[0].holder)
            if chain:
                return f"by {self._object_at(step.target)}, {chain}"
        return ""

    def _object_at(self, address: int) -> str:
        place = self._places.name(address)
        return f"an object of {place.label if place is not None else 'memory'}, {hexa(address)}"

    # --- an array with counters ---

    def _slot(self, path: List[Step]) -> str:
        """The array with counters that the last pointer lies in, if those count it."""
        last, own = path[-1].holder, self._places.own_address
        above = len(path) - 2
        found = self._slots.of(own(last), own(path[above].holder) if above >= 0 else 0)
        if found is None or not found.used:
            return ""
        inside = above < 0 or found.at != own(path[above].holder)
        where = words_of(self._places.name(found.start)) if inside else self._at(path, above)
        if found.kind == POOL:
            return f"in {POOL}, {hexa(found.start)}: {where}"
        return f"in {FIFO} at {where}"

    # --- a kset ---

    def _kset(self, subject: Subject) -> str:
        """The kset that a kobject of the object is in."""
        for offset in subject.memberships:
            found = self.kset_of(subject.address, offset)
            if found:
                entry = self._reader.offset("kobject", "entry") or 0
                name = self._reader.offset("kobject", "name") or 0
                subject.kobject_name = self._name(subject.address + offset - entry + name)
                return f"in {found}"
        return ""

    def kset_of(self, start: int, offset: int) -> str:
        """The kset whose list a node in an object is on: it says so, and the list has it.

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
        kset = self._number(start + offset - entry + owner, word) if offset >= entry else 0
        if not kset or start + offset not in self._nodes_on(kset + members):
            return ""
        # Both have a name and a type before they get there: else any list with an owner behind it
        # looks alike.
        kobjects = (kset + own, start + offset - entry)
        if not all(self._name(each + name) and self._has_type(each) for each in kobjects):
            return ""
        return f"the kset {self._name(kset + own + name)}, as a kobject at +{offset - entry:#x}"

    def _has_type(self, kobject: int) -> bool:
        """Whether a kobject's type is a variable, as far as its structure is known."""
        at = self._reader.offset("kobject", "ktype")
        value = None if at is None else self._number(kobject + at, self._reader.word)
        place = self._places.name(value) if value else None
        return at is None or (place is not None and place.kind in (SYMBOL, MODULE))

    def _name(self, at: int) -> str:
        """The text to which the word at an address points."""
        try:
            found = read_string(self._reader, self._number(at, self._reader.word) or 0) or b""
        except ReadError:
            return ""
        return text_of(found) if found.isascii() and text_of(found).isprintable() else ""

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

    def _nodes_on(self, head: int) -> Set[int]:
        """The nodes on the list of that head, as far as each leads back; each list is read once."""
        if head not in self._on_lists:
            at, word, found = head, self._reader.word, self._on_lists.setdefault(head, set())
            while len(found) < _MOST:
                following = self._number(at, word)
                back = self._number(following + word, word) if following else None
                if not following or following == head or back != at or following in found:
                    break
                found.add(following)
                at = following
        return self._on_lists[head]

    # --- what will be called back, and has the object ---

    def _kept_by_callback(self, path: List[Step]) -> str:
        """By an object that a timer, a work item or RCU will call a function of."""
        for at in reversed(range(len(path) - 1)):
            step = path[at]
            found = self._callback(path[: at + 1], step)
            if found is not None:
                waits = " (srcu_barrier() waits for that, not rcu_barrier())"
                return (
                    f"by {self._object_at(step.target)}, whose {found.kind} {found.function}"
                    f" is still to be called{waits if found.kind == SRCU else ''}"
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
        if found is None or not found.sure or (found.kind in BY_RCU and not chained):
            return None
        by_srcu = self._callbacks.by_srcu(path, step.target + step.offset)
        return found._replace(kind=SRCU) if by_srcu else found

    # --- what kfree_rcu() itself has ---

    @cached_property
    def _given(self) -> Dict[int, int]:
        return given_to_kfree_rcu(self._reader)

    def note_given(self, subject: Subject) -> bool:
        """Whether kfree_rcu() itself has an object, whatever leads to it else: noted there."""
        holder = self._given.get(subject.address)
        if holder is None:
            return False
        subject.kfree_rcu = True
        subject.path = [Step(holder, self._places.name(holder), subject.address, 0)]
        subject.freed_by = self._freed_by(subject.path)
        return True

    def _freed_by(self, path: List[Step]) -> str:
        """What on a way that begins with kfree_rcu()'s own is freed by it; "" for another way."""
        if path[0].target not in self._given:
            return ""
        given = [step.target for step in path if step.target in self._given][-1]
        place = self._places.name(given)
        return f"{'memory' if place is None else place.label} {hexa(given)}, given to kfree_rcu()"

    # --- words ---

    def _at(self, path: List[Step], at: int) -> str:
        """The place of a step's pointer, and the root of the way where that is another."""
        return words_of(path[at].place) + (self._led(path) if at else "")

    @staticmethod
    def _led(path: List[Step]) -> str:
        """What a way begins in, behind what it leads to."""
        root = path[0].place if path else None
        if root is None:
            return ""
        return f", to which {root.label if root.kind in (SYMBOL, MODULE) else root.text} leads"

    def _number(self, address: int, size: int) -> Optional[int]:
        return try_number(self._reader, address, size)


def _is_tree(case: Case, offset: int) -> bool:
    """Whether an object has a parent there: a root with one child is as good as an hlist_node."""
    return any(offset in s.trees and s.values.get(offset, 0) > 1 for s in case.subjects)
