# SPDX-License-Identifier: GPL-3.0-or-later
"""slabobjs: what is still allocated in a cache, a slab, or at an address?

Options, help page, and which parts to call. PyKdump and the loader find a registered
command by this file's name and run it as __main__.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import chain, compress
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext.command import Call, Command, UsageError, run
from crash_ext.grouping import Grouping, show_groups
from crash_ext.host.settings import redzone_on
from crash_ext.host.structs import StructError, StructForm, take_quoted
from crash_ext.host.target import host_module
from crash_ext.leak.places import Places
from crash_ext.leak.references import References
from crash_ext.leak.select import Selection
from crash_ext.leak.state import judge
from crash_ext.leak.words import Word, Words
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
from crash_ext.report.hexdump import RdForm
from crash_ext.report.jsonl import hexadecimal, name_field
from crash_ext.report.records import Records
from crash_ext.report.text import plural, printable, visible
from crash_ext.slub.absent import Absent
from crash_ext.slub.model import (
    ALLOCATED,
    FREE,
    RCU_PENDING,
    STATE_NAMES,
    UNKNOWN,
    Cache,
    SlabObjects,
)
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.objects import for_each_counted_slab, for_each_decoded_slab
from crash_ext.wording import notes, reference_fields, reference_lines, word_fields

_ONLY_ALLOCATED = bytes(state == ALLOCATED for state in range(256))
"""Makes 1 of ALLOCATED and 0 of every other state."""
_TEXTS = 64
"""The addresses of so many slabs go out in one write."""
_AHEAD_BYTES = 1 << 23
"""A cache is large, and its summary goes by counters, if its slabs are more than this."""


_APART = {"-a": "-q", "-g": "-q -f", "-r": "-q -g", "-t": "-q -g -a -b"}
"""Options that contradict each other."""


class _Wanted(NamedTuple):
    """What of a cache is to be shown."""

    quiet: bool
    free: bool
    node: Optional[int]
    limit: Optional[int]
    """Objects of a cache at the most."""
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


def main(call: Call) -> Dict[str, object]:
    """slabobjs [-afgjpqrR] [-n NODE] [-l COUNT] [-b BYTES|-t TYPE] NAME|ADDRESS..."""
    if "-t" in call.options:
        call.options["-t"] = take_quoted(call.options["-t"], call.arguments)
    if not call.arguments:
        raise UsageError("no cache, slab or object is named")
    if "-q" in call.options and "-j" in call.options:
        raise UsageError("only one of -q and -j")
    for option, others in _APART.items():
        for other in others.split():
            if option in call.options and other in call.options:
                raise UsageError(f"{option} doesn't go with {other}")
    words = Words(Places(call.slub, call.caches, call.lists_only))
    try:
        struct = _struct(call.options.get("-t"))
    except StructError as error:
        call.error(str(error))
        return {"shown": 0}
    wanted = _Wanted(
        quiet="-q" in call.options,
        free="-f" in call.options,
        node=call.number("-n"),
        limit=call.number("-l"),
        bytes=call.number("-b"),
        slots=redzone_on(host_module()),
        words=words if "-a" in call.options else None,
        groups=words if "-g" in call.options else None,
        references="-r" in call.options,
        struct=struct,
    )
    listings = [_Listing(call, wanted, selection) for selection in call.selections()]
    if wanted.references and listings:
        _find_references(call, words.places, listings)
    shown = sum(listing.show() for listing in listings)
    if call.lists_only:
        call.limits.append("lists only (-p): full slabs that no list holds are not shown")
    if not wanted.quiet and not call.json:
        for text in call.limits:
            print(text)
    return {"shown": shown}


def _find_references(call: Call, places: Places, listings: List[_Listing]) -> None:
    """One pass over memory for all objects that will be shown."""
    ranges = [pair for listing in listings for pair in listing.ranges()]
    found = References(places, ranges, call.slub.progress)
    for listing in listings:
        listing.references = found
    if found.dropped:
        text = f"of {plural(found.dropped, 'pointer')} only the number is known: too many"
        call.limits.append(text)


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


def _struct(expression: Optional[str]) -> Optional[StructForm]:
    """What -t asks for. Raises StructError."""
    return None if expression is None else StructForm(host_module(), expression)


def _free(decoded: SlabObjects) -> int:
    """As crash counts: what isn't allocated, be it usable yet or not."""
    return decoded.count(FREE) + decoded.count(RCU_PENDING)


