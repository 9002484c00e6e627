# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that nothing has but the objects that it leads to: both are lost together.

A ring of descriptors, an alloc_percpu() counter, a page's private: an object's own memory points
back to it. The pass over memory takes pages, vmalloc() areas and per-CPU allocations for in use,
for nothing says who has them. Here they are asked for: where all that has the address of such a
block are objects, and none of these is reached without it, the block holds nothing. Its owner has
the address of its beginning: what points into the middle may be on a list in it.

Of a task that has ended, all words with flags in their low bits are left out, too: locks keep
their owner so, and none holds a reference to it (kernel/locking: a rw_semaphore has who read it
last until the next one does).

A block of which no address is found anywhere stays in use: its owner may have it by a frame's
number, on a device. So does one that a variable, a stack, a register or another page points to,
whatever those words are worth, and one whose physical address stands somewhere.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.kernel import pageuse
from crash_ext.kernel.memory import try_number
from crash_ext.kernel.search import Summary, Targets, find_pointers
from crash_ext.places.place import OBJECT, PAGE, PAGE_STRUCT, VMALLOC, Place
from crash_ext.places.places import Places
from crash_ext.reach.blocks import FLAGS, SMALLEST, Blocks
from crash_ext.reach.model import REACHED, UNREACHED
from crash_ext.reach.reach import Reach

FEW = 1 << 16
"""Of caches with more objects nobody asks: these are in use, or no block has them all."""
_MOST = 1 << 16
"""Pages of a block."""
_ROUNDS = 8
"""So often memory is gone through, at most: an object may have several blocks."""
_EACH = 64
"""Pointers to a block that are looked at: one that more have is in use."""
_LOW_FRAMES = 20
"""A physical address of fewer bits than this may be any number."""
_LOW = 32
"""Addresses have more bits than this; the per-CPU pointers of the first chunk may not."""

_Piece = Tuple[int, int]
"""(address, bytes)."""


class _Block(NamedTuple):
    """Memory that was had at once."""

    start: int
    """Its address: of the direct map, of vmalloc(), a per-CPU pointer."""
    beginnings: Tuple[int, ...]
    """Where it begins: its own address, the struct page *."""
    known_by: Tuple[_Piece, ...]
    """Addresses by which somebody may have it."""
    pieces: Tuple[_Piece, ...]
    """What the direct map shows of it."""
    array: _Piece
    """Where vmalloc() itself keeps which pages it has."""
    partial: bool = False
    """There may be more pieces of it."""


