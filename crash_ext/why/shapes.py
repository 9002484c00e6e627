# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in lost objects that shows their state without a living one beside them.

A kobject out of sysfs with references left or none, a reference count that is saturated, an
rb_node that says itself that it is in no tree, an object that was hardly written. Knows the
kobject by its type, struct kobj_type, whose first function is one: release().
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from crash_ext.contents.words import LIST_DELETED, lowest_address
from crash_ext.kernel.memory import read_string, try_number
from crash_ext.places.place import OBJECT, words_of
from crash_ext.places.places import Places
from crash_ext.reach.model import UNREACHED
from crash_ext.reach.reach import Reach
from crash_ext.report.text import text_of
from crash_ext.why.case import Case, Kobject, Subject
from crash_ext.why.leaders import variable

TASK = "task "
_KREF = 4
"""sizeof(struct kref); the bits of the kobject's state follow."""
_IN_SYSFS = 2
_STATES = range(1, 32, 2)
"""state_initialized, state_in_sysfs and three more (include/linux/kobject.h): the first is set."""
_FLAGS = 7
"""include/linux/mutex.h: MUTEX_FLAGS."""
_NAME = 64
"""Longer names of kobjects are rare; other bytes are no name."""


class _Offsets(NamedTuple):
    """struct kobject's, and that of struct kobj_type's release()."""

    name: int
    entry: int
    ktype: int
    sd: int
    kref: int
    release: int
    pointers: Tuple[int, ...]
    """Of members that are pointers or 0."""


def find_shapes(places: Places, reach: Reach, cases: List[Case]) -> None:
    """Of lost objects: what shows their state."""
    reader = places.session.reader
    members = ("name", "entry", "ktype", "sd", "kref")
    found = [reader.offset("kobject", name) for name in members]
    found.append(reader.offset("kobj_type", "release"))
    known = [at for at in found if at is not None]
    offsets: Optional[_Offsets] = None
    others = (reader.offset("kobject", name) for name in ("parent", "kset"))
    if len(known) == len(found):
        name, entry, ktype, sd, kref, release = known
        pointers = (name, sd, *(at for at in others if at is not None))
        offsets = _Offsets(name, entry, ktype, sd, kref, release, pointers)
    lowest = lowest_address(places)
    tasks = places.tasks.by_stack.values()
    names = {task.address: TASK + task.text for task in tasks}
    for case in cases:
        for subject in case.subjects:
            if subject.level == UNREACHED and not subject.blank:
                subject.was_before = _kept(places, subject)
                subject.alone = _alone(places, case, subject, lowest)
                subject.addresses = _named(places, names, subject, lowest)
                subject.cleared = _cleared(subject, case.word, lowest)
                if offsets is not None:
                    subject.kobject = _kobject(places, reach, offsets, subject, lowest)


def _alone(places: Places, case: Case, subject: Subject, lowest: int) -> Dict[int, str]:
    """Pairs of one address in an object that doesn't lead back: a lone node, and the head gone.

    To where an object begins other pairs lead, too: its parent, twice.
    """
    reader, word, found = places.session.reader, case.word, {}
    for at, value in subject.values.items():
        if value < lowest or value % word or subject.values.get(at + word) != value:
            continue
        inside = 0 <= value - subject.address < case.cache.object_size
        if inside or any(0 <= at - node < 2 * word for node in subject.lists):
            continue
        place = places.name(value)
        if place is None or place.kind != OBJECT or not place.offset:
            continue
        links = [try_number(reader, value + shift, word) for shift in (0, word)]
        if subject.address + at not in links:
            found[at] = place.label
    return found


def _named(places: Places, names: Dict[int, str], subject: Subject, lowest: int) -> Dict[int, str]:
    """Where it has the address at which a function, a variable or a living task begins.

    names: address -> what begins there, "" for nothing; has the tasks'. A mutex has flags in the
    lowest bits of its owner's address.
    """
    for value in subject.values.values():
        if value >= lowest and value not in names:
            names[value] = ""
            if places.image.holds(value) or places.modules.regions.at(value) is not None:
                place = places.name(value)
                if place is not None and not place.offset and place.label[:1] != "[":
                    names[value] = words_of(place)
    found = {}
    for at, value in subject.values.items():
        task = names.get(value & ~_FLAGS, "")
        name = names.get(value) or (task if task.startswith(TASK) else "")
        if name:
            found[at] = name
    return found


def _kept(places: Places, subject: Subject) -> Dict[int, str]:
    found = {}
    for at, kind in subject.lists.items():
        if kind == LIST_DELETED:
            name = variable(places, subject.values.get(at, 0))
            if name:
                found[at] = name
    return found


def _cleared(subject: Subject, word: int, lowest: int) -> Dict[int, bool]:
    """Nodes of RB_CLEAR_NODE(): the parent is the node itself; a list_head has two such words."""
    values, found = subject.values, {}
    timers = {idle.offset for idle in subject.idle}
    for at, value in values.items():
        if value != subject.address + at or at in subject.lists or at in timers:
            continue
        children = [values.get(at + word), values.get(at + 2 * word)]
        if None in children or value in (children[0], values.get(at - word)):
            continue
        if all(not child or (child >= lowest and child % word == 0) for child in children):
            found[at] = any(children)
    return found


def _kobject(
    places: Places, reach: Reach, offsets: _Offsets, subject: Subject, lowest: int
) -> Optional[Kobject]:
    """The first one: with a list_head, a type that has a release() and then no function."""
    reader = places.session.reader
    for at, value in subject.values.items():
        base = at - offsets.ktype
        if base + offsets.entry not in subject.lists or base + offsets.kref not in subject.halves:
            continue
        if not places.image.holds(value) and places.modules.regions.at(value) is None:
            continue
        words = [
            try_number(reader, value + offsets.release + shift, reader.word) or 0
            for shift in (0, reader.word, 2 * reader.word)
        ]
        function = places.function(words[0]) if words[0] else None
        # What follows is sysfs_ops and groups; another table of functions has more of these.
        if function is None or (words[1] and places.function(words[1]) is not None):
            continue
        pointers = (*words[1:], *(subject.values.get(base + at, 0) for at in offsets.pointers))
        state = subject.halves.get(base + offsets.kref + _KREF, 0)
        if any(0 < each < lowest for each in pointers) or state not in _STATES:
            continue
        shown = bool(subject.values.get(base + offsets.sd))
        if bool(state & _IN_SYSFS) != shown:
            continue
        return Kobject(
            base,
            range(base, base + offsets.kref),
            range(base + offsets.entry, base + offsets.entry + 2 * reader.word),
            words_of(places.name(value)),
            words_of(function),
            _name(places, reach, subject.values.get(base + offsets.name, 0)),
            subject.halves[base + offsets.kref],
            shown,
        )
    return None


def _name(places: Places, reach: Reach, pointer: int) -> str:
    """A kobject's name, where that is lost with it, or a constant: others may be of who has that
    memory now."""
    if not places.image.holds(pointer) and reach.level(pointer) != UNREACHED:
        return ""
    name = read_string(places.session.reader, pointer)
    return text_of(name) if name is not None and _is_name(name) else ""


def _is_name(text: bytes) -> bool:
    return len(text) <= _NAME and all(0x20 < byte < 0x7F for byte in text)
