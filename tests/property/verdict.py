# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands say of a damaged heap, held against what they said before.

A complaint is a line of text; no complaint means that the commands neither lied nor kept
quiet. What they may keep quiet about is in undetectable(): no memory contradicts it.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from mocks.heap import Heap
from mocks.model import Slab
from tests.property.damaged import Console, Record, Said, of_type
from tests.property.evidence import Touched

Key = Tuple[int, int]
"""(address of the kmem_cache, address of the object)."""

UNKNOWN = "unknown"
_STATES = ("allocated", "free", "freed, RCU pending")


class Told(NamedTuple):
    """What one line with -j says."""

    objects: Dict[Key, str]
    """State by cache and object."""
    slab_of: Dict[Key, int]
    caches: Dict[int, Record]
    problems: List[Record]
    complete: bool


def told(said: Said) -> Told:
    """The records of a line, by what they are about."""
    records = said.records()
    objects: Dict[Key, str] = {}
    slab_of: Dict[Key, int] = {}
    for row in of_type(records, "object"):
        key = (int(row["cache"], 16), int(row["address"], 16))
        assert objects.get(key, row["state"]) == row["state"], (said.line, key)
        objects[key] = row["state"]
        slab_of[key] = int(row["slab"], 16)
    caches = {int(row["address"], 16): row for row in of_type(records, "cache")}
    problems = list(of_type(records, "problem"))
    return Told(objects, slab_of, caches, problems, records[-1]["complete"])


def lines(heap: Heap) -> Dict[str, List[str]]:
    """The command lines whose whole output is judged."""
    addresses = [f"{address:x}" for address in dict.fromkeys(c.address for c in heap.caches)]
    return {
        "caches": ["slabdup", "-a", "-j"],
        "objects": ["slabobjs", "-j", "-f", "-b", "0", *addresses],
    }


def quiet_line(heap: Heap) -> List[str]:
    """The addresses of the allocated objects of one cache."""
    return ["slabobjs", "-q", f"{heap.caches[-1].address:x}"]


def other_lines(heap: Heap) -> List[List[str]]:
    """Every other way to ask."""
    cache = heap.caches[-1]
    slab = cache.slabs[0] if cache.slabs else heap.caches[0].slabs[0]
    name = cache.name.decode() or "slab_test"
    return [
        ["slabdup"],
        ["slabdup", "-j"],
        ["slabdup", "-a"],
        ["slabdup", "-p"],
        ["slabdup", "-j", "-p", "-a"],
        ["slabdup", name],
        ["slabdup", "-j", name],
        ["slabobjs", name],
        ["slabobjs", "-j", "-p", "-b", "0", "-f", name],
        ["slabobjs", "-f", f"{cache.address:x}"],
        quiet_line(heap),
        ["slabobjs", "-q", "-p", f"{slab.cache.address:x}"],
        ["slabobjs", f"{slab.page:x}"],
        ["slabobjs", "-j", "-f", "-b", "0", f"{slab.page:x}"],
        ["slabobjs", f"{slab.object(0):x}"],
        ["slabobjs", "-j", "-b", "0", f"{slab.object(slab.objects - 1) + 1:x}"],
        ["slabobjs", "-q", f"{slab.object(0):x}"],
    ]


class Change(NamedTuple):
    """An object of which something else is told than before."""

    cache: int
    slab: int
    address: int
    old: Optional[str]
    """None where it wasn't there."""
    new: Optional[str]

    @property
    def text(self) -> str:
        """What has changed."""
        where = f"object {self.address:x} of slab {self.slab:x}, cache {self.cache:x}"
        return f"{where}: {self.old}, told {self.new}"

    @property
    def certain(self) -> bool:
        """Whether the new state is a claim."""
        return self.new not in (None, UNKNOWN)


class Before:
    """What is said of a heap that nothing has happened to."""

    def __init__(self, heap: Heap) -> None:
        self.heap = heap
        console = Console(heap.image)
        wanted = lines(heap)
        self.objects = told(console.run(wanted["objects"]))
        self.caches = told(console.run(wanted["caches"]))
        self.truth: Dict[Key, str] = {}
        for cache, so in heap.truth().items():
            for state, objects in zip(_STATES, (so.allocated, so.free, so.rcu)):
                self.truth.update({(cache, address): state for address in objects})
        self.slabs = {slab.page: slab for cache in heap.caches for slab in cache.slabs}
        self._problems = {
            row["text"] for line in (self.objects, self.caches) for row in line.problems
        }

    def new_problems(self, now: Told) -> List[Record]:
        """What was told for the first time: an intact heap has its doubts, too."""
        return [row for row in now.problems if row["text"] not in self._problems]

    def reused(self, address: int) -> bool:
        """Whether a dead cache had the struct at that address before (v6.0 to v6.5)."""
        return sum(cache.address == address for cache in self.heap.caches) > 1

    def of_dead(self, slab: Slab) -> bool:
        """Whether a later cache has the struct of the slab's cache."""
        at = slab.cache.address
        return [cache for cache in self.heap.caches if cache.address == at][-1] is not slab.cache


