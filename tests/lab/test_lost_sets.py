# SPDX-License-Identifier: GPL-3.0-or-later
"""slablost against the planter's account: complete sets, none missing, none extra.

Trees and rings that are lost as a whole, kmalloc-64 and kmalloc-1k, 10^5 lost objects of
three kinds beside as many held ones, and guests in which nothing was planted.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Set, Tuple

import pytest

from tests import lab
from tests.lab.often import kernels
from tests.lab.plants import planted
from tests.lab.session import Record, records, run_lines

LOST = {
    "definite": {"definitely"},
    "indirect": {"indirectly"},
    # Of a ring one stands for all.
    "cycle": {"definitely", "indirectly"},
}
"""The account's word -> slablost's."""
LOST_WORDS = ("definitely", "indirectly")
ONE_IN = 10_000
"""Of so many allocated objects one may seem lost in an untouched guest."""
CHANCE = 1_000
"""Of so many lost objects one may be told as possibly lost: a number is like its address."""
IN_DOUBT = ("trap:dead-stack",)
"""Lost, but possibly only: if its task ran on an interrupt's stack at the end, nothing tells
which part of its own was in use."""
CHAINED = ("lost:deleted-rcu",)
"""list_del_rcu() leaves ->next: each but one is what another lost one still points to."""
WAITING = ("trap:freed-keeper",)
"""kfree_rcu() has yet to free what points to it: held until the grace period."""
UNSEEN = (
    *("hidden:frame", "hidden:index", "hidden:physical-flags", "hidden:physical"),
    *("hidden:xored", "hidden:upper-bits"),
)
"""Ways to hold that no pass can tell from a number: docs/reach.md."""


class Said(NamedTuple):
    """What slablost said: object -> how it is lost; its cache; the rows."""

    how: Dict[str, str]
    names: Dict[str, str]
    why: Dict[str, str]
    """Of those that are possibly lost: what may hold them."""
    end: Record


def said(kernel: str, scenario: str) -> Said:
    (text,) = run_lines(planted(kernel, scenario), lab.crashes_for(kernel)[-1], ["slablost -j"])
    rows = records(text)
    assert [row for row in rows if row["type"] == "problem"] == []
    how: Dict[str, str] = {}
    names: Dict[str, str] = {}
    why: Dict[str, str] = {}
    for row in rows:
        if row["type"] == "lost":
            why.update(zip(row["possibly"], row["possibly_why"]))
        for word in ("definitely", "indirectly", "possibly", "known"):
            for address in row[word] if row["type"] == "lost" else ():
                assert address not in how
                how[address], names[address] = word, row["name"]
    return Said(how, names, why, rows[-1])


def account(kernel: str, scenario: str) -> List[Tuple[str, str, str, str]]:
    """(address, role, kind or cache, how it is lost by the account) of each object in it."""
    found: List[Tuple[str, str, str, str]] = []
    kinds: Dict[str, str] = {}
    for line in (planted(kernel, scenario).folder / "truth").read_text().splitlines():
        words = line.split()
        if words[:2] == ["T", "plot"]:
            kinds[words[2]] = words[3]
        elif words[:2] == ["T", "plant"]:
            found.append((words[4], words[3], kinds[words[2]], words[7]))
        elif words[:2] == ["T", "many"]:
            found += [(address, "planted", words[2], words[3]) for address in words[4:]]
    return found


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
@pytest.mark.parametrize(
    "scenario", ["plants", "thousand", pytest.param("many", marks=pytest.mark.long)]
)
def test_all_that_was_lost_is_told_and_nothing_that_is_held(kernel: str, scenario: str) -> None:
    found, planted_ones = said(kernel, scenario), account(kernel, scenario)
    wrong: List[Tuple[str, str, str]] = []
    missed: List[Tuple[str, str, str]] = []
    doubtful: List[Tuple[str, str, str]] = []
    lost = 0
    for address, _, kind, loss in planted_ones:
        word = found.how.get(address, "held")
        if loss in LOST:
            lost += 1
            if (word == "possibly" and kind in IN_DOUBT) or (word == "held" and kind in WAITING):
                continue
            if word == "indirectly" and kind in CHAINED:
                continue
            if word == "held":
                missed.append((address, kind, word))
            elif word == "possibly":
                doubtful.append((address, kind, found.why[address]))
            elif word not in LOST[loss]:
                wrong.append((address, kind, word))
        elif loss == "handle":
            if word != "possibly" and kind not in UNSEEN:
                wrong.append((address, kind, word))
        elif word in LOST_WORDS:
            wrong.append((address, kind, word))
    assert wrong == []
    assert lost >= {"plants": 1500, "many": 100_000, "thousand": 1000}[scenario]
    assert missed == []
    # One object of a tree or a ring that a stray number hits takes the others along. Each is
    # told with what may hold it.
    assert len(doubtful) <= max(lost // CHANCE, 8), doubtful
    assert all(reason for *_, reason in doubtful)
    mine = {address for address, *_ in planted_ones}
    extra = {
        address: found.names[address]
        for address, word in found.how.items()
        if address not in mine and word in LOST_WORDS
    }
    assert len(extra) * ONE_IN <= found.end["allocated"], extra


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
def test_an_untouched_guest_has_lost_next_to_nothing(kernel: str) -> None:
    """At most one in ten thousand; those that are lost at boot are known, with a reason."""
    found = said(kernel, "quiet")
    stray = {a: found.names[a] for a, word in found.how.items() if word in LOST_WORDS}
    assert found.end["allocated"] > 20_000
    assert len(stray) * ONE_IN <= found.end["allocated"], stray
    known: Set[str] = {a for a, word in found.how.items() if word == "known"}
    assert 0 < len(known) <= 8
