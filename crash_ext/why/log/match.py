# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reports of the log are of a cache, and where log and memory disagree.

A name proves nothing: after a failed destroy it may have been given again. A report is a
cache's if its slabs are the cache's, by their addresses (or the hashes of these that %p
shows); where the log has neither, by the offsets of the objects in each slab. Else it is
said to fit by name alone.
"""

from __future__ import annotations

from typing import (
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from crash_ext.hexa import hexa
from crash_ext.reader import Reader
from crash_ext.slub.allocator import Slub
from crash_ext.slub.decoded import for_each_slab_decoded_once
from crash_ext.slub.kfence import PLACE as KFENCE
from crash_ext.slub.model import ALLOCATED, FREE, RCU_PENDING, Cache, SlabObjects
from crash_ext.slub.session import Session
from crash_ext.why.log.hashed import PointerHash
from crash_ext.why.log.parse import LoggedObject, LoggedSlab, Report

ADDRESSES = "addresses"
"""The log's slabs or objects have addresses of this cache, as they are or hashed."""
OFFSETS = "offsets"
"""The log has no addresses, but its objects lie in the slabs as this cache's do."""
NAME = "name"
"""Nothing but the name fits: the report may be of another cache of that name."""

NOT_LISTED_FULL = "in a full slab: the log lists partial slabs only"
NOT_LISTED_NODE = "on another node: the report ends with the first node that held objects"
NOT_LISTED_SINCE = "allocated since the report"
NOT_LISTED_SLAB = "in a slab that was full then, or was added since"
NOT_LISTED_KFENCE = "in KFENCE's pool, which is on no list"
NOT_LISTED_LOST = "lines of the report are lost, or can't be matched"


class MatchedObject(NamedTuple):
    """An object of the log, found in memory."""

    logged: LoggedObject
    address: int
    state: int
    """What it is now: slub.model's ALLOCATED, FREE, RCU_PENDING or UNKNOWN."""


class MatchedSlab(NamedTuple):
    """A slab of the log, and what it is in memory."""

    logged: LoggedSlab
    slab: Optional[SlabObjects]
    """None: the cache has it no longer, or which it is is unknown."""
    gone: bool
    """Its address is known, and is no slab's of the cache any more."""
    objects: List[MatchedObject]


class MatchedReport(NamedTuple):
    """A report that is, or may be, of the cache."""

    report: Report
    how: str
    """ADDRESSES, OFFSETS or NAME: what it was matched by."""
    slabs: List[MatchedSlab]
    child: bool = False
    """It is of a memcg child of the cache, under that one's name."""


class LogEvidence(NamedTuple):
    """What the log has of one cache, beside what memory has. Addresses of objects."""

    reports: List[MatchedReport]
    """In the log's order."""
    others: List[Report]
    """Of the same name, but their slabs are none of the cache's."""
    allocated: List[int]
    """The log has them as left behind, and they still are."""
    freed: List[int]
    """The log has them as left behind, and they are free now: freed too late."""
    gone: List[LoggedSlab]
    """The cache has them no longer: emptied since, their objects freed too late."""
    unlisted: Dict[str, List[int]]
    """Why the log doesn't have them (NOT_LISTED_...) -> allocated objects."""
    alone: bool = True
    """No other cache of its name was left behind: a report of the name is its own."""

    @property
    def proven(self) -> bool:
        """Whether a report is surely this cache's: by its addresses or offsets."""
        return any(matched.how != NAME for matched in self.reports)


