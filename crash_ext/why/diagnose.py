# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a cache's objects are still there: every part of this room asked, the rules applied.

The order is that of the report: evidence first, what follows from it last. Knows what is
asked of whom; each part's own file knows how.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Sequence

from crash_ext.contents.words import Words
from crash_ext.kernel.say import count
from crash_ext.leak.state import LEFTOVER, LIVE, State, judge
from crash_ext.places.places import Places
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import UNKNOWN, Cache, SlabObjects
from crash_ext.slub.mutex import slab_mutex_held
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.why.case import Case, Evidence
from crash_ext.why.gather import (
    allocated,
    compare_with,
    examine,
    find_holders,
    walk_lists,
)
from crash_ext.why.log.match import LogEvidence, match_reports, reported_caches
from crash_ext.why.log.parse import begins_at_boot, parse_reports
from crash_ext.why.log.tell import log_evidence, module_of
from crash_ext.why.owners import owners
from crash_ext.why.rules import LIKELY, Finding, conclude, unexplained
from crash_ext.why.tell_objects import (
    examined_evidence,
    holders_evidence,
    lists_evidence,
    twins_evidence,
    words_evidence,
)
from crash_ext.why.tell_owners import owner_evidence, owner_sentence
from crash_ext.why.tell_types import pieces, type_evidence


class Diagnosis(NamedTuple):
    """A cache, and why its objects are still there."""

    case: Case
    state: State
    slabs: List[SlabObjects]
    """Without their memory."""
    allocated: int
    """Allocated objects of the cache."""
    log: LogEvidence
    """What the kernel log says of it."""
    module: Optional[str]
    """That called the failed kmem_cache_destroy(), as far as the log tells."""
    unknown: int
    """Objects of damaged slabs."""
    evidence: List[Evidence]
    findings: List[Finding]
    conclusion: List[str]
    """Paragraphs."""
    problems: List[str]


