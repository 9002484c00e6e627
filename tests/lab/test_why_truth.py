# SPDX-License-Identifier: GPL-3.0-or-later
"""slabwhy against a module's own account of some 70 ways to be lost or held.

A statement that the account contradicts fails; silence and what is true but weak are
counted. Certain may be only what no other history leaves behind.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, List, Set, Tuple

import pytest

from tests import lab
from tests.lab.dumps import Dump
from tests.lab.often import kernels
from tests.lab.plants import Plant, for_each_plant, planted
from tests.lab.session import Record, records, run_lines

HOLDS = {"held", "still listed", "called back", "perhaps held"}
"""Causes that say that memory in use leads to an object."""
LISTS = {"lost", "off the list"}
HISTORIES: Dict[str, Set[str]] = {
    "never-linked": LISTS | {"never linked"},
    "half-inserted": LISTS | {"never linked"},
    "taken-off": LISTS | {"taken off"},
    # Its sentence names who clears all that an insertion wrote.
    "taken-off-reset": LISTS | {"never linked"},
    "deleted": {"lost", "taken off"},
    "deleted-rcu": {"lost", "taken off"},
    "reference-leaked": LISTS | {"taken off"},
    "unhashed": {"lost"},
    "erased": {"lost"},
    "wiped": {"lost", "all zeroes"},
    "inserted": {"lost"},
    "dropped": {"lost"},
    "never-written": {"lost", "all zeroes"},
    "head-gone": {"lost", "no head"},
}
"""Of a lost object: history -> the causes that may be named."""
TOGETHER = {"lost with others", "no head"}
"""Of members of a group."""
WAITING = {"timer", "hrtimer", "delayed-work", "queued-work", "rcu", "wait-queue"}
OWN_LISTS = {"held:own-entry", "held:waited-on", "held:mutex-waiter"}
NAMED = {
    "held:xarray": "XArray at slabplant_xarray",
    "held:idr": "IDR",
    "held:radix": "radix tree at slabplant_radix",
    "held:maple": "maple tree at slabplant_maple",
    "held:rb": "rb tree at slabplant_rb",
    "held:mempool": "reserve of a mempool",
    "held:notifier": "slabplant_chain",
    "held:kernel-image": "reboot_notifier_list",
    "held:work-keeper": "keeper_worked",
    "held:rcu-keeper": "keeper_called",
    "held:waited-on": "wait queue, mutex or semaphore",
}
"""Kind -> what a finding has to name that says "held"; of plots with three objects."""
CERTAIN = {"still listed", "called back", "freed late"}
WEAK = {"lost", "perhaps held", "lost with others"}
"""True of many: more could be said of some."""


def allowed(plant: Plant) -> Set[str]:
    """The causes that the account bears out."""
    if plant.loss == "held":
        return HOLDS
    causes = set(HISTORIES[plant.history])
    if plant.loss == "handle":
        causes |= {"held by handle"}
    if plant.loss in ("indirect", "cycle"):
        causes |= TOGETHER
    if plant.owner == "freed-object":
        causes |= {"held by freed"}
    if plant.owner == "until-grace":
        causes |= {"until grace"}
    return causes


def offence(plant: Plant, finding: Record) -> str:
    """What is false about a finding, as far as this object goes."""
    cause, strength, text = finding["cause"], finding["strength"], finding["text"]
    if cause == "perhaps held" or "from a former use" in text or "by chance" in text:
        # What leads there may be old, or a number like it: the sentence says so.
        return ""
    if cause not in allowed(plant):
        return f"{cause} of what is {plant.loss}, {plant.history}"
    if strength == "certain" and cause not in CERTAIN:
        return f"{cause} is not certain"
    kind = plant.plot.kind
    if cause == "still listed" and kind in OWN_LISTS and "of the object's own" not in text:
        return "the list is the object's own"
    if cause == "held" and kind in NAMED and plant.plot.objects == 3 and NAMED[kind] not in text:
        return f"{NAMED[kind]} is not named"
    if cause == "called back":
        kind = plant.plot.kind.partition(":")[2]
        if kind not in WAITING:
            return "nothing will call it back"
        if kind != "wait-queue" and plant.owner not in text:
            return f"{plant.owner} is the function"
    return ""


@pytest.fixture(scope="module", name="told", params=kernels({"5.10", "7.3"}))
def fixture_told(request: pytest.FixtureRequest) -> Tuple[Dump, List[Record]]:
    """A dump, and all that slabwhy says of it: the search takes a minute."""
    dump = planted(request.param)
    (text,) = run_lines(dump, lab.crashes_for(dump.kernel)[-1], ["slabwhy -j"])
    return dump, records(text)


def test_no_statement_is_false(told: Tuple[Dump, List[Record]]) -> None:
    dump, rows = told
    said = {address: row for row in rows if row["type"] == "finding" for address in row["objects"]}
    false: List[Tuple[str, str, str]] = []
    counts: Counter[str] = Counter()
    plots: Dict[str, str] = {}
    for plant in for_each_plant(dump):
        if not plant.plot.leftover or plant.loss in ("freed", "transient"):
            continue
        finding = said.get(plant.address)
        if finding is None:
            verdict = "silent"
        elif offence(plant, finding):
            false.append((plant.plot.name, plant.address, offence(plant, finding)))
            verdict = "false"
        else:
            verdict = "weak" if finding["cause"] in WEAK and plant.loss != "definite" else "right"
        counts[verdict] += 1
        plots[plant.plot.name] = verdict
    assert false == []
    assert counts["silent"] == 0, counts
    right = sum(verdict == "right" for verdict in plots.values())
    assert right >= len(plots) * 3 // 4, (counts, plots)


def test_what_was_freed_after_the_destroy_was_freed_late(
    told: Tuple[Dump, List[Record]],
) -> None:
    dump, rows = told
    late = {plant.plot.name for plant in for_each_plant(dump) if plant.loss == "freed"}
    named = {row["address"]: row["name"] for row in rows if row["type"] == "cache"}
    found: Dict[str, Set[str]] = {}
    for row in rows:
        if row["type"] == "finding" and named[row["cache"]] in late:
            found.setdefault(named[row["cache"]], set()).add(row["cause"])
    assert found
    assert {cause for causes in found.values() for cause in causes} == {"freed late"}
