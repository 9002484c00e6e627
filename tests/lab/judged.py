# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said of each of a stranger's leaks: right, true but weak, or false.

The table was written with the module, before the first answer was seen. Of each object:
right    the cause is the one that happened, as far as memory bears it, and the holder is
         named for what it is;
weak     true, but less than could be said;
silent   no finding has the object;
false    any other cause, a word that is not true, or "certain" where memory allows
         another history.
A plot is as good as its worst object.
"""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, List, NamedTuple, Sequence, Tuple

from .strangers import Plot

Record = Dict[str, Any]
RIGHT, WEAK, SILENT, FALSE = "right", "weak", "silent", "false"


class Row(NamedTuple):
    """What is right and what is weak for a kind.

    right, weak: causes; names: each is a pattern that findings or evidence must match for
    the answer to be right. Whoever has a page or an area without a name is asked for, too:
    a wrong owner is as false as a wrong cause.
    """

    right: FrozenSet[str]
    weak: FrozenSet[str] = frozenset()
    names: Tuple[str, ...] = ()
    lie: str = ""
    """A pattern that a finding of the object may not match."""


def _row(right: str, weak: str = "", *names: str) -> Row:
    return Row(
        frozenset(filter(None, right.split(", "))), frozenset(filter(None, weak.split(", "))), names
    )


_HELD, _CALLED = "held, still listed, called back", "held, still listed, perhaps held"
_LOST = "lost, lost with others"


def _held(*names: str) -> Row:
    return _row(_HELD, "perhaps held", *names)


def _called(*names: str) -> Row:
    return _row("called back", _CALLED, *names)


_TABLE: Dict[str, Row] = {
    "timer": _called("expire_thing", "timer"),
    "hrtimer": _called("tick_thing", "hrtimer"),
    "dwork": _called("flush_thing", "work"),
    "work": _called("flush_thing", "work"),
    "running": _row(_HELD, "perhaps held", "wait_for_ever"),
    "wait": _held("ring_thing|doorbells", "wait"),
    "notifier": _held("chains|notify_thing"),
    "notifier-blocking": _held("blocking_chain|notify_thing"),
    "srcu": _row("called back, until grace", "held", "RCU|rcu", "free_thing_rcu"),
    "rcu": _row("called back, until grace", "held", "RCU|rcu", "free_thing_rcu"),
    # Into a sheaf it is freed at once, in newer kernels: after the destroy.
    "kfree-rcu": _row("called back, until grace, freed late", "held", "RCU|rcu|grace"),
    "kobject": _held("thing_set|stranger_things", "kset|kobject"),
    "xarray": _held("thing_xas"),
    "idr": _held("thing_idrs"),
    "radix": _held("thing_radix"),
    "maple": _held("thing_maples"),
    "hash-vmalloc": _held("thing_hash", "bucket|hlist|hash"),
    "hash-static": _held("thing_buckets"),
    "nulls": _held("thing_nulls"),
    "bl": _held("thing_bl"),
    "rb": _held("thing_trees"),
    "rb-kmalloc": _held("thing_index"),
    "llist": _held("thing_llists"),
    "klist": _held("thing_klists", "klist whose head"),
    "rhash": _held("thing_rhash"),
    "mempool": _held("mempool"),
    "private": _held("thing_pages", "private"),
    "stack": _held("st_waiter", "stack"),
    "stack-list": _held("st_waiter", "stack"),
    "vmalloc": _held("thing_table"),
    "big-kmalloc": _held("thing_heap"),
    "percpu": _held("thing_of_cpu"),
    "alloc-percpu": _held("thing_cookie|per-CPU|cpu 1"),
    "static": _held("current_thing"),
    "static-array": _held("all_things"),
    "list": _held("registry"),
    "holes": _held("registry"),
    "list-object": _held("thing_domains"),
    "proc": _held("proc_dir_entry|st_thing|proc"),
    "file": _held("thing_file"),
    "kthread": _held("kthread|st_idle|kmalloc|task"),
    "by-object": _held("thing_domains"),
    "chain": _held("thing_chain"),
    "gone-list": _row("no head", _LOST, "unloaded"),
    "gone-pointer": _row("lost", "lost with others"),
    "gone-table": _held("vmalloc")._replace(lie="memory of|has that memory"),
    "gone-head": _row("no head, lost with others", "lost"),
    "deleted": _row("taken off", "lost"),
    "deleted-rcu": _row("taken off", "lost"),
    "hlist-del": _row("taken off", "lost"),
    "hlist-del-init": _row("off the list, lost"),
    "zeroed": _row("all zeroes", "lost"),
    "filled": _row("lost"),
    "ctor": _row("never linked", "never written, off the list, lost"),
    "parent-freed": _row("held by freed, lost"),
    "parent-reused": _row("held by freed, lost"),
    "ring": _row("no head", _LOST),
    "lost-chain": _row(_LOST),
    "lost-tree": _row(_LOST),
    "kids": _row("lost", "lost with others"),
    "mutex": _row("lost"),
    "overwritten": _row("lost"),
    "table-vfreed": _row("no head", f"{_LOST}, held by freed"),
    "stack-head": _row("no head", f"{_LOST}, perhaps held"),
    "late": _row("freed late"),
    "xa-destroyed": _row("held by freed, lost"),
    "idr-destroyed": _row("held by freed, lost"),
    "physical": _row("held by handle", "lost", "thing_dma"),
    "page-offset": _row("held by handle", "lost", "thing_frags|kmalloc"),
    "tagged": _held("thing_tagged"),
    "misc": _held("misc"),
    "kwork": _held("thing_worker|work_thing"),
    "satellite": _row("lost", "lost with others"),
    "pair": _row(_LOST),
    "by-lost": _row("lost with others", "lost"),
    "list-lost": _row("lost with others, no head", "lost"),
    "head-reused": _row("no head", _LOST)._replace(lie="whose head lies in"),
    "deleted-hashed": _held("hashed"),
    "grace-parent": _row("until grace, held", "perhaps held", "free_parent|grace"),
    "list-percpu": _held("thing_lists"),
    "list-vmalloc": _held("far_heads"),
    "list-page": _held("page_heads"),
    "waited": _row("held", "perhaps held", "wait", "st_sitter"),
    "xored": _row("", "lost"),
    "pfn": _row("held by handle", "lost"),
    "scatterlist": _row("held by handle", "lost", "thing_sg|kmalloc"),
    "low-half": _row("held by handle", "lost"),
}
_OWNER = re.compile("memory of|has that (memory|page)")
_UNTOLD = _row("off the list, lost")  # linking writes nothing else, or nobody lives to compare
_TAKEN, _NEVER = _row("taken off", "off the list, lost"), _row("never linked", "off the list, lost")
_CERTAIN = frozenset(
    ["called back", "still listed", "held", "freed late", "until grace", "never linked"]
)


def row(plot: Plot, history: int) -> Row:
    """The row for an object of the plot."""
    told = plot.traces and plot.twin
    if plot.kind in ("del-init", "refcount", "dying", "gone-delinit"):
        return _TAKEN if told else _row("off the list, lost", "taken off")
    if plot.kind in ("never", "gone-never"):
        return _NEVER if told else _UNTOLD
    if plot.kind == "two-states":
        return _NEVER if history == 2 else _TAKEN
    if plot.kind == "two-histories":
        return _NEVER if history == 2 else _called("note_thing", "timer")
    if plot.kind == "family":
        return _row("held" if history == 1 else _HELD, "perhaps held", "ancestor")
    if plot.kind == "family-lost":
        return _row("lost", "off the list, lost with others") if history == 1 else _row(_LOST)
    if plot.kind == "some-left":
        return _NEVER if history == 2 else _held("registry")
    if plot.kind == "index":
        return _held("thing_base") if history == 1 else _row("", "lost")
    return _TABLE[plot.kind]


class Verdict(NamedTuple):
    """How good the answer on a plot is, and why it isn't better."""

    plot: Plot
    grade: str
    why: str


