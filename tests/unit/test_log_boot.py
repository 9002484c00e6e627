# SPDX-License-Identifier: GPL-3.0-or-later
"""`slabwhy -L FILE`: a log of this boot counts, one of another boot proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import pytest

from crash_ext.why.log.boot import OTHER, SAME, UNKNOWN, Boot, boot_of, boots_in
from crash_ext.why.log.hashed import siphash_1u64
from mocks import history
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from mocks.model import Slab
from tests.unit import logs
from tests.unit.asked import of_type, records, target
from tests.unit.dresses import DRESSES, Entry

BANNER = "Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP"
UPTIME = history.UPTIME / history.HZ
CHATTER: List[Entry] = [(10.0 + n * 1.000007, f"usb 1-{n}: reset") for n in range(40)]
OTHERS: List[Entry] = [(10.5 + n * 1.000013, f"eth0: link {n}") for n in range(40)]


def plain(log: Sequence[Entry]) -> str:
    return DRESSES["crash's log"](log)


def heap_of(own: Sequence[Entry]) -> Heap:
    """A kernel with that log of its own."""
    heap = Heap(LAYOUTS["6.1"], seed=4)
    heap.image.log = plain(own)
    return heap


def verdict(own: Sequence[Entry], log: str) -> Boot:
    return boot_of(target(heap_of(own)), log)


EARLIER = Boot(UNKNOWN, "the dump's own log does not reach back to it")


@pytest.mark.parametrize("dress", ["crash's log", "syslog", "journal json", "dmesg -J", "quoted"])
def test_lines_of_one_time_in_both_are_of_one_boot(dress: str) -> None:
    why = "10 lines of the log are in the dump's own, at the same time"
    assert verdict(CHATTER, DRESSES[dress](CHATTER[:10])) == Boot(SAME, why)


def test_lines_of_the_early_boot_are_in_every_boot() -> None:
    early = [(0.0, f"BIOS-e820: {n}") for n in range(30)]
    assert verdict(early, plain(early)) == Boot(UNKNOWN, "the log has no times since boot")


def test_a_log_of_the_same_time_without_one_equal_line_is_another_boot_s() -> None:
    why = "no line of the log is in the dump's own, which covers its time"
    assert verdict(CHATTER, plain(OTHERS)) == Boot(OTHER, why)


def test_one_that_ends_before_the_dump_s_own_begins_cannot_be_told() -> None:
    assert verdict([(when + 1000, body) for when, body in CHATTER], plain(OTHERS)) == EARLIER


def test_one_that_goes_on_longer_than_the_kernel_ran_is_another_boot_s() -> None:
    heap = heap_of([])
    history.History(heap)
    late = [(when + UPTIME, body) for when, body in OTHERS]
    why = f"the log goes on to {late[-1][0]:.0f} s, but the dump's kernel ran {UPTIME:.0f} s"
    assert boot_of(target(heap), plain(late)) == Boot(OTHER, why)
    assert boot_of(target(heap), plain(OTHERS)) == EARLIER


def test_another_kernel_s_banner_is_another_boot_s() -> None:
    own = [(0.0, BANNER)]
    other = plain([(0.0, BANNER.replace("-56-", "-57-")), *OTHERS])
    why = "it begins with the banner of Linux 6.1.0-57-amd64"
    assert verdict(own, other) == Boot(OTHER, why)


def test_a_log_without_times_cannot_be_told() -> None:
    told = verdict(CHATTER, DRESSES["no times"](CHATTER))
    assert told == Boot(UNKNOWN, "the log has no times since boot")


def test_the_journal_s_boot_id_tells() -> None:
    heap = heap_of([])
    heap.image.map(0xFFFF888070000000, bytes(range(16)).ljust(heap.image.page_size, b"\0"))
    heap.image.symbols["sysctl_bootid"] = 0xFFFF888070000000
    text = DRESSES["journal export"](OTHERS)
    mine = text.replace("0123456789abcdef" * 2, bytes(range(16)).hex())
    other = Boot(OTHER, "the log has another boot id than the dump")
    assert boot_of(target(heap), text) == other
    assert boot_of(target(heap), mine) == Boot(SAME, "the log has the boot id of the dump")


def test_a_file_of_many_boots_is_taken_apart() -> None:
    one = plain([(0.0, BANNER), *CHATTER])
    rest = plain([(2.0, "late"), *OTHERS])
    parts = [part for part in boots_in(one + one + rest) if part.strip()]
    assert [part.count("usb") for part in parts] == [40, 40, 0]


class Left:
    """A leftover, and its report as the log of some boot has it."""

    def __init__(self) -> None:
        self.heap = heap_of(CHATTER)
        cache = self.heap.cache("req_cache", 96)
        self.slab: Slab = self.heap.slab(cache, {3, 5})
        self.heap.leave_behind(cache)
        logs.give_key(self.heap, logs.key_bytes(self.heap))
        self.cache = cache

    def report(self, key: Tuple[int, int]) -> List[Entry]:
        def shown(address: int) -> str:
            return f"{siphash_1u64(address, *key) & 0xFFFFFFFF:016x}"

        objects = [
            (shown(self.slab.object(i)), self.slab.object(i) - self.slab.va)
            for i in sorted(self.slab.allocated)
        ]
        slabs = [(shown(self.slab.page), objects)]
        wording = logs.WORDINGS["6.1"]
        lines = logs.report(wording, "req_cache", slabs, per_slab=self.cache.objects)
        return [(5.0 + n / 1e5, line) for n, line in enumerate(lines)]

    def told(self, file: Path, log: Sequence[Entry]) -> Dict[str, List[str]]:
        """What slabwhy says: topic -> texts."""
        file.write_text(plain(log))
        rows = records(self.heap, "slabwhy", "-F", "-L", str(file), f"{self.cache.address:x}")
        found: Dict[str, List[str]] = {}
        for row in of_type(rows, "evidence"):
            found.setdefault(row["topic"], []).append(row["text"])
        found["module"] = [row["module"] for row in of_type(rows, "conclusion")]
        return found


ANOTHER = (1, 2)
"""A key of %p that is not the dump's."""


