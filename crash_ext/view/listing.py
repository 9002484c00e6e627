# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache's slabs and objects, as slabobjs lists them: text, addresses alone, or records.

Wanted holds what is wanted. Knows the form of the output and what comes first; which
objects are allocated, slub/ says.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import chain, compress
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.command import Call
from crash_ext.contents.words import Word, Words
from crash_ext.host.structs import StructError, StructForm
from crash_ext.kernel.absent import Absent
from crash_ext.leak.family import Families, cgroup_text, count_child
from crash_ext.leak.select import Selection
from crash_ext.leak.state import judge
from crash_ext.reach.references import References
from crash_ext.reader import ReadError
from crash_ext.report.addresses import AddressLines
from crash_ext.report.annotate import annotated
from crash_ext.report.caches import (
    CACHE_HEAD,
    SLAB_HEAD,
    cache_line,
    counted,
    object_line,
    slab_line,
)
from crash_ext.report.contents import Records, Whole
from crash_ext.report.hexdump import RdForm
from crash_ext.report.jsonl import hexadecimal
from crash_ext.report.text import plural, printable, visible
from crash_ext.slub.model import (
    ALLOCATED,
    FREE,
    ONLY_ALLOCATED,
    RCU_PENDING,
    STATE_NAMES,
    UNKNOWN,
    Cache,
    SlabObjects,
)
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.objects import for_each_counted_slab, for_each_decoded_slab
from crash_ext.view.groups import Grouping, show_groups
from crash_ext.view.members import Members
from crash_ext.view.notes import notes, reference_fields, reference_lines, word_fields
from crash_ext.why.log.reports import ObjectReports, lines_of

_TEXTS = 64
"""The addresses of this many slabs go out in one write."""
_TOGETHER = 16
"""The objects of this many slabs become text at once."""
_AHEAD_BYTES = 1 << 23
"""A cache is large, and its summary goes by counters, if its slabs are more than this."""


class Wanted(NamedTuple):
    """What of a cache is to be shown."""

    quiet: bool
    free: bool
    node: Optional[int]
    limit: Optional[int]
    """Most objects of a cache."""
    bytes: Optional[int]
    """Of each object's contents; None for object_size."""
    slots: bool
    """Where a red zone comes first, its address, too."""
    words: Optional[Words]
    """Says beside the contents what they are; None where that isn't asked for."""
    groups: Optional[Words]
    """Tells groups of like objects, in place of slabs; None where slabs are asked for."""
    references: bool
    """Beneath each object, who points to it."""
    struct: Optional[StructForm]
    """Show contents as this structure."""
    log: ObjectReports
    """What the kernel log says of an object that is asked for by address."""


class Tally:
    """A cache's slabs and objects, counted."""

    def __init__(self) -> None:
        self.slabs = self.objects = self.allocated = self.unknown = 0

    def agrees_with(self, other: Tally) -> bool:
        """Whether all numbers are the same."""
        return vars(self) == vars(other)

    def add(self, decoded: SlabObjects) -> None:
        """One more slab."""
        self.slabs += 1
        self.objects += len(decoded.states)
        self.allocated += decoded.count(ALLOCATED)
        self.unknown += decoded.count(UNKNOWN)

    @classmethod
    def of(cls, decoded_slabs: Iterable[SlabObjects]) -> Tally:
        """All of these slabs."""
        tally = cls()
        for decoded in decoded_slabs:
            tally.add(decoded)
        return tally


def _free(decoded: SlabObjects) -> int:
    """As crash counts: what isn't allocated, be it usable yet or not."""
    return decoded.count(FREE) + decoded.count(RCU_PENDING)


def _merge(problems: List[str], more: List[str]) -> None:
    """Add those that aren't there yet."""
    known = set(problems)
    problems.extend(text for text in more if text not in known)