def judge(before: Before, touched: Touched, others: Sequence[List[str]]) -> List[str]:
    """Runs all lines over the damaged heap; the complaints."""
    heap = before.heap
    console = Console(heap.image)
    found: List[str] = []
    wanted = lines(heap)
    said = {key: console.run(line) for key, line in wanted.items()}
    for key in said:
        found += _bounds(heap, said[key])
        said[key].records()
    objects, caches = told(said["objects"]), told(said["caches"])
    found += _objects(before, objects, touched, whole=True)
    found += _states(before, caches, touched)
    for line in others:
        extra = console.run(line)
        found += _bounds(heap, extra)
        more: Iterator[str] = iter(())
        if "-j" in line and line[0] == "slabobjs":
            more = _objects(before, told(extra), touched)
        elif "-j" in line:
            extra.records()
        elif line == quiet_line(heap):
            more = _quiet(extra, objects)
        found += [f"{' '.join(line)}: {text}" for text in more]
    return found


def _bounds(heap: Heap, said: Said) -> Iterator[str]:
    """Every walk sees an entry once, every cache is walked once, the pages are scanned once.

    An entry is a list_head or the like: one in each thing that the heap consists of.
    """
    image = heap.image
    pages = sum(end - first for first, end in image.present)
    slabs = sum(len(cache.slabs) for cache in heap.caches)
    sheaves = sum(len(cache.sheaves()) for cache in heap.caches)
    caches = len(heap.caches)
    things = 2 * (slabs + caches * (1 + heap.nodes) + sheaves) + len(heap.cpus)
    walks = 2 * heap.nodes + 3 * len(heap.cpus) + 2
    reads = 3 * caches * walks * things + pages
    if said.reads > reads:
        yield f"{' '.join(said.line)}: {said.reads} reads, bound {reads}"
    if said.largest > 1 << 26:
        yield f"{' '.join(said.line)}: a read of {said.largest} bytes"


def _objects(before: Before, now: Told, touched: Touched, whole: bool = False) -> Iterator[str]:
    """Complaints about objects; whole: all objects were asked for."""
    was = before.objects
    for key in sorted(set(was.objects) | set(now.objects)):
        old, new = was.objects.get(key), now.objects.get(key)
        if old == new or (new is None and not whole):
            continue
        cache, address = key
        slab = was.slab_of.get(key) or now.slab_of[key]
        change = Change(cache, slab, address, old, new)
        if new == UNKNOWN and touched.chained(slab):
            continue
        own = (
            touched.cache(cache)
            or touched.slab(slab)
            or bool(touched.deferred())
            or touched.kfence()
            # A slab that its list has lost: it may be the dead cache's as well.
            or (before.reused(cache) and any(hit.cache == cache for hit in touched.hits))
        )
        if old == UNKNOWN and new == before.truth.get(key):
            # Doubted while it was intact: a struct that v6.0 to v6.5 have freed and reused.
            continue
        if not own and not _foreign(before, touched, cache):
            yield f"{change.text}: nothing has hit it"
        elif undetectable(before, touched, change):
            continue
        elif not change.certain and now.complete:
            yield f"{change.text}: called complete"
        elif not named(touched, before.new_problems(now), cache, slab):
            yield f"{change.text}: without a word"
        elif change.certain and old is not None and not _lost_sheaf(change, now):
            yield f"{change.text}: a lie"


def _lost_sheaf(change: Change, now: Told) -> bool:
    """An object whose sheaf, or list of put off frees, is lost, and that is said.

    Nothing else knew that it is free.
    """
    return change.new == "allocated" and any(
        _cache_of(row) in (None, change.cache) and "counted as allocated" in row["text"]
        for row in now.problems
    )


def _foreign(before: Before, touched: Touched, cache: int) -> bool:
    """Whether a slab of another cache has come to name this one."""
    return any(
        hit.kind == "slab"
        and hit.cache != cache
        and touched.heap.image.is_mapped(hit.slab, 64)
        and _names(touched.heap, hit.slab) == cache
        for hit in touched.hits
    )


def _names(heap: Heap, page: int) -> int:
    at = heap.writer.member(heap.layout.descriptor, page, "slab_cache")
    return heap.image.get(at, heap.layout.word)


_NUMBER = re.compile(r"\b[0-9a-f]{5,16}\b")


def named(touched: Touched, problems: Sequence[Record], cache: int, slab: int) -> bool:
    """Whether a problem names the cache or the slab, or an address or value that is wrong."""
    wrong = {cache, slab, *(damage.after for damage in touched.damages)}
    spans = [touched.span(damage) for damage in touched.damages]
    spans += [range(hit.start, hit.start + hit.end) for hit in touched.hits]
    spans.append(range(cache, cache + touched.heap.caches[0].object_size))
    for row in problems:
        if _cache_of(row) == cache:
            return True
        for number in (int(text, 16) for text in _NUMBER.findall(row["text"])):
            if number in wrong or any(number in span for span in spans):
                return True
    return False


def _cache_of(row: Record) -> Optional[int]:
    """The cache that a problem is of; on s390x its address has zeroes in front."""
    return None if row["cache"] is None else int(row["cache"], 16)


