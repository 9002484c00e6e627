# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of merged caches: who else uses a cache than the name it has.

kmem_cache.refcount counts the users of a merged cache, but only sysfs knows their names:
links in /sys/kernel/slab. Walks kernfs (v3.14 and later); where there's none, or no
CONFIG_SYSFS, no alias is known.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Set

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import LIST_BOUND, read_string, read_word
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError

# include/linux/kernfs.h: enum kernfs_node_type. The enumerator isn't used, and so not in
# the debug information, of every kernel.
_KERNFS_LINK = 4


def find_aliases(reader: Reader, problems: List[str]) -> Dict[int, List[bytes]]:
    """struct kmem_cache * -> the names of links to it in /sys/kernel/slab, sorted.

    What can't be read goes to `problems`.
    """
    found: Dict[int, List[bytes]] = {}
    tree = _Tree.of(reader)
    if tree is None:
        return found
    for node in tree.for_each_child(problems):
        try:
            cache = tree.linked_cache(node)
            name = tree.name(node)
        except ReadError as error:
            problems.append(f"aliases: /sys/kernel/slab: {error}")
            continue
        if cache is not None and name is not None:
            found.setdefault(cache, []).append(name)
    return {cache: sorted(names) for cache, names in found.items()}


class _Tree:
    """The directory /sys/kernel/slab in kernfs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._node = Struct(
            reader, "kernfs_node", ("name", "rb", "flags", "dir", "symlink", "priv")
        )
        self._link = Struct(reader, "rb_node", ("rb_left", "rb_right"))
        self._children = _offset(reader, "kernfs_elem_dir", "children")
        self._target = _offset(reader, "kernfs_elem_symlink", "target_kn")
        self._kobject = _offset(reader, "kmem_cache", "kobj")
        self._directory = _offset(reader, "kset", "kobj") + _offset(reader, "kobject", "sd")

    @classmethod
    def of(cls, reader: Reader) -> Optional[_Tree]:
        """None where the kernel has no such directory, or another kind of sysfs."""
        if reader.symbol("slab_kset") is None:
            return None
        try:
            return cls(reader)
        except MissingMember:
            return None

    def for_each_child(self, problems: List[str]) -> Iterator[int]:
        """The struct kernfs_node of each entry that can be read."""
        reader = self._reader
        try:
            stack: List[int] = [self._root()]
        except ReadError as error:
            problems.append(f"aliases: /sys/kernel/slab: {error}")
            return
        seen: Set[int] = set()
        while stack:
            at = stack.pop()
            if not at:
                continue
            if at in seen or len(seen) >= LIST_BOUND:
                problems.append(f"aliases: /sys/kernel/slab: cycle at {hexa(at)}")
                continue
            seen.add(at)
            try:
                data = reader.read(at, self._link.span())
            except ReadError as error:
                problems.append(f"aliases: /sys/kernel/slab: {error}")
                continue
            stack += [self._link.pointer(data, "rb_left"), self._link.pointer(data, "rb_right")]
            yield at - self._node.offset("rb")

    def _root(self) -> int:
        """The topmost rb_node of the directory, 0 for none. Raises ReadError."""
        kset = read_word(self._reader, self._reader.symbol("slab_kset") or 0)
        if not kset:
            return 0
        directory = read_word(self._reader, kset + self._directory)
        return read_word(self._reader, directory + self._node.offset("dir") + self._children)

    def linked_cache(self, node: int) -> Optional[int]:
        """The cache that an entry is a link to; None for a directory. Raises ReadError."""
        data = self._reader.read(node, self._node.span())
        if not self._node.value(data, "flags") & _KERNFS_LINK:
            return None
        target = read_word(self._reader, node + self._node.offset("symlink") + self._target)
        kobject = read_word(self._reader, target + self._node.offset("priv"))
        return kobject - self._kobject if kobject else None

    def name(self, node: int) -> Optional[bytes]:
        """An entry's name. Raises ReadError."""
        return read_string(self._reader, read_word(self._reader, node + self._node.offset("name")))


def _offset(reader: Reader, struct: str, member: str) -> int:
    offset = reader.offset(struct, member)
    if offset is None:
        raise MissingMember(f"struct {struct} has no member {member}")
    return offset
