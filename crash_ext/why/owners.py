# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated the objects that are still there: grouped by stack, by line, by memcg.

Evidence is what the kernel noted at the allocation: tracks (SLAB_STORE_USER), KFENCE's own
record, memory allocation profiling. The oldest object of a group stands for it: the first
leak is nearer to the cause than the last. Where nothing was noted, it says what to switch on.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple, TypeVar

from crash_ext.contents.ages import Ages, ages_of
from crash_ext.kernel.memory import read_string, read_word
from crash_ext.reader import Reader, ReadError
from crash_ext.report.text import plural
from crash_ext.slub.allocator import Slub
from crash_ext.slub.extension import Extensions, has_profiling
from crash_ext.slub.kfence import PLACE
from crash_ext.slub.memcg import Memcg
from crash_ext.slub.model import ALLOCATED, Cache, SlabObjects
from crash_ext.slub.ownertags import AllocationTag, OwnerTags
from crash_ext.slub.session import Session
from crash_ext.slub.slabmemory import slab_memory
from crash_ext.slub.tracks import NO_TRACKS, Track, TrackReader, Tracks

TaskOf = Callable[[int, Optional[float]], Optional[str]]
"""(PID, seconds or None) -> the name of the task that has had it for so long; None: it is gone."""

_PROBLEMS = 20
"""This many get a line each."""
_FUNCTION_BOUND = 1 << 16
"""Bytes: an address farther behind a symbol is not in that function (a module's, say)."""

# Functions between a caller and the allocator, as stacks have them. Those that allocate for
# their caller (kstrdup, mempool_alloc) are callers: the stack tells the rest.
_ALLOCATOR = re.compile(
    r"_*(kmem_cache_z?alloc|kv?[mzc]alloc|kv?realloc|slab_alloc|slab_post_alloc_hook|slub_alloc"
    r"|kfence_alloc|kfence_guarded_alloc|set_track|alloc_debug_processing|new_slab"
    r"|allocate_slab|pcs_replace_empty_main|refill_objects|stack_(trace|depot)_save|kasan_save_stack)"
    r"(_(align|array|bulk|cache|flags|from_sheaf|hook|large|lru|node|nolock|noprof|order|prepare|prof"
    r"|track_caller|trace|update))*(\.\w+)*\Z"
)
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9_.:+-]+\Z")


class Group(NamedTuple):
    """Allocated objects with the same allocation stack."""

    objects: List[int]
    """Their addresses, the oldest first."""
    bytes: int
    """Their size in all: what the users asked for, without metadata."""
    caller: int
    """The address in the code that asked the allocator for it."""
    frames: Tuple[int, ...]
    """The stack, innermost first; empty where only the caller was noted."""
    oldest: Track
    """The track of the oldest of them."""
    newest: Track
    pids: List[int]
    """Of the tasks that allocated them, each once, in order of age."""
    tasks: Optional[Dict[int, str]]
    """PID -> its task's name, of those that are alive. None: nobody has looked."""


class TagGroup(NamedTuple):
    """Allocated objects with the same allocation tag."""

    tag: AllocationTag
    objects: List[int]
    bytes: int


class MemcgGroup(NamedTuple):
    """Allocated objects charged to the same memcg."""

    memcg: Memcg
    objects: List[int]
    bytes: int


class OwnerReport(NamedTuple):
    """What is known of the allocations of a cache's objects."""

    groups: List[Group]
    """By stack; the one with the oldest object first."""
    tags: List[TagGroup]
    """By line of source; most objects first."""
    memcgs: List[MemcgGroup]
    """By memcg; most objects first."""
    allocated: int
    """All allocated objects that were looked at."""
    tracked: int
    """Those whose allocation stack or caller was noted."""
    recorded: bool
    """For at least one, stack or line was noted."""
    advice: Optional[str]
    """What to switch on next time; None where objects have a track or a tag, or there's none."""
    problems: List[str]
    """Tracks and records that contradict themselves or can't be read."""
    ages: Optional[Ages] = None
    """Of those objects whose allocation's time was noted."""


