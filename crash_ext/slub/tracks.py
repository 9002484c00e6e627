# SPDX-License-Identifier: GPL-3.0-or-later
"""Who allocated an object and who freed it last: struct track, and KFENCE's own record.

A cache with SLAB_STORE_USER keeps two tracks behind each object. Both are kept apart: the
free track of an allocated object is of an earlier life. A track that contradicts the kernel
(a CPU that there isn't, a moment to come) is not told. Knows no symbols.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from crash_ext.hexa import hexa
from crash_ext.kernel.clock import Clock
from crash_ext.kernel.memory import read_symbol_number
from crash_ext.kernel.stackdepot import Depot
from crash_ext.kernel.structs import MissingMember, Struct
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.kfence import KfenceObject
from crash_ext.slub.model import Cache

_CPUS = 1 << 14
"""No kernel is built for more (CONFIG_NR_CPUS)."""
_PID_LIMIT = 1 << 22
"""PID_MAX_LIMIT of a 64-bit kernel."""


class Track(NamedTuple):
    """One allocation or free, as the kernel noted it."""

    caller: int
    """track.addr: where the allocator returns to. 0: not noted (KFENCE)."""
    frames: Tuple[int, ...]
    """Return addresses, innermost first; empty where the kernel keeps none."""
    cpu: Optional[int]
    """None where the kernel doesn't note it (early KFENCE)."""
    pid: int
    """Of the task then; 0: the idle task. In a process' other threads: the thread's."""
    when: Optional[int]
    """Jiffies, as the kernel counts them; None where it notes another clock's time."""
    age: Optional[int]
    """Jiffies between then and now; None where unknown."""
    seconds: Optional[float]
    """The age in seconds; None where HZ isn't known."""


class Tracks(NamedTuple):
    """An object's tracks; None for one never set, or not to be trusted."""

    alloc: Optional[Track]
    free: Optional[Track]
    problems: Tuple[str, ...] = ()
    """What contradicts itself or can't be read."""


NO_TRACKS = Tracks(None, None)


