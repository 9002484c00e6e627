# SPDX-License-Identifier: GPL-3.0-or-later
"""What are the words of an object? List nodes, tree nodes, pointers, poison, text, numbers.

Only what memory confirms is annotated: a list node is "linked" because both neighbours point
back to it. What nothing speaks for stays unsaid. Never raises on bad memory.
"""

from __future__ import annotations

import errno
import re
import sys
from array import array
from functools import cached_property
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.contents.rings import BROKEN, CHAIN, RING, Rings, describe
from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.pages import Memory
from crash_ext.places.place import PAGE, Place, plus
from crash_ext.places.places import Places

LIST_EMPTY = "list empty"
"""A struct list_head that points to itself: an empty list, or a node on no list."""
LIST_LINKED = "list linked"
"""A struct list_head whose neighbours both point back."""
LIST_BROKEN = "list broken"
"""One neighbour points back, the other doesn't. Not said of an object's first words: to its
start others point, too."""
LIST_DELETED = "list deleted"
"""Poisoned by list_del(), hlist_del() or their _rcu forms."""
HLIST_LINKED = "hlist linked"
"""A struct hlist_node: *pprev points to it, and next, if there's one, points back. Without
a next the evidence is thin, and the text has a question mark."""
HLIST_HEAD = "hlist head"
"""A struct hlist_head (one word): its first node points back, and the nodes end in NULL. Not
said of an object's first word."""
RB_LINKED = "rb linked"
"""A struct rb_node: it's its children's parent and its parent's child, as that one is, too."""
RB_CLEAR = "rb clear"
"""RB_CLEAR_NODE(): its parent is itself."""
POINTER = "pointer"
"""To word.target."""
OWN = "own"
"""A pointer into the same object."""
POISON = "poison"
ERROR = "error"
"""ERR_PTR() or a negative errno: -4095 to -2."""
TEXT = "text"
NUMBER = "number"
JIFFIES = "jiffies"
"""Near the dump's jiffies: perhaps a time."""
ZERO = "zero"

_POISONS = {
    0x6B: "freed",
    0x5A: "not yet written",
    0xCC: "red zone, allocated",
    0xBB: "red zone, free",
}
"""include/linux/poison.h: POISON_FREE, POISON_INUSE, SLUB_RED_ACTIVE, SLUB_RED_INACTIVE."""
_POISON_END = 0xA5
_POISON_TEXT = {0x6B, 0x5A}

_LIST_POISONS = ((0x100, 0x122), (0x100, 0x200), (0x00100100, 0x00200200))
"""LIST_POISON1 and LIST_POISON2 above an architecture's base: since v5.3, v4.3, and before."""
_POISON_BASES = {4: (0,), 8: (0xDEAD000000000000, 0x5DEADBEEF0000000)}
"""Word size -> CONFIG_ILLEGAL_POINTER_VALUE: x86-64, arm64, s390x, riscv64; ppc64. Without one
the poison is two small numbers: on 64-bit machines (mips64) taken for just that."""

_SURE = 1 << 32
"""Without a base the second poison alone is just a small number."""

_LOW = 1 << 40
"""Where memory is mapped to its physical addresses (s390x), any number below is an address:
of those a pointer is aligned, and to more than just some page."""

MAX_ERRNO = 4095
_SMALL = 1 << 16
_NAMED_ERRORS = 34
"""Up to here an errno is the same on every architecture."""
_NEAR = 1 << 27
"""Ticks from jiffies: 1.5 days at 1000 HZ, 6 at 250."""
_FAR = 1 << 31
"""Ticks from jiffies: no timer's time is farther away."""
_LONG_TEXT = 8
_SHOWN_TEXT = 64
_TEXT = re.compile(rb"[\x20-\x7e]{4,}")


def second_poisons(word: int) -> Set[int]:
    """LIST_POISON2 of every kernel with words of that size."""
    return {base + second for base in _POISON_BASES[word] for _, second in _LIST_POISONS}


