# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands' answers against the module's own account, as complete sets."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from .dumps import Dump
from .session import Record, records, run_lines

_ALLOCATED = ("leaked", "live")


@dataclass
class Verdict:
    """What a run got right and wrong; addresses are hex strings."""

    caches: int = 0
    """Caches whose state is what the module says."""
    objects: int = 0
    """Allocated objects that were listed."""
    wrong_caches: List[str] = field(default_factory=list)
    missing: Set[str] = field(default_factory=set)
    """Allocated by the module's account and not listed."""
    extra: Set[str] = field(default_factory=set)
    """Listed, but not allocated by the module's account."""
    wrong_contents: Set[str] = field(default_factory=set)
    problems: List[str] = field(default_factory=list)
    """What the commands complained of about the module's caches."""

    @property
    def right(self) -> bool:
        return not (
            self.wrong_caches or self.missing or self.extra or self.wrong_contents or self.problems
        )


def judge(dump: Dump, version: str, vmlinux: Optional[Path] = None) -> Verdict:
    """slabdup and slabobjs on a dump in a release of crash, judged by the dump's truth.

    vmlinux: the kernel's own where no other is given.
    """
    lines = ["slabdup -a -j"]
    known, unknown = _by_knowledge(dump)
    if known:
        lines.append(f"slabobjs -j {' '.join(sorted(known))}")
    if unknown:
        lines.append(f"slabobjs -j -b 0 {' '.join(sorted(unknown))}")
    said = run_lines(dump, version, lines, vmlinux=vmlinux or dump.vmlinux)
    states, *objects = map(records, said)
    verdict = Verdict()
    _judge_states(dump, states, verdict)
    _judge_objects(dump, [row for found in objects for row in found], verdict)
    return verdict


def _by_knowledge(dump: Dump) -> Tuple[Set[str], Set[str]]:
    """The caches whose contents the account knows, and those (of `big`) it doesn't."""
    known: Set[str] = set()
    unknown: Set[str] = set()
    for name, role, address in _caches(dump):
        states = dump.truth["objects"].get(name, {}).get(role, {})
        rows = [row for state in _ALLOCATED for row in states.get(state, [])]
        (known if any("crc32" in row for row in rows) else unknown).add(address)
    return known, unknown - known


def _caches(dump: Dump) -> Iterator[Tuple[str, str, str]]:
    """(name, role, address) of each cache that the module made."""
    for name, roles in dump.truth["caches"].items():
        for role, cache in roles.items():
            yield name, role, cache["kmem_cache"]


def _judge_states(dump: Dump, found: List[Record], verdict: Verdict) -> None:
    told = {row["address"]: row for row in found if row["type"] == "cache"}
    for name, role, address in _caches(dump):
        # A leftover that the next creation took over has its reference back: it is live.
        refcount = dump.truth["caches"][name][role]["refcount"]
        wanted = "leftover" if role == "leftover" and not refcount else "live"
        row = told.get(address)
        if row is None:
            verdict.wrong_caches.append(f"{address} {name} {role}: not listed")
        elif (row["name"], row["state"]) != (name, wanted):
            verdict.wrong_caches.append(
                f"{address} {name} {role}: told as {row['name']}, {row['state']}: {row['reason']}"
            )
        else:
            verdict.caches += 1
    ours = {address for _, _, address in _caches(dump)}
    for row in found:
        if row["type"] == "cache" and row["state"] != "live" and row["address"] not in ours:
            verdict.wrong_caches.append(
                f"{row['address']} {row['name']}: told as {row['state']}: {row['reason']}"
            )
    _collect_problems(found, ours, verdict)


def _judge_objects(dump: Dump, found: List[Record], verdict: Verdict) -> None:
    allocated: Dict[str, Dict[str, Any]] = {}
    for roles in dump.truth["objects"].values():
        for states in roles.values():
            for state in _ALLOCATED:
                allocated.update({row["addr"]: row for row in states.get(state, [])})
    listed = [row for row in found if row["type"] == "object"]
    addresses = [row["address"] for row in listed]
    assert len(addresses) == len(set(addresses)), "an object is listed twice"
    verdict.missing = set(allocated) - set(addresses)
    verdict.extra = set(addresses) - set(allocated)
    verdict.objects = len(addresses) - len(verdict.extra)
    for row in listed:
        crc = allocated.get(row["address"], {}).get("crc32")
        if crc is not None and zlib.crc32(bytes.fromhex(row["data"])) != int(crc, 16):
            verdict.wrong_contents.add(row["address"])
    ours = {address for _, _, address in _caches(dump)}
    _collect_problems(found, ours, verdict)


def _collect_problems(found: List[Record], ours: Set[str], verdict: Verdict) -> None:
    for row in found:
        if row["type"] == "problem" and (row["cache"] is None or row["cache"] in ours):
            verdict.problems.append(row["text"])
