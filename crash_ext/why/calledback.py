# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that a timer, a work item, RCU or a wait queue will call a function of."""

from __future__ import annotations

from typing import Dict, List, Tuple

from crash_ext.contents.callbacks import (
    HRTIMER,
    KTHREAD_WORK,
    SRCU,
    TAKEN_CODE,
    UNLOADED_CODE,
    UNTOLD_CODE,
    WAIT,
    WORK,
    Callback,
)
from crash_ext.contents.queues import DISABLED_TASKLET
from crash_ext.kernel.say import count
from crash_ext.reach.model import IN_USE
from crash_ext.why.case import Case, Evidence, Held, Subject
from crash_ext.why.finding import CERTAIN, LIKELY, Finding
from crash_ext.why.lists import HEADED
from crash_ext.why.phrases import it, objects, way

_ENTRY = 32
"""Bytes of a work_struct or a wait_queue_entry before the end of its list_head, at most."""
_WHOLE = 96
"""Bytes of such a structure, at most: a delayed_work has its timer behind the work_struct."""


def called_back(case: Case, rest: List[Subject]) -> List[Finding]:
    """A timer, a work item, RCU or a wait queue will call a function of them."""
    groups: Dict[Tuple[str, bool], List[Tuple[Subject, Held]]] = {}
    for subject in rest:
        for held in subject.held:
            if held.worth == IN_USE and held.callback is not None:
                callback = held.callback
                key = f"{callback.kind} {callback.function} {callback.sure} {callback.running}"
                lent = _in_lent_queue(subject, held.callback)
                groups.setdefault((key, lent), []).append((subject, held))
                break
    return [
        _running(members) if _callback_of(members).running else _waiting(members, lent)
        for (_, lent), members in groups.items()
    ]


def _callback_of(members: List[Tuple[Subject, Held]]) -> Callback:
    callback = members[0][1].callback
    assert callback is not None
    return callback


def _also_listed(members: List[Tuple[Subject, Held]]) -> str:
    """That who cancels the call still leaves them on a list in use."""
    heads = []
    for subject, held in members:
        callback = held.callback
        own = range(callback.offset, callback.offset + _WHOLE) if callback else range(0)
        rings = [ring for at, ring in subject.memberships.items() if at not in own]
        heads += [r.head for r in rings if r.verdict == HEADED and r.head and not r.lent][:1]
    if len(heads) < len(members):
        return ""
    more = " or the like" if len(set(heads)) > 1 else ""
    many = "It is" if len(members) == 1 else "They are"
    return f" {many} on a list in use, too: {heads[0]}{more} has {it(len(members))}."


def _waiting(members: List[Tuple[Subject, Held]], lent: bool) -> Finding:
    subject, callback = members[0][0], _callback_of(members)
    queue = ""
    if callback.queue:
        what = "after a grace period of" if callback.kind == SRCU else "in workqueue"
        queue = f", {what} {callback.queue}"
    queue += f", by {callback.by}" if callback.by else ""
    what = f"{callback.kind} at +{callback.offset:#x}: {callback.function}"
    what += f"{_due(callback)}{queue}"
    number = len(members)
    verb = "is on" if number == 1 else "are on"
    waits = f"{verb} a wait queue" if callback.kind == WAIT else ""
    waits = waits or f"{'waits' if number == 1 else 'wait'} for {_article(callback.kind)}"
    sentence = (
        f"{count(number, 'object')} {waits}:"
        f" {callback.function} is still to be called for {it(number)}{queue}. It was not"
        " cancelled or waited for before kmem_cache_destroy(), or was set up after that."
    )
    if callback.function.endswith(UNLOADED_CODE):
        sentence += " The module that had that function is gone: the call will crash."
    elif callback.function.endswith(UNTOLD_CODE):
        sentence += " The code of that function is gone: the call will crash."
    elif callback.function.endswith(f"{TAKEN_CODE}]"):
        sentence += " If that is of a module that was unloaded, the call will crash."
    if callback.kind == SRCU:
        sentence += " That is srcu_barrier()'s to wait for: rcu_barrier() does not."
    sentence += _also_listed(members)
    if callback.kind == DISABLED_TASKLET:
        sentence += " That waits for tasklet_enable()."
    if not callback.sure:
        what = f"perhaps a {what}"
        sentence += (
            f" Or that is no {callback.kind} but looks like one: a node of another list that"
            f" {'it is' if number == 1 else 'they are'} on, with a function beside it. Then"
            f" look for who should have taken {it(number)} off."
        )
    elif lent:
        sentence += (
            " If the head of that queue is left over from who had its memory before, nothing"
            " is called any more: then look for who freed it with entries on it."
        )
    evidence = [Evidence("held", what, subject.address + callback.offset)]
    if callback.kind in (WAIT, KTHREAD_WORK) or not callback.sure:
        rings = subject.memberships.items()
        evidence += [
            Evidence("list", ring.text, subject.address)
            for at, ring in rings
            if callback.offset <= at < callback.offset + _ENTRY and ring.at
        ]
        evidence += way(subject)
    sure = callback.sure and not lent and callback.kind != DISABLED_TASKLET
    sure = sure and bool(callback.kind != KTHREAD_WORK or callback.by)
    strength = CERTAIN if sure else LIKELY
    return Finding("", strength, [each.address for each, _ in members], evidence, sentence)


def _running(members: List[Tuple[Subject, Held]]) -> Finding:
    """The function may have given the object up, and the memory be another object by now."""
    held, callback = members[0][1], _callback_of(members)
    number = len(members)
    by = f" by {callback.by}" if callback.by else ""
    sentence = (
        f"{objects(number, 'is', 'are')} in use by the function of {_article(callback.kind)} of"
        f" {'its own' if number == 1 else 'their own'}: {callback.function} is being called for"
        f" {it(number)}{by}, and was not waited for before kmem_cache_destroy(). Or it has given"
        f" {it(number)} up already, and {it(number, True)} {'was' if number == 1 else 'were'}"
        " allocated again: then look at who allocated last."
    )
    what = f"{callback.kind} at +{callback.offset:#x}: {callback.function} runs{by}"
    evidence = [Evidence("held", what, held.holder)]
    return Finding("", LIKELY, [each.address for each, _ in members], evidence, sentence)


def _in_lent_queue(subject: Subject, callback: Callback) -> bool:
    """Whether a wait queue or a kthread_worker has its head in memory that others had before.

    The lists of workqueues are where the kernel itself leads to: those have their names. A
    kthread_worker that its own thread has is in use.
    """
    if callback.kind not in (WAIT, WORK, KTHREAD_WORK) or callback.queue or callback.by:
        return False
    end = callback.offset + _ENTRY
    rings = subject.memberships.items()
    return any(ring.lent for at, ring in rings if callback.offset <= at < end)


def _due(callback: Callback) -> str:
    if callback.seconds is not None:
        late, text = callback.seconds < 0, f"{abs(callback.seconds):.1f} s"
    elif callback.due is not None:
        late, text = callback.due < 0, f"{abs(callback.due)} ticks"
    else:
        return ""
    return f", {text} overdue" if late else f", due in {text}"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aiRS' or kind == HRTIMER else 'a'} {kind}"