class Word(NamedTuple):
    """One or more words of an object, and what they are."""

    offset: int
    """From the object's start."""
    size: int
    """Bytes: list and tree nodes and text take more than one word."""
    kind: str
    """One of the constants above."""
    text: str
    """In words; names in it are the dump's: report/text.visible() them."""
    value: int
    """The first word's value."""
    target: Optional[Place] = None
    """What it points to."""
    member: str = ""
    """What C names it, where the object's structure is known (naming.py): "d_lru.next"."""


Shape = Tuple[int, int, str]
"""(index of the first word, words, kind)"""


class Words:
    """Explains the words of one kernel's objects. Reads nothing before it's asked."""

    def __init__(self, places: Places) -> None:
        reader = places.session.reader
        self.places = places
        self.word = reader.word
        self.byteorder = reader.byteorder
        self.memory = Memory(reader)
        self.rings = Rings(places, self.memory, reader.word)
        self._aligned = reader.word if reader.word == 8 else 1
        bases = _POISON_BASES[reader.word]
        self.first_poison = {base + first for base in bases for first, _ in _LIST_POISONS}
        self._second_poison: Dict[int, int] = {
            base + second: base + first for base in bases for first, second in _LIST_POISONS
        }
        self._patterns = _patterns(reader.word)
        self._marks = {*self._patterns, *self.first_poison}
        self._wrap = 1 << 8 * reader.word
        self.telling = array("Q", sorted({*self._marks, *self._second_poison}))
        """Values that are no addresses and yet say something: poison of all kinds."""
        self.native = reader.native
        self.foreign = reader.byteorder != sys.byteorder
        """Words have their bytes in the other order than this machine's."""

    @cached_property
    def lowest(self) -> int:
        """No address of the kernel is lower."""
        return lowest_address(self.places)

    @cached_property
    def _jiffies(self) -> int:
        """0 where that can't be read."""
        return read_symbol_number(self.places.session.reader, "jiffies", self.word) or 0

    def explain(self, address: int, data: bytes) -> List[Word]:
        """What the words of data are, which lies at an address. Ascending, never overlapping.

        A word that nothing is known of is left out.
        """
        return _Object(self, address, data).explain()

    # shapes ---------------------------------------------------------------------------

    def shapes(self, address: int, values: Sequence[int], whole: int) -> List[Shape]:
        """The nodes, patterns and addresses among the first `whole` words of an object.

        Ascending, never overlapping. POINTER is given for every word that may be an address.
        """
        found: List[Shape] = []
        lowest, marks, second_poison = self.lowest, self._marks, self._second_poison
        end = address + len(values) * self.word
        at = 0
        while at < whole:
            value = values[at]
            if value < lowest and value not in marks:
                # NULL or an odd number may be the next of a last hlist_node, and 1 the parent
                # of a black root.
                more = () if value and not value & 1 else values[at + 1 : min(at + 3, whole)]
                if not any(other >= lowest or other in second_poison for other in more):
                    at += 1
                    continue
            kind, count = self._shape(address, values, at, whole)
            if not count and value >= lowest and not (value < _LOW and value % self._aligned):
                kind, count = (OWN if address <= value < end else POINTER), 1
            if count:
                found.append((at, count, kind))
            at += count or 1
        return found

    def _shape(self, start: int, values: Sequence[int], at: int, whole: int) -> Tuple[str, int]:
        """(kind, words) of the node or the pattern that starts at a word; 0 for none."""
        value, here = values[at], start + at * self.word
        if value in self._patterns:
            return POISON, 1
        second = values[at + 1] if at + 1 < whole else 0
        if second:
            if self.deleted(value, second):
                # A timer that ended has poison in its link, too, whatever lies before it.
                return ("", 0) if self._ended_timer(values, at, whole) else (LIST_DELETED, 2)
            kind = self.node(here, value, second)
            if kind:
                return kind, 2
        if at + 2 < whole and self.tree(here, value, second, values[at + 2]):
            return RB_LINKED, 3
        if second and self.last(here, value, second):
            return HLIST_LINKED, 2
        if value == here:
            return RB_CLEAR, 1
        # To an object's start point others than its neighbours, too.
        return self.half(here, value, second) if at else ("", 0)

    # one word -------------------------------------------------------------------------

    def pattern(self, value: int) -> str:
        """What a word says that is a POISON."""
        return self._patterns[value]

    def plain(self, value: int, size: int) -> Optional[Tuple[str, str]]:
        """(kind, text) of a word that is no pointer, None where nothing is known of it."""
        if value == 0:
            return ZERO, "0"
        if value < _SMALL:
            return NUMBER, str(value)
        if size < self.word:
            return None
        negative = self._wrap - value
        if 1 < negative <= MAX_ERRNO:
            name = errno.errorcode.get(negative) if negative <= _NAMED_ERRORS else None
            return ERROR, f"error -{negative}" + (f" ({name})" if name else "")
        if negative < _SMALL:
            return NUMBER, f"-{negative}"
        if self.word == 8:
            low, high = _small(value & 0xFFFFFFFF), _small(value >> 32)
            if low is not None and high is not None:
                first, second = (low, high) if self.byteorder == "little" else (high, low)
                return NUMBER, f"{first}, {second}"
            if low is not None:
                return None
        if self._jiffies:
            ticks = value - self._jiffies
            if abs(ticks) <= (_NEAR if self.word == 8 else _NEAR >> 7):
                return JIFFIES, f"perhaps jiffies{ticks:+d}" if ticks else "perhaps jiffies"
        return None

    def target(self, value: int) -> Optional[Place]:
        """What a word points to, None where it's no pointer."""
        if value < self.lowest:
            return None
        place = self.places.name(value)
        if place is not None and place.kind == PAGE and value < _LOW and self.word == 8:
            return None
        return place

    # nodes ----------------------------------------------------------------------------

    def deleted(self, first: int, second: int) -> bool:
        """Whether two words are those of a list_head or hlist_node after a deletion."""
        if second not in self._second_poison:
            return False
        if first == self._second_poison[second]:
            return True
        # The _rcu forms leave next as it was: in a last node it is the list's end.
        return second >= _SURE and (self._is_end(first) or self.target(first) is not None)

    def _ended_timer(self, values: Sequence[int], at: int, whole: int) -> bool:
        """Whether the poison is that of a timer_list whose timer fired or was deleted.

        kernel/time/timer.c, detach_timer(): entry.next is LIST_POISON2 and pprev NULL; with a
        list_head (up to v4.1) next is NULL and prev is LIST_POISON2.
        """
        if self._timer is None or values[at] in self.first_poison:
            return False
        for entry, zero in ((at + 1, at + 2), (at, at)):
            called = entry + self._timer
            # A node before a pointer to somebody's data is no timer.
            if called >= whole or values[zero] or not self._may_be_time(values[entry + 2]):
                continue
            if self.places.function(values[called]) or self.places.was_code(values[called]):
                return True
        return False

    def _may_be_time(self, value: int) -> bool:
        """Whether a number may be the time of a timer."""
        return not self._jiffies or abs(value - self._jiffies) < _FAR

    @cached_property
    def _timer(self) -> Optional[int]:
        """Words from a timer_list's link to its function."""
        reader = self.places.session.reader
        entry = reader.offset("timer_list", "entry")
        function = reader.offset("timer_list", "function")
        return None if entry is None or function is None else (function - entry) // self.word

    def node(self, at: int, first: int, second: int) -> str:
        """The kind of the list node {first, second} at an address; "" if it's no whole one."""
        word, read = self.word, self.memory.word
        if first == at and second == at:
            return LIST_EMPTY
        if first < self.lowest or second < self.lowest:
            return ""
        if read(first + word) != at or read(second) != at:
            return ""
        return HLIST_LINKED if self.rings.of(at).kind == CHAIN else LIST_LINKED

    def last(self, at: int, first: int, second: int) -> bool:
        """Whether {first, second} at an address may be the last struct hlist_node of a list."""
        return self._is_end(first) and second >= self.lowest and self.memory.word(second) == at

    def _is_end(self, following: int) -> bool:
        """Whether that ends an hlist: NULL, or the odd number that ends a hlist_nulls list."""
        return following == 0 or bool(following & 1 and following < self.lowest)

    def half(self, at: int, first: int, second: int) -> Tuple[str, int]:
        """(kind, words) of what only one neighbour points back to; 0 for nothing."""
        word, read = self.word, self.memory.word
        if first < self.lowest:
            return "", 0
        back = read(first + word)
        forth = read(second) if second >= self.lowest else None
        if forth == at and back is None and self.places.freed_vmalloc(first):
            return LIST_BROKEN, 2
        if back == at:
            kind = self.rings.of(first).kind
            if kind == CHAIN:
                return HLIST_HEAD, 1
            broken = kind in (BROKEN, RING) and (
                forth is not None or self.places.freed_vmalloc(second) is not None
            )
        else:
            broken = forth == at and back is not None
        return (LIST_BROKEN, 2) if broken else ("", 0)

    def tree(self, at: int, first: int, right: int, left: int) -> bool:
        """Whether the words {first, right, left} at an address are a struct rb_node."""
        read, parent = self.memory.word, first & ~3
        children = [child for child in (right, left) if child]
        for child in children:
            found = None if child < self.lowest else read(child)
            if found is None or found & ~3 != at:
                return False
        if not parent:
            # The root is black, and told only by its children.
            return first == 1 and bool(children)
        if parent < self.lowest or at not in self._children(parent):
            return False
        # The parent has to be a node, too: objects point to each other in many ways.
        above = read(parent)
        if above is None or above & ~3 == at:
            return False
        return above == 1 or parent in self._children(above & ~3)

    def _children(self, node: int) -> Tuple[Optional[int], Optional[int]]:
        """rb_right and rb_left of a struct rb_node *."""
        read = self.memory.word
        return read(node + self.word), read(node + 2 * self.word)


