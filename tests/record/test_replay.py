# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording of the lab, replayed, prints what real crash printed; and it knows its limits."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import List, Tuple

import pytest

from mocks.crash_module import FakeCrash
from mocks.image import NotRecorded
from mocks.recording import load, save
from tests.record import ALL, name_of
from tests.replay import recorded, run_line

NAMES = [name_of(kernel, scenario) for kernel, scenario, _ in ALL]
LINES: List[Tuple[str, str]] = [
    (name, line) for name in NAMES for line in sorted(recorded(name).outputs)
]


@lru_cache(maxsize=None)
def replay(name: str) -> FakeCrash:
    """One session of crash for all lines, as when they were recorded."""
    return FakeCrash(recorded(name).image)


@pytest.mark.parametrize("name", NAMES)
def test_enough_was_typed(name: str) -> None:
    lines = recorded(name).outputs
    assert len(lines) > 20
    assert sum(line.startswith("slabobjs ") for line in lines) > 10


@pytest.mark.parametrize(("name", "line"), LINES)
def test_prints_what_crash_printed(name: str, line: str) -> None:
    """Where the commands are meant to print something else: python -m tests.record."""
    assert run_line(replay(name), line) == recorded(name).outputs[line]


def test_what_the_kernel_lacks_is_missing_and_what_nobody_asked_is_an_error() -> None:
    fake = replay("lab-6.1-leak")
    assert fake.sym2addr("slab_caches") > 0
    assert fake.sym2addr("defer_free_objects") == 0
    assert fake.enumerator_value("PG_slab") is not None
    assert fake.enumerator_value("PGTY_slab") is None
    assert fake.struct_size("struct kmem_cache") > 0
    assert fake.struct_size("struct slab_sheaf") == -1
    assert fake.member_offset("struct kmem_cache", "cpu_slab") == 0
    assert fake.member_offset("struct kmem_cache", "cpu_sheaves") == -1
    assert fake.member_size("struct kmem_cache", "cpu_sheaves") == 0
    with pytest.raises(fake.error):
        fake.readmem(fake.sym2addr("slab_caches") ^ 1 << 40, 8)
    for ask, name in [
        (fake.sym2addr, "nr_threads"),
        (fake.symbol_exists, "nr_threads"),
        (fake.enumerator_value, "PG_locked"),
        (fake.struct_size, "struct inode"),
    ]:
        with pytest.raises(NotRecorded, match=name.split()[-1]):
            ask(name)
    with pytest.raises(NotRecorded, match="the name of"):
        fake.addr2sym(fake.sym2addr("slab_caches"), True)


def test_saving_loses_nothing(tmp_path: Path) -> None:
    recording = recorded("lab-6.12-leak")
    save(recording, tmp_path / "copy.json.gz")
    again = load(tmp_path / "copy.json.gz")
    assert vars(again) == {**vars(recording), "image": again.image}
    assert vars(again.image) == vars(recording.image)