class _Found(NamedTuple):
    address: int
    length: int
    track: Track


def owners(
    session: Session,
    cache: Cache,
    slabs: Iterable[SlabObjects],
    task_of: Optional[TaskOf] = None,
) -> OwnerReport:
    """Who allocated the allocated objects of a cache's decoded slabs. Never raises on memory."""
    tracks = TracksOf(session, cache)
    extensions, tags = Extensions(session, cache), OwnerTags(session.reader)
    problems: List[str] = []
    stacks: Dict[Tuple[int, ...], List[_Found]] = {}
    lines: Dict[AllocationTag, List[Tuple[int, int]]] = {}
    memcgs: Dict[Memcg, List[Tuple[int, int]]] = {}
    allocated = tracked = doubtful = 0
    for slab in slabs:
        if not slab.count(ALLOCATED):
            continue
        length = cache.object_size if slab.length is None else slab.length
        payer = tags.memcg_of_cache(slab.slab.cache)
        if payer is not None:
            found = [(address, length) for address in slab.allocated()]
            memcgs.setdefault(payer, []).extend(found)
        entries = extensions.of(slab.slab, len(slab.states), problems)
        if not entries and not tracks.noted(slab):
            allocated += slab.count(ALLOCATED)
            continue
        memory = tracks.memory(slab)
        for index, state in enumerate(slab.states):
            if state != ALLOCATED:
                continue
            allocated += 1
            address = slab.address(index)
            noted = tracks.of(slab, address, memory)
            doubtful += bool(noted.problems)
            problems.extend(noted.problems[: max(_PROBLEMS - len(problems), 0)])
            track = noted.alloc
            if track is not None:
                tracked += 1
                key = (track.caller, *track.frames)
                stacks.setdefault(key, []).append(_Found(address, length, track))
            entry = entries.get(index)
            tag = tags.tag(entry.codetag, problems) if entry and entry.codetag else None
            if tag is not None:
                lines.setdefault(tag, []).append((address, length))
            memcg = tags.memcg(entry.objcg, problems) if entry and entry.objcg else None
            if memcg is not None:
                memcgs.setdefault(memcg, []).append((address, length))
    groups = [_group(session.reader, found, task_of) for found in stacks.values()]
    recorded = bool(groups or lines)
    if len(problems) >= _PROBLEMS:
        problems.append(
            f"tracks of {plural(doubtful, 'object')} contradict themselves or can't be read"
        )
    return OwnerReport(
        groups=sorted(groups, key=lambda group: _by_age(group.oldest)),
        tags=[TagGroup(tag, *_sum(found)) for tag, found in _most_first(lines)],
        memcgs=[MemcgGroup(memcg, *_sum(found)) for memcg, found in _most_first(memcgs)],
        allocated=allocated,
        tracked=tracked,
        recorded=recorded,
        advice=advise(session, cache) if allocated and not recorded else None,
        problems=problems,
        ages=ages_of(
            one.track.seconds
            for found in stacks.values()
            for one in found
            if one.track.seconds is not None
        ),
    )


class TracksOf:
    """Where the tracks of a slab's objects are: behind them, or with KFENCE."""

    def __init__(self, session: Session, cache: Cache) -> None:
        self._reader = session.reader
        self._cache = cache
        self._tracks = TrackReader(session, cache)
        self._kfence = {found.address: found for found in session.kfence().of(cache.address)}

    def noted(self, slab: SlabObjects) -> bool:
        """Whether its objects may have tracks at all."""
        return self._tracks.missing is None or slab.slab.place == PLACE

    def memory(self, slab: SlabObjects) -> Optional[bytes]:
        """The slab's bytes, if objects keep tracks behind them and it can be read whole."""
        if slab.slab.place == PLACE or not self.noted(slab):
            return None
        return slab_memory(self._reader, slab, self._cache.size)

    def of(self, slab: SlabObjects, address: int, memory: Optional[bytes]) -> Tracks:
        """The tracks of an object of the slab; memory: what memory() gave."""
        if slab.slab.place != PLACE:
            return self._tracks.of(address, memory, slab.slab.base)
        found = self._kfence.get(address)
        return NO_TRACKS if found is None else self._tracks.of_kfence(found)

    def seconds(self, slab: SlabObjects, address: int, memory: Optional[bytes]) -> Optional[float]:
        """How long ago an object of the slab was allocated; None where that isn't noted."""
        if slab.slab.place != PLACE:
            return self._tracks.seconds_since_allocation(address, memory, slab.slab.base)
        track = self.of(slab, address, memory).alloc
        return None if track is None else track.seconds