class _Object:
    """The explanation of one object."""

    def __init__(self, words: Words, address: int, data: bytes) -> None:
        self._words = words
        self._address = address
        self._data = data
        size = words.word
        self._values: List[int] = [
            int.from_bytes(data[at : at + size], words.byteorder)
            for at in range(0, len(data), size)
        ]
        self._whole = len(data) // size
        self._found: List[Word] = []

    def explain(self) -> List[Word]:
        words, size = self._words, self._words.word
        taken: Set[int] = set()
        for at, count, kind in words.shapes(self._address, self._values, self._whole):
            if self._structure(at, count, kind):
                taken.update(range(at, at + count))
        self._texts(taken)
        for at, value in enumerate(self._values):
            if at in taken:
                continue
            length = min(size, len(self._data) - at * size)
            plain = words.plain(value, length)
            if plain is not None:
                self._add(at, length, plain[0], plain[1])
        self._found.sort(key=lambda word: word.offset)
        return self._found

    def _add(
        self, at: int, size: int, kind: str, text: str, target: Optional[Place] = None
    ) -> None:
        offset = at * self._words.word
        self._found.append(Word(offset, size, kind, text, self._values[at], target))

    def _structure(self, at: int, count: int, kind: str) -> bool:
        """Put a shape into words; False for a POINTER that is none."""
        words, value, size = self._words, self._values[at], self._words.word
        target: Optional[Place] = None
        if kind == POISON:
            text = words.pattern(value)
        elif kind == LIST_DELETED:
            rcu = "" if value in words.first_poison else " (RCU)"
            text, target = f"deleted list node{rcu}", words.target(value)
        elif kind == RB_LINKED:
            target = words.target(value & ~3)
            text = f"rb_node, linked: parent in {target.text}" if target else "rb_node, the root"
        elif kind == HLIST_HEAD:
            target = words.target(value)
            nodes = words.rings.of(value).nodes
            text = "hlist_head, " + ("1 node" if nodes == 1 else f"{nodes} nodes")
        elif kind == RB_CLEAR:
            text = "points to itself: a cleared rb_node?"
        elif kind == OWN:
            text = f"this object{plus(value - self._address)}"
        elif kind == POINTER:
            target = words.target(value)
            if target is None:
                return False
            text = target.text
        else:
            text, target = self._list(at, kind)
        self._add(at, count * size, kind, text, target)
        return True

    def _list(self, at: int, kind: str) -> Tuple[str, Optional[Place]]:
        """(text, next's place) of a LIST_EMPTY, LIST_LINKED, LIST_BROKEN or HLIST_LINKED."""
        words, size = self._words, self._words.word
        address = self._address + at * size
        first, second = self._values[at], self._values[at + 1]
        if kind == LIST_EMPTY:
            return "list_head, empty", None
        target = words.target(first)
        if kind == LIST_BROKEN:
            read = words.memory.word
            back, forth = read(first + size), read(second)
            if back != address:
                return f"list_head, broken: next {hexa(first)} has prev {hexa(back or 0)}", target
            return f"list_head, broken: prev {hexa(second)} has next {hexa(forth or 0)}", target
        if first < words.lowest:
            # One pointer back alone: two objects that point to each other look like it.
            return "hlist_node? linked, the last", None
        ring = words.rings.of(address)
        name = "list_head" if ring.kind == RING else "list node"
        if kind == HLIST_LINKED:
            name = "hlist_node"
        return f"{name}, linked: {describe(ring)}", target

    def _texts(self, taken: Set[int]) -> None:
        """Text in what no pointer or node has taken; words that it touches are its own."""
        size = self._words.word
        free = bytearray(self._data)
        for at in taken:
            free[at * size : (at + 1) * size] = bytes(len(free[at * size : (at + 1) * size]))
        for match in _TEXT.finditer(free):
            start, end = match.span()
            if set(match.group()) <= _POISON_TEXT:
                # Poison that is partly overwritten.
                continue
            if start % 4 and end - start < _LONG_TEXT:
                # Members that hold text are aligned; this is chance.
                continue
            if any(at in taken for at in range(start // size, -(-end // size))):
                # Two texts in one word: the first has it.
                continue
            taken.update(range(start // size, -(-end // size)))
            text = f'"{match.group()[:_SHOWN_TEXT].decode("ascii")}"'
            if end - start > _SHOWN_TEXT:
                text += f".. ({end - start} bytes)"
            value = self._values[start // size]
            self._found.append(Word(start, end - start, TEXT, text, value))


def _small(value: int) -> Optional[int]:
    """A 32-bit number that is small, as a signed one; None for any other."""
    if value < _SMALL:
        return value
    return value - (1 << 32) if (1 << 32) - value < _SMALL else None


def lowest_address(places: Places) -> int:
    """No address of the kernel is lower, and no small number is an address."""
    starts = [
        places.session.reader.phys_to_virt(0) or 0,
        places.image.start,
        places.modules.regions.span[0],
        places.vmalloc.areas.span[0],
    ]
    known = [start for start in starts if start]
    return max(_SMALL, min(known, default=0))


def _patterns(word: int) -> Dict[int, str]:
    found: Dict[int, str] = {}
    for byte, what in _POISONS.items():
        found[int.from_bytes(bytes([byte]) * word, "big")] = f"poison {byte:02x}: {what}"
    freed = bytes([0x6B]) * (word - 1)
    for data in (freed + bytes([_POISON_END]), bytes([_POISON_END]) + freed):
        found[int.from_bytes(data, "big")] = "poison 6b: freed, its end"
    return found