def match_reports(
    slub: Slub,
    cache: Cache,
    decoded_slabs: Iterable[SlabObjects],
    reports: Sequence[Report],
    children: Iterable[Cache] = (),
    left: bool = False,
    claimed: Optional[Set[int]] = None,
) -> LogEvidence:
    """Compare a cache with the log. decoded_slabs: all of the cache's, or some seem gone.

    children: its memcg children, whose slabs are among these; what the log reports under their
    names is of the cache. left: it was left behind, whatever its refcount: a child's stays 1.
    claimed: other caches with one of these names were left behind, and these reports (by id())
    fit one of them: without addresses such a report is no proof.
    """
    others_fit = claimed or set()
    slabs: Dict[int, List[SlabObjects]] = {child.address: [] for child in children}
    own: List[SlabObjects] = []
    for found in decoded_slabs:
        slabs.get(found.slab.cache, own).append(found)
    members = [(cache, own), *((child, slabs[child.address]) for child in children)]
    told = [
        _match_member(
            _Matcher(member, its, slub.reader, left or cache.destroyed),
            [report for report in reports if is_named(member, report)],
            others_fit,
            member != cache,
        )
        for member, its in members
    ]
    # Children of one name: a report is that one's whose slabs it lists.
    best: Dict[int, MatchedReport] = {}
    for each in told:
        for matched in each.reports:
            before = best.get(id(matched.report))
            if before is None or before.how == NAME:
                best[id(matched.report)] = matched
    others = {id(report) for each in told for report in each.others}
    unlisted: Dict[str, List[int]] = {}
    for each in told:
        for reason, addresses in each.unlisted.items():
            unlisted.setdefault(reason, []).extend(addresses)
    return LogEvidence(
        reports=[best[id(report)] for report in reports if id(report) in best],
        others=[report for report in reports if id(report) in others and id(report) not in best],
        allocated=[address for each in told for address in each.allocated],
        freed=[address for each in told for address in each.freed],
        gone=[slab for each in told for slab in each.gone],
        unlisted=unlisted,
        alone=claimed is None,
    )


def _match_member(
    matcher: _Matcher, named: Iterable[Report], claimed: Set[int], child: bool
) -> LogEvidence:
    """named: the reports of the cache's name; claimed: by id(), those that fit another cache."""
    found: List[MatchedReport] = []
    others: List[Report] = []
    for report in named:
        matched = matcher.match(report)
        if matched is not None and matched.how != ADDRESSES and id(report) in claimed:
            # It is of one of them: of the other, if it doesn't fit here.
            matched = _by_name(matched) if matched.how == OFFSETS else None
        if matched is None:
            others.append(report)
        else:
            found.append(matched._replace(child=child))
    return _compare(matcher.cache, matcher.slabs, _without_doubles(found), others)


def fitting_reports(
    slub: Slub, cache: Cache, slabs: List[SlabObjects], reports: Iterable[Report]
) -> Set[int]:
    """Which reports (by id()) fit a cache that was left behind, by more than its name."""
    named = [report for report in reports if is_named(cache, report)]
    if not named:
        return set()
    matcher = _Matcher(cache, slabs, slub.reader, True)
    found = ((report, matcher.match(report)) for report in named)
    return {id(report) for report, matched in found if matched and matched.how != NAME}


def reported_caches(
    session: Session, caches: Iterable[Cache], reports: List[Report], problems: List[str]
) -> Iterator[Tuple[Cache, LogEvidence]]:
    """Those of the caches whose slabs a report surely lists, leftover or live.

    A live one was merged into after its destroy had failed (up to v6.11): it holds leaked
    objects among its users'. Not said where a leftover of its name is there, too: pages may
    have gone from one to the other. Only caches that a report names are read.
    """
    named = [cache for cache in caches if any(is_named(cache, report) for report in reports)]
    dead = {cache.name for cache in named if cache.destroyed}
    for cache in named:
        if cache.destroyed or cache.name not in dead:
            own: List[str] = []
            slabs = list(for_each_slab_decoded_once(session, cache, own))
            problems.extend(f"{hexa(cache.address)}: {text}" for text in own)
            evidence = match_reports(session, cache, slabs, reports)
            if evidence.proven:
                yield cache, evidence


def is_named(cache: Cache, report: Report) -> bool:
    """Whether a report has the cache's name, as crash's `log` shows it."""
    if cache.name is None:
        return False
    return report.name in (shown_name(cache), cache.name.decode("utf-8", "backslashreplace"))


