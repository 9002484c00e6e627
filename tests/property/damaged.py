# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs command lines over a heap, damaged and not, and reads what they say.

A line's reads are counted, by number, by bytes and by the largest one. Knows the form of
the output; what it should say is the tests' matter.
"""

from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

from mocks.crash_module import FakeCrash
from mocks.damage import Damage, Plan
from mocks.heap import Heap
from mocks.image import Hole, Image
from tests.replay import run_command

Record = Dict[str, Any]

_PRINTABLE = set(string.printable) - set("\x0b\x0c\r\t")


class Said(NamedTuple):
    """What a command line has said, and what it has read for that."""

    line: List[str]
    text: str
    reads: int
    bytes: int
    """Asked for, read or not."""
    largest: int
    """Bytes of the largest read that was asked for."""

    def records(self) -> List[Record]:
        """The records of a line with -j; checks their form."""
        records = [json.loads(line) for line in self.text.splitlines()]
        assert [row["type"] for row in records].count("end") == 1, self
        assert records[0]["type"] == "begin", self
        assert records[-1]["type"] == "end", self
        problems = sum(row["type"] == "problem" for row in records)
        assert not (problems and records[-1]["complete"]), self
        assert bool(records[-1]["reason"]) is not records[-1]["complete"], self
        return records


class Console:
    """One crash session over an image. The page scan is kept, as in crash."""

    def __init__(self, image: Image) -> None:
        self.fake = FakeCrash(image)
        self.fake.on_read = self._count
        self._sizes: List[int] = []

    def _count(self, address: int, size: int) -> None:
        self._sizes.append(size)

    def run(self, line: Sequence[str]) -> Said:
        """A command with its arguments; what isn't printable ASCII is an error."""
        self._sizes = []
        text = run_command(self.fake, line[0], line[1:])
        strange = set(text) - _PRINTABLE
        assert not strange, (line, strange, text)
        sizes = self._sizes
        return Said(list(line), text, len(sizes), sum(sizes), max(sizes, default=0))


class Memory:
    """An image's bytes, to be put back after a damage."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._extents = list(image.extents())

    def restore(self) -> None:
        """As it was."""
        now = list(self._image.extents())
        if [(start, len(data)) for start, data in now] == [
            (start, len(data)) for start, data in self._extents
        ]:
            for (start, old), (_, new) in zip(self._extents, now):
                if old != new:
                    self._image.write(start, old)
            return
        for start, data in now:
            self._image.unmap(start, len(data))
        for start, data in self._extents:
            self._image.map(start, data)


def damaged(heap: Heap, memory: Memory, plans: Sequence[Plan]) -> List[Damage]:
    """Does the damages that can be done, from whole memory on.

    A second damage may need a page that the first one has taken away: it is left out.
    """
    memory.restore()
    done = []
    for plan in plans:
        with suppress(Hole):
            done.append(plan.apply(heap))
    return done


def of_type(records: Sequence[Record], kind: str) -> Iterator[Record]:
    """The records of one type."""
    return (row for row in records if row["type"] == kind)
