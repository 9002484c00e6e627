# SPDX-License-Identifier: GPL-3.0-or-later
"""The paragraphs that a cache's diagnosis ends with: what the findings come to, in whose words.

Knows what was looked at and what was found; looks at nothing itself.
"""

from __future__ import annotations

from typing import List, Optional

from crash_ext.kernel.say import count
from crash_ext.leak.state import LIVE
from crash_ext.slub.model import RCU_PENDING
from crash_ext.why.finding import LIKELY, Finding
from crash_ext.why.log.match import NOT_LISTED_SINCE
from crash_ext.why.opened import Opened
from crash_ext.why.rules import unexplained

_SHARE, _SEVERAL = 3, 3
"""The holder of one in so many objects of a live cache, and of so many at least, is named in the
conclusion."""


def conclusion_of(
    item: Opened,
    module: Optional[str],
    callers: List[str],
    findings: List[Finding],
    searched: bool,
) -> List[str]:
    """callers: who called the destroys that failed."""
    case = item.case
    paragraphs = [
        ("Likely: " if finding.strength == LIKELY else "") + finding.sentence
        for finding in sorted(findings, key=lambda found: -found.number)
    ]
    looked = len(case.subjects)
    if looked < case.total and paragraphs:
        paragraphs.insert(
            0,
            f"{looked} of {count(case.total, 'object')}, evenly spread, were examined: the numbers"
            " that follow are of these.",
        )
    if case.live:
        paragraphs.insert(0, _live(item, searched) + _waiting(item) + _most(item))
    elif item.state.kind == LIVE:
        paragraphs.insert(
            0,
            f"The cache is in use, but a destroy of it failed before, and"
            f" {count(item.left, 'object')} of then"
            f" {'is' if item.left == 1 else 'are'} still there: the cache was merged into.",
        )
    if item.running:
        by = f", called from {callers[-1]}" if callers else ""
        paragraphs.append(f"Its destroy is still running, in {item.running}{by}.")
    elif module is not None and callers and item.state.kind != LIVE:
        paragraphs.append(f"The destroy that failed was called from {callers[0]}.")
    since = len(item.log.unlisted.get(NOT_LISTED_SINCE, []))
    if since and item.state.kind != LIVE and not item.running:
        paragraphs.append(
            f"{count(since, 'object')} of these {'was' if since == 1 else 'were'} allocated after"
            " the destroy had failed: somebody still allocates from the cache."
        )
    rest = len(unexplained(case, findings))
    if rest:
        many = "is" if rest == 1 else "are"
        text = f"{count(rest, 'object')} {many} not explained: the evidence fits no rule."
        if not searched:
            text = (
                f"{count(rest, 'object')} {many} not explained: memory was not searched for what"
                " leads to them."
            )
        paragraphs.append(text)
    if item.unknown:
        paragraphs.append(
            f"{count(item.unknown, 'object')} of damaged slabs may be allocated, too."
        )
    if item.lacking:
        paragraphs.append("Slabs of the cache can't be found: their objects may be allocated, too.")
    if not paragraphs:
        none = "None fits" if item.allocated else "No allocated object was found"
        paragraphs.append(f"{none}, so there is none to explain.")
    return paragraphs


def _live(item: Opened, searched: bool) -> str:
    """What comes first for a cache that is in use."""
    lost, total = item.left, item.allocated
    if not total:
        return "The cache is in use: no object of it is allocated."
    text = (
        f"The cache is in use: {count(total, 'object')} {'is' if total == 1 else 'are'} allocated"
    )
    if not searched:
        return f"{text}. Memory was not searched for what leads to them."
    old = f"only memory that may be old leads to {item.perhaps} of them" if item.perhaps else ""
    own = "".join(
        f" {number} more that nothing leads to {'is' if number == 1 else 'are'} no leak: {reason}."
        for reason, number in item.harmless.items()
    )
    if lost:
        text += f", and nothing in use leads to {lost} of them"
        return f"{text}; {old}.{own}" if old else f"{text}.{own}"
    if old:
        return f"{text}, and {old}.{own}"
    if own:
        reached = total - sum(item.harmless.values())
        return f"{text}, and memory in use leads to {reached} of them.{own}"
    return f"{text}, and memory in use leads to {'it' if total == 1 else 'all of them'}."


def _waiting(item: Opened) -> str:
    """That some wait for RCU: kfree_rcu() has them in a sheaf from Linux 6.18 on."""
    number = sum(slab.states.count(RCU_PENDING) for slab in item.slabs)
    if not number:
        return ""
    many = "object waits" if number == 1 else "objects wait"
    return f" {number} freed {many} for an RCU grace period."


def _most(item: Opened) -> str:
    """Who has many of a live cache's objects, if one holder has."""
    first = item.users[0] if item.users else None
    if first is None or first.number < _SEVERAL or first.number * _SHARE < first.of:
        return ""
    whose = ""
    if first.of < item.allocated - item.left:
        whose = "Of those that were looked at, "
    elif item.left:
        whose = "Of the others, "
    text = f" {whose}{first.number} of {first.of} have one kind of holder: {first.text}."
    if item.left and first.number == first.of and not item.case.mixed:
        text += " The lost ones were never there, or have left it."
    return text
