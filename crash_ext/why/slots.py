# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a pointer in a slot that its own array's counters say is not in use?

A kfifo keeps what was read from it, a mempool what was taken from its reserve: the slot is not
cleared. Such an array is told by the counters beside the pointer to it, in the form that the
kernel has for them. Knows these two; of an array of a driver's own nobody knows which number
counts it.
"""

from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

from crash_ext.contents.callbacks import Callbacks
from crash_ext.kernel.memory import try_number
from crash_ext.reader import Reader

_POOLS = ("mempool_s", "mempool")
"""By the DWARF of 7.3 the structure has the shorter name; 6.12 has the longer one."""
_MOST = 1 << 16
"""Elements of a mempool at most."""
_INSIDE = 1 << 10
"""Bytes before a slot that are looked at for a kfifo which has its slots in itself."""
_LONGEST = 1 << 12
"""Bytes of an element of a kfifo at most."""
_INDEX = 0xFFFFFFFF

FIFO, POOL = "a kfifo", "the reserve of a mempool"
_WHY = {
    FIFO: "in a slot of a kfifo that was read or reset",
    POOL: "in a slot of the reserve of a mempool that was emptied",
}
NOT_COUNTED = tuple(_WHY.values())
"""What makes a slot no pointer in use."""


class Slot:
    """Where a pointer lies: in which array, and whether that counts it."""

    def __init__(self, kind: str, start: int, at: int, used: bool) -> None:
        self.kind = kind
        """FIFO or POOL."""
        self.start = start
        """Address of the structure that has the array."""
        self.at = at
        """Where in it the array's address stands."""
        self.used = used

    @property
    def why(self) -> str:
        """What makes an unused one no pointer in use."""
        return _WHY[self.kind]


class Slots:
    """Looks at the surroundings of slots of one kernel."""

    def __init__(self, reader: Reader, callbacks: Callbacks) -> None:
        self._reader = reader
        self._callbacks = callbacks
        self._fifo = self._form(("__kfifo",), ("in", "out", "mask", "esize", "data"))
        self._pool = self._form(_POOLS, ("elements", "min_nr", "curr_nr", "alloc", "free"))

    def of(self, slot: int, above: int = 0) -> Optional[Slot]:
        """The array that a slot is in; above: where the address of the slot's object stands."""
        found = above and (self._in_pool(slot, above) or self._in_fifo(slot, above))
        return found or self._in_own_fifo(slot)

    def _form(self, structs: Tuple[str, ...], members: Tuple[str, ...]) -> Optional[Dict[str, int]]:
        for struct in structs:
            found = {name: self._reader.offset(struct, name) for name in members}
            known = {name: at for name, at in found.items() if at is not None}
            if len(known) == len(members):
                return known
        return None

    def _in_fifo(self, slot: int, above: int, own: bool = False) -> Optional[Slot]:
        """By struct __kfifo: the words before the pointer to its slots, if each has a pointer.

        own: the slots lie behind the structure. After kfifo_reset() its counters are 0, as two
        numbers are of many a table with a mask, whose slots lie elsewhere.
        """
        form, word = self._fifo, self._reader.word
        if form is None:
            return None
        start = above - form["data"]
        number = self._numbers(start, form)
        data = self._number(above, word)
        if number is None or data is None:
            return None
        put, got, mask = number("in"), number("out"), number("mask")
        waiting = (put - got) & _INDEX
        size = number("esize")
        if not word <= size <= _LONGEST or mask & (mask + 1) or not mask or waiting > mask + 1:
            return None
        index = (slot - data) // size
        if not 0 <= index <= mask or not (put or own):
            return None
        return Slot(FIFO, start, above, ((index - got) & mask) < waiting)

    def _in_own_fifo(self, slot: int) -> Optional[Slot]:
        """DEFINE_KFIFO(): the slots lie behind the structure, which points to them."""
        word = self._reader.word
        start = slot - _INSIDE
        data = self._reader.try_read(start, _INSIDE)
        if data is None or self._fifo is None:
            return None
        for at in range(_INSIDE - word, -1, -word):
            value = int.from_bytes(data[at : at + word], self._reader.byteorder)
            if value == start + at + word:
                return self._in_fifo(slot, start + at, own=True)
        return None

    def _in_pool(self, slot: int, above: int) -> Optional[Slot]:
        """By struct mempool_s: the array of elements, filled from its start on."""
        form, word = self._pool, self._reader.word
        if form is None:
            return None
        start = above - form["elements"]
        number, first = self._numbers(start, form), self._number(above, word)
        if number is None or first is None:
            return None
        reserve, current = number("min_nr"), number("curr_nr")
        if not 0 <= current <= reserve <= _MOST or not first <= slot < first + reserve * word:
            return None
        for name in ("alloc", "free"):
            if self._callbacks.function(self._number(start + form[name], word) or 0) is None:
                return None
        return Slot(POOL, start, above, slot < first + current * word)

    def _numbers(self, start: int, form: Dict[str, int]) -> Optional[Callable[[str], int]]:
        """The 32-bit members of a structure, by their names."""
        size = max(form.values()) + self._reader.word
        data = self._reader.try_read(start, size)
        if data is None:
            return None
        order = self._reader.byteorder
        return lambda name: int.from_bytes(data[form[name] : form[name] + 4], order)

    def _number(self, address: int, size: int) -> Optional[int]:
        return try_number(self._reader, address, size)
