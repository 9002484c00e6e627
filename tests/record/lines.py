# SPDX-License-Identifier: GPL-3.0-or-later
"""Which command lines a recording is made of. Knows the module's account, not crash.

`page:ADDRESS` in a line stands for the struct page * of an address (slabrecord.py).
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Tuple

Truth = Dict[str, Any]

GOLDEN_LINES = 14
"""So many of printed_lines() become golden files; the telling ones come first."""


def for_each_cache(truth: Truth) -> Iterator[Tuple[str, str, str]]:
    """(name, role, address) of each cache that the module made."""
    for name, roles in truth["caches"].items():
        for role, cache in roles.items():
            yield name, role, cache["kmem_cache"]


def unprinted_lines(truth: Truth) -> List[str]:
    """Lines that are run for their questions: every object of every cache, with contents."""
    caches = " ".join(address for _, _, address in for_each_cache(truth))
    pages = " ".join(f"page:{row['addr']}" for row in _allocated(truth))
    return [
        f"slabobjs -j -f {caches}",
        f"slabdup -j {caches}",
        f"slabobjs -q {pages}",
        "slabdup -R",
    ]


def printed_lines(truth: Truth) -> List[str]:
    """Lines whose output is kept, the most telling first."""
    lines = ["slabdup", "slabdup -p", "slabobjs nosuch", "slabobjs 0"]
    rest = ["slabdup -j", "slabdup nosuch", "slabdup -z", "slabdup -a slab_test"]
    rest += ["slabobjs", "slabobjs fffffffffffffffff"]
    for name in truth["caches"]:
        lines += [f"slabdup {name}", f"slabobjs -l 2 -b 24 {name}"]
        rest += [f"slabobjs -q {name}", f"slabobjs -q -p {name}"]
    for name, role, address in for_each_cache(truth):
        states = truth["objects"][name][role]
        allocated = states.get("leaked") or states.get("live")
        if not allocated:
            # A memcg root may have lost objects in its children alone.
            rest.append(f"slabobjs -f -b 0 {address}")
            continue
        first, last = allocated[0]["addr"], allocated[-1]["addr"]
        lines += [f"slabobjs -b 16 page:{first}", f"slabobjs {int(first, 16) + 0x24:x}"]
        if states.get("freed"):
            lines.append(f"slabobjs -b 0 {states['freed'][0]['addr']}")
        rest += [
            f"slabobjs -f -b 0 {address}",
            f"slabobjs -j -n 0 -l 3 {address}",
            f"slabobjs -q {last}",
            f"slabdup page:{last}",
        ]
    if "slab_test" in truth["caches"]:
        # Without -f and -r: a recording has no room for all memory.
        rest += ["slabobjs -e -l 1 slab_test", "slabobjs -g slab_test", "slabwhy -F", "slabwhy -Fj"]
    return lines + rest


def _allocated(truth: Truth) -> Iterator[Dict[str, Any]]:
    for roles in truth["objects"].values():
        for states in roles.values():
            for state in ("leaked", "live"):
                yield from states.get(state, [])
