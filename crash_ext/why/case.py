# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a cache's leaked objects when the rules are asked: plain values.

gather.py fills it in, rules.py concludes. Reads nothing.
"""

from __future__ import annotations

from typing import Counter, Dict, List, NamedTuple, Optional, Set, Tuple

from crash_ext.contents.callbacks import Callback
from crash_ext.contents.idle import Idle
from crash_ext.contents.profile import Profile
from crash_ext.contents.words import Word
from crash_ext.places.place import MODULE, PERCPU, STACK, SYMBOL, Place
from crash_ext.reach.model import IN_USE, Step
from crash_ext.slub.model import Cache
from crash_ext.why.lists import Membership

POISON = "poison"
ZEROES = "zeroes"

OWN = "own"
"""The list_head of an object heads a list of its own: several of a kind are on it, or a task
waits there."""
ANOTHER = "another"
"""It's an entry on a list that another one heads, or that has none."""
UNTOLD = "untold"
"""It and another one lead to each other, and either may be the other's head; or its list has a
few entries of kinds that are as many."""


class Evidence(NamedTuple):
    """A statement, and the address that it rests on (0: none)."""

    topic: str
    """One word: state, log, twin, owner, age, list, reference, contents, type."""
    text: str
    address: int = 0


class Held(NamedTuple):
    """A pointer to an object, found in memory."""

    holder: int
    """Address of the pointer."""
    value: int
    """What it points to: the object's start, or a byte inside."""
    place: Optional[Place]
    """Where the pointer lies; None where that can't be named."""
    worth: str = IN_USE
    """What it is worth: one of reach/model.py's constants."""
    why: str = ""
    """What makes it no pointer in use."""
    callback: Optional[Callback] = None
    """The pending structure of the object that it points to: a timer, work, ..."""


class Trace(NamedTuple):
    """A word that is never zero in living objects."""

    constant: Optional[int]
    """The value that all of them have; None where they differ."""
    pointer: bool
    """It is an address in at least one of them."""
    small: bool = False
    """At least one of them has a small number, as an index or a count: 0 may be one, too."""
    pointers: bool = False
    """It is an address in all of them."""


class Kobject(NamedTuple):
    """A struct kobject in an object."""

    at: int
    """Where."""
    words: range
    """Where its pointers are."""
    node: range
    """Its list_head's words, for the kset that it is in."""
    kind: str
    """Its struct kobj_type *, in words."""
    release: str
    """That one's function, in words."""
    name: str
    references: int
    """Of its kref."""
    shown: bool
    """It has a node of sysfs."""


class Subject:
    """One allocated object."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.away = False
        """Its contents aren't in the dump."""
        self.blank: Optional[str] = None
        """POISON or ZEROES, where it holds nothing else."""
        self.untouched: Optional[bool] = None
        """The free pointer of when it was free stands in it, or not; None: that can't be told."""
        self.lists: Dict[int, str] = {}
        """Offset of a list_head -> its state, a kind of words.py."""
        self.memberships: Dict[int, Membership] = {}
        """Offset of a list_head -> the ring that it is on."""
        self.held: List[Held] = []
        """Who points to it, its neighbours on lists left out."""
        self.level: Optional[int] = None
        """What leads to it: reach/model.py's REACHED, MAYBE or UNREACHED; None: not asked."""
        self.path: List[Step] = []
        """The pointers that lead to it from memory in use, of some objects only."""
        self.root: Optional[Place] = None
        """What the way to it begins in; of very many objects, of one that is held alike."""
        self.container: str = ""
        """What kind of thing holds it, and where its root is: "in an XArray at ..."."""
        self.kobject_name = ""
        """Of one that a kset has by its kobject: that one's name."""
        self.keeper = ""
        """Who has the memory that the way begins in, where that memory has no name."""
        self.adrift = False
        """The way begins in memory without a name, and no variable has that one's address."""
        self.kfree_rcu = False
        """kfree_rcu() itself has it."""
        self.freed_by = ""
        """What leads to it and is freed at the end of a grace period, in words."""
        self.trees: List[int] = []
        """Offsets of nodes of rb trees."""
        self.unread: Set[int] = set()
        """Offsets where living objects have a node, and whose neighbours aren't in the dump."""
        self.hidden: str = ""
        """Held by something that is no pointer to it: what, in words."""
        self.inner: bool = False
        """Other objects that nothing leads to lead to it: it is lost with those."""
        self.leader = 0
        """Of an inner one: the object that nothing points to and that leads to it; 0 in a ring."""
        self.ring = False
        """It and others of the case, which nothing leads to either, lead to each other."""
        self.by_done = False
        """Of an inner one: all that leads to it looks like what RCU leaves of its callbacks."""
        self.done_at = 0
        """Where such a callback is, in the object."""
        self.bucket: Dict[int, str] = {}
        """Of a lost one: offset of the address of a bucket of a rhashtable -> that, in words."""
        self.passed: Dict[int, str] = {}
        """Of a lost one: offset of a node, of whose list nobody leads to it -> its head."""
        self.erased: Optional[int] = None
        """Of a lost one: offset of an rb_node whose neighbours don't lead back."""
        self.orphaned: Dict[int, str] = {}
        """Of a lost one: offset of a pointer to a module that was unloaded -> what is there now."""
        self.ends: Dict[int, Tuple[str, str]] = {}
        """Of a lost one: offset of a pointer to what is gone or lost itself -> kind, what."""
        self.addresses: Dict[int, str] = {}
        """Of a lost one: offset of the address of a function or variable -> its name."""
        self.alone: Dict[int, str] = {}
        """Of a lost one: offset of two words that are one address -> the cache it lies in."""
        self.was_before: Dict[int, str] = {}
        """Of a lost one: offset of a node that an _rcu form deleted -> the variable behind it."""
        self.kobject: Optional[Kobject] = None
        """Of a lost one: the first kobject in it."""
        self.cleared: Dict[int, bool] = {}
        """Of a lost one: offset of what looks like RB_CLEAR_NODE()'s -> a child is left in it."""
        self.idle: List[Idle] = []
        """Its timers and work items that are not pending; of one that nothing leads to."""
        self.values: Dict[int, int] = {}
        """Offset -> value of each aligned word."""
        self.halves: Dict[int, int] = {}
        """Offset -> value of each aligned 32-bit number."""


