# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks of strangers: the dump, and the module's own account of each plot.

    dump = estranged("6.1")
    for plot in for_each_plot(dump): ...

stranger/ was written from what slabwhy promises, before a look at how slabwhy works;
third/ from what drivers do wrong, before a look at what was asked already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from .dumps import Dump
from .guest import Setup
from .plants import make_dump

SCENARIOS = {
    "stranger": Setup(
        ("first", "second"), memory=512, arguments="log_buf_len=8M loglevel=1", seeded=True
    ),
    "alive": Setup(("alive",)),
    "panic": Setup(("panic",), arguments="panic_on_warn=1 panic=0"),
    "third": Setup(
        ("third",), memory=512, arguments="log_buf_len=8M loglevel=1 init_on_alloc=0", seeded=True
    ),
}
"""stranger: all kinds; first is unloaded again: its exit destroys caches that have leaks.
alive: caches in use, some of whose objects are lost. panic: a destroy is still running: the
account comes from a panic notifier that never returns. third: module third/; memory is not
cleared, so that it has what its last owner wrote."""


class Plot(NamedTuple):
    """A leftover and what happened to its objects."""

    name: str
    kind: str
    """timer, list, never, ...: a row of stranger/*.c, and of judged.py."""
    objects: int
    traces: bool
    """An insertion writes a state, a number, a time, a pointer and a reference."""
    twin: bool
    cache: str
    caller: str
    """The function that has called kmem_cache_destroy()."""
    leaked: Tuple[str, ...]
    """Their addresses."""
    histories: Tuple[int, ...]
    """Which of the kind's histories each has; 0 where there is one."""


def estranged(kernel: str, scenario: str = "stranger") -> Dump:
    """The dump; made if the cache doesn't have it. Raises Unavailable, GuestFailed."""
    module = "third" if scenario == "third" else "stranger"
    source = Path(__file__).with_name(module)
    return make_dump(kernel, scenario, SCENARIOS[scenario], source, module)


def for_each_plot(dump: Dump) -> Iterator[Plot]:
    """The plots by the module's own account."""
    rows: List[List[str]] = []
    leaked: Dict[str, List[Tuple[str, int]]] = {}
    for line in (dump.folder / "truth").read_text().splitlines():
        words = line.split()
        if words[:2] == ["T", "plot"]:
            rows.append(words[2:])
        elif words[:2] == ["T", "leaked"]:
            leaked.setdefault(words[2], []).append((words[3], int(words[4])))
    for name, kind, objects, traces, twin, cache, caller in rows:
        found = leaked.get(name, [])
        yield Plot(
            *(name, kind, int(objects), traces == "traces", twin == "twin", cache, caller),
            tuple(address for address, _ in found),
            tuple(history for _, history in found),
        )