class Islands:
    """Finds blocks of one kernel that only what they lead to has, and takes them out of use."""

    def __init__(self, places: Places, blocks: Blocks, reach: Reach) -> None:
        self._places = places
        self._blocks = blocks
        self._reach = reach
        self._reader = places.session.reader
        self._judged: Set[int] = set()
        """Starts of blocks that were asked about."""
        self._candidates: Dict[int, _Block] = {}
        """Start -> a block that only objects have."""
        self._sunk: Set[int] = set()
        """Starts of those that only what they lead to has."""
        self._known: Dict[Tuple[str, int], Optional[_Block]] = {}
        """(kind of place, which piece of memory) -> the block that it lies in."""
        self._locks: List[_Piece] = []
        """Words of locks whose owner has ended."""
        self._beside: Dict[int, List[_Piece]] = {}
        """Start -> its page structures, or further pieces, where they lead to an object."""
        self._owners: Dict[int, List[int]] = {}
        """Start of a block -> the objects that have its address."""

    def sink(self, objects: Sequence[int]) -> None:
        """Take such blocks out of use, among those that lead to these allocated objects."""
        changed = self._take_locks()
        for _ in range(_ROUNDS):
            changed = self._take_new(objects) or changed
            if not changed:
                return
            # Once more without all of them: one may have been reached by way of another.
            self._sunk = set(self._candidates)
            self._reach.leave_out(self._pieces(self._sunk))
            self._give_back()
            changed = False

    def _take_locks(self) -> bool:
        """Whether a lock has the address of a task that has ended."""
        reader = self._reader
        at = reader.offset("task_struct", "exit_state")
        if at is None or self._locks:
            return False
        alive = {task.address for task in self._places.tasks.by_stack.values()}
        ended = [
            start
            for start in self._reach.heap.starts_of(self._reach.heap.named("task_struct"))
            if start not in alive
            and self._reach.level(start) == REACHED
            and try_number(reader, start + at, 4)
        ]
        targets = Targets((start + 1, reader.word - 1) for start in ended)
        pieces = self._reach.used()
        for hit in find_pointers(reader, targets, Summary(), pieces=pieces):
            self._locks.append((hit.holder, reader.word))
        return bool(self._locks)

    def _take_new(self, objects: Sequence[int]) -> bool:
        """Whether there are further blocks that only objects have, or more of such a block."""
        new: Dict[int, _Block] = {}
        changed = False
        for way in self._reach.ways(objects):
            root = way.root
            if root.place is None:
                continue
            block = self._block_at(root.holder, root.place)
            if block is None:
                continue
            given_up = block.start in self._judged and block.start not in self._candidates
            beside = root.place.kind == PAGE_STRUCT
            if (beside or block.partial) and not given_up:
                piece = block.pieces[0]
                if beside:
                    piece = (root.holder - root.place.offset, self._places.session.layout.page_size)
                known = self._beside.setdefault(block.start, [])
                if piece not in known:
                    known.append(piece)
                    changed = changed or block.start in self._candidates
            if block.start not in self._judged:
                new[block.start] = block
        self._judged.update(new)
        owners = self._find_owners(new)
        for start, block in new.items():
            if start in owners and all(map(self._may_be_lost, owners[start])):
                self._candidates[start] = block
                self._owners[start] = owners[start]
                changed = True
        return changed

    def _may_be_lost(self, owner: int) -> bool:
        """Whether nothing leads to an object but some block, so far as that is known."""
        root = next((way.root for way in self._reach.ways([owner])), None)
        return root is None or (
            root.place is not None and self._block_at(root.holder, root.place) is not None
        )

    def _pieces(self, starts: Iterable[int]) -> List[_Piece]:
        """What the direct map shows of the blocks."""
        found = set(self._locks)
        for start in starts:
            found.update(self._candidates[start].pieces)
            found.update(self._beside.get(start, ()))
        apart: List[_Piece] = []
        for at, size in sorted(found):
            if not apart or at >= sum(apart[-1]):
                apart.append((at, size))  # what overlaps lies within: a lock in a block
        return apart

    def _give_back(self) -> None:
        """Blocks of which an owner is reached without them are in use, and so on from there."""
        while True:
            back = [
                start
                for start in self._sunk
                if any(self._reach.level(owner) != UNREACHED for owner in self._owners[start])
            ]
            if not back:
                return
            given = self._pieces(back)
            self._sunk.difference_update(back)
            left = self._pieces(self._sunk)
            self._reach.take_back(left, sorted(set(given) - set(left)))

    # --- who has a block ---

    def _find_owners(self, blocks: Dict[int, _Block]) -> Dict[int, List[int]]:
        """Start of a block -> the objects that have it, where nothing else does."""
        by_range = {first: block.start for block in blocks.values() for first, _ in block.known_by}
        targets = Targets(piece for block in blocks.values() for piece in block.known_by)
        owners: Dict[int, Set[int]] = {}
        begun: Set[int] = set()
        outside: Set[int] = set()
        for registers in self._reader.registers().values():
            numbers = map(targets.index, registers.values())
            outside |= {by_range[targets.starts[number]] for number in numbers if number >= 0}
        pieces = self._reach.used()
        for hit in find_pointers(self._reader, targets, Summary(), cap=_EACH + 1, pieces=pieces):
            block = blocks[by_range[hit.start]]
            small = block.start < 1 << _LOW
            if small and hit.value % self._reader.word:
                continue  # some number, where a per-CPU pointer is a small one
            owner = self._reach.object_at(hit.holder)
            if owner is None and self._reach.use.of(hit.holder) == pageuse.SLAB:
                continue  # a free object
            if self._is_own(block, hit.holder, hit.value):
                continue
            found = owners.setdefault(block.start, set())
            if owner is None or len(found) > _EACH:
                outside.add(block.start)
                self._blocks.note(block.start, hit.holder)
                continue
            found.add(owner)
            if self._has_beginning(block, hit.holder, hit.value):
                begun.add(block.start)
        return {start: sorted(owners[start]) for start in begun - outside}

    def _has_beginning(self, block: _Block, holder: int, value: int) -> bool:
        """Whether a word has a block's address, and isn't linked to what begins there."""
        if value & -self._reader.word not in block.beginnings:
            return False
        word = self._reader.word
        # A list's head, or a bucket: it leads back to the node, whose second word this may be.
        links = [try_number(self._reader, value + at, word) for at in (0, word)]
        return holder not in links and holder - word not in links

    def _is_own(self, block: _Block, holder: int, value: int) -> bool:
        """Whether a word is the block's own, or left over: nobody has the block by it.

        It lies in the block, in its page structures or vmalloc()'s records; or it is what a list
        of free pages left in another page's structure, to which that list doesn't lead back.
        """
        first, size = block.array
        if _lies_in(block.pieces, holder) or first <= holder < first + size:
            return True
        place = self._places.name(holder)
        if place is None:
            return False
        if place.kind == PAGE_STRUCT and place.object is not None:
            return _lies_in(block.pieces, place.object) or self._is_old_link(place, value)
        return place.kind == OBJECT and self._blocks.is_record(place, block.start)

    def _is_old_link(self, place: Place, value: int) -> bool:
        """Whether a word in a page structure is its lru's, which links it to nothing now."""
        link, word = self._reader.offset("page", "lru"), self._reader.word
        page = self._reader.virt_to_page(place.object or 0)
        if link is None or page is None or place.offset not in (link, link + word):
            return False
        back = value + word if place.offset == link else value
        return try_number(self._reader, back, word) != page + link

    # --- what a block is ---

    def _block_at(self, holder: int, place: Place) -> Optional[_Block]:
        """_block(), asked once for each piece of memory."""
        key = (place.kind, holder // self._unit(place))
        if key not in self._known:
            self._known[key] = self._block(holder, place)
        return self._known[key]

    def _unit(self, place: Place) -> int:
        """Bytes of memory of that kind that lie in the same block."""
        if place.kind == PAGE_STRUCT:
            return self._places.session.layout.page_size
        whole = place.kind in (PAGE, VMALLOC) and not self._blocks.is_percpu(place.address, place)
        return self._reader.page_size if whole else self._reader.word

    def _block(self, holder: int, place: Place) -> Optional[_Block]:
        """The block that an address lies in; None for other memory."""
        if self._blocks.is_percpu(holder, place):
            return self._percpu(holder)
        if place.kind == VMALLOC:
            return self._area(holder)
        if place.kind == PAGE:
            return self._pages(holder)
        if place.kind == PAGE_STRUCT and place.object is not None:
            return self._pages(place.object)
        return None

    def _pages(self, address: int) -> Optional[_Block]:
        size = self._reader.page_size
        starts = self._blocks.starts(address)
        if len(starts) != 2 or self._reach.use.of(address) != pageuse.USED:
            return None
        start, page = starts
        pages = 1
        while pages < _MOST and self._reach.use.of(start + pages * size) == pageuse.USED:
            # What is no page of this block has another beginning.
            if self._blocks.starts(start + pages * size) != starts:
                break
            pages += 1
        length = pages * self._places.session.layout.page_size
        whole = (start, pages * size)
        known = (whole, (page, length), *self._physical(start))
        return _Block(start, (start, page), known, (whole,), (0, 0))

    def _physical(self, start: int) -> List[_Piece]:
        """The physical address of a page of the direct map, with flags."""
        shift = self._reader.phys_to_virt(0)
        return [(start - shift, FLAGS + 1)] if shift and start - shift >> _LOW_FRAMES else []

    def _area(self, holder: int) -> Optional[_Block]:
        vmalloc, reader = self._places.vmalloc, self._reader
        area = vmalloc.areas.at(self._places.own_address(holder))
        if area is None or not area.pages or area.start in self._places.dead_stacks:
            return None
        size = reader.page_size
        own = [reader.page_to_virt(page) for page in vmalloc.pages(area.start, area.end)]
        pieces = tuple((base, size) for base in own if base is not None)
        if not pieces or len(pieces) > _MOST:
            return None
        length = self._places.session.layout.page_size
        structs = ((page, length) for page in vmalloc.pages(area.start, area.end))
        known = ((area.start, area.end - area.start), *pieces, *structs)
        array = (area.pages, area.length * reader.word)
        return _Block(area.start, (area.start,), known, pieces, array)

    def _percpu(self, holder: int) -> Optional[_Block]:
        """Of a later chunk the pages of other CPUs aren't known: what leads to objects is met."""
        extent = self._blocks.percpu.extent(self._places.own_address(holder))
        if extent is None or extent[0] < SMALLEST:
            return None
        pointer, size, inside = extent
        known = ((pointer, size),)
        own = [self._reader.percpu(pointer, cpu) for cpu in self._reader.possible_cpus()]
        direct = [at for at in own if at is not None and self._reader.virt_to_page(at) is not None]
        if len(direct) == len(own):
            pieces = tuple((at, size) for at in direct)
            return _Block(pointer, (pointer,), known, pieces, (0, 0))
        page = holder - holder % self._reader.page_size
        start, end = holder - inside, holder - inside + size
        start, end = max(start, page), min(end, page + self._reader.page_size)
        return _Block(pointer, (pointer,), known, ((start, end - start),), (0, 0), True)


def _lies_in(pieces: Iterable[_Piece], address: int) -> bool:
    return any(start <= address < start + size for start, size in pieces)