def judge(plot: Plot, records: Sequence[Record]) -> Verdict:
    """The verdict; records: those of `slabwhy -j` that are of the plot's cache."""
    findings = [r for r in records if r["type"] == "finding"]
    said = "\n".join(str(r["text"]) for r in records if "text" in r)
    grades: List[Tuple[str, str]] = []
    for address, history in zip(plot.leaked, plot.histories):
        asked = row(plot, history)
        ours = [f for f in findings if address in f["objects"]]
        if not ours and plot.kind in ("late", "kfree-rcu"):
            # Of what was free at the dump the log lists some: the first slab, a partial one.
            ours = findings
        if not ours:
            grades.append((SILENT, "no finding"))
        for finding in ours:
            cause, missing = finding["cause"], [n for n in asked.names if not re.search(n, said)]
            if cause == "perhaps held":
                # It says that what leads there may be old.
                grades.append((WEAK, cause))
            elif cause not in asked.right | asked.weak:
                grades.append((FALSE, f"{cause} ({finding['strength']})"))
            elif asked.lie and re.search(asked.lie, finding["text"]):
                grades.append((FALSE, f"{cause}: {asked.lie}"))
            elif missing and _OWNER.search(finding["text"]):
                grades.append((FALSE, f"{cause}: {finding['text']}"))
            elif finding["strength"] == "certain" and cause not in _CERTAIN:
                grades.append((FALSE, f"{cause} certain"))
            elif cause in asked.weak:
                grades.append((WEAK, cause))
            else:
                grades.append((WEAK, f"{cause}, no {missing}") if missing else (RIGHT, cause))
    by = next((str(r["text"]) for r in records if "was called from" in str(r.get("text"))), "")
    if plot.caller not in by:
        grades.append((WEAK, f"destroyed by {by!r}, not {plot.caller}"))
    return Verdict(plot, *max(grades, key=lambda g: (RIGHT, WEAK, SILENT, FALSE).index(g[0])))