def _merge(problems: List[str], more: List[str]) -> None:
    """Add those that aren't there yet."""
    known = set(problems)
    problems.extend(text for text in more if text not in known)


class _Listing:
    """One selection, listed."""

    def __init__(self, call: Call, wanted: _Wanted, selection: Selection) -> None:
        self._call = call
        self._wanted = wanted
        self._selection = selection
        self._cache: Cache = selection.cache
        self._shown = 0
        self._left_out = 0
        self._rd: Optional[RdForm] = None
        self.references: Optional[References] = None
        """Who points to the objects; None where that isn't asked for."""
        self._absent = Absent(call.slub.reader)
        self._contents = Absent(call.slub.reader)
        self._records: Optional[Records] = None

    def show(self) -> int:
        """Write it; the number of objects shown."""
        problems: List[str] = []
        if self._wanted.quiet:
            self._show_quietly(problems)
        elif self._call.json or self._wanted.groups or self._wanted.references:
            # A record can't be corrected: nothing is told before all is known. The memory
            # isn't kept: a cache's slabs may be more than fits.
            everything = [decoded._replace(memory=None) for decoded in self._decoded(problems)]
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
        for decoded in self._chosen([each._replace(memory=None) for each in self._decoded([])]):
            chosen = self._chosen_of(decoded)
            self._shown += chosen.count(1)
            for index in compress(range(len(chosen)), chosen):
                yield decoded.first + index * self._cache.size, self._length_of(decoded)
        self._shown = self._left_out = 0

    def _show_quietly(self, problems: List[str]) -> None:
        one = self._selection.slab
        native, size = self._call.slub.reader.native, self._cache.size
        lines = partial(native.lines, size) if native else AddressLines(size).text
        texts: List[str] = []
        looked_at = 0
        try:
            for decoded in [one.objects] if one else self._decoded(problems):
                if decoded.problem is not None and not self._is_absent(decoded):
                    self._write(texts)
                    what = f"slab {decoded.slab.address:x}: {decoded.problem}"
                    self._call.error(what, self._cache)
                if self._on_node(decoded):
                    chosen = self._chosen_of(decoded)
                    self._shown += chosen.count(1)
                    texts.append(lines(decoded.first, chosen))
                if len(texts) >= _TEXTS:
                    self._write(texts)
                looked_at += len(decoded.states) * size
                if looked_at > _AHEAD_BYTES and self._enough():
                    break
        finally:
            self._write(texts)

    @staticmethod
    def _write(texts: List[str]) -> None:
        sys.stdout.write("".join(texts))
        texts.clear()

    def _show_text(self, problems: List[str]) -> None:
        """The summary comes first: of a small cache by what is decoded, and then shown.

        Of a large one by its slabs' counters, and the slabs follow as they are decoded. If
        these disagree with the counters in the end, that is said.
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
            self._call.slub, self._cache, problems, self._call.lists_only
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
        return for_each_decoded_slab(call.slub, self._cache, problems, call.lists_only)

    def _chosen(self, everything: List[SlabObjects]) -> List[SlabObjects]:
        if self._selection.slab:
            return [self._selection.slab.objects]
        return [decoded for decoded in everything if self._on_node(decoded)]

    def _on_node(self, decoded: SlabObjects) -> bool:
        return self._wanted.node is None or decoded.slab.node == self._wanted.node

    def _summary(self, tally: Tally) -> None:
        cache = self._cache
        mutex = slab_mutex_held(self._call.slub.reader)
        state = judge(cache, tally.slabs, tally.allocated, mutex)
        ssize = self._call.slub.reader.page_size << cache.order
        self._call.record(
            "cache",
            address=hexadecimal(cache.address),
            name=name_field(cache.name),
            state=state.kind,
            reason=state.reason,
            alias=self._selection.alias or None,
            object_size=cache.object_size,
            size=cache.size,
            slabs=tally.slabs,
            objects=tally.objects,
            allocated=tally.allocated,
            unknown=tally.unknown,
        )
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

    def _chosen_of(self, decoded: SlabObjects) -> bytes:
        """1 for each object of a slab to show: what was asked for, cut to the limit."""
        one = self._selection.slab
        states = decoded.states
        if one is not None and one.number is not None:
            return bytes(index == one.number for index in range(len(states)))
        chosen = b"\1" * len(states) if self._wanted.free else states.translate(_ONLY_ALLOCATED)
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
        if not self._call.json:
            print(SLAB_HEAD)
            print(
                slab_line(
                    slab.address,
                    slab.base,
                    slab.node,
                    len(decoded.states),
                    None if damaged else decoded.count(ALLOCATED),
                    None if damaged else _free(decoded),
                    slab.place,
                )
            )
        if damaged and not absent:
            text = f"slab {slab.address:x}: {decoded.problem}: its objects are unknown"
            self._call.error(text, self._cache)
        if not indices:
            return
        memory = self._memory(decoded, indices)
        length = self._length(decoded)
        wanted = self._wanted
        single = self._call.json or wanted.words is not None or wanted.references
        single = single or wanted.struct is not None
        if memory is None or single or length > self._cache.size - self._cache.red_left:
            for index in indices:
                self._object(decoded, index, length, memory)
        else:
            self._whole_slab(decoded, chosen, indices, memory, length)

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
            return self._call.slub.reader.read(
                decoded.slab.base, len(decoded.states) * self._cache.size
            )
        except ReadError:
            # Some of its pages may be there: each object is read alone, and says so if not.
            return None

    def _length(self, decoded: SlabObjects) -> int:
        """Bytes of contents to show of each of the slab's objects."""
        if self._wanted.bytes is not None:
            return self._wanted.bytes
        return self._length_of(decoded)

    def _length_of(self, decoded: SlabObjects) -> int:
        return decoded.length or self._cache.object_size

    def _whole_slab(
        self,
        decoded: SlabObjects,
        chosen: bytes,
        indices: List[int],
        memory: bytes,
        length: int,
    ) -> None:
        """The objects as text, out of the slab's memory: all in one write."""
        self._shown += len(indices)
        first, size, shift = decoded.first, self._cache.size, decoded.first - decoded.slab.base
        if self._plain and not decoded.notes:
            text = self._records_of(length).text(memory, first, shift, chosen)
            if text is not None:
                sys.stdout.write(text)
                return
        form = self._form(length)
        parts: List[str] = []
        for index in indices:
            start = index * size
            parts.append(self._head(decoded, index))
            if length:
                parts.append(
                    form.text(first + start, memory[shift + start : shift + start + length])
                )
        print("\n".join(parts))

    @property
    def _plain(self) -> bool:
        """Whether nothing but allocated objects is shown, each by its address alone."""
        slots = self._wanted.slots and self._cache.red_left
        return not (self._wanted.free or slots or self._selection.slab)

    def _records_of(self, length: int) -> Records:
        if self._records is None or self._records.length != length:
            reader = self._call.slub.reader
            native = reader.native
            self._records = Records(
                *(length, self._cache.size, reader.word, reader.byteorder),
                native.contents if native else None,
            )
        return self._records

    def _head(self, decoded: SlabObjects, index: int) -> str:
        """The object's own line, before its contents."""
        address = decoded.first + index * self._cache.size
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
        address = decoded.first + index * cache.size
        data: Optional[bytes] = b""
        unreadable = ""
        start = address - decoded.slab.base
        if memory is not None and start + length <= len(memory):
            data = memory[start : start + length]
        elif length:
            try:
                data = call.slub.reader.read(address, length)
            except ReadError as error:
                data = None
                if not self._contents.add(address, length, decoded.slab.address):
                    unreadable = str(error)
        words = self._explain(address, data)
        struct: Optional[str] = None
        if self._wanted.struct is not None:
            try:
                struct = self._wanted.struct.text(address)
            except StructError as error:
                struct, unreadable = "", str(error)
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
            **reference_fields(self.references, cache, address),
            **({} if struct is None else {"struct": struct or None}),
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
        if unreadable:
            call.error(f"object {address:x}: {unreadable}", cache)

    def _explain(self, address: int, data: Optional[bytes]) -> Optional[List[Word]]:
        """What an object's words are; None where that isn't asked for."""
        if self._wanted.words is None:
            return None
        return self._wanted.words.explain(address, data) if data else []

    def _groups(self, slabs: List[SlabObjects], words: Words) -> None:
        wanted, slab = self._wanted, self._selection.slab
        notes_too = wanted.words is not None
        what = Grouping(self._call, self._cache, words, notes_too, wanted.bytes, wanted.limit)
        self._shown += show_groups(what, slabs, slab.number if slab else None)

    def _form(self, length: int) -> RdForm:
        if self._rd is None or self._rd.length != length:
            reader = self._call.slub.reader
            self._rd = RdForm(length, reader.word, reader.byteorder)
        return self._rd