def test_a_report_of_this_boot_is_matched(tmp_path: Path) -> None:
    left = Left()
    found = left.told(tmp_path / "log", [*left.report(logs.KEY), *CHATTER])
    assert any("(its slabs are this cache's)" in text for text in found["log"])
    assert "2 of 2 listed objects still allocated" in found["log"]
    assert any(text.startswith("the file is of this boot: 40 lines") for text in found["log"])
    assert found["module"] == ["slabtest"]


def test_one_of_another_boot_is_counted_and_proves_nothing(tmp_path: Path) -> None:
    left = Left()
    found = left.told(tmp_path / "log", [*left.report(ANOTHER), *OTHERS])
    (text,) = found["log"]
    assert text.startswith("1 report of this name: of another boot")
    assert found["module"] == [None]


@pytest.mark.parametrize(("key", "proven"), [(logs.KEY, True), (ANOTHER, False)])
def test_where_the_boot_cannot_be_told_hashes_do(
    key: Tuple[int, int], proven: bool, tmp_path: Path
) -> None:
    left = Left()
    found = left.told(tmp_path / "log", left.report(key))
    assert any("(its slabs are this cache's)" in text for text in found["log"]) == proven
    assert any("matched by name alone" in text for text in found["log"]) != proven
    assert any("can't be told" in text for text in found["log"])
    assert found["module"] == (["slabtest"] if proven else [None])


def test_of_several_boots_only_this_one_s_report_counts(tmp_path: Path) -> None:
    left = Left()
    boots = [(0.0, BANNER), *left.report(ANOTHER), *OTHERS]
    log = [*boots, *boots, (0.0, BANNER), *left.report(logs.KEY), *CHATTER]
    found = left.told(tmp_path / "log", log)
    assert "2 of 2 listed objects still allocated" in found["log"]
    assert any(text.startswith("2 reports of this name: of another boot") for text in found["log"])