class TrackReader:
    """Reads the tracks of one cache's objects."""

    def __init__(self, slub: Slub, cache: Cache) -> None:
        self._reader = slub.reader
        self._cache = cache
        self._clock = Clock(slub.reader)
        self._depot = Depot(slub.reader)
        self._cpus = _cpu_bound(slub.reader)
        self._struct: Optional[Struct] = None
        self._size = 0
        self._at = info_end(cache, slub.reader.word)
        self.missing: Optional[str] = self._probe(slub)
        """Why there are no tracks in this cache; None where there are."""

    def of(self, address: int, memory: Optional[bytes] = None, base: int = 0) -> Tracks:
        """The tracks of the object at an address. Never raises.

        memory: bytes that were read from `base` on, and hold the tracks; None: read them.
        """
        if self.missing is not None or self._struct is None:
            return NO_TRACKS
        start, size = address + self._at, 2 * self._size
        data = memory[start - base : start - base + size] if memory is not None else b""
        if len(data) < size:
            try:
                data = self._reader.read(start, size)
            except ReadError as error:
                return Tracks(None, None, (f"object {hexa(address)}: tracks: {error}",))
        problems: List[str] = []
        alloc = self._decode(data, 0, f"object {hexa(address)}: alloc track", problems)
        free = self._decode(data, self._size, f"object {hexa(address)}: free track", problems)
        return Tracks(alloc, free, tuple(problems))

    def seconds_since_allocation(
        self, address: int, memory: Optional[bytes] = None, base: int = 0
    ) -> Optional[float]:
        """How long ago the object was allocated; None where that isn't noted. Never raises.

        As of() tells it, without the stack: cheap enough for a million objects.
        """
        struct = self._struct
        if self.missing is not None or struct is None:
            return None
        start = address + self._at
        data = memory[start - base : start - base + self._size] if memory is not None else b""
        if len(data) < self._size:
            data = self._reader.try_read(start, self._size) or b""
        if len(data) < self._size or not struct.pointer(data, "addr"):
            return None
        return self._clock.seconds(self._clock.age(struct.pointer(data, "when")))

    def of_kfence(self, found: KfenceObject) -> Tracks:
        """What KFENCE itself notes of an object in its pool. Never raises."""
        problems: List[str] = []
        tracks = [self._kfence(found, name, problems) for name in ("alloc_track", "free_track")]
        return Tracks(tracks[0], tracks[1], tuple(problems))

    def _probe(self, slub: Slub) -> Optional[str]:
        if not self._cache.flags & slub.layout.flags.mask("STORE_USER"):
            return "the cache doesn't keep tracks (no SLAB_STORE_USER)"
        size = slub.reader.struct_size("track")
        try:
            # Linux kernel commit 5cf909c553e9 ("mm/slub: use stackdepot to save stack trace in
            # objects") (in v5.19): a depot's handle in place of the stack itself.
            self._struct = Struct(
                slub.reader,
                "track",
                ("addr", "cpu", "pid", "when"),
                ("handle", "addrs"),
            )
        except MissingMember as error:
            return str(error)
        self._size = size or 0
        if not size or self._cache.red_left + self._at + 2 * size > self._cache.size:
            return f"no room for two tracks of {size} bytes in {self._cache.size}"
        return None

    def _decode(self, data: bytes, base: int, what: str, problems: List[str]) -> Optional[Track]:
        struct = self._struct
        if struct is None:
            return None
        caller = struct.pointer(data, "addr", base)
        if not caller:
            return None
        cpu, pid = struct.value(data, "cpu", base), struct.value(data, "pid", base)
        when = struct.pointer(data, "when", base)
        age = self._clock.age(when)
        doubt = self._doubt(cpu, pid)
        if doubt is None and age is None and self._clock.runs:
            doubt = f"jiffies {when} are not between the boot and now"
        if doubt is not None:
            problems.append(f"{what}: {doubt}")
            return None
        frames: Tuple[int, ...] = ()
        if "handle" in struct:
            handle = struct.value(data, "handle", base)
            if handle:
                frames, problem = self._depot.stack(handle)
                if problem is not None:
                    problems.append(f"{what}: {problem}")
        elif "addrs" in struct:
            start = base + struct.offset("addrs")
            frames = _addresses(self._reader, data[start : start + struct.size("addrs")])
        return Track(caller, frames, cpu, pid, when, age, self._clock.seconds(age))

    def _doubt(self, cpu: Optional[int], pid: int) -> Optional[str]:
        if cpu is not None and cpu >= self._cpus:
            return f"cpu {cpu}, but there are {self._cpus}"
        return f"pid {pid}, which can't be" if pid >= _PID_LIMIT else None

    def _kfence(self, found: KfenceObject, name: str, problems: List[str]) -> Optional[Track]:
        reader = self._reader
        offset = reader.offset("kfence_metadata", name)
        if offset is None:
            return None
        what = f"object {hexa(found.address)}: KFENCE {name}"
        try:
            struct = Struct(
                reader,
                "kfence_track",
                ("pid", "num_stack_entries", "stack_entries"),
                # Linux kernel commit 4bbf04aa9aa8 ("kfence: show cpu and timestamp in alloc/free
                # info") (in v5.17).
                ("cpu", "ts_nsec"),
            )
            data = reader.read(found.metadata + offset, struct.span())
        except (MissingMember, ReadError) as error:
            problems.append(f"{what}: {error}")
            return None
        count = struct.value(data, "num_stack_entries")
        if not count:
            return None
        pid = struct.value(data, "pid")
        cpu = struct.value(data, "cpu") if "cpu" in struct else None
        age = None
        doubt = self._doubt(cpu, pid)
        if doubt is None and "ts_nsec" in struct and self._clock.hz:
            age = self._clock.age_of_nanoseconds(struct.value(data, "ts_nsec"))
            doubt = "a moment that is to come" if age is None else None
        start, room = struct.offset("stack_entries"), struct.size("stack_entries")
        if doubt is None and count * reader.word > room:
            doubt = f"{count} stack entries"
        if doubt is not None:
            problems.append(f"{what}: {doubt}")
            return None
        frames = _addresses(reader, data[start : start + count * reader.word])
        return Track(0, frames, cpu, pid, None, age, self._clock.seconds(age))


def info_end(cache: Cache, word: int) -> int:
    """Bytes from an object's start to its first track.

    Behind the free pointer where that is outside of the object, else where the metadata
    starts. Up to v5.6 the free pointer is at 0 or outside: one rule for all.
    """
    return cache.inuse + word if cache.offset >= cache.inuse else cache.inuse


def _cpu_bound(reader: Reader) -> int:
    """One more than the highest CPU number. nr_cpu_ids is a macro in some kernels."""
    count = read_symbol_number(reader, "nr_cpu_ids", 4)
    if count:
        return count
    return 1 if reader.symbol("__per_cpu_offset") is None else _CPUS


def _addresses(reader: Reader, data: bytes) -> Tuple[int, ...]:
    """The stack in an array that may end early, with 0 or (up to v5.1) with ULONG_MAX."""
    found: List[int] = []
    for at in range(0, len(data), reader.word):
        address = int.from_bytes(data[at : at + reader.word], reader.byteorder)
        if address in (0, (1 << 8 * reader.word) - 1):
            break
        found.append(address)
    return tuple(found)