COMMAND = Command(
    name="slabobjs",
    short="allocated objects of slab caches, with their contents",
    synopsis="[-afgjpqrR] [-n NODE] [-l COUNT] [-b BYTES|-t TYPE] NAME|ADDRESS...",
    options="qjafgprRn:l:b:t:",
    main=main,
    text="""\
  This command lists the allocated objects of slab caches.  For each cache it
  shows the summary line of "kmem -s", and then each slab that holds allocated
  objects, the list that the slab is on, and each allocated object in brackets,
  with its raw contents as "rd" shows them.

      NAME      the name of a cache; all caches of that name are selected.  A
                name that reads as a hexadecimal number is written \\NAME.
      ADDRESS   the address of a kmem_cache; or of a slab (its page structure or
                slab descriptor): that slab alone; or any address inside an
                object: that object alone, whatever its state.
      -q        addresses only: one of 16 digits a line and nothing else, errors
                aside.
      -j        JSON lines: one record a line, addresses as hexadecimal strings;
                the last record says whether the output is complete.
      -a        beside each line of contents, what its words are; see below.
      -g        groups of like objects in place of slabs: those that in the same
                places have the same states of lists, pointers to the same cache
                or symbol, and poison.  The largest group is first, each has the
                first of its objects as an example; -l is the number of groups.
      -r        beneath each object, who points to it: all dumped memory is
                searched once.  A pointer's address, what it points to, and
                where it lies; stacks and freed memory keep old ones.
      -f        free objects, too.
      -n NODE   slabs of this NUMA node only.
      -l COUNT  at most COUNT objects of each cache; how many were left out is
                said.
      -b BYTES  so many bytes of each object; default: the cache's object size.
      -t TYPE   each object as this structure, as "struct" shows it, instead of
                its raw contents.  TYPE is as for "struct": the name, or
                NAME.member,member for some members; "struct NAME" in quotes.
      -p        walk the lists only, without the scan over all page structures:
                full slabs that no list holds are not shown.
      -R        scan the page structures anew (they are scanned once a session).

  The summary line of a cache with more than 8 MB of slabs goes by the slabs'
  own counters, so that it can come first.  If the slabs, decoded, disagree with
  it, an error line behind them says so.

  The LIST column says where a slab is: "cpu N" (CPU N allocates from it), "cpu
  N partial", "partial" or "full" (lists of its node; "full" only in caches that
  store their users), or "-": on no list, as full slabs of other caches are.

  The address of an object is what its user has.  In a cache with red zones
  "kmem" shows where the zone before it starts, unless "set redzone off"; with
  that setting on, this address stands beside the object, too.

  From Linux 6.18 on free objects may lie in sheaves of a CPU or a node, or wait
  for an RCU grace period; these are known as free, and -f says where they are.

  A slab whose records contradict each other (a freelist that leaves the slab,
  or that is not as long as the slab's counters say) is shown with "?", an error
  line says what was found, and none of its objects is claimed to be allocated
  or free.

  With -a, notes stand behind the lines of contents: the offset in the object,
  and what is there.  Said is what memory bears out; of other words nothing.

      list_head, empty      points to itself: an empty list, or never linked.
      list_head, linked     both neighbours point back; what heads the list and
                            how many entries it has, where that can be told.
      list_head, broken     one neighbour points back and the other doesn't.
      deleted list node     as list_del() or hlist_del() leave it, (RCU) for
                            their _rcu forms.
      hlist_head, hlist_node, rb_node
                            linked: what it is hung on points back to it.  "?"
                            where a single pointer says so.
      CACHE ADDRESS, STATE  a pointer to that object, +OFFSET into it.
      SYMBOL [MODULE]       a pointer to code or data of the kernel or a module.
      stack of PID COMM, per-CPU, vmalloc, page, struct page
                            a pointer to such memory.
      this object           a pointer into the object itself.
      poison, error         a pattern of slab debugging; a number -4095 to -2.
      perhaps jiffies-N     a number near the dump's jiffies: maybe a time.
      "text"                at least four printable characters.

EXAMPLES
  An object that keeps slab_test from being destroyed; its list head at +0x20
  still points to itself, so it was never linked:

    crash> slabobjs -l 1 ffff891481ae7400
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff891481ae7400       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff867400a6a80  ffff8914829aa000     0     32          1    31  partial
      [ffff8914829aa280]
    ffff8914829aa280:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff8914829aa290:  0000003438312d74 0000000000000000   t-184...........
    ffff8914829aa2a0:  ffff8914829aa2a0 ffff8914829aa2a0   ................
    ffff8914829aa2b0:  ffff8914829a9ac0 ffffffffc047a840   ........@.G.....
    ffff8914829aa2c0:  00000170000000b8 000002e000000228   ....p...(.......
    ffff8914829aa2d0:  00000398                            ....
    ffff891481ae7400 slab_test: 4 objects left out (-l)

  What are its words?  (The notes are cut off here.)

    crash> slabobjs -a -l 1 ffff891481ae7400
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff891481ae7400       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff867400a6a80  ffff8914829aa000     0     32          1    31  partial
      [ffff8914829aa280]
    ffff8914829aa280:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes   ..
    ffff8914829aa290:  0000003438312d74 0000000000000000   t-184...........
    ffff8914829aa2a0:  ffff8914829aa2a0 ffff8914829aa2a0   ................   ..
    ffff8914829aa2b0:  ffff8914829a9ac0 ffffffffc047a840   ........@.G.....   ..
    ffff8914829aa2c0:  00000170000000b8 000002e000000228   ....p...(.......
    ffff8914829aa2d0:  00000398                            ....
    ffff891481ae7400 slab_test: 4 objects left out (-l)

  Which of the objects in both caches are alike?

    crash> slabobjs -g -b 48 slab_test
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff891481ae7d00       84        543       704     22     4k  slab_test
      543 objects of 543 (100.0%), the first:
      [ffff891482a45080]
    ffff891482a45080:  000188974a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff891482a45090:  3330353030312d74 0000000000000000   t-100503........
    ffff891482a450a0:  ffff891482a45c20 ffff891482a457a0    \\.......W......
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff891481ae7400       84          5       160      5     4k  slab_test
      5 objects of 5 (100.0%), the first:
      [ffff8914829aa280]
    ffff8914829aa280:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff8914829aa290:  0000003438312d74 0000000000000000   t-184...........
    ffff8914829aa2a0:  ffff8914829aa2a0 ffff8914829aa2a0   ................

  Which object does an address lie in, and is it allocated?

    crash> slabobjs -b 16 ffff8914829a2ea0
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff891481ae7400       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff867400a6880  ffff8914829a2000     0     32          1    31  partial
      [ffff8914829a2e80]  ffff8914829a2ea0 is at +0x20
    ffff8914829a2e80:  000000144a41434b 7365745f62616c73   KCAJ....slab_tes

  Only the addresses, for other commands, as in "rd < addresses".  This command
  takes such a file, too, and runs once for each of its lines:

    crash> slabobjs -q ffff891481ae7400 > addresses""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
