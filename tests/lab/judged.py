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
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Sequence, Tuple

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


def make_row(right: str, weak: str = "", *names: str) -> Row:
    """A row: causes and names as above, the causes with commas between."""
    return Row(
        frozenset(filter(None, right.split(", "))), frozenset(filter(None, weak.split(", "))), names
    )


_HELD, _CALLED = "held, still listed, called back", "held, still listed, perhaps held"
_LOST = "lost, lost with others"


def held(*names: str) -> Row:
    """For an object that somebody has: who."""
    return make_row(_HELD, "perhaps held", *names)


def called(*names: str) -> Row:
    """For an object of which a function will be called: which, by what."""
    return make_row("called back", _CALLED, *names)


_TABLE: Dict[str, Row] = {
    "timer": called("expire_thing", "timer"),
    "hrtimer": called("tick_thing", "hrtimer"),
    "dwork": called("flush_thing", "work"),
    "work": called("flush_thing", "work"),
    "running": make_row(_HELD, "perhaps held", "wait_for_ever"),
    "wait": held("ring_thing|doorbells", "wait"),
    "notifier": held("chains|notify_thing"),
    "notifier-blocking": held("blocking_chain|notify_thing"),
    "srcu": make_row("called back, until grace", "held", "RCU|rcu", "free_thing_rcu"),
    "rcu": make_row("called back, until grace", "held", "RCU|rcu", "free_thing_rcu"),
    # Into a sheaf it is freed at once, in newer kernels: after the destroy.
    "kfree-rcu": make_row("called back, until grace, freed late", "held", "RCU|rcu|grace"),
    "kobject": held("thing_set|stranger_things", "kset|kobject"),
    "xarray": held("thing_xas"),
    "idr": held("thing_idrs"),
    "radix": held("thing_radix"),
    "maple": held("thing_maples"),
    "hash-vmalloc": held("thing_hash", "bucket|hlist|hash"),
    "hash-static": held("thing_buckets"),
    "nulls": held("thing_nulls"),
    "bl": held("thing_bl"),
    "rb": held("thing_trees"),
    "rb-kmalloc": held("thing_index"),
    "llist": held("thing_llists"),
    "klist": held("thing_klists", "klist whose head"),
    "rhash": held("thing_rhash"),
    "mempool": held("mempool"),
    "private": held("thing_pages", "private"),
    "stack": held("st_waiter", "stack"),
    "stack-list": held("st_waiter", "stack"),
    "vmalloc": held("thing_table"),
    "big-kmalloc": held("thing_heap"),
    "percpu": held("thing_of_cpu"),
    "alloc-percpu": held("thing_cookie"),
    "static": held("current_thing"),
    "static-array": held("all_things"),
    "list": held("registry"),
    "holes": held("registry"),
    "list-object": held("thing_domains"),
    "proc": held("proc_dir_entry|st_thing|proc"),
    "file": held("thing_file"),
    "kthread": held("kthread|st_idle|kmalloc|task"),
    "by-object": held("thing_domains"),
    "chain": held("thing_chain"),
    "gone-list": make_row("no head", _LOST, "unloaded"),
    "gone-pointer": make_row("lost", "lost with others"),
    "gone-table": held("vmalloc")._replace(lie="memory of|has that memory"),
    "gone-head": make_row("no head, lost with others", "lost"),
    "deleted": make_row("taken off", "lost"),
    "deleted-rcu": make_row("taken off", "lost"),
    "hlist-del": make_row("taken off", "lost"),
    "hlist-del-init": make_row("off the list, lost"),
    "zeroed": make_row("all zeroes", "lost"),
    "filled": make_row("lost"),
    "ctor": make_row("never linked", "never written, off the list, lost"),
    "parent-freed": make_row("held by freed, lost"),
    "parent-reused": make_row("held by freed, lost"),
    "ring": make_row("no head", _LOST),
    "lost-chain": make_row(_LOST),
    "lost-tree": make_row(_LOST),
    "kids": make_row("lost", "lost with others"),
    "mutex": make_row("lost"),
    "overwritten": make_row("lost"),
    "table-vfreed": make_row("no head", f"{_LOST}, held by freed"),
    "stack-head": make_row("no head", f"{_LOST}, perhaps held"),
    "late": make_row("freed late"),
    "xa-destroyed": make_row("held by freed, lost"),
    "idr-destroyed": make_row("held by freed, lost"),
    "physical": make_row("held by handle", "lost", "thing_dma"),
    "page-offset": make_row("held by handle", "lost", "thing_frags|kmalloc"),
    "tagged": held("thing_tagged"),
    "misc": held("misc"),
    "kwork": held("thing_worker|work_thing"),
    "satellite": make_row("lost", "lost with others"),
    "pair": make_row(_LOST),
    "by-lost": make_row("lost with others", "lost"),
    "list-lost": make_row("lost with others, no head", "lost"),
    "head-reused": make_row("no head", _LOST)._replace(lie="whose head lies in"),
    "deleted-hashed": held("hashed"),
    "grace-parent": make_row("until grace, held", "perhaps held", "free_parent|grace"),
    "list-percpu": held("thing_lists"),
    "list-vmalloc": held("far_heads"),
    "list-page": held("page_heads"),
    "waited": make_row("held", "perhaps held", "wait", "st_sitter"),
    "xored": make_row("", "lost"),
    "pfn": make_row("held by handle", "lost"),
    "scatterlist": make_row("held by handle", "lost", "thing_sg|kmalloc"),
    "low-half": make_row("held by handle", "lost"),
}
_OWNER = re.compile("memory of|(?<!who )has that (memory|page)")
_UNTOLD = make_row("off the list, lost")  # linking writes nothing else, or nobody lives to compare
_TAKEN, _NEVER = (
    make_row("taken off", "off the list, lost"),
    make_row("never linked", "off the list, lost"),
)
_CERTAIN = frozenset(
    ["called back", "still listed", "held", "freed late", "until grace", "never linked"]
)


def row(plot: Plot, history: int) -> Row:
    """The row for an object of the plot."""
    told = plot.traces and plot.twin
    if plot.kind in ("del-init", "refcount", "dying", "gone-delinit"):
        return _TAKEN if told else make_row("off the list, lost", "taken off")
    if plot.kind in ("never", "gone-never"):
        return _NEVER if told else _UNTOLD
    if plot.kind == "two-states":
        return _NEVER if history == 2 else _TAKEN
    if plot.kind == "two-histories":
        return _NEVER if history == 2 else called("note_thing", "timer")
    if plot.kind == "family":
        return make_row("held" if history == 1 else _HELD, "perhaps held", "ancestor")
    if plot.kind == "family-lost":
        return (
            make_row("lost", "off the list, lost with others") if history == 1 else make_row(_LOST)
        )
    if plot.kind == "some-left":
        return _NEVER if history == 2 else held("registry")
    if plot.kind == "index":
        return held("thing_base") if history == 1 else make_row("", "lost")
    return _TABLE[plot.kind]


class Verdict(NamedTuple):
    """How good the answer on a plot is, and why it isn't better."""

    plot: Plot
    grade: str
    why: str


def judge(
    plot: Plot, records: Sequence[Record], row_of: Callable[[Plot, int], Row] = row
) -> Verdict:
    """The verdict; records: those of `slabwhy -j` that are of the plot's cache.

    row_of: the row for an object of the plot, by its history.
    """
    findings = [r for r in records if r["type"] == "finding"]
    said = "\n".join(str(r["text"]) for r in records if "text" in r)
    grades: List[Tuple[str, str]] = []
    for address, history in zip(plot.leaked, plot.histories):
        asked = row_of(plot, history)
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