def caller_of(reader: Reader, track: Track) -> int:
    """The first address of a track that isn't in the slab allocator's code; 0: none.

    track.addr is where the allocator returns to; but that may be a wrapper of its own
    (kvmalloc_node). KFENCE notes only the stack, allocator and all.
    """
    frames = track.frames
    if track.caller in frames:
        frames = frames[frames.index(track.caller) :]
    elif track.caller:
        frames = (track.caller, *frames)
    for address in frames:
        found = reader.symbol_at(address)
        known = found is not None and found[1] < _FUNCTION_BOUND
        if found is None or not known or not _ALLOCATOR.match(found[0]):
            return address
    return track.caller or (frames[0] if frames else 0)


def advise(slub: Slub, cache: Cache) -> str:
    """What to switch on to have the owners of this cache's objects noted, in one line."""
    reader = slub.reader
    ways: List[str] = []
    if "nr_slabs" in slub.layout.node:
        parameter = "slub_debug=U" + _debug_name(slub, cache)
        if reader.symbol("no_hash_pointers") is not None:
            parameter += " no_hash_pointers"
        ways.append(f"boot with {parameter}")
    if has_profiling(reader):
        ways.append("boot with sysctl.vm.mem_profiling=1")
    if not ways:
        return "this kernel can't note who allocates: it takes one with CONFIG_SLUB_DEBUG"
    return "to have the allocations noted, " + ", or ".join(ways)


def _debug_name(slub: Slub, cache: Cache) -> str:
    """ ",NAME" for the parameter, "" where the name can't be given there (then all caches)."""
    name = cache.name
    if cache.root:
        # A memcg child has its root's options.
        try:
            at = read_word(slub.reader, cache.root + slub.layout.cache.offset("name"))
            name = read_string(slub.reader, at)
        except ReadError:
            name = None
    return f",{name.decode('ascii')}" if name and _PLAIN_NAME.match(name) else ""


def _group(reader: Reader, found: List[_Found], task_of: Optional[TaskOf]) -> Group:
    found = sorted(found, key=lambda one: _by_age(one.track))
    oldest, newest = found[0].track, found[-1].track
    pids = list(dict.fromkeys(one.track.pid for one in found))
    named = None
    if task_of is not None:
        # A task has to be older than the oldest object that it should have allocated.
        first = {one.track.pid: one.track.seconds for one in reversed(found)}
        named = {pid: task_of(pid, first[pid]) for pid in pids}
    return Group(
        objects=[one.address for one in found],
        bytes=sum(one.length for one in found),
        caller=caller_of(reader, oldest),
        frames=oldest.frames,
        oldest=oldest,
        newest=newest,
        pids=pids,
        tasks=None
        if named is None
        else {pid: name for pid, name in named.items() if name is not None},
    )


def _by_age(track: Track) -> Tuple[bool, int]:
    """Sorts the oldest first, and those of unknown age last."""
    return track.age is None, -(track.age or 0)


_Key = TypeVar("_Key")


def _most_first(
    found: Dict[_Key, List[Tuple[int, int]]],
) -> List[Tuple[_Key, List[Tuple[int, int]]]]:
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _sum(found: List[Tuple[int, int]]) -> Tuple[List[int], int]:
    """The addresses, and the bytes in all, of (address, bytes)."""
    return [address for address, _ in found], sum(length for _, length in found)
