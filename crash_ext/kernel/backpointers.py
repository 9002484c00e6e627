# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that say whose a thing is, and hold nothing: who has the thing isn't asked by them.

The page structure of each process's page directory has its mm (arch/x86/mm/pgtable.c,
pgd_set_mm()), and all of these are on one list, so they are found whatever became of the mm. A
process's area has its mm, too (struct vm_area_struct, vm_mm), and a mapped file leads to the area
by its own tree. An mm is held by tasks, and by who took a reference to it. A task notes which
other it woke last, and where it once was in a line of those to be woken.
"""

from __future__ import annotations

from typing import Iterator

from crash_ext.kernel.memory import walk_list
from crash_ext.reader import Reader

MEMBERS = (
    ("vm_area_struct", "vm_mm"),
    ("task_struct", "last_wakee"),
    ("task_struct", "wake_entry"),
)
"""(structure, and the cache of its name; member, a pointer)"""
_DESCRIPTORS = (("ptdesc", "pt_list"), ("page", "lru"))
"""Linux kernel commit 18e8612e568c ("pgtable: create struct ptdesc") (in v6.6)."""


def for_each_directorys_mm(reader: Reader) -> Iterator[int]:
    """Addresses, in the array of page structures, of mm_struct *pt_mm of each page directory."""
    head = reader.symbol("pgd_list")
    for descriptor, link in _DESCRIPTORS:
        at, owner = reader.offset(descriptor, link), reader.offset(descriptor, "pt_mm")
        if head is not None and at is not None and owner is not None:
            for entry in walk_list(reader, head).addresses:
                yield entry - at + owner
            return