class Case:
    """A cache and its leaked objects."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.word = 8
        """Bytes of a pointer."""
        self.total = 0
        """Allocated objects."""
        self.subjects: List[Subject] = []
        """Those that were examined."""
        self.leaders: Dict[int, str] = {}
        """Address of an object that some were lost with -> what it is, in words."""
        self.counts: Dict[int, str] = {}
        """Offsets of counts of references -> type and name, where the objects' type is known."""
        self.struct = ""
        """That type."""
        self.no_nodes: Set[int] = set()
        """Offsets where an object has a number before what else is a node's poison."""
        self.unreadable = 0
        """Of those, whose contents aren't in the dump."""
        self.profile = Profile()
        self.red_zones = False
        """Red zones bear witness beside the freelist that an object is allocated."""
        self.uncleared = False
        """A new object may have what the last owner of its memory wrote."""
        self.twin_untouched = 0
        """Living objects in which the free pointer of when they were free stands."""
        self.twins: List[Cache] = []
        """Live caches of the same name."""
        self.kin: Set[int] = {cache.address}
        """struct kmem_cache * of it, its twins, and the memcg children: objects of one kind."""
        self.twin_profile = Profile()
        self.twin_traces: Dict[int, Trace] = {}
        """Offset -> what all living objects have in that word."""
        self.twin_numbers: Dict[int, int] = {}
        """Offset -> the small 32-bit number, not zero, that all living objects have there."""
        self.mixed = ""
        """Why living objects may be of other types than the leaked ones, in words: then what they
        have tells nothing, unless it is a list node in the same place."""
        self.twin_calls: Dict[int, Callback] = {}
        """Offset of a node that is the link of a pending timer, work, ... of living objects."""
        self.twin_heads: Dict[int, Counter[str]] = {}
        """Offset of a list_head -> of how many living objects it heads a list: OWN, ..."""
        self.twin_blank = 0
        """Of the living objects: hold nothing but zeroes or poison."""
        self.searched: Optional[str] = None
        """How much memory was searched for pointers to them; None: it wasn't."""
        self.incomplete = ""
        """What of memory could not be searched, in words."""
        self.live = False
        """The cache is in use: its own users may hold what looks lost."""
        self.samples: List[List[Word]] = []
        """The words of some of the objects, and of some twins."""
        self.freed_late: List[int] = []
        """Objects that the log lists and that are free now."""
        self.late_by_places = False
        """That the report is of this cache shows by where objects lie in their slabs alone."""
        self.emptied = False
        """It is a leftover, and holds no allocated object any more."""
        self.reported: int = 0
        """Objects that the log lists."""
        self.gone: int = 0
        """Objects that the log lists in slabs which the cache has no longer."""


_RANKS = (SYMBOL, MODULE, PERCPU, STACK)


def best_held(subject: Subject) -> Optional[Held]:
    """The pointer in use that tells most: in a variable, before one in an object."""
    in_use = [held for held in subject.held if held.worth == IN_USE]
    return min(in_use, key=_rank, default=None)


def _rank(held: Held) -> int:
    place = held.place
    if place is None:
        return len(_RANKS) + 1
    return _RANKS.index(place.kind) if place.kind in _RANKS else len(_RANKS)