def shown_name(cache: Cache) -> str:
    """The cache's name as crash's `log` shows it: a dot for what isn't printable."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in cache.name or b"")


_Form = Tuple[int, FrozenSet[int]]
"""A slab without its address: how many objects it has, the offsets of the allocated ones."""


class _Matcher:
    """Finds a report's slabs among those of one cache."""

    def __init__(self, cache: Cache, slabs: List[SlabObjects], reader: Reader, left: bool) -> None:
        self.cache = cache
        self.slabs = slabs
        self._left = left
        self._hashed = PointerHash(reader)
        self._long = reader.word == 8
        # An object of KFENCE is on no list, and a slab of the log is from one.
        self._listed = [found for found in slabs if found.slab.place != KFENCE]
        self._by_address = {found.slab.address: found for found in self._listed}
        self._resolved: Dict[int, int] = {}
        """The log's pointers that are slabs of the cache, and which."""

    def match(self, report: Report) -> Optional[MatchedReport]:
        """The report with its slabs found; None if it's surely not of this cache."""
        found = self._by_addresses(report)
        nothing: List[Optional[SlabObjects]] = [None] * len(report.slabs)
        dead = self._left
        if any(found) and not report.sure and not self._proves(report, found):
            found = nothing
        if any(found):
            if dead:
                # Pointers from before the key was there have offsets alone.
                told = map(self._told, report.slabs)
                rest = [slab is None and not known for slab, known in zip(found, told)]
                self._by_offsets(report, found, rest)
            matched = self._matched(report, ADDRESSES, found)
            if dead or _in_place(matched):
                return matched
        elif not report.sure:
            # Of another boot, perhaps: its hashes tell nothing, and objects may lie alike.
            return self._matched(report, NAME, nothing)
        elif report.slabs and all(map(self._told, report.slabs)):
            return None
        elif dead:
            # A live cache's users allocate and free as they like: any pattern may come up.
            self._by_offsets(report, found, [True] * len(found))
            if any(found) and self._fits(found):
                return self._matched(report, OFFSETS, found)
        return self._matched(report, NAME, nothing)

    def _proves(self, report: Report, found: List[Optional[SlabObjects]]) -> bool:
        """Whether hashes were resolved, which only those of this boot are.

        An address may be another's on another boot.
        """
        return (
            any(
                slab is not None and logged.pointer is not None and not logged.pointer >> 32
                for logged, slab in zip(report.slabs, found)
            )
            and self._long
        )

    # by addresses ---------------------------------------------------------------------

    def _by_addresses(self, report: Report) -> List[Optional[SlabObjects]]:
        pointers = [logged.pointer for logged in report.slabs]
        resolved = self._resolved = self._hashed.resolve(pointers, self._by_address)
        found: List[Optional[SlabObjects]] = []
        taken: Set[int] = set()
        for logged in report.slabs:
            address = resolved.get(logged.pointer or 0)
            slab = self._by_address[address] if address is not None else self._by_object(logged)
            if slab is not None and (slab.slab.address in taken or not self._agrees(logged, slab)):
                slab = None
            if slab is not None:
                taken.add(slab.slab.address)
            found.append(slab)
        return found

    def _by_object(self, logged: LoggedSlab) -> Optional[SlabObjects]:
        """The slab by its first object's pointer: the slab's own line may be lost."""
        if logged.pointer is not None or not logged.objects_listed:
            return None
        pointer, offset = logged.objects_listed[0][:2]
        if not pointer:
            return None
        places = {slab.slab.base + offset: slab for slab in self._listed}
        address = self._hashed.resolve([pointer], places).get(pointer)
        return places[address] if address is not None else None

    def _agrees(self, logged: LoggedSlab, slab: SlabObjects) -> bool:
        """Whether the log's objects can be that slab's: hashes of two addresses may be one."""
        if logged.objects is not None and logged.objects != len(slab.states):
            return False
        for told in logged.objects_listed:
            if self._index(slab, told.offset) is None:
                return False
            if told.pointer is None:
                continue
            # Of 32 bits a pointer may be a hash that can't be compared: then it isn't equal.
            telling = self._tells(told.pointer) or not self._long
            if telling and not self._hashed.stands_for(told.pointer, slab.slab.base + told.offset):
                return False
        return True

    def _told(self, logged: LoggedSlab) -> bool:
        """Whether the log's pointers say which slab it is."""
        return self._tells(logged.pointer) or any(
            self._tells(told.pointer) for told in logged.objects_listed[:1]
        )

    def _tells(self, pointer: Optional[int]) -> bool:
        """Whether a pointer is an address, or a hash that can be compared with one's."""
        if not pointer:
            return False
        return self._hashed.known or (self._long and pointer >> 32 != 0)

    def _is_gone(self, logged: LoggedSlab) -> bool:
        """Whether the log tells a slab's address, and the cache has none there."""
        return self._tells(logged.pointer) and logged.pointer not in self._resolved

    # by offsets -----------------------------------------------------------------------

    def _by_offsets(
        self, report: Report, found: List[Optional[SlabObjects]], rest: List[bool]
    ) -> None:
        """Find those slabs of the report that are in `rest` by the places of their objects.

        Equal forms are paid out in order, for lists keep theirs, and only if log and memory
        have as many. What is left over was freed in part, if only one slab can be that.
        """
        taken = {slab.slab.address for slab in found if slab is not None}
        real: Dict[_Form, List[SlabObjects]] = {}
        for slab in self._listed:
            if slab.slab.address not in taken and slab.problem is None:
                real.setdefault(self._form(slab), []).append(slab)
        forms = [_logged_form(logged) for logged in report.slabs]
        wanted: Dict[_Form, List[int]] = {}
        for number, form in enumerate(forms):
            if rest[number] and form is not None:
                wanted.setdefault(form, []).append(number)
        left: List[_Form] = []
        for form, numbers in wanted.items():
            if len(real.get(form, [])) == len(numbers):
                for number, slab in zip(numbers, real.pop(form)):
                    found[number] = slab
            elif form not in real and len(numbers) == 1:
                left.append(form)
        for form in left:
            smaller = [
                other for other in real if other[0] == form[0] and other[1] and other[1] < form[1]
            ]
            if len(smaller) != 1 or len(real[smaller[0]]) != 1:
                continue
            rivals = [other for other in left if other[0] == form[0] and smaller[0][1] < other[1]]
            if len(rivals) == 1:
                found[wanted[form][0]] = real[smaller[0]][0]

    def _fits(self, found: List[Optional[SlabObjects]]) -> bool:
        """Whether offsets are proof: few slabs may be in the log alone, or in memory alone.

        Those were emptied since, or full when the report was written. Other nodes' don't
        count: a report ends with the first node that held objects.
        """
        known = [slab.slab for slab in found if slab is not None]
        taken = {slab.address for slab in known}
        nodes = {slab.node for slab in known}
        others = sum(
            slab.slab.place == "partial"
            and slab.slab.node in nodes
            and slab.slab.address not in taken
            and slab.count(ALLOCATED) > 0
            for slab in self._listed
        )
        return 2 * max(len(found) - len(known), others) <= len(known)

    def _form(self, slab: SlabObjects) -> _Form:
        base = slab.slab.base
        return len(slab.states), frozenset(address - base for address in slab.allocated())

    # what was found -------------------------------------------------------------------

    def _index(self, slab: SlabObjects, offset: int) -> Optional[int]:
        index, rest = divmod(slab.slab.base + offset - slab.first, self.cache.size)
        return index if not rest and 0 <= index < len(slab.states) else None

    def _matched(
        self, report: Report, how: str, found: List[Optional[SlabObjects]]
    ) -> MatchedReport:
        slabs = []
        for logged, slab in zip(report.slabs, found):
            gone = how == ADDRESSES and slab is None and self._is_gone(logged)
            objects = [] if slab is None else list(self._objects(logged, slab))
            slabs.append(MatchedSlab(logged, slab, gone, objects))
        return MatchedReport(report, how, slabs)

    def _objects(self, logged: LoggedSlab, slab: SlabObjects) -> Iterator[MatchedObject]:
        for told in logged.objects_listed:
            index = self._index(slab, told.offset)
            if index is not None:
                address = slab.address(index)
                yield MatchedObject(told, address, slab.states[index])


