# SPDX-License-Identifier: GPL-3.0-or-later
"""slabobjs: what is still allocated in a cache, a slab, or at an address?

Options, help page, and which parts to call. PyKdump and the loader find a registered
command by this file's name and run it as __main__.
"""

from __future__ import annotations

import os
import sys
from typing import Dict, List, Optional

if __name__ == "__main__":
    # A host runs this file by its path: __file__ is stale on PyKdump, argv[0] isn't.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))

from crash_ext.command import Call, Command, UsageError, run
from crash_ext.contents.words import Words
from crash_ext.host.settings import redzone_on
from crash_ext.host.structs import StructError, StructForm
from crash_ext.host.target import host_module
from crash_ext.leak.family import Families
from crash_ext.places.places import Places
from crash_ext.reach.references import References
from crash_ext.report.text import plural
from crash_ext.slub.caches import node_count
from crash_ext.view.choice import Wanted
from crash_ext.view.listing import Listing
from crash_ext.why.chosen import Asked, fit_counts
from crash_ext.why.log.reports import ObjectReports

_APART = {"-e": "-q", "-g": "-q -f", "-r": "-q -g", "-t": "-q -g -e -b"}
"""Options that contradict each other."""


def main(call: Call) -> Dict[str, object]:
    """slabobjs [-efgjpqrR] [-n NODE] [-l COUNT] [-b BYTES|-t TYPE] [-w FILTER] .. NAME|..."""
    if not call.arguments:
        raise UsageError("no cache, slab or object is named")
    if "-q" in call.options and "-j" in call.options:
        raise UsageError("only one of -q and -j")
    if "-o" in call.options and {"-q", "-j"}.isdisjoint(call.options):
        raise UsageError("-o goes with -q or -j")
    for option, others in _APART.items():
        for other in others.split():
            if option in call.options and other in call.options:
                raise UsageError(f"{option} doesn't go with {other}")
    asked = call.filter()
    words = Words(Places(call.session, call.caches, call.lists_only))
    try:
        struct = _struct(call.options.get("-t"))
    except StructError as error:
        call.out.error(str(error))
        return {"shown": 0}
    node = call.number("-n")
    if node is not None:
        nodes = node_count(call.session)
        if node >= nodes:
            call.out.error(f"-n: no node {node}: the nodes are 0 to {nodes - 1}")
            return {"shown": 0}
    wanted = Wanted(
        quiet="-q" in call.options,
        lists_only=call.lists_only,
        free="-f" in call.options,
        node=node,
        limit=call.number("-l"),
        bytes=call.number("-b"),
        slots=redzone_on(host_module()),
        words=words if "-e" in call.options else None,
        groups=words if "-g" in call.options else None,
        references="-r" in call.options,
        struct=struct,
        log=ObjectReports(call.session.reader),
        asked=None if asked is None else Asked(words.places, asked),
    )
    selections, families = call.selections(), Families(call.caches())
    listings = [
        Listing(call.session, call.out, families, wanted, selection) for selection in selections
    ]
    references: Optional[References] = None
    if wanted.references and listings:
        references = _find_references(call, words.places, listings)
    shown = sum(listing.show(references) for listing in listings)
    if call.lists_only:
        call.out.limit("lists only (-p): full slabs that no list holds are not shown")
    fitting = [listing.fitting for listing in listings if listing.fitting is not None]
    return {"shown": shown, **({} if asked is None else fit_counts(fitting))}


def _find_references(call: Call, places: Places, listings: List[Listing]) -> References:
    """One pass over memory for all objects that will be shown."""
    ranges = [pair for listing in listings for pair in listing.ranges()]
    found = References(places, ranges, call.session.progress)
    if found.dropped:
        text = f"{plural(found.dropped, 'more pointer')} counted but not kept (limit reached)"
        call.out.limit(text)
    return found


def _struct(expression: Optional[str]) -> Optional[StructForm]:
    """What -t asks for. Raises StructError."""
    return None if expression is None else StructForm(host_module(), expression)


