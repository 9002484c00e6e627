# SPDX-License-Identifier: GPL-3.0-or-later
"""A selected cache, listed: which parts are shown in which order.

choice.py knows which slabs and objects; text.py, records.py, addresses.py and groups.py, how
they look.
"""

from __future__ import annotations

from itertools import chain, compress
from typing import Iterator, List, Optional, Tuple, Union

from crash_ext.contents.words import Words
from crash_ext.hexa import hexa
from crash_ext.leak.family import Families
from crash_ext.leak.select import Selection
from crash_ext.output import Output
from crash_ext.reach.references import References
from crash_ext.report.text import counted, plural, printable, visible
from crash_ext.slub.model import SlabObjects
from crash_ext.slub.session import Session
from crash_ext.slub.slabmemory import SlabBytes
from crash_ext.view.addresses import show_addresses
from crash_ext.view.choice import Choice, Wanted
from crash_ext.view.details import Details
from crash_ext.view.groups import Grouping, show_groups
from crash_ext.view.records import RecordSink
from crash_ext.view.slabs import Slabs
from crash_ext.view.summary import show_summary
from crash_ext.view.tally import Tally
from crash_ext.view.text import TextSink
from crash_ext.why.chosen import Chosen, doubts

Sink = Union[TextSink, RecordSink]