class Listing:
    """One selection, listed."""

    def __init__(self, call: Call, wanted: Wanted, selection: Selection) -> None:
        self._call = call
        self._wanted = wanted
        self._selection = selection
        self._cache: Cache = selection.cache
        self._shown = 0
        self._left_out = 0
        self._rd: Optional[RdForm] = None
        self.references: Optional[References] = None
        """Who points to the objects; None where that isn't asked for."""
        self._members = None if wanted.words is None else Members(wanted.words, selection.cache)
        self._absent = Absent(call.session.reader)
        self._contents = Absent(call.session.reader)
        self._records: Optional[Records] = None
        self._together: List[Tuple[str, SlabObjects, Whole]] = []
        """Slabs that are still to be written, with their heads."""

    def show(self) -> int:
        """Write it; the number of objects shown."""
        problems: List[str] = []
        if self._wanted.quiet:
            self._show_quietly(problems)
        elif self._call.json or self._wanted.groups or self._wanted.references:
            # A record can't be corrected: nothing is printed before all is known.
            everything = self._everything(problems)
            self._summary(Tally.of(everything))
            self._compare_sizes()
            chosen = self._chosen(everything)
            if self._wanted.groups is not None:
                self._groups(chosen, self._wanted.groups)
            else:
                for decoded in chosen:
                    self._slab(decoded)
        else:
            self._show_text(problems)
        self._write_together()
        problems += self._absent.lines("their objects are unknown")
        problems += self._contents.lines("contents of objects are missing")
        for problem in problems:
            self._call.error(problem, self._cache)
        if self._left_out:
            self._limit(f"{plural(self._left_out, 'object')} left out (-l)")
        return self._shown

    def _compare_sizes(self) -> None:
        struct, size = self._wanted.struct, self._cache.object_size
        if struct is not None and struct.end is not None and struct.end > size:
            text = f"{struct.what} ends at byte {struct.end}, an object at {size}"
            self._call.error(f"{text}: what lies behind it is not the object's", self._cache)

    def ranges(self) -> Iterator[Tuple[int, int]]:
        """(address, bytes) of each object that show() will show."""
        for decoded in self._chosen(self._everything([])):
            chosen = self._chosen_of(decoded)
            self._shown += chosen.count(1)
            for index in compress(range(len(chosen)), chosen):
                yield decoded.address(index), self._length_of(decoded)
        self._shown = self._left_out = 0

    def _show_quietly(self, problems: List[str]) -> None:
        one, wanted, size = self._selection.slab, self._wanted, self._cache.size
        native, digits = self._call.session.reader.native, 2 * self._call.session.reader.word
        # The loops in C write 16 digits; 32-bit kernels are few and small.
        quick = native if digits == 16 else None
        text_of = partial(quick.lines, size) if quick else AddressLines(size, digits).text
        # All that are allocated: no choice to be made in each of many slabs.
        plain = one is None and wanted.node is None and wanted.limit is None and not wanted.free
        firsts: List[int] = []
        states_of: List[bytes] = []
        looked_at = 0

        def write() -> None:
            text = text_of(firsts, states_of)
            # First: a Ctrl-C in between shall not show them twice.
            firsts.clear()
            states_of.clear()
            self._shown += len(text) // (digits + 1)
            sys.stdout.write(text)

        try:
            for decoded in [one.objects] if one else self._decoded(problems):
                _, first, _, states, problem, _, _, _, _ = decoded
                if problem is not None and not self._is_absent(decoded):
                    write()
                    what = f"slab {decoded.slab.address:x}: {problem}"
                    self._call.error(what, self._cache)
                if plain:
                    firsts.append(first)
                    states_of.append(states)
                elif self._on_node(decoded):
                    firsts.append(first)
                    states_of.append(self._chosen_of(decoded))
                if wanted.limit is not None or len(firsts) >= _TEXTS:
                    write()
                if wanted.limit is not None:
                    looked_at += len(states) * size
                    if looked_at > _AHEAD_BYTES and self._enough():
                        break
        finally:
            write()

    def _show_text(self, problems: List[str]) -> None:
        """The summary comes first: of a small cache by what is decoded, and then shown.

        Of a large one by its slabs' counters, and the slabs follow as they are decoded. If
        these disagree with the counters in the end, an error line follows.
        """
        decoded_slabs = self._decoded(problems)
        ahead: List[SlabObjects] = []
        size = 0
        for decoded in decoded_slabs:
            ahead.append(decoded)
            size += len(decoded.states) * self._cache.size
            if size > _AHEAD_BYTES:
                break
        else:
            self._summary(Tally.of(ahead))
            self._compare_sizes()
            for decoded in self._chosen(ahead):
                self._slab(decoded)
            return
        counted_problems: List[str] = []
        counted_, here = self._count(counted_problems)
        self._summary(counted_)
        self._compare_sizes()
        if self._selection.slab:
            self._slab(self._selection.slab.objects)
            _merge(problems, counted_problems)
            self._limit("its objects were counted by their slabs' counters, not one by one")
            return
        found = Tally()
        for decoded in chain(ahead, decoded_slabs):
            found.add(decoded)
            if self._on_node(decoded):
                self._slab(decoded)
            if self._enough():
                _merge(problems, counted_problems)
                self._left_out = max(0, here - self._shown)
                self._limit("the objects left out were counted by their slabs' counters")
                return
        if not found.agrees_with(counted_):
            self._write_together()
            self._call.error(
                f"by what was decoded it has {counted(found.allocated, found.unknown)} allocated"
                f" objects of {found.objects} in {plural(found.slabs, 'slab')}; the line above is"
                " by the slabs' counters",
                self._cache,
            )

    def _enough(self) -> bool:
        """Whether -l allows no more objects."""
        return self._wanted.limit is not None and self._shown >= self._wanted.limit

    def _count(self, problems: List[str]) -> Tuple[Tally, int]:
        """The cache by its slabs' counters; and how many objects -n and -f leave to show."""
        tally = Tally()
        here = 0
        for count in for_each_counted_slab(
            self._call.session, self._cache, problems, self._call.lists_only
        ):
            tally.slabs += 1
            tally.objects += count.objects
            tally.allocated += count.allocated
            tally.unknown += count.unknown
            if self._wanted.node is None or count.slab.node == self._wanted.node:
                here += count.objects if self._wanted.free else count.allocated
        return tally, here

    def _limit(self, text: str) -> None:
        self._call.limits.append(f"{self._cache.address:x} {printable(self._cache.name)}: {text}")

    def _decoded(self, problems: List[str]) -> Iterator[SlabObjects]:
        call = self._call
        return for_each_decoded_slab(call.session, self._cache, problems, call.lists_only)

    def _everything(self, problems: List[str]) -> List[SlabObjects]:
        """All slabs, decoded, without their memory: it may be more than fits."""
        session, found = self._call.session, []
        total = 0 if self._call.lists_only else len(session.page_index().of(self._cache.address))
        for decoded in self._decoded(problems):
            found.append(decoded.without_memory())
            if total:
                session.progress(min(len(found), total), total)
        return found

    def _chosen(self, everything: List[SlabObjects]) -> List[SlabObjects]:
        if self._selection.slab:
            return [self._selection.slab.objects]
        return [decoded for decoded in everything if self._on_node(decoded)]

    def _on_node(self, decoded: SlabObjects) -> bool:
        return self._wanted.node is None or decoded.slab.node == self._wanted.node

    def _summary(self, tally: Tally) -> None:
        cache = self._cache
        mutex = slab_mutex_held(self._call.session.reader)
        families = Families(self._call.caches())
        problems: List[str] = []
        children = [
            count_child(self._call.session, child, problems, self._call.lists_only)
            for child in families.children(cache)
        ]
        state = judge(
            cache,
            tally.slabs + sum(child.slabs for child in children),
            tally.allocated + sum(child.allocated for child in children),
            mutex,
            families.root(cache),
            cgroup=cgroup_text(self._call.session.reader, cache),
        )
        ssize = self._call.session.reader.page_size << cache.order
        self._call.cache_record(
            cache,
            state,
            alias=self._selection.alias or None,
            slabs=tally.slabs,
            objects=tally.objects,
            allocated=tally.allocated,
            unknown=tally.unknown,
            root=hexadecimal(cache.root) if cache.root else None,
        )
        for problem in problems:
            self._call.error(problem, cache)
        if self._call.json:
            return
        if self._selection.alias:
            print(f"{visible(self._selection.alias)} is merged into {printable(cache.name)}:")
        print(CACHE_HEAD)
        print(
            cache_line(
                cache.address,
                cache.object_size,
                counted(tally.allocated, tally.unknown),
                tally.objects,
                tally.slabs,
                ssize,
                printable(cache.name),
            )
        )
        for child in children:
            cgroup = cgroup_text(self._call.session.reader, child.cache)
            print(
                f"  memcg child {child.cache.address:x} {printable(child.cache.name)}:"
                f" {counted(child.allocated, child.unknown)} allocated in"
                f" {plural(child.slabs, 'slab')}{cgroup}"
            )

    def _chosen_of(self, decoded: SlabObjects) -> bytes:
        """1 for each object of a slab to show: what was asked for, cut to the limit."""
        one = self._selection.slab
        states = decoded.states
        if one is not None and one.number is not None:
            return bytes(index == one.number for index in range(len(states)))
        chosen = b"\1" * len(states) if self._wanted.free else states.translate(ONLY_ALLOCATED)
        if self._wanted.limit is not None:
            room = max(0, self._wanted.limit - self._shown)
            cut = list(compress(range(len(chosen)), chosen))[room:]
            if cut:
                self._left_out += len(cut)
                chosen = chosen[: cut[0]] + bytes(len(chosen) - cut[0])
        return chosen

    def _slab(self, decoded: SlabObjects) -> None:
        chosen = self._chosen_of(decoded)
        indices = list(compress(range(len(chosen)), chosen))
        damaged = decoded.problem is not None
        absent = self._is_absent(decoded)
        bare = not indices and not self._selection.slab
        if bare and (not damaged or (absent and not self._call.json)):
            return
        slab = decoded.slab
        self._call.record(
            "slab",
            cache=hexadecimal(self._cache.address),
            address=hexadecimal(slab.address),
            memory=hexadecimal(slab.base),
            node=slab.node,
            objects=len(decoded.states),
            allocated=None if damaged else decoded.count(ALLOCATED),
            free=None if damaged else _free(decoded),
            list=slab.place,
        )
        memory = self._memory(decoded, indices)
        length = self._length(decoded)
        line_by_line = memory is None or length > self._cache.size - self._cache.red_left
        if self._plain and memory is not None and not (damaged or decoded.notes or line_by_line):
            self._shown += len(indices)
            whole = Whole(memory, decoded.first, chosen)
            self._together.append((self._slab_head(decoded), decoded, whole))
            if len(self._together) >= _TOGETHER:
                self._write_together()
            return
        self._write_together()
        self._learn_members(decoded)
        if not self._call.json:
            sys.stdout.write(self._slab_head(decoded))
        if damaged and not absent:
            text = f"slab {slab.address:x}: {decoded.problem}: its objects are unknown"
            self._call.error(text, self._cache)
        if not indices:
            return
        if self._alone or self._one or memory is None or line_by_line:
            for index in indices:
                self._object(decoded, index, length, memory)
        else:
            self._shown += len(indices)
            sys.stdout.write(self._lines(decoded, indices, memory, length))

    def _learn_members(self, decoded: SlabObjects) -> None:
        """With -e: what the objects' words are called, by the first slab that has some."""
        if self._members is None:
            return
        here = list(decoded.allocated())
        line = self._members.learn(here, self._cache.object_size)
        if line and not self._call.json:
            print(line)

    def _slab_head(self, decoded: SlabObjects) -> str:
        slab, damaged = decoded.slab, decoded.problem is not None
        line = slab_line(
            slab.address,
            slab.base,
            slab.node,
            len(decoded.states),
            None if damaged else decoded.count(ALLOCATED),
            None if damaged else _free(decoded),
            slab.place,
        )
        return f"{SLAB_HEAD}\n{line}\n"

    def _is_absent(self, decoded: SlabObjects) -> bool:
        """Whether a slab's memory isn't in the dump: said by ranges once all slabs are through."""
        slab = decoded.slab
        size = len(decoded.states) * self._cache.size
        return decoded.absent and self._absent.add(slab.base, size, slab.address)

    def _memory(self, decoded: SlabObjects, indices: List[int]) -> Optional[bytes]:
        """The slab's memory in one read; None where it can't be had, or isn't needed whole."""
        if decoded.memory is not None:
            return decoded.memory
        if len(indices) < 2:
            return None
        try:
            return self._call.session.reader.read(
                decoded.slab.base, len(decoded.states) * self._cache.size
            )
        except ReadError:
            # Some of its pages may be there: each object is read alone, with an error line if not.
            return None

    def _length(self, decoded: SlabObjects) -> int:
        """Bytes of contents to show of each of the slab's objects."""
        if self._wanted.bytes is not None:
            return self._wanted.bytes
        return self._length_of(decoded)

    def _length_of(self, decoded: SlabObjects) -> int:
        return decoded.length or self._cache.object_size

    def _write_together(self) -> None:
        """The slabs whose text was put off: of some at once it is made in less time."""
        waiting, self._together = self._together, []
        if not waiting:
            return
        length = self._length(waiting[0][1])
        wholes = [whole for _, _, whole in waiting]
        texts = self._records_of(length).texts(wholes, self._cache.red_left)
        for (head, decoded, whole), text in zip(waiting, texts):
            if text is not None:
                sys.stdout.write(head + text)
                continue
            indices = list(compress(range(len(whole.chosen)), whole.chosen))
            sys.stdout.write(head + self._lines(decoded, indices, whole.memory, length))

    def _lines(self, decoded: SlabObjects, indices: List[int], memory: bytes, length: int) -> str:
        """The objects as text, out of the slab's memory."""
        first, size, shift = decoded.first, self._cache.size, decoded.first - decoded.slab.base
        form = self._form(length)
        parts: List[str] = []
        for index in indices:
            start = index * size
            parts.append(self._head(decoded, index))
            if length:
                parts.append(
                    form.text(first + start, memory[shift + start : shift + start + length])
                )
        return "\n".join([*parts, ""])

    @property
    def _alone(self) -> bool:
        """Whether each object is a matter of its own, told by _object()."""
        wanted = self._wanted
        told = self._call.json or wanted.words is not None or wanted.references
        return told or wanted.struct is not None

    @property
    def _plain(self) -> bool:
        """Whether nothing but allocated objects is shown, each by its address alone."""
        slots = self._wanted.slots and self._cache.red_left
        return not (self._alone or self._wanted.free or slots or self._selection.slab)

    def _records_of(self, length: int) -> Records:
        if self._records is None or self._records.length != length:
            reader = self._call.session.reader
            native = reader.native
            self._records = Records(
                *(length, self._cache.size, reader.word, reader.byteorder),
                native.contents if native else None,
            )
        return self._records

    def _head(self, decoded: SlabObjects, index: int) -> str:
        """The object's own line, before its contents."""
        address = decoded.address(index)
        state = STATE_NAMES[decoded.states[index]]
        line = object_line(address, state, decoded.notes.get(index))
        if self._wanted.slots and self._cache.red_left:
            # What kmem shows as its address with `set redzone on`.
            line += f"  red zone from {address - self._cache.red_left:x}"
        chosen = self._selection.slab
        if chosen is not None and chosen.offset:
            line += f"  {address + chosen.offset:x} is at {chosen.offset:+#x}"
        return line

    def _object(
        self, decoded: SlabObjects, index: int, length: int, memory: Optional[bytes]
    ) -> None:
        """One object, its contents out of the slab's memory or read by themselves."""
        self._shown += 1
        call, cache = self._call, self._cache
        address = decoded.address(index)
        data: Optional[bytes] = b""
        unreadable = ""
        start = address - decoded.slab.base
        if memory is not None and start + length <= len(memory):
            data = memory[start : start + length]
        elif length:
            try:
                data = call.session.reader.read(address, length)
            except ReadError as error:
                data = None
                if not self._contents.add(address, length, decoded.slab.address):
                    unreadable = str(error)
        words = self._explain(decoded, index, data)
        struct: Optional[str] = None
        if self._wanted.struct is not None:
            try:
                struct = self._wanted.struct.text(address)
            except StructError as error:
                struct, unreadable = "", str(error)
        told = self._told(address)
        call.record(
            "object",
            cache=hexadecimal(cache.address),
            slab=hexadecimal(decoded.slab.address),
            address=hexadecimal(address),
            index=index,
            state=STATE_NAMES[decoded.states[index]],
            held_by=decoded.notes.get(index),
            slot=hexadecimal(address - cache.red_left),
            data=None if data is None else data.hex(),
            **({} if words is None else {"words": word_fields(words)}),
            **self._named_by(decoded, index),
            **reference_fields(self.references, cache, address),
            **({} if struct is None else {"struct": struct or None}),
            **({"log": told} if told else {}),
        )
        if not call.json:
            print(self._head(decoded, index))
            if struct:
                print(struct)
            elif data and struct is None:
                text = self._form(len(data)).text(address, data)
                print(text if words is None else annotated(text, notes(words)))
            if self.references is not None:
                print(*reference_lines(self.references, cache, address), sep="\n")
            for text in told:
                print(f"   log: {text}")
        if unreadable:
            call.error(f"object {address:x}: {unreadable}", cache)

    @property
    def _one(self) -> bool:
        """Whether one object is shown: then the kernel log is asked about it."""
        return self._selection.slab is not None and self._selection.slab.number is not None

    def _told(self, address: int) -> List[str]:
        """What the kernel log says of the one object."""
        if not self._one:
            return []
        found = self._wanted.log.about(self._cache.size, address)
        return [visible(text) for report in found for text in lines_of(report)]

    def _explain(
        self, decoded: SlabObjects, index: int, data: Optional[bytes]
    ) -> Optional[List[Word]]:
        """What an object's words are; None where that isn't asked for."""
        if self._wanted.words is None:
            return None
        if not data:
            return []
        address = decoded.address(index)
        words = self._wanted.words.explain(address, data)
        # A free object's contents are what its last user, or the allocator, has left.
        if self._members is None or decoded.states[index] != ALLOCATED:
            return words
        return self._members.named(words)

    def _named_by(self, decoded: SlabObjects, index: int) -> Dict[str, object]:
        """For an object's record: the structure that its words' members are of."""
        if self._members is None or decoded.states[index] != ALLOCATED:
            return {}
        return self._members.fields()

    def _groups(self, slabs: List[SlabObjects], words: Words) -> None:
        wanted, slab = self._wanted, self._selection.slab
        notes_too = wanted.words is not None
        what = Grouping(self._call, self._cache, words, notes_too, wanted.bytes, wanted.limit)
        self._shown += show_groups(what, slabs, slab.number if slab else None)

    def _form(self, length: int) -> RdForm:
        if self._rd is None or self._rd.length != length:
            reader = self._call.session.reader
            self._rd = RdForm(length, reader.word, reader.byteorder)
        return self._rd
