# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages slabs of a real dump: words overwritten, pages taken out, each in another slab.

    before = look(form("plain"), version)
    done = damage(copy, version, before, way)

crash tells where things are (`vtop`, offsets); what is damaged is a copy of the dump.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random
from typing import Dict, List, NamedTuple, Set

from .dumps import Dump
from .kdump import Kdump
from .session import Record, records, run_lines

NAME = "slab_test"
LINE = f"slabobjs -j -f -b 0 {NAME}"

_OFFSETS = {
    "freelist": "struct slab->freelist",
    "counters": "struct slab->inuse",
    "owner": "struct slab->slab_cache",
}


class Slab(NamedTuple):
    """What the commands say of a slab while it is whole; addresses as ints."""

    cache: int
    address: int
    memory: int
    place: str
    states: Dict[int, str]
    """By object."""


class Before(NamedTuple):
    """The cache's slabs in a whole dump."""

    dump: Dump
    version: str
    slabs: Dict[int, Slab]
    offsets: Dict[str, int]
    """Of members of struct slab."""

    def partial(self) -> List[Slab]:
        """Slabs on their node's list that have free objects, by address."""
        return [
            slab
            for _, slab in sorted(self.slabs.items())
            if slab.place == "partial" and "free" in slab.states.values()
        ]


def slabs_of(rows: List[Record]) -> Dict[int, Slab]:
    """The slabs and objects that a run of LINE tells of."""
    found: Dict[int, Slab] = {}
    for row in rows:
        if row["type"] == "slab":
            address = int(row["address"], 16)
            memory, cache = int(row["memory"], 16), int(row["cache"], 16)
            found[address] = Slab(cache, address, memory, row["list"], {})
        elif row["type"] == "object":
            found[int(row["slab"], 16)].states[int(row["address"], 16)] = row["state"]
    return found


def look(dump: Dump, version: str) -> Before:
    """What the commands say of the whole dump, and where members are."""
    members = {name: member.split("->") for name, member in _OFFSETS.items()}
    listed, *asked = run_lines(
        dump,
        version,
        [LINE, *(f"p (long)&(({struct} *)0)->{name}" for struct, name in members.values())],
    )
    offsets = {name: int(text.split("=")[1]) for name, text in zip(members, asked)}
    return Before(dump, version, slabs_of(records(listed)), offsets)


def _physical(before: Before, addresses: List[int]) -> Dict[int, int]:
    """Virtual -> physical address; and under 0 the offset of the cache's free pointers."""
    cache = next(iter(before.slabs.values())).cache
    lines = [f"struct kmem_cache.offset {cache:x}", *(f"vtop {a:x}" for a in addresses)]
    offset, *texts = run_lines(before.dump, before.version, lines)
    found = {0: _number(r"offset = (\w+)", offset, 0)}
    for address, text in zip(addresses, texts):
        found[address] = _number(rf"(?m)^{address:016x}  ([0-9a-f]+)", text, 16)
    return found


def _number(pattern: str, text: str, base: int) -> int:
    match = re.search(pattern, text)
    assert match, text
    return int(match[1], base)


class Done(NamedTuple):
    """A damaged copy of a dump."""

    dump: Dump
    damaged: Dict[int, str]
    """Slab -> what was done to it."""


def damage(folder: Path, before: Before, seed: int) -> Done:
    """A copy of the dump in a folder, with one damage in each of five slabs."""
    rng = Random(seed)
    chosen = rng.sample(before.partial(), 5)
    words: Dict[int, int] = {}
    links: Dict[int, int] = {}
    pages: Set[int] = set()
    told: Dict[int, str] = {}
    for slab, what in zip(chosen, ("freelist", "counters", "link", "memory", "owner")):
        told[slab.address] = what
        if what == "memory":
            pages.add(slab.memory)
        elif what == "link":
            free = rng.choice(sorted(a for a, s in slab.states.items() if s == "free"))
            links[free] = rng.getrandbits(64)
        elif what == "freelist":
            words[slab.address + before.offsets[what]] = slab.memory + rng.randrange(1, 84)
        elif what == "owner":
            words[slab.address + before.offsets[what]] = rng.getrandbits(64)
        else:
            # A free object more than there are.
            words[slab.address + before.offsets[what]] = 0x7FFF0001
    shutil.copy(before.dump.vmcore, folder / "vmcore")
    shutil.copy(before.dump.folder / "truth", folder / "truth")
    (folder / "vmcore").chmod(0o600)
    where = _physical(before, [*words, *links, *pages])
    with Kdump(folder / "vmcore") as file:
        for address, value in words.items():
            file.overwrite(where[address], value.to_bytes(8, "little"))
        for address, value in links.items():
            file.overwrite(where[address] + where[0], value.to_bytes(8, "little"))
        for page in pages:
            file.take_out(where[page])
    return Done(Dump(before.dump.kernel, before.dump.scenario, folder, before.dump.vmlinux), told)
