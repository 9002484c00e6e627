# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a cache's objects are still there: every part of this folder asked, the rules applied.

The order is that of the report: evidence first, what follows from it last. Knows what is
asked of whom; each part's own file knows how.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.contents.callbacks import Callbacks
from crash_ext.contents.filters import Filter
from crash_ext.contents.pieces import pieces
from crash_ext.contents.profile import ENOUGH
from crash_ext.contents.typehints import related
from crash_ext.contents.words import Words
from crash_ext.kernel.say import count
from crash_ext.leak.family import Families, cgroup_text, children_text
from crash_ext.leak.state import LEFTOVER, LIVE, Held, State, judge
from crash_ext.places.callers import logged_caller_text
from crash_ext.places.calls import between
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.islands import FEW, Islands
from crash_ext.reach.known import Known
from crash_ext.reach.model import MAYBE, REACHED, UNREACHED
from crash_ext.reach.oldchains import OldChains
from crash_ext.reach.reach import Reach
from crash_ext.slub.decoded import for_each_slab_decoded_once
from crash_ext.slub.kmalloc import kmalloc_size
from crash_ext.slub.model import ONLY_ALLOCATED, Cache, SlabObjects
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.session import Session
from crash_ext.why.case import Case, Evidence
from crash_ext.why.chosen import Asked, Chosen
from crash_ext.why.conclusion import conclusion_of
from crash_ext.why.finding import Finding
from crash_ext.why.gather import (
    allocated,
    compare_with,
    examine,
    walk_lists,
)
from crash_ext.why.holders import find_holders
from crash_ext.why.lists import Alive
from crash_ext.why.log.kernellog import read_log
from crash_ext.why.log.match import (
    NOT_LISTED_LOST,
    NOT_LISTED_SLAB,
    OFFSETS,
    fitting_reports,
    match_reports,
    reported_caches,
)
from crash_ext.why.log.tell import (
    boot_evidence,
    callers_of,
    destroyed_by,
    log_evidence,
    memory_evidence,
    module_of,
)
from crash_ext.why.makers import makers_of
from crash_ext.why.opened import Opened
from crash_ext.why.owners import owners
from crash_ext.why.rules import conclude
from crash_ext.why.running import UNFINISHED, who_destroys
from crash_ext.why.tell_ages import likely_ages
from crash_ext.why.tell_children import children_evidence, held_by_each
from crash_ext.why.tell_objects import (
    examined_evidence,
    twins_evidence,
    users_evidence,
)
from crash_ext.why.tell_owners import owner_evidence, owner_sentence
from crash_ext.why.tell_types import counts_in, proposed, type_evidence
from crash_ext.why.users import UserNames, Users, sample


class Diagnosis(NamedTuple):
    """A cache, and why its objects are still there."""

    case: Case
    state: State
    slabs: List[SlabObjects]
    """Without their memory."""
    allocated: int
    """Allocated objects of the cache."""
    unknown: int
    """Objects of damaged slabs."""
    lacking: bool
    """Not all slabs of the cache were found."""
    module: Optional[str]
    """That called the failed kmem_cache_destroy(), as far as the log tells."""
    destroyed_by: str
    """The function that called it, in words, with its module; "" where the log doesn't tell."""
    log: List[str]
    """The lines of the kernel log that are of the cache, as they were printed."""
    evidence: List[Evidence]
    findings: List[Finding]
    conclusion: List[str]
    """Paragraphs."""
    problems: List[str]