class Diagnoser:
    """Diagnoses caches of one kernel, all in one pass over memory."""

    def __init__(
        self,
        slub: Slub,
        caches: Sequence[Cache],
        lists_only: bool = False,
        search: bool = True,
        all_types: bool = False,
    ) -> None:
        self.slub = slub
        self._caches = caches
        self._lists_only = lists_only
        self._search = search
        self._all_types = all_types
        self.places = Places(slub, lambda: list(caches), lists_only)
        self.words = Words(self.places)
        log = slub.reader.log()
        self._log_begins = log is not None and begins_at_boot(log)
        self._reports = parse_reports(log or "")

    def diagnose(self, chosen: Sequence[Cache]) -> Iterator[Diagnosis]:
        """The caches one by one, in their order; the first comes after the search."""
        opened = [self._open(cache) for cache in chosen]
        cases = [item.case for item in opened if item.case.subjects]
        if self._search and cases:
            find_holders(self.slub, self.places, cases, self.slub.progress)
        for item in opened:
            yield self._close(item)

    def reported(self) -> Iterator[Cache]:
        """Caches in use that a report of a failed destroy surely is of.

        Up to v6.11 a leftover may be merged into: then it's in use again, and holds leaked
        objects among its users'.
        """
        in_use = [cache for cache in self._caches if cache.listed and cache.refcount != 0]
        for cache, log in reported_caches(self.slub, in_use, self._reports, []):
            if log.allocated:
                yield cache

    def _open(self, cache: Cache) -> Diagnosis:
        problems: List[str] = []
        slabs = self._slabs(cache, problems)
        addresses = allocated(slabs, cache.size)
        unknown = sum(decoded.count(UNKNOWN) for decoded in slabs)
        held = slab_mutex_held(self.slub.reader)
        state = judge(cache, len(slabs), len(addresses), held)
        log = match_reports(self.slub, cache, slabs, self._reports)
        if self._lists_only:
            # A slab that wasn't looked for isn't gone.
            log = log._replace(gone=[])
        if state.kind == LIVE and log.allocated:
            # Those that the log has are leaked; the others have users, and are the twins.
            left = set(log.allocated)
            case = examine(self.slub, self.words, cache, log.allocated)
            rest = [address for address in addresses if address not in left]
            compare_with(self.slub, self.words, case, cache, rest)
        else:
            case = examine(self.slub, self.words, cache, addresses)
        if state.kind != LIVE:
            for twin in self._twins(cache):
                twin_slabs = self._slabs(twin, [])
                compare_with(self.slub, self.words, case, twin, allocated(twin_slabs, twin.size))
            case.freed_late = log.freed
            case.reported = len(log.allocated) + len(log.freed)
            case.gone = sum(len(slab.objects_listed) for slab in log.gone)
            case.emptied = state.kind == LEFTOVER and not case.total and not unknown
        return Diagnosis(
            case=case,
            state=state,
            slabs=slabs,
            allocated=len(addresses),
            log=log,
            module=module_of(log),
            unknown=unknown,
            evidence=[],
            findings=[],
            conclusion=[],
            problems=problems,
        )

    def _slabs(self, cache: Cache, problems: List[str]) -> List[SlabObjects]:
        return [
            decoded._replace(memory=None)
            for decoded in for_each_decoded_slab(self.slub, cache, problems, self._lists_only)
        ]

    def _twins(self, cache: Cache) -> Iterator[Cache]:
        """Living caches of the same name and object size: only these can be compared with."""
        for other in self._caches:
            if (
                other.address != cache.address
                and other.listed
                and other.refcount != 0
                and other.name is not None
                and (other.name, other.object_size) == (cache.name, cache.object_size)
            ):
                yield other

    def _close(self, item: Diagnosis) -> Diagnosis:
        case = item.case
        walk_lists(self.slub, self.words, case)
        item.evidence.append(
            Evidence("state", f"{item.state.kind}: {item.state.reason}", case.cache.address)
        )
        item.evidence.extend(log_evidence(item.log, self._log_begins))
        item.evidence.extend(examined_evidence(case, item.unknown))
        report = owners(self.slub, case.cache, item.slabs, self.places.tasks.name_of)
        item.evidence.extend(owner_evidence(self.places, report))
        item.problems.extend(report.problems)
        samples = [pieces(words) for words in case.samples]
        item.evidence.extend(type_evidence(self.slub.reader, case.cache, samples, self._all_types))
        if item.state.kind == LIVE and not case.twins:
            item.evidence.extend(words_evidence(case))
            item.evidence.extend(lists_evidence(case))
            item.evidence.extend(holders_evidence(case))
            return item._replace(conclusion=[_live(case)])
        item.evidence.extend(twins_evidence(case))
        findings = conclude(case)
        for finding in findings:
            item.evidence.extend(finding.evidence)
        conclusion = _conclusion(item, findings)
        sentence = owner_sentence(self.places, report)
        if sentence:
            conclusion.append(sentence)
        return item._replace(findings=findings, conclusion=conclusion)


def _live(case: Case) -> str:
    return (
        f"The cache is in use: {count(case.total, 'object')}"
        f" {'is' if case.total == 1 else 'are'} allocated, and nothing was left behind."
    )


def _conclusion(item: Diagnosis, findings: List[Finding]) -> List[str]:
    case = item.case
    paragraphs = [
        ("Likely: " if finding.strength == LIKELY else "") + finding.sentence
        for finding in sorted(findings, key=lambda found: -len(found.objects))
    ]
    if item.state.kind == LIVE:
        paragraphs.insert(
            0,
            f"The cache is in use, but a destroy of it failed before, and"
            f" {count(case.total, 'object')} of then"
            f" {'is' if case.total == 1 else 'are'} still there: the cache was merged into.",
        )
    rest = len(unexplained(case, findings))
    if rest:
        many = "is" if rest == 1 else "are"
        text = f"{count(rest, 'object')} {many} not explained: the evidence fits no rule."
        if case.searched is None:
            text += " Memory was not searched for pointers to them, which may tell more."
        paragraphs.append(text)
    if item.unknown:
        paragraphs.append(
            f"{count(item.unknown, 'object')} of damaged slabs may be allocated, too."
        )
    if not paragraphs:
        paragraphs.append("No allocated object was found, so there is none to explain.")
    return paragraphs