def _in_place(matched: MatchedReport) -> bool:
    """Whether all that the report lists is there, as it must be in a live cache.

    A leftover that was emptied gives its pages back, and a live cache may get them.
    """
    return all(
        slab.slab is not None and all(told.state == ALLOCATED for told in slab.objects)
        for slab in matched.slabs
    )


def _logged_form(logged: LoggedSlab) -> Optional[_Form]:
    """None where lines are lost: then the offsets aren't all."""
    if logged.objects is None or not logged.complete:
        return None
    return logged.objects, frozenset(told.offset for told in logged.objects_listed)


def _without_doubles(found: List[MatchedReport]) -> List[MatchedReport]:
    """Where several reports fit, those that need not be the cache's fit by name only.

    Offsets don't tell several from each other. By addresses an older report may name a page that
    another cache has given back since: then more of its slabs are gone.
    """
    doubtful = {OFFSETS} if sum(matched.how == OFFSETS for matched in found) > 1 else set()
    whole = any(matched.how == ADDRESSES and not _lost(matched) for matched in found)
    return [
        _by_name(matched) if matched.how in doubtful or (whole and _lost(matched)) else matched
        for matched in found
    ]


def _lost(matched: MatchedReport) -> bool:
    return any(slab.gone for slab in matched.slabs)