class Listing:
    """One selection, listed."""

    def __init__(
        self,
        session: Session,
        out: Output,
        families: Families,
        wanted: Wanted,
        selection: Selection,
    ) -> None:
        self._session = session
        self._out = out
        self._families = families
        self._wanted = wanted
        self._selection = selection
        self._cache = selection.cache
        self._data = SlabBytes(session.reader, selection.cache.size)
        self._choice = Choice(wanted, selection, self._data)
        self._slabs = Slabs(session, selection.cache, wanted)
        self._details = Details(session, wanted, selection, self._data)

    def ranges(self) -> Iterator[Tuple[int, int]]:
        """(address, bytes) of each object that show() will show."""
        choice = Choice(self._wanted, self._selection, self._data)
        slabs = Slabs(self._session, self._cache, self._wanted)
        for decoded in choice.slabs(slabs.all()):
            chosen = choice.objects(decoded)
            for index in compress(range(len(chosen)), chosen):
                yield decoded.address(index), decoded.length or self._cache.object_size

    def show(self, references: Optional[References]) -> int:
        """Write it; the number of objects shown.

        references: who points to the objects; None where that isn't asked for.
        """
        out, wanted, slabs, choice = self._out, self._wanted, self._slabs, self._choice
        if wanted.quiet:
            show_addresses(self._session.reader, out, self._selection, slabs, choice)
        elif wanted.groups is not None:
            self._show_groups(wanted.groups)
        elif out.json:
            self._show_whole(RecordSink(out, self._cache, references))
        else:
            reader = self._session.reader
            sink = TextSink(reader, out, wanted, self._selection, references)
            if references is not None:
                self._show_whole(sink)
            else:
                self._show_flowing(sink)
            sink.flush()
        for problem in slabs.all_problems() + self._details.absent_lines():
            out.error(problem, self._cache)
        if choice.left_out:
            self._limit(f"{plural(choice.left_out, 'object')} left out (-l)")
        fitting = self.fitting
        if fitting is not None and wanted.asked is not None:
            for doubt in doubts([fitting]):
                if wanted.quiet:
                    # Addresses alone would be taken for all that there are.
                    out.error(doubt, self._cache)
                else:
                    self._limit(doubt)
            text = f"{fitting.fit} of {plural(fitting.of, 'object')} fit {wanted.asked.what.text}"
            out.sentences([f"{self._where}: {visible(text)}"])
        return choice.shown

    @property
    def fitting(self) -> Optional[Chosen]:
        """The objects that -w has chosen; None without it."""
        return self._choice.fitting

    def _show_groups(self, words: Words) -> None:
        wanted, slab = self._wanted, self._selection.slab
        everything = self._slabs.all()
        self._summary(Tally.of(everything, self._lacking))
        notes_too = wanted.words is not None
        what = Grouping(
            *(self._out, self._cache, self._data, words, notes_too, wanted.bytes, wanted.limit)
        )
        asked = self._choice.slabs(everything)
        chosen = self._choice.allocated(asked)
        only = slab.number if slab else None
        self._choice.shown += show_groups(what, chosen, len(asked), only)

    def _show_whole(self, sink: Sink) -> None:
        """Nothing is written before all is known: a record can't be corrected."""
        everything = self._slabs.all()
        self._summary(Tally.of(everything, self._lacking))
        for decoded in self._choice.slabs(everything):
            self._slab(sink, decoded)

    def _show_flowing(self, sink: Sink) -> None:
        """The summary comes first: of a small cache by what is decoded, and then shown.

        Of a large one by its slabs' counters, and the slabs follow as they are decoded. If
        these disagree with the counters in the end, an error line follows.
        """
        slabs, choice = self._slabs, self._choice
        rest = slabs.each()
        ahead: List[SlabObjects] = []
        size = 0
        for decoded in rest:
            ahead.append(decoded)
            size += len(decoded.states) * self._cache.size
            if slabs.is_large(size):
                break
        else:
            self._summary(Tally.of(ahead, self._lacking))
            for decoded in choice.slabs(ahead):
                self._slab(sink, decoded)
            return
        tally, here, problems = slabs.counted(choice)
        self._summary(tally)
        if self._selection.slab:
            self._slab(sink, self._selection.slab.objects)
            slabs.add_problems(problems)
            self._limit("its objects were counted by their slabs' counters, not one by one")
            return
        found = Tally()
        for decoded in chain(ahead, rest):
            found.add(decoded)
            if choice.on_node(decoded.slab.node):
                self._slab(sink, decoded)
            if choice.enough:
                slabs.add_problems(problems)
                choice.left_out = max(0, here - choice.shown)
                self._limit("the objects left out were counted by their slabs' counters")
                return
        found.lacking = self._lacking
        if not found.agrees_with(tally):
            sink.flush()
            self._out.error(
                f"by what was decoded it has {counted(found.allocated, found.more)} allocated"
                f" objects of {counted(found.objects, found.lacking)} in"
                f" {plural(found.slabs, 'slab', found.lacking)}; the line above is"
                " by the slabs' counters",
                self._cache,
            )

    def _slab(self, sink: Sink, decoded: SlabObjects) -> None:
        """A slab with its chosen objects; nothing of one that has neither these nor a fault."""
        chosen = self._choice.objects(decoded)
        objects = chosen.count(1)
        absent = self._slabs.is_absent(decoded)
        silent = decoded.problem is None or (absent and not self._out.json)
        if not objects and not self._selection.slab and silent:
            return
        members = self._details.learn_members(decoded)
        if members:
            self._out.sentences([members])
        sink.slab(decoded)
        if decoded.problem is not None and not absent:
            sink.flush()
            text = f"slab {hexa(decoded.slab.address)}: {decoded.problem}: its objects are unknown"
            self._out.error(text, self._cache)
        if not objects:
            return
        memory, length = self._details.memory(decoded, objects), self._details.length(decoded)
        if sink.takes_all(decoded, chosen, length, memory):
            return
        for index in compress(range(len(chosen)), chosen):
            detail = self._details.of(decoded, index, length, memory)
            sink.object(decoded, index, detail)
            if detail.problem:
                self._out.error(f"object {hexa(detail.address)}: {detail.problem}", self._cache)

    def _summary(self, tally: Tally) -> None:
        cache, struct = self._cache, self._wanted.struct
        lists_only = self._wanted.lists_only
        show_summary(self._session, self._out, self._selection, self._families, tally, lists_only)
        if struct is not None and struct.end is not None and struct.end > cache.object_size:
            text = f"{struct.what} ends at byte {struct.end}, an object at {cache.object_size}"
            self._out.error(f"{text}: what lies behind it is not the object's", cache)

    def _limit(self, text: str) -> None:
        self._out.limit(f"{self._where}: {text}")

    @property
    def _lacking(self) -> bool:
        """Whether slabs of the cache were missed; known behind the last one."""
        return self._session.lacks(self._cache)

    @property
    def _where(self) -> str:
        return f"{hexa(self._cache.address)} {printable(self._cache.name)}"
