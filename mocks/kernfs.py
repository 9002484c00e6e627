# SPDX-License-Identifier: GPL-3.0-or-later
"""/sys/kernel/slab beside a heap: a kset, its kernfs directory, entries in an rb tree.

It knows include/linux/kernfs.h and lib/kobject.c as far as names of slab caches lie there:
a directory for a cache, a link for a name that was merged into one.
"""

from __future__ import annotations

from typing import Dict, List

from mocks.annex import Annex
from mocks.heap import Heap
from mocks.model import Cache, Part
from mocks.structs import parse

_STRUCTS = {
    "rb_node": "__rb_parent_color:p rb_right:p rb_left:p",
    "kernfs_elem_dir": "subdirs:p children:p root:p",
    "kernfs_elem_symlink": "target_kn:p",
    # v6.0's order; dir and symlink are a union.
    "kernfs_node": "count:4 active:4 parent:p name:p rb:3p ns:p hash:4 dir@9p:3p symlink@9p:p"
    " priv@12p:p flags@13p:2 mode@13p+2:2",
    "kobject": "name:p entry:2p parent:p kset:p ktype:p sd:p kref:4",
    "kset": "list:2p list_lock:8 kobj:8p",
}
_DIR, _LINK = 1, 4


class SlabDirectory:
    """The directory, empty at first. The heap's kernel must have kobjects in its caches."""

    def __init__(self, heap: Heap) -> None:
        self._image = heap.image
        self._parts = heap.parts
        self._annex = Annex(self._image)
        for name, text in _STRUCTS.items():
            self._image.structs[name] = parse(text, self._image.word)
        self._kobject = heap.layout.structs["kmem_cache"][1]["kobj"][0]
        self.top = 0
        """The struct kernfs_node * at the top of the tree, once it is sorted."""
        self._names: Dict[int, bytes] = {}
        self.entries: List[int] = []
        """struct kernfs_node * of each entry."""
        kset = self._annex.take(self._image.sizeof("kset"))
        self._root = self._node(b"slab", _DIR)
        self._image.pointer(self._annex.variable("slab_kset"), kset)
        self._image.set("kobject", kset + self._image.offset("kset", "kobj"), sd=self._root)

    def directory(self, cache: Cache, name: bytes) -> int:
        """A cache's own directory: its struct kernfs_node *."""
        node = self._node(name, _DIR)
        self._image.set("kernfs_node", node, priv=cache.address + self._kobject)
        return self._add(node)

    def link(self, target: int, name: bytes) -> int:
        """A link to such a directory: its struct kernfs_node *."""
        node = self._node(name, _LINK)
        self._image.set("kernfs_node", node, symlink=target)
        return self._add(node)

    def sort(self) -> None:
        """The entries in the order that kernfs keeps: by the hashes of their names."""
        hashes = {node: self._hash(self._names[node]) for node in self.entries}
        for node, value in hashes.items():
            self._image.set("kernfs_node", node, hash=value)
        ordered = sorted(self.entries, key=lambda node: (hashes[node], self._names[node]))
        self.top = ordered[len(ordered) // 2]
        tree = self._root + self._image.offset("kernfs_node", "dir")
        self._image.set("kernfs_elem_dir", tree, children=self._halve(ordered))

    def _halve(self, ordered: List[int]) -> int:
        """The struct rb_node * of a tree of these entries, 0 for none."""
        if not ordered:
            return 0
        middle = len(ordered) // 2
        at = self.rb_node(ordered[middle])
        left, right = self._halve(ordered[:middle]), self._halve(ordered[middle + 1 :])
        self._image.set("rb_node", at, rb_left=left, rb_right=right)
        return at

    def _hash(self, name: bytes) -> int:
        """kernfs_name_hash() with ns NULL, by include/linux/stringhash.h and hash.h."""
        bits = 8 * self._image.word
        # GOLDEN_RATIO_64 and GOLDEN_RATIO_32.
        ratio = 0x61C8864680B583EB if bits == 64 else 0x61C88647
        value = 0
        for char in name:
            value = (value + char * 16 + char // 16) * 11 % (1 << bits)
        value = value * ratio % (1 << bits) // (1 << bits - 32) % (1 << 31)
        if value < 2:
            value += 2
        return min(value, (1 << 31) - 2)

    def rb_node(self, entry: int) -> int:
        """The struct rb_node * of an entry."""
        return entry + self._image.offset("kernfs_node", "rb")

    def cycle(self, entry: int) -> None:
        """Damages the tree: an entry's left child is the tree's root again."""
        self._image.set("rb_node", self.rb_node(entry), rb_left=self.rb_node(self.entries[0]))

    def _node(self, name: bytes, kind: int) -> int:
        node = self._annex.take(self._image.sizeof("kernfs_node"))
        self._names[node] = name
        self._parts.append(Part("alias", node, self._image.sizeof("kernfs_node")))
        # Flags above the type are set in any tree: KERNFS_ACTIVATED and KERNFS_NS here.
        self._image.set("kernfs_node", node, name=self._annex.string(name), flags=kind | 0x30)
        return node

    def _add(self, node: int) -> int:
        """Into the tree as a heap is: entry i has the children 2i+1 and 2i+2."""
        number = len(self.entries)
        self.entries.append(node)
        if number:
            side = "rb_left" if number % 2 else "rb_right"
            parent = self.rb_node(self.entries[(number - 1) // 2])
            self._image.set("rb_node", parent, **{side: self.rb_node(node)})
        else:
            tree = self._root + self._image.offset("kernfs_node", "dir")
            self._image.set("kernfs_elem_dir", tree, children=self.rb_node(node))
        return node