class Diagnoser:
    """Diagnoses caches of one kernel, all in one pass over memory."""

    def __init__(
        self,
        session: Session,
        caches: Sequence[Cache],
        lists_only: bool = False,
        all_types: bool = False,
        reach: Optional[Callable[[Places], Reach]] = None,
        log: Optional[str] = None,
        asked: Optional[Filter] = None,
    ) -> None:
        """log: the kernel log, in place of the dump's own.

        asked: which objects are to be examined; None: all.

        reach: gives what leads to each object, when first needed; None: nobody is to ask.
        """
        self.session = session
        self._caches = caches
        self._families = Families(caches)
        self._reach = reach
        self._lists_only = lists_only
        self.blind = ""
        """Why memory could not be searched, though it was to be."""
        self._all_types = all_types
        self.places = Places(session, lambda: list(caches), lists_only)
        self.words = Words(self.places)
        self._log = read_log(session.reader, log)
        self._fits: Dict[int, Set[int]] = {}
        self._asked = None if asked is None else Asked(self.places, asked)
        self._user_names: Optional[UserNames] = None
        self._blocks: Optional[Blocks] = None
        """One for all cases: it reads all variables."""
        self._chains: Optional[OldChains] = None
        self._islands: Optional[Islands] = None
        self.fitting: List[Chosen] = []
        """What -w has chosen, of each cache that was diagnosed; empty without it."""

    @cached_property
    def _known(self) -> Known:
        return Known(self.places)

    @cached_property
    def _callbacks(self) -> Callbacks:
        return Callbacks(self.places)

    def _age(self, reach: Optional[Reach], cache: Cache, objects: List[int]) -> None:
        """Tell the reach which of a cache's objects old links alone lead to."""
        if reach is not None:
            if self._chains is None:
                function = self.places.function
                self._chains = OldChains(
                    self.session.reader, reach, lambda address: function(address) is not None
                )
            self._chains.age(objects, cache.object_size)

    def _blocks_of(self, reach: Reach) -> Blocks:
        if self._blocks is None:
            self._blocks = Blocks(self.places, reach)
        return self._blocks

    def diagnose(self, chosen: Sequence[Cache]) -> Iterator[Diagnosis]:
        """The caches one by one, in their order; the first comes after the search."""
        reach: Optional[Reach] = None
        if self._reach is not None and chosen:
            reach = self._reach(self.places)
            self.blind = reach.blind
            if self.blind:
                reach = None
        if reach is not None:
            if self._islands is None:
                self._islands = Islands(self.places, self._blocks_of(reach), reach)
            self._islands.sink(self._few(reach, chosen))
        opened = [self._open(cache, reach) for cache in chosen]
        cases = [item.case for item in opened if item.case.subjects]
        for case in cases:
            walk_lists(self.session, self.words, case, _alive(reach))
        if reach is not None and cases:
            blocks, progress = self._blocks_of(reach), self.session.progress
            find_holders(self.session, self.places, cases, reach, self._callbacks, blocks, progress)
        for item in opened:
            yield self._close(item)

    def _few(self, reach: Reach, caches: Sequence[Cache]) -> List[int]:
        """The allocated objects of those caches, with their memcg children, that have few."""
        few: Set[int] = set()
        for cache in caches:
            family = {each.address for each in self._families.with_children(cache)}
            if reach.heap.allocated_of(family) <= FEW:
                few |= family
        return list(reach.heap.starts_of(few))

    def leftovers(self) -> Iterator[Cache]:
        """What failed destroys have left behind. A memcg child is seen with its root."""
        for cache in self._caches:
            # These can't be, and decoding a cache takes time.
            if cache.listed and not cache.destroyed:
                continue
            slabs = self._family(cache, [])
            if self._state(cache, self._holds(cache, slabs)).kind == LEFTOVER:
                yield cache

    def reported(self) -> Iterator[Cache]:
        """Caches in use that a report of a failed destroy surely is of.

        Up to v6.11 a leftover may be merged into: then it's in use again, and holds leaked
        objects among its users'.
        """
        in_use = [
            cache
            for cache in self._caches
            if cache.listed and not cache.destroyed and not self._families.is_member(cache)
        ]
        for cache, log in reported_caches(self.session, in_use, self._log.reports, []):
            if log.allocated:
                yield cache

    def _open(self, cache: Cache, reach: Optional[Reach]) -> Opened:
        problems: List[str] = []
        children, kin = self._families.children(cache), self._families.kin(cache)
        slabs = self._family(cache, problems)
        addresses = sorted(allocated(slabs))
        self._age(reach, cache, addresses)
        asked = self._fitting(cache, slabs)
        # Of a cache of ten million objects each list takes 400 MB.
        chosen = addresses if asked is slabs else sorted(allocated(asked))
        left = chosen
        perhaps = 0
        harmless: Dict[str, int] = {}
        holds = self._holds(cache, slabs)
        unknown = sum(held.unknown for held in holds)
        state = self._state(cache, holds)
        destroyer = who_destroys(self.places, cache, self._caches)
        if destroyer:
            state = state._replace(reason=f"being destroyed by {destroyer}: {state.reason}")
        behind = state.kind == LEFTOVER
        claimed = self._claimed(cache)
        reports = self._log.reports
        log = match_reports(self.session, cache, slabs, reports, children, behind, claimed)
        if destroyer:
            log = log._replace(unlisted=_unfinished(log.unlisted))
        whole = not problems and self._all_slabs_seen()
        if self._lists_only or not whole:
            # A slab that wasn't looked for, or can't be read, isn't gone.
            log = log._replace(gone=[])
        callbacks = None if reach is None else self._callbacks
        if state.kind == LIVE:
            # Those that the log has, and else those that nothing leads to, are leaked; the
            # others have users, and are the twins.
            left, perhaps = _lost_of(reach, addresses)
            if not log.allocated and left and kmalloc_size(cache) is not None:
                left, harmless = self._without_harmless(cache, left)
            left = log.allocated or left
            leaked = left
            if chosen is not addresses:
                fits = set(chosen)
                leaked = [each for each in left if each in fits]
            case = examine(self.session, self.words, cache, kin, leaked)
            gone = set(left)
            rest = _in_use(reach, [each for each in addresses if each not in gone])
            compare_with(self.session, self.words, case, [cache], rest, callbacks)
            case.live = not log.allocated
            if log.allocated and not case.mixed:
                case.mixed = "the cache was merged into: living objects may be of another type"
        else:
            case = examine(self.session, self.words, cache, kin, chosen)
            for family in self._families.living_namesakes(cache):
                living = [
                    address for each in family for address in allocated(self._slabs(each, []))
                ]
                used = _in_use(reach, living)
                compare_with(self.session, self.words, case, family, used, callbacks)
            case.freed_late = log.freed
            case.late_by_places = any(matched.how == OFFSETS for matched in log.reports)
            case.reported = len(log.allocated) + len(log.freed)
            case.gone = sum(len(slab.objects_listed) for slab in log.gone)
            case.emptied = whole and state.kind == LEFTOVER and not addresses and not unknown
        return Opened(
            case=case,
            state=state,
            slabs=slabs,
            allocated=len(addresses),
            unknown=unknown,
            lacking=any(held.lacking for held in holds),
            within=holds[1:],
            left=len(left),
            perhaps=perhaps,
            harmless=harmless,
            asked=asked,
            users=self._users(state, reach, cache, chosen),
            log=log,
            running=destroyer,
            problems=problems,
        )

    def _without_harmless(self, cache: Cache, lost: List[int]) -> Tuple[List[int], Dict[str, int]]:
        """Those that are no leak of the kernel's own taken out of lost objects, and counted."""
        left: List[int] = []
        harmless: Dict[str, int] = {}
        for address in lost:
            data = self.session.reader.try_read(address, cache.object_size)
            reason = None if data is None else self._known.reason(data)
            if reason is None:
                left.append(address)
            else:
                harmless[reason] = harmless.get(reason, 0) + 1
        return left, harmless

    def _users(
        self, state: State, reach: Optional[Reach], cache: Cache, chosen: List[int]
    ) -> List[Users]:
        """Who has these objects of a live cache, where memory was searched."""
        if reach is None or state.kind != LIVE:
            return []
        if self._user_names is None:
            self._user_names = UserNames(
                self.places, reach, self._callbacks, self._blocks_of(reach)
            )
        return self._user_names.users_of(chosen, cache.object_size)

    def _fitting(self, cache: Cache, slabs: List[SlabObjects]) -> List[SlabObjects]:
        """The slabs with only those objects that -w chooses."""
        if self._asked is None:
            return slabs
        self.fitting.append(Chosen(self._asked, cache))
        among = self.fitting[-1].among
        return [slab.only(among(slab, slab.states.translate(ONLY_ALLOCATED))) for slab in slabs]

    def _holds(self, cache: Cache, slabs: List[SlabObjects]) -> List[Held]:
        """What the cache and then each of its memcg children has; slabs: those of all."""
        return held_by_each(self.session, self._families.with_children(cache), slabs)

    def _claimed(self, cache: Cache) -> Optional[Set[int]]:
        """The reports that fit another leftover of its name; None where there is no other."""
        others = self._families.dead_namesakes(cache)
        if not others:
            return None
        return set().union(*map(self._fitting_reports, others))

    def _fitting_reports(self, cache: Cache) -> Set[int]:
        # Of a name there may be hundreds: each is matched once, not with each other one.
        found = self._fits.get(cache.address)
        if found is None:
            reports = self._log.reports
            slabs = self._slabs(cache, []) if reports else []
            found = self._fits[cache.address] = fitting_reports(self.session, cache, slabs, reports)
        return found

    def _state(self, cache: Cache, holds: List[Held]) -> State:
        """holds: what it has, then what each of its memcg children has."""
        own, *within = holds
        return judge(
            cache,
            own.plus(within),
            slab_mutex_held(self.session.reader),
            self._families.root(cache),
            children_text(within),
            cgroup_text(self.session.reader, cache),
        )

    def _family(self, cache: Cache, problems: List[str]) -> List[SlabObjects]:
        """The slabs of a cache and of its memcg children."""
        members = self._families.with_children(cache)
        return [decoded for member in members for decoded in self._slabs(member, problems)]

    def _all_slabs_seen(self) -> bool:
        """Whether a slab that was missed would have been noticed.

        By the nodes' counters (CONFIG_SLUB_DEBUG), and else by page structures that can't be read.
        """
        if self._lists_only or "nr_slabs" in self.session.layout.node:
            return True
        return not self.session.page_index().holes

    def _slabs(self, cache: Cache, problems: List[str]) -> List[SlabObjects]:
        found = for_each_slab_decoded_once(self.session, cache, problems, self._lists_only)
        return list(found)

    def _close(self, item: Opened) -> Diagnosis:
        case = item.case
        state = f"{item.state.kind}: {item.state.reason}"
        evidence = [Evidence("state", state, case.cache.address)]
        children = self._families.children(case.cache)
        evidence.extend(children_evidence(self.session.reader, children, item.within))
        with_line = partial(logged_caller_text, self.places)
        jumped = partial(between, self.places, callee="kmem_cache_destroy")
        evidence.extend(log_evidence(item.log, self._log.whole, with_line, jumped))
        evidence.extend(boot_evidence(self._log.boots, case.cache, self._log.elsewhere))
        evidence.extend(
            memory_evidence(
                self.session.reader,
                self._log.memory,
                self._families.with_children(case.cache),
                _all_objects(item.slabs),
            )
        )
        evidence.extend(examined_evidence(case, item.unknown))
        report = owners(self.session, case.cache, item.asked, self.places.tasks.name_of)
        evidence.extend(owner_evidence(self.places, report))
        every = sorted(allocated(item.asked)) if item.state.kind == LIVE else []
        if item.state.kind == LIVE and report.ages is None:
            evidence.extend(likely_ages(self.session, case.cache, every))
        samples = [pieces(words) for words in case.samples]
        module = module_of(item.log)
        makers = list(makers_of(self.places, report))
        whose = related(self.places, case.cache, case.samples, makers, module)
        found = proposed(self.session, case.cache, samples, whose, self._all_types)
        evidence.extend(type_evidence(self.session, samples, whose, self._all_types, found))
        case.struct, case.counts = counts_in(self.session.reader, case.cache, found)
        if case.live:
            evidence.extend(users_evidence(item.users, len(sample(every)), len(every)))
        if not case.live or case.subjects:
            evidence.extend(twins_evidence(case))
        findings = conclude(case)
        for finding in findings:
            evidence.extend(finding.evidence)
        searched = self._reach is not None and not self.blind
        conclusion = conclusion_of(item, module, callers_of(item.log, jumped), findings, searched)
        sentence = owner_sentence(self.places, report)
        if sentence:
            conclusion.append(sentence)
        if self._asked is not None:
            number, many = len(list(allocated(item.asked))), count(item.allocated, "object")
            conclusion.insert(
                0,
                f"Only the objects that fit {self._asked.what.text} were examined: {number} of"
                f" {many}.",
            )
        return Diagnosis(
            case=case,
            state=item.state,
            slabs=item.slabs,
            allocated=item.allocated,
            unknown=item.unknown,
            lacking=item.lacking,
            module=module,
            log=[line for matched in item.log.reports for line in matched.report.lines],
            destroyed_by=destroyed_by(item.log, jumped) if item.state.kind != LIVE else "",
            evidence=evidence,
            findings=findings,
            conclusion=conclusion,
            problems=item.problems + report.problems,
        )