def _by_name(matched: MatchedReport) -> MatchedReport:
    slabs = [MatchedSlab(slab.logged, None, False, []) for slab in matched.slabs]
    return matched._replace(how=NAME, slabs=slabs)


def _compare(
    cache: Cache, slabs: List[SlabObjects], found: List[MatchedReport], others: List[Report]
) -> LogEvidence:
    sure = [matched for matched in found if matched.how != NAME]
    # Two reports, where a live cache was merged into and destroyed again, may list one object.
    objects = {
        told.address: told.state
        for matched in sure
        for slab in matched.slabs
        for told in slab.objects
    }
    return LogEvidence(
        reports=found,
        others=others,
        allocated=[address for address, state in objects.items() if state == ALLOCATED],
        freed=[address for address, state in objects.items() if state in (FREE, RCU_PENDING)],
        gone=[slab.logged for matched in sure for slab in matched.slabs if slab.gone],
        unlisted=_unlisted(cache, slabs, sure) if sure else {},
    )


def _unlisted(
    cache: Cache, slabs: List[SlabObjects], sure: List[MatchedReport]
) -> Dict[str, List[int]]:
    """Allocated objects that no report lists, by the reason."""
    listed = {told.address for m in sure for slab in m.slabs for told in slab.objects}
    known = {s.slab.slab.address: s.logged for m in sure for s in m.slabs if s.slab is not None}
    nodes = {s.slab.slab.node for m in sure for s in m.slabs if s.slab is not None}
    lost = any(
        not m.report.finished or m.report.truncated or any(s.slab is None for s in m.slabs)
        for m in sure
    )
    found: Dict[str, List[int]] = {}
    for slab in slabs:
        addresses = [address for address in slab.allocated() if address not in listed]
        if not addresses:
            continue
        logged = known.get(slab.slab.address)
        if slab.slab.place == KFENCE:
            reason = NOT_LISTED_KFENCE
        elif logged is not None:
            reason = NOT_LISTED_SINCE if logged.complete else NOT_LISTED_LOST
        elif slab.count(ALLOCATED) == len(slab.states):
            reason = NOT_LISTED_FULL
        elif slab.slab.node is not None and slab.slab.node not in nodes:
            reason = NOT_LISTED_NODE
        else:
            reason = NOT_LISTED_LOST if lost else NOT_LISTED_SLAB
        found.setdefault(reason, []).extend(addresses)
    return found
