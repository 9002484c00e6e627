# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are still there: one function a cause, in one table.

Who holds an object is asked before what it looks like. A rule takes the objects that no
rule before it has explained, and returns those that it explains, with its evidence and its
sentence, or nothing. It is silent on thin evidence: what no rule explains stays unexplained.

A word in an object is no history: a list head that points to itself was never linked, or
taken off by list_del_init(), or heads a list of the object's own. `certain` needs evidence
that only one history leaves behind.

To add a cause, write its function in a file beside this one and put it into RULES: the stronger
evidence stands first.
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Tuple

from crash_ext.kernel.say import count
from crash_ext.why.blank import all_zeroes, never_written, not_set_up
from crash_ext.why.calledback import called_back
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.finding import CERTAIN, LIKELY, Finding
from crash_ext.why.headless import no_head
from crash_ext.why.holding import by_handle, held, perhaps_held, until_grace
from crash_ext.why.listed import still_listed
from crash_ext.why.offlist import NOT_SET_UP, OFF_THE_LIST, never_linked, off_the_list, taken_off
from crash_ext.why.phrases import objects
from crash_ext.why.unreached import held_by_freed, lost, lost_with_others


class Rule(NamedTuple):
    """A cause."""

    cause: str
    """In a word or three, for tables and records."""
    strengths: Tuple[str, ...]
    """That its findings may have."""
    help: str
    """One line: the evidence."""
    find: Callable[[Case, List[Subject]], List[Finding]]


def conclude(case: Case) -> List[Finding]:
    """What the rules find, in the table's order; each object is in one finding at most."""
    found: List[Finding] = []
    rest = case.subjects
    for rule in RULES:
        for finding in rule.find(case, rest):
            strength = LIKELY if case.live else finding.strength
            found.append(finding._replace(cause=finding.cause or rule.cause, strength=strength))
            explained = set(finding.objects)
            rest = [subject for subject in rest if subject.address not in explained]
    return found


def unexplained(case: Case, findings: List[Finding]) -> List[int]:
    """The examined objects that are in no finding."""
    explained = {address for finding in findings for address in finding.objects}
    return [s.address for s in case.subjects if s.address not in explained]


def freed_late(case: Case, rest: List[Subject]) -> List[Finding]:
    """Free now, but they kept the destroy from succeeding.

    Told by the log's report, which lists them; or by a leftover that holds none any more.
    """
    late = case.freed_late
    if not late and not case.gone and not case.emptied:
        return []
    evidence = []
    if late:
        listed = count(case.reported + case.gone, "object")
        text = f"{len(late)} of {listed} that the log lists: free now"
        evidence.append(Evidence("log", text, late[0]))
    if case.emptied:
        evidence.append(Evidence("state", "no object is allocated any more", case.cache.address))
    number = len(late) + case.gone
    who = objects(number, "was", "were") if number else "The objects were"
    sentence = (
        f"{who} freed late: allocated when the cache was destroyed, and freed after that."
        " Something that frees them (a work item, a timer, an RCU callback, a last reference)"
        " was not waited for before kmem_cache_destroy(); or who destroys the cache frees them"
        " only after that."
    )
    if case.emptied and number:
        sentence += " So were others, if it has more slabs than those: a destroy frees empty ones."
    if late and case.late_by_places:
        sentence += (
            " Which objects those are shows by where objects lie in their slabs, not by addresses."
        )
    strength = CERTAIN if number and not case.late_by_places else LIKELY
    return [Finding("", strength, late, evidence, sentence, case.gone)]


RULES: Tuple[Rule, ...] = (
    Rule(
        "freed late",
        (CERTAIN, LIKELY),
        "the log lists them and they are free, or none is left",
        freed_late,
    ),
    Rule(
        "called back",
        (CERTAIN, LIKELY),
        "a timer, work, RCU or a wait queue has them",
        called_back,
    ),
    Rule("still listed", (CERTAIN, LIKELY), "on a list whose head is in use", still_listed),
    Rule("held", (LIKELY,), "memory in use leads to them", held),
    Rule("perhaps held", (LIKELY,), "memory that may be old leads to them", perhaps_held),
    Rule("until grace", (LIKELY,), "what waits for an RCU grace period has them", until_grace),
    Rule(
        "held by handle", (LIKELY,), "memory in use has their physical address or page", by_handle
    ),
    Rule("never written", (LIKELY,), "nothing but the poison of a free object", never_written),
    Rule(
        "all zeroes",
        (LIKELY,),
        "nothing but zeroes: never written, all zero, or cleared",
        all_zeroes,
    ),
    Rule(
        NOT_SET_UP,
        (LIKELY,),
        "not written since the allocation, as living ones are",
        not_set_up,
    ),
    Rule("no head", (LIKELY,), "on a list without a head, or whose head is gone", no_head),
    Rule("taken off", (LIKELY,), "list_del() or list_del_init() took them off", taken_off),
    Rule(
        "never linked",
        (LIKELY,),
        "on no list, and what an insertion writes is missing",
        never_linked,
    ),
    Rule(OFF_THE_LIST, (LIKELY,), "on no list: never linked, or taken off", off_the_list),
    Rule("held by freed", (LIKELY,), "freed objects have the only pointers", held_by_freed),
    Rule("lost with others", (LIKELY,), "lost objects have the only pointers", lost_with_others),
    Rule("lost", (LIKELY,), "nothing in use leads to them", lost),
)
"""In order: who holds them, then what they look like."""
