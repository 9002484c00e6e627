# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said of each leak of the module third/: judged.py's grades, another table.

Written from the histories in third/*.c, before the first answer was seen. A word in memory
in use that its owner has given up (a consumed slot of a ring) looks like one that holds:
there "held" is weak where the answer says so, and false where it doesn't.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from .judged import Row, Verdict, called, held, judge, make_row
from .strangers import Plot

_LOST = "lost, lost with others"
_OFF = make_row("taken off", "off the list, lost")
_SURE = "still (held|on)(?!.*(former use|nobody cleared|left over))"
"""What may not stand without its other explanation."""
_STALE = make_row(_LOST, "perhaps held, held")._replace(lie=_SURE)

_TABLE: Dict[str, Row] = {
    # Nobody has them.
    "put-missing": _OFF,
    "error-path": make_row("never linked", "off the list, lost"),
    "early-error": make_row("never linked, lost", "off the list", "error -5"),
    "bulk-half": make_row("all zeroes", "lost"),
    "kref-cycle": make_row(_LOST + ", no head"),
    "percpu-ref": make_row("off the list, taken off", "lost"),
    "cancelled": _OFF,
    # Behind sheaves the free pointer does not show that its owner has written.
    "timer-ended": make_row("taken off", "off the list, lost"),
    "timer-only": make_row("never linked, off the list", "lost"),
    "saturated": _OFF,
    "mid-chain": make_row("lost"),
    "rehash-left": make_row("no head", f"{_LOST}, held by freed"),
    "evict-abort": make_row("no head", f"{_LOST}, perhaps held"),
    # Where an allocation clears nothing, old words may lead to the file.
    "file-lost": make_row("lost with others", "lost, held", "filp")._replace(lie=_SURE),
    "skb-lost": make_row("lost with others", "lost", "skbuff_head_cache"),
    "half-words": make_row("held by handle", "lost"),
    "shifted": make_row("held by handle", "lost"),
    "own-page": make_row(_LOST),
    # Memory that isn't cleared may have the pages of an array that was there before.
    "own-areas": make_row(_LOST, "held")._replace(lie=_SURE),
    "own-private": make_row(_LOST),
    "own-percpu": make_row(_LOST),
    "common-page": make_row(_LOST),
    # A word is left.
    "kfifo-out": _STALE,
    "ring-stale": _STALE,
    "array-count": _STALE,
    "dirty-page": _STALE,
    "dirty-kmalloc": _STALE,
    "splice-left": make_row("taken off, off the list, lost", "perhaps held, held")._replace(
        lie=_SURE
    ),
    "stale-frame": _STALE,
    "dirty-head": make_row(f"no head, {_LOST}", "still listed, held")._replace(lie=_SURE),
    "mixed-ring": make_row(f"no head, {_LOST}", "still listed, held")._replace(lie=_SURE),
    "end-cursor": _STALE,
    # A structure has left its links.
    "rcu-done": make_row("lost", "lost with others", "rcu_head"),
    "erased": make_row("lost", "lost with others", "rb_erase"),
    "replaced": make_row("lost", "lost with others", "list_replace"),
    "taken-init": make_row("lost", "off the list"),
    "like-poison": make_row("lost"),
    "descriptor-chain": make_row("held by handle", "lost"),
    # Somebody has them.
    "skb-cb": held("backlog"),
    "sk-user-data": held("tunnel|sock"),
    "file-open": held("init_files|filp|files_cache"),
    "drvdata": held("board|device|platform"),
    "devres": held("board|device|platform"),
    "irq": held("irq|board_irq"),
    "cdev": held("cdev"),
    "netdev-private": held("netdev|net_device|init_net"),
    "debugfs": held("inode|debugfs|dentry"),
    "seq-private": held("watched"),
    "lent": held(r"borrowed \[borrower\]"),
    "read-only": held(r"constant \[slabtest\]"),
    "middle": held(r"hooks \[slabtest\]"),
    "in-page": held("page"),
    "page-cursor": held("page"),
    "bio-private": held("bios"),
    "reboot-notifier": held("on_reboot|reboot_notifier_list"),
    "third-list": held("dying_list"),
    "cached-by": held("sessions"),
    "two-lists": held("everybody"),
    # Somebody waits for them, or will call them.
    "thread-argument": held("kthread|third-serve|task"),
    "completion": held("third-await_done|stack|wait"),
    "semaphore": held("third-await_sem|stack|wait"),
    "llist-taken": held("third-drain|stack"),
    "requeues": called("poll_again", "work"),
    "pending": called("retire", "work"),
    "pending-on": called("retire", "work"),
    "timer-elsewhere": called("conn_expire", "timer"),
    "timer-off-list": called("conn_expire", "timer"),
    # In containers.
    "xa-ranges": held("extents"),
    "xa-many": held("many_extents"),
    "idr-far": held("handles"),
    "rhl": held("flows"),
    "rhl-many": held("many_flows"),
    "bucket-locked": held("locked_table"),
    "interval": held("ranges"),
    "interval-many": held("many_ranges"),
    "kfifo-in": held("waiting_jobs"),
    "genradix": held("slots"),
    "list-many": held("many_conns"),
    "hash-many": held("many_hashed"),
    "grouped": held("groups"),
}
_MIXED: Dict[str, List[Row]] = {
    "retry-twice": [make_row("lost"), held("contexts")],
    "buffer-end": [
        make_row(_LOST, "held")._replace(lie=r"still held(?!.*the end of that one)"),
        held("window"),
    ],
    "realloc-short": [make_row("lost, held by freed"), held("shrunk")],
    "magazine": [held("magazines|per-CPU|cpu 1"), _STALE],
}


def _row(plot: Plot, history: int) -> Row:
    if plot.kind in _MIXED:
        return _MIXED[plot.kind][history - 1]
    return _TABLE[plot.kind]


def judge_third(plot: Plot, records: Sequence[Dict[str, Any]]) -> Verdict:
    """As judged.judge(), by this table."""
    return judge(plot, records, _row)
