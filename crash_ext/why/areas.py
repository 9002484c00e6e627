# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory without a name: pages of no slab, areas of vmalloc(), alloc_percpu()'s memory.

They are named by who has their address; reach/blocks.py finds that. kfree_rcu()'s own pages are
known by its notes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Dict

from crash_ext.kernel.kfreercu import Notes, notes_of_kfree_rcu
from crash_ext.kernel.say import before_verb
from crash_ext.places.place import PAGE, PAGE_STRUCT, PERCPU, VMALLOC, Place, words_of
from crash_ext.places.places import Places
from crash_ext.reach.blocks import Blocks
from crash_ext.reach.model import Step
from crash_ext.why.case import Subject


class Areas:
    """Names such memory of one kernel."""

    def __init__(self, places: Places, blocks: Blocks) -> None:
        self._reader = places.session.reader
        self._blocks = blocks

    def owner_of(self, step: Step) -> str:
        """Who has the page or the area in which a way begins; "" where that isn't known."""
        place = step.place
        if place is None or place.kind not in (PAGE, VMALLOC, PERCPU):
            return ""
        if self._is_kfree_rcu(step.holder):
            return "kfree_rcu(), until the end of a grace period"
        who = self._blocks.owner(step.holder, place)
        if self._blocks.is_percpu(step.holder, place):
            return f"per-CPU memory of {who}" if who else "dynamic per-CPU memory"
        if who:
            return f"{'vmalloc area' if place.kind == VMALLOC else 'memory'} of {who}"
        before = self._blocks.before(step.holder, place)
        return f"memory from boot, behind what {before} points to" if before else ""

    def name(self, subject: Subject) -> str:
        """Pages and areas: by who has their address."""
        path = subject.path
        place = path[0].place
        if place is not None and place.kind == PAGE_STRUCT:
            return self._page_struct(subject, place)
        if place is None or place.kind not in (PAGE, VMALLOC, PERCPU):
            return ""
        way = "" if len(path) == 1 else f" and {words_of(path[-1].place)}"
        who = self._blocks.owner(path[0].holder, place)
        if self._blocks.is_percpu(path[0].holder, place):
            subject.keeper = who and f"{who} (per-CPU)"
            beginning = self._blocks.has_beginning(path[0].holder, place)
            subject.adrift = not who and not place.label and beginning
            has = f": {before_verb(who)} has that memory" if who else ""
            return f"by dynamic per-CPU memory, {place.text}{way}{has}"
        if who:
            subject.keeper = who
            return f"by way of {place.text}{way}: {before_verb(who)} has that memory"
        before = self._blocks.before(path[0].holder, place)
        if before:
            boot = f"by way of {place.text}, from boot, behind what {before} points to"
            return f"{boot},{way}" if way else boot
        subject.adrift = self._blocks.has_beginning(path[0].holder, place)
        return ""

    def _page_struct(self, subject: Subject, place: Place) -> str:
        """What a page structure says of its page, mostly page->private: who has that page?"""
        path = subject.path
        way = "" if len(path) == 1 else f" and {words_of(path[-1].place)}"
        who = self._blocks.owner(path[0].holder, place)
        subject.adrift = not who and self._blocks.has_beginning(path[0].holder, place)
        return f"by {place.text}{way}" + (f": {before_verb(who)} has that page" if who else "")

    def _is_kfree_rcu(self, holder: int) -> bool:
        """Whether kfree_rcu() has noted there what it is to free.

        By the per-CPU struct kfree_rcu_cpu, which has each page of such notes or one before it
        in a chain: in no other way. Behind the last note are those of what was freed long ago.
        """
        notes = self._noted.get(holder - holder % self._reader.page_size)
        return notes is not None and notes.first <= holder < notes.end

    @cached_property
    def _noted(self) -> Dict[int, Notes]:
        return {notes.page: notes for notes in notes_of_kfree_rcu(self._reader)}
