# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of merged caches: who else uses a cache than the name it has.

kmem_cache.refcount counts the users of a merged cache, but only sysfs knows their names:
links in /sys/kernel/slab. Walks kernfs (v3.14 and later), or looks one name up in its
order; where there's none, or no CONFIG_SYSFS, no alias is known.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Set

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import LIST_BOUND, read_string, read_word
from crash_ext.kernel.structs import MissingMember, Struct, find_offset
from crash_ext.reader import Reader, ReadError

# include/linux/kernfs.h: enum kernfs_node_type. The enumerator isn't used, and so not in
# the debug information, of every kernel.
_KERNFS_LINK = 4
_DEEPEST = 128
"""More entries are on no way through a red-black tree to one of LIST_BOUND entries."""
_LARGEST_HASH = 0x7FFFFFFE
_GOLDEN_RATIO = {4: 0x61C88647, 8: 0x61C8864680B583EB}
"""GOLDEN_RATIO_32 and _64 of include/linux/hash.h, by the bytes of a word."""


class UnknownOrder(Exception):
    """The directory isn't in the order that is known: its entries have to be walked."""


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


def find_alias(reader: Reader, name: bytes) -> Optional[int]:
    """struct kmem_cache * that the link of this name is to; None where there is no such link.

    Reads some entries only. Raises UnknownOrder where these, too, aren't as they are to be.
    """
    tree = _Tree.of(reader)
    if tree is None:
        return None
    try:
        node = tree.find(name)
        return None if node is None else tree.linked_cache(node)
    except ReadError as error:
        raise UnknownOrder from error


class _Tree:
    """The directory /sys/kernel/slab in kernfs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._node = Struct(
            reader, "kernfs_node", ("name", "rb", "flags", "dir", "symlink", "priv"), ("ns", "hash")
        )
        self._link = Struct(reader, "rb_node", ("rb_left", "rb_right"))
        self._children = find_offset(reader, "kernfs_elem_dir", "children")
        self._target = find_offset(reader, "kernfs_elem_symlink", "target_kn")
        self._kobject = find_offset(reader, "kmem_cache", "kobj")
        self._directory = find_offset(reader, "kset", "kobj") + find_offset(reader, "kobject", "sd")

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

    def find(self, name: bytes) -> Optional[int]:
        """The struct kernfs_node of an entry, by the order that kernfs keeps.

        kernfs_sd_compare() in fs/kernfs/dir.c: by hash, namespace, name. Which hash a kernel
        uses no member tells: each entry on the way has to have the one of its name, and to
        lie where its order puts it. Raises UnknownOrder and ReadError.
        """
        if "hash" not in self._node or "ns" not in self._node:
            raise UnknownOrder
        wanted = name_hash(name, self._reader.word)
        ways = [(self._root(), 0, _LARGEST_HASH)]
        seen = 0
        while ways:
            at, low, high = ways.pop()
            if not at:
                continue
            seen += 1
            node = at - self._node.offset("rb")
            data = self._reader.read(node, self._node.span())
            hashed = self._node.value(data, "hash")
            own = read_string(self._reader, self._node.pointer(data, "name")) or b""
            if (
                seen > _DEEPEST
                or not low <= hashed <= high
                or self._node.pointer(data, "ns")
                or name_hash(own, self._reader.word) != hashed
            ):
                raise UnknownOrder
            if own == name:
                return node
            links = self._node.offset("rb")
            # Of one hash there may be several, on both sides.
            if wanted <= hashed:
                ways.append((self._link.pointer(data, "rb_left", links), low, hashed))
            if wanted >= hashed:
                ways.append((self._link.pointer(data, "rb_right", links), hashed, high))
        return None

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


def name_hash(name: bytes, word: int) -> int:
    """kernfs_name_hash() of a name in no namespace; word: bytes of an unsigned long.

    Seen so in the trees of 4.18 to 7.3: partial_name_hash() and end_name_hash() of
    include/linux/stringhash.h. Raises UnknownOrder for a name that isn't ASCII: whether
    a char is signed differs.
    """
    if not name.isascii():
        raise UnknownOrder
    bits = 8 * word
    mask = (1 << bits) - 1
    value = 0
    for byte in name:
        value = (value + (byte << 4) + (byte >> 4)) * 11 & mask
    value = (value * _GOLDEN_RATIO[word] & mask) >> (bits - 32)
    # 0, 1 and INT_MAX stand for something else.
    value &= 0x7FFFFFFF
    return min(value + 2 if value < 2 else value, _LARGEST_HASH)