def _unfinished(unlisted: Dict[str, List[int]]) -> Dict[str, List[int]]:
    """Why the log lacks objects, where it only has the beginning of the report."""
    told: Dict[str, List[int]] = {}
    for reason, addresses in unlisted.items():
        late = reason in (NOT_LISTED_LOST, NOT_LISTED_SLAB)
        told.setdefault(UNFINISHED if late else reason, []).extend(addresses)
    return told


def _all_objects(slabs: List[SlabObjects]) -> Iterator[int]:
    """The addresses of the slabs' objects, whatever their state."""
    for decoded in slabs:
        for index in range(len(decoded.states)):
            yield decoded.address(index)


def _alive(reach: Optional[Reach]) -> Alive:
    """Whether what is at an address is in use, and something leads to it."""
    return lambda address: None if reach is None else reach.holds(address)[0] == REACHED


def _in_use(reach: Optional[Reach], living: List[int]) -> List[int]:
    """Those of a live cache's objects that are in use: it may have lost some, too.

    Surely in use, where those are enough: what only old memory leads to may be lost.
    """
    if reach is None:
        return living
    for worst in (REACHED, MAYBE):
        used = [address for address in living if (reach.level(address) or 0) >= worst]
        if len(used) >= ENOUGH:
            return used
    return living


def _lost_of(reach: Optional[Reach], addresses: List[int]) -> Tuple[List[int], int]:
    """Those of a live cache's objects that nothing leads to, and of how many that may be old."""
    lost: List[int] = []
    perhaps = 0
    if reach is not None:
        for address in addresses:
            level = reach.level(address)
            if level == UNREACHED:
                lost.append(address)
            perhaps += level == MAYBE
    return lost, perhaps