COMMAND = Command(
    name="slabobjs",
    short="allocated objects of slab caches, with their contents",
    synopsis=(
        "[-efgjpqrR] [-n NODE] [-l COUNT] [-b BYTES|-t TYPE] [-w FILTER]\n"
        "           [-o FILE] NAME|ADDRESS..."
    ),
    options="qjefgprRn:l:b:t:o:w:",
    main=main,
    text="""\
  This command lists the allocated objects of slab caches.  For each cache it
  shows a summary line, and then each slab that holds allocated objects, the
  list that the slab is on, and each allocated object in brackets, with its raw
  contents: address, two words, and their characters.

      NAME      the name of a cache, or a shell pattern (slab_*): all caches
                of that name are selected.  A name that reads as a hexadecimal
                number is written \\NAME.
      ADDRESS   the address of a kmem_cache; or of a slab (its page structure or
                slab descriptor): that slab alone; or any address inside an
                object: that object alone, whatever its state, with what the
                kernel log says of it (SLUB's checks, KASAN, KFENCE).
      -q        addresses only: one a line, with all digits of a pointer, and
                nothing else, errors aside.
      -j        JSON lines: one record a line, addresses as hexadecimal strings;
                the last record says whether the output is complete.
                In scripts write them into a file ("> FILE"), not into a pipe.
      -o FILE   with -q or -j: write to FILE, in place of a redirection, to
                which a program of PyKdump's may add lines of its own.
      -e        explain: beneath each line of contents, what its words are.
      -g        groups of like objects instead of slabs.  Like objects have, at
                the same offsets, lists in the same state, pointers to the same
                cache or symbol, and poison.  The largest comes first; each
                shows its first object.
      -r        below each object, the pointers to it: the address of each, the
                offset that it points to, and where it lies.  All memory in the
                dump is searched.  Stacks and freed memory keep old pointers.
      -f        free objects, too.
      -n NODE   slabs of this NUMA node only.
      -l COUNT  at most COUNT objects of each cache, or groups of them; a line
                tells how many were left out.
      -b BYTES  dump BYTES bytes of each object; default: the object size.
      -t TYPE   each object as this structure, instead of its raw contents.
                TYPE is the structure's name, or NAME.member,member for some
                members of it; "struct NAME" or "union NAME" in quotes.
      -w FILTER only objects that fit FILTER: conditions with commas in between,
                all of which must hold.  The last line counts what fits.
          func=NAME           the stack of the allocation, where it was noted,
                              has this function; also a pattern (conn_*), and
                              NAME+0x15 for one place in it
          older=5m newer=2h   since the allocation; s, m, h or d (days)
          pid=N cpu=N node=N  allocated by this task, on this CPU; on this NUMA
                              node (of the slab)
          OFFSET=VALUE        +0x20=0x7: the word at that offset, unsigned;
                              +0x20:4=7: 4 bytes of it (1, 2, 4 or 8)
                An object of which that can't be known is left out; a line
                counts those.  For a free object it is the last allocation.
                In quotes where it has a blank: 'func=conn_open [conn]'.
      -p        walk the lists only, without the scan over all page structures:
                full slabs that no list holds are not shown.
      -R        scan the page structures anew (they are scanned once a session).
      -h        this page; --help, too.
      -V        the version; --version, too.

  If a cache has more than 8 MB of slabs, its summary line adds up the slabs'
  counters.  If the decoded slabs disagree, an error line follows them.

  The LIST column shows where a slab is: "cpu N" (CPU N allocates from it), "cpu
  N partial", "partial" or "full" (lists of its node; "full" only in caches that
  store their users), or "-": on no list, as full slabs of other caches are.

  An object's address is the pointer that kmem_cache_alloc() returned.  In a
  cache with red zones, where the left one begins is shown beside the object:
  other tools may give that as its address.

  From Linux 6.18 on, free objects may lie in sheaves of a CPU or a node, or
  wait for an RCU grace period.  They count as free; -f shows where they are.

  A slab whose records contradict each other (a freelist that leaves the slab,
  or whose length is not what the slab's counters require) is shown with "?".
  Its objects are unknown, neither allocated nor free, and an error line tells
  what was found.

  With -e, notes follow the lines of contents: the offset in the object, and
  what is there.  Only what the dump confirms is annotated.

      list_head, empty      points to itself: an empty list, or never linked.
      list_head, linked     both neighbours point back; what heads the list and
                            how many entries it has, where that is known.
      list_head, broken     one neighbour points back and the other doesn't.
      deleted list node     as list_del() or hlist_del() leave it, (RCU) for
                            their _rcu forms.
      hlist_head, hlist_node, rb_node
                            linked: what it is hung on points back to it.  "?"
                            where one pointer alone says it.
      CACHE ADDRESS, STATE  a pointer to that object, +OFFSET into it.
      SYMBOL [MODULE]       a pointer to code or data of the kernel or a module.
      stack of PID COMM, per-CPU, vmalloc, page, struct page
                            a pointer to such memory.
      this object           a pointer into the object itself.
      poison, error         a pattern of slab debugging; a number -4095 to -2.
      perhaps jiffies-N     a number near the dump's jiffies: maybe a time.
      "text"                at least four printable characters.

  Where the kernel has BTF and a structure has the cache's name and size, notes
  begin with the member: "d_lru: list_head, empty".  MEMBER? is a guess: the
  structure fits by its size, the words, and a like name or the module that the
  objects point into, and no other does.

EXAMPLES
  An object that keeps slab_test from being destroyed; its list head at +0x20
  still points to itself, so it was never linked:

    crash> slabobjs -l 1 ffff8b47c22edd00
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edd00       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff8e3400aa100  ffff8b47c2a84000     0     32          1    31  partial
      [ffff8b47c2a84d00]
    ffff8b47c2a84d00:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff8b47c2a84d10:  0000003438312d74 0000000000000000   t-184...........
    ffff8b47c2a84d20:  ffff8b47c2a84d20 ffff8b47c2a84d20    M..G... M..G...
    ffff8b47c2a84d30:  ffff8b47c2a83580 ffffffffc04e9840   .5..G...@.N.....
    ffff8b47c2a84d40:  00000170000000b8 000002e000000228   ....p...(.......
    ffff8b47c2a84d50:  00000398                            ....
    ffff8b47c22edd00 slab_test: 4 objects left out (-l)

  What are its words?

    crash> slabobjs -e -l 1 ffff8b47c22edd00
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edd00       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff8e3400aa100  ffff8b47c2a84000     0     32          1    31  partial
      [ffff8b47c2a84d00]
    ffff8b47c2a84d00:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes
                       +0x0 "KCAJ"; +0x8 "slab_test-184"
    ffff8b47c2a84d10:  0000003438312d74 0000000000000000   t-184...........
    ffff8b47c2a84d20:  ffff8b47c2a84d20 ffff8b47c2a84d20    M..G... M..G...
                       +0x20 list_head, empty
    ffff8b47c2a84d30:  ffff8b47c2a83580 ffffffffc04e9840   .5..G...@.N.....
                       +0x30 kmalloc-64 ffff8b47c2a83580, allocated
                       +0x38 slabtest_ops [slabtest]
    ffff8b47c2a84d40:  00000170000000b8 000002e000000228   ....p...(.......
    ffff8b47c2a84d50:  00000398                            ....
    ffff8b47c22edd00 slab_test: 4 objects left out (-l)

  Which of the objects in both caches are alike?

    crash> slabobjs -g -b 48 slab_test
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edf00       84        543       704     22     4k  slab_test
      543 objects of 543 (100.0%), the first:
      [ffff8b47c2a90080]
    ffff8b47c2a90080:  000188a74a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff8b47c2a90090:  3931353030312d74 0000000000000000   t-100519........
    ffff8b47c2a900a0:  ffff8b47c2a90620 ffff8b47c2a90e20    ...G... ...G...
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edd00       84          5       160      5     4k  slab_test
      5 objects of 5 (100.0%), the first:
      [ffff8b47c2a84d00]
    ffff8b47c2a84d00:  000000b84a41434b 7365745f62616c73   KCAJ....slab_tes
    ffff8b47c2a84d10:  0000003438312d74 0000000000000000   t-184...........
    ffff8b47c2a84d20:  ffff8b47c2a84d20 ffff8b47c2a84d20    M..G... M..G...

  Which object does an address lie in, and is it allocated?

    crash> slabobjs -b 16 ffff8b47c2a7c2a0
    CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME
    ffff8b47c22edd00       84          5       160      5     4k  slab_test
      SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE  LIST
      fffff8e3400a9f00  ffff8b47c2a7c000     0     32          1    31  partial
      [ffff8b47c2a7c280]  ffff8b47c2a7c2a0 is at +0x20
    ffff8b47c2a7c280:  000000144a41434b 7365745f62616c73   KCAJ....slab_tes

  Only the addresses, for other commands:

    crash> slabobjs -q ffff8b47c22edd00 > addresses""",
)

if __name__ == "__main__":
    run(COMMAND, sys.argv[1:])
