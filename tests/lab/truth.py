# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's own account of what it did, as text and as a dict.

The dict has the shape of a recording's truth (shared with tests that replay one):

    caches   name -> role -> {kmem_cache, objsize, flags, ctor, refcount, counts}
    objects  name -> role -> state -> [{addr, node, id, list, heap, crc32, hex}]
    refs     [{addr, holder}]: a pointer to an object that is meant to be found, and where it is
    causes   name of a leftover -> why its objects stayed behind, as planted
    notes    [text]; live_list: {head, n}

Roles: leftover, live, live2. States: leaked, live (allocated), freed (allocated once;
the place may since have been handed out again, then it is listed only as what it is), late
(freed after the cache's destroy).
list, of the object's list head: self (never linked), live, deleted (list_del), headless (on a
list whose head was freed), none (no head).
Addresses, flags are hex without 0x, addresses with all of their digits; objsize (bytes),
node, id, counts are numbers.
crc32 is zlib's over the object, hex its first 128 bytes; both only while it is
allocated. Objects of `big` are listed with their addresses alone.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

Truth = Dict[str, Any]

_ALLOCATED = ("leaked", "live")
_FREED = ("freed", "late")


def allocated_rows(truth: Truth, cache: str) -> List[Dict[str, Any]]:
    """The allocated objects of all caches of that name."""
    return [
        row
        for states in truth["objects"][cache].values()
        for state in _ALLOCATED
        for row in states.get(state, [])
    ]


def parse(text: str) -> Truth:
    """The account's dict. ValueError if it isn't whole: the channel lost something."""
    caches: Dict[str, Dict[str, Dict[str, Any]]] = {}
    rows: List[Tuple[str, str, str, Dict[str, Any]]] = []
    notes: List[str] = []
    refs: List[Dict[str, str]] = []
    causes: Dict[str, str] = {}
    digits = 16  # of an address, as %px prints it
    head, made, ends = "0", [0, 0], []  # of caches and records: since the module was loaded
    for line in text.splitlines():
        kind, *words = line[2:].split() if line.startswith("T ") else [""]
        if kind == "cache":
            made[0] += 1
            name, role, address, size, flags, ctor, refcount = words
            digits = len(address)
            caches.setdefault(name, {})[role] = {
                "kmem_cache": address, "objsize": int(size), "flags": flags,
                "ctor": ctor.lstrip("0") or "0", "refcount": int(refcount), "counts": {},
            }  # fmt: skip
        elif kind == "obj":
            made[1] += 1
            rows.append((words[0], words[1], words[2], _object(words[3:])))
        elif kind == "page":
            base, stride, bits = int(words[3], 16), int(words[4]), int(words[5], 16)
            for n in range(bits.bit_length()):
                if bits >> n & 1:
                    row = {"addr": f"{base + n * stride:0{digits}x}"}
                    rows.append((words[0], words[1], words[2], row))
        elif kind == "note":
            notes.append(" ".join(words))
        elif kind == "live_list":
            head = words[0]
        elif kind == "ref":
            refs.append({"addr": words[0], "holder": words[1]})
        elif kind == "cause":
            causes[words[0]] = " ".join(words[1:])
        elif kind == "end":
            ends.append(made == [int(words[0]), int(words[1])])
            made = [0, 0]
    if not ends or not all(ends) or made != [0, 0]:
        raise ValueError(f"the module's account is not whole: {len(ends)} ends, then {made}")
    objects = _sorted_out(rows)
    for name, roles in caches.items():
        for role, cache in roles.items():
            states = objects.get(name, {}).get(role, {})
            cache["counts"] = {state: len(found) for state, found in states.items()}
    linked = sum(1 for row in rows if row[3].get("list") == "live")
    live_list = {"head": head, "n": linked}
    return {
        "caches": caches, "objects": objects, "refs": refs, "causes": causes,
        "notes": notes, "live_list": live_list,
    }  # fmt: skip


def _object(words: List[str]) -> Dict[str, Any]:
    """address node id [list heap crc32 hex]"""
    row: Dict[str, Any] = {"addr": words[0], "node": int(words[1]), "id": int(words[2])}
    if len(words) > 3:
        row.update(zip(("list", "heap", "crc32", "hex"), words[3:]))
        row["heap"] = row["heap"].lstrip("0") or "0"
    return row


def _sorted_out(
    rows: List[Tuple[str, str, str, Dict[str, Any]]],
) -> Dict[str, Dict[str, Dict[str, List[Dict[str, Any]]]]]:
    """By name, role and state; each address once, as what it is now."""
    taken = {row["addr"] for _, _, state, row in rows if state in _ALLOCATED}
    objects: Dict[str, Dict[str, Dict[str, List[Dict[str, Any]]]]] = {}
    for name, role, state, row in rows:
        if state in _FREED:
            if row["addr"] in taken:
                continue
            taken.add(row["addr"])
        objects.setdefault(name, {}).setdefault(role, {}).setdefault(state, []).append(row)
    return objects
