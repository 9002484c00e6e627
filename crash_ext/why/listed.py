# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects on a list whose head is in use."""

from __future__ import annotations

import re
from typing import Dict, List, Tuple

from crash_ext.contents.profile import ENOUGH, USUAL
from crash_ext.contents.words import HLIST_LINKED, LIST_LINKED
from crash_ext.hexa import hexa
from crash_ext.kernel.say import before_verb
from crash_ext.why.case import Case, Evidence, Subject
from crash_ext.why.containers import IN_KLIST
from crash_ext.why.finding import CERTAIN, EXAMPLES, LIKELY, Finding
from crash_ext.why.lists import EITHER, HEADED, Membership
from crash_ext.why.phrases import objects, root_text, way
from crash_ext.why.twins import is_own_list

_PREV = 8
"""Bytes: a list_head's prev lies so far behind its next at the most."""
_CPU = re.compile(r" of cpu \d+$")


def still_listed(case: Case, rest: List[Subject]) -> List[Finding]:
    """They are on a list whose head is in use.

    With one object of its kind on it a list doesn't tell which list_head is the head, and a
    single hlist_node is thin: living objects do, that are linked there; but each may have a list
    of its own there, with variables on it, unless the variable is a list_head and nothing more.
    In memory that others had before, what looks like the head may be one of theirs, or another
    kind of entry.
    """
    groups: Dict[Tuple[bool, str], List[Tuple[Subject, Membership]]] = {}
    for subject in rest:
        for offset, found in subject.memberships.items():
            usual = _usually_linked(case, offset)
            if subject.container.startswith("in the kset"):
                continue
            klist = subject.container.startswith(IN_KLIST)
            if found.verdict == HEADED or (
                found.verdict == EITHER and not is_own_list(case, offset)
            ):
                lone = subject.lists.get(offset) == HLIST_LINKED and found.nodes == 1
                # A next one, which leads back, is as good as one before it.
                lone = lone and not subject.values.get(offset)
                lone = (lone or found.verdict == EITHER) and not klist
                tells = usual and (found.verdict != EITHER or found.bare)
                sure = case.searched is not None and (tells or not lone) and not found.lent
                # Of memory that somebody has each page is another name; each CPU's own list is
                # one of the variable's.
                name = subject.keeper or _CPU.sub("", found.head)
                groups.setdefault((sure, name), []).append((subject, found))
                break
    findings = []
    for (sure, _), members in groups.items():
        number = len(members)
        heads = dict.fromkeys(found.at for _, found in members)
        shown = members[0][1]
        kind = "klist" if members[0][0].container.startswith(IN_KLIST) else "list"
        lists = f"a {kind} whose head is" if len(heads) == 1 else f"{len(heads)} {kind}s with heads"
        whose = shown.head if len(heads) == 1 else _CPU.sub("", shown.head)
        ways = {_led_to(subject, ring) for subject, ring in members if subject.path}
        led = ways.pop() if len(ways) == 1 else ""
        if led:
            whose += f", to which {before_verb(led)} leads,"
        elif members[0][0].keeper:
            if len({found.head for _, found in members}) > 1:
                whose = before_verb(f"memory of {members[0][0].keeper}")
            else:
                whose += f", memory of {members[0][0].keeper},"
        sentence = (
            f"{objects(number, 'is', 'are')} still on {lists} in use: {whose} has"
            f" {'it' if len(heads) == 1 else 'them'}. The list was not emptied for good before"
            " kmem_cache_destroy()."
        )
        freed = next((found.freed for _, found in members if found.freed), 0)
        if freed:
            sentence += (
                f" The object at {hexa(freed)} is on it, too, and is freed: it was not taken off"
                " before, and who walks the list goes through freed memory."
            )
        if shown.verdict == EITHER and not sure:
            sentence += (
                " No other object of this kind is on it, so what seems the head may also be an"
                " entry of a list of the object's own: then look for who should have taken it off."
            )
        elif shown.lent:
            whose = "that" if len(heads) == 1 else "one of those"
            sentence += (
                f" If {whose} is another kind of entry, or left over from who had that memory"
                " before, the list's head is gone."
            )
        each = {found.text: subject.address for subject, found in reversed(members)}
        texts = list(dict.fromkeys(found.text for _, found in members))
        evidence = [Evidence("list", text, each[text]) for text in texts[:EXAMPLES]]
        if led or (shown.at and members[0][0].container):
            evidence += way(members[0][0])
        addresses = [subject.address for subject, _ in members]
        strength = CERTAIN if sure else LIKELY
        findings.append(Finding("", strength, addresses, evidence, sentence))
    return findings


def _led_to(subject: Subject, ring: Membership) -> str:
    """What leads to the object that has a list's head, where the way to the list shows it."""
    first = subject.path[0].place if subject.path else None
    if first is None or not any(0 <= step.holder - ring.at <= _PREV for step in subject.path[1:]):
        return ""
    return root_text(first)


def _usually_linked(case: Case, offset: int) -> bool:
    """Whether living objects are on a list by the list_head or hlist_node at an offset."""
    profile = case.twin_profile
    linked = profile.count_kind(offset, LIST_LINKED) + profile.count_kind(offset, HLIST_LINKED)
    enough = profile.objects >= ENOUGH and not case.mixed
    return enough and linked >= USUAL * profile.objects