def undetectable(before: Before, touched: Touched, change: Change) -> bool:
    """Damages of one word that all other memory agrees with.

    - kmem_cache_cpu.freelist, or a free pointer on that list, that now leads past some of its
      objects: nothing counts them, and the slab itself counts them as used.
    - slub_percpu_sheaves.spare or rcu_free that became NULL, as they often are: the sheaf is
      found from nowhere.
    - A link of a CPU's list of put off frees, or of an entry of a sheaf, that leads to an
      object; or ends the list.
    - slab_sheaf.size that became less: what lies behind it are old entries, in every sheaf.
    - The state in KFENCE's metadata that became that of an unused object.
    - kmem_cache.flags with the bit of SLAB_RED_ZONE turned: where objects start in a slot.
    - The mark of a slab on no list, where no node counts its slabs; that of any slab of a
      cache whose struct was freed: it has no nodes.
    - The callback of a sheaf that only call_rcu() knows: it is found by that.
    - The nodes of a cache that has a dead one's struct (v6.0 to v6.5): nothing else tells
      whose slabs are whose.
    """
    cache = change.cache
    slab = before.slabs.get(change.slab)
    if slab is not None and _not_to_be_told(before, touched, change, slab):
        return True
    if change.new == "allocated" and touched.uncalled(cache):
        return True
    if touched.member("cache", cache, "kmem_cache", "flags"):
        return True
    if change.new is None and touched.unused(change.slab):
        return True
    if any(_is_object(before, link) for link in touched.deferred()):
        return True
    if any(_is_object(before, entry) for entry in touched.entries(cache)):
        return True
    if touched.shrunk(cache) and change.new == "allocated":
        return True
    if change.new != "allocated" or change.old is None:
        return False
    if slab is not None and slab.cpu_chain and change.old == "free":
        links = {slab.object(index) + slab.cache.offset for index in slab.cpu_chain}
        return touched.words(links) or touched.percpu(cache, "kmem_cache_cpu", "freelist")
    return any(touched.percpu(cache, "slub_percpu_sheaves", name) for name in ("spare", "rcu_free"))


def _not_to_be_told(before: Before, touched: Touched, change: Change, slab: Slab) -> bool:
    """Whether nothing tells that the slab is one, or the cache's."""
    counted = touched.heap.layout.has("kmem_cache_node", "nr_slabs")
    lost = slab.where == "full-unlisted" and not counted
    if change.new is None and (lost or slab.cache.frozen):
        return touched.member("slab", change.slab, "page", "flags", "page_type")
    array = ("node", "per_node")
    return before.of_dead(slab) and touched.member("cache", change.cache, "kmem_cache", *array)


def _is_object(before: Before, link: int) -> bool:
    """Whether a link ends its list or leads to some object."""
    return not link or any(link in slab.memory for slab in before.slabs.values())


def _states(before: Before, now: Told, touched: Touched) -> Iterator[str]:
    """Complaints about the caches' states and names."""
    for address, row in before.caches.caches.items():
        here = now.caches.get(address)
        what = f"cache {address:x} {row['name']!r}, {row['state']}"
        own = any(hit.kind == "cache" and hit.cache == address for hit in touched.hits)
        if here is None:
            home = next((p for p, s in before.slabs.items() if address in s.memory), 0)
            if not named(touched, before.new_problems(now), address, home):
                yield f"{what}: gone without a word"
            continue
        if here["name"] != row["name"] and not own and not _memory_hit(touched):
            yield f"{what}: now named {here['name']!r}"
        if here["state"] != row["state"] and here["state"] != UNKNOWN and not own:
            yield f"{what}: now {here['state']}: {here['reason']}"
        for count in ("slabs", "objects", "allocated"):
            hit = touched.cache(address) or _foreign(before, touched, address)
            hit = hit or any(h.cache == address for h in touched.hits)
            hit = hit or bool(touched.deferred()) or touched.kfence()
            if here[count] != row[count] and not hit:
                yield f"{what}: {row[count]} {count}, told {here[count]}"
    for address in set(now.caches) - set(before.caches.caches):
        if now.complete:
            yield f"cache {address:x}: made up"


def _memory_hit(touched: Touched) -> bool:
    return any(damage.target == "page" for damage in touched.damages)


def _quiet(said: Said, objects: Told) -> Iterator[str]:
    """slabobjs -q of a cache has exactly the allocated objects of the records.

    Where the struct can't be a cache any more, its address is that of an object of kmem_cache.
    """
    cache = int(said.line[-1], 16)
    if cache not in objects.caches:
        return
    wanted = {a for (c, a), state in objects.objects.items() if (c, state) == (cache, "allocated")}
    shown = [line for line in said.text.splitlines() if not line.startswith("slabobjs: ")]
    # All digits of an address, where the line that asked may have left zeroes out.
    if not all(re.fullmatch("(?:[0-9a-f]{8}){1,2}", line) for line in shown):
        yield f"no addresses: {shown}"
    elif {int(line, 16) for line in shown} != wanted:
        yield "another set of objects"
