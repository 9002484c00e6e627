# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read on PyKdump is what the module's own readmem() gives, hole or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Optional

import pytest

from crash_ext import slableak
from crash_ext.host.pykdump import PyKdump, is_pykdump, offer
from mocks.crash_module import FakeCrash
from tests.replay import recorded


@pytest.fixture(name="fake")
def fixture_fake() -> FakeCrash:
    fake = FakeCrash(recorded("lab-6.1-leak").image)
    fake.pykdump = True
    return fake


def outcome(crash: object, address: int, size: int) -> Optional[bytes]:
    try:
        data: bytes = crash.readmem(address, size)  # type: ignore[attr-defined]
    except (FakeCrash.error, IndexError):
        return None
    return data


def addresses(fake: FakeCrash) -> List[int]:
    """Around the edges of pages that are there and pages that aren't."""
    known = [fake.sym2addr("slab_caches"), fake.sym2addr("init_task"), fake.image.page_offset]
    return [at + by for at in known for by in (0, 3, -4096, 4090, 1 << 16)] + [0, 4096]


@pytest.mark.parametrize("size", [-1, 0, 1, 3, 8, 12, 64, 4096, 5000, 1 << 17, 1 << 18])
def test_the_same_bytes_or_the_same_refusal(fake: FakeCrash, size: int) -> None:
    host = PyKdump(fake)
    told = [outcome(host, address, size) for address in addresses(fake)]
    assert told == [outcome(fake, address, size) for address in addresses(fake)]


class Pages:
    """A module `crash` with memory of 40 pages at 64 kB, one of them a hole."""

    error = RuntimeError
    PAGESIZE = 4096
    memory = bytes(number * 7 % 251 for number in range(40 * 4096))

    def __init__(self, hole: int) -> None:
        self.hole = hole
        self.failed: List[int] = []

    def readmem(self, address: int, size: int) -> bytes:
        first, last = (address - 65536) // 4096, (address + size - 1 - 65536) // 4096
        if first < 0 or last >= 40 or first <= self.hole <= last:
            self.failed.append(size)
            raise self.error
        return self.memory[address - 65536 : address - 65536 + size]

    def readInt(self, address: int, size: int) -> int:  # noqa: N802 - PyKdump's name
        data = self.readmem(address, size)
        return int.from_bytes(data, sys.byteorder)


@pytest.mark.parametrize("hole", [-1, 0, 15, 16, 38, 39])
@pytest.mark.parametrize("skipped", [0, 1, 4095])
def test_large_reads_are_whole_or_refused_by_a_probe(hole: int, skipped: int) -> None:
    pages = Pages(hole)
    start, size = 65536 + skipped, len(Pages.memory) - skipped
    host = PyKdump(pages)
    if hole < 0:
        assert host.readmem(start, size) == Pages.memory[skipped:]
    else:
        with pytest.raises(RuntimeError):
            host.readmem(start, size)
        assert pages.failed == [1], "no large read has failed"


def test_our_loader_s_module_is_asked_as_it_is() -> None:
    fake = FakeCrash(recorded("lab-6.1-leak").image)
    assert not is_pykdump(fake)


class Extensions:
    """A crash with PyKdump that notes which commands it is given, and how."""

    error = RuntimeError

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.found: List[str] = []
        self.aliases: List[str] = []

    def register_epython_prog(self, name: str, *page: str) -> None:
        self.found.append(name)

    def exec_crash_command(self, line: str) -> str:
        self.aliases.append(line)
        if self.refusal:
            raise self.error(self.refusal)
        return ""


PAGES = [(name, "short", "synopsis", "text") for name in ("slabdup", "slabobjs")]


def test_commands_on_pykdumps_path_are_found_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYKDUMPPATH", f"{tmp_path / 'other'}:{tmp_path}")
    crash = Extensions()
    assert offer(crash, str(tmp_path), PAGES) == []
    assert (crash.found, crash.aliases) == (["slabdup", "slabobjs"], [])


def test_what_would_run_in_place_of_a_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYKDUMPPATH", str(tmp_path))
    here = tmp_path / "here"
    (here / "slabdup").mkdir(parents=True, exist_ok=True)
    (here / "slabobjs.py").write_text("")
    for name in ("slabdup.py", "slabobjs.py"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(here)
    crash = Extensions()
    assert offer(crash, str(tmp_path), PAGES) == [
        "slabdup: the directory ./slabdup would be run for it; it is an alias now instead",
        "slabobjs: the file ./slabobjs.py would be run for it; it is an alias now instead",
    ]
    assert crash.aliases == [
        f"alias {name} epython {tmp_path}/{name}.py" for name in ("slabdup", "slabobjs")
    ]


def test_a_command_that_cannot_be_an_alias_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYKDUMPPATH", "")
    folder = tmp_path / "my commands"
    told = offer(Extensions(), str(folder), PAGES[:1])
    start = f"start crash with PYKDUMPPATH={folder}"
    assert told == [f"slabdup: {folder}/slabdup.py: a blank in it; {start}"]
    refusal = "alias: slabdup: a command of that name exists\nfurther"
    told = offer(Extensions(refusal), str(tmp_path), PAGES[:1])
    start = f"start crash with PYKDUMPPATH={tmp_path}"
    assert told == [f"slabdup: alias: slabdup: a command of that name exists; {start}"]


def test_what_is_said_of_the_commands_is_said_as_the_extension_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*_: object) -> List[str]:
        return ["slabdup: one", "slabobjs: two"]

    monkeypatch.setattr(slableak, "host_module", lambda: PyKdump.__new__(PyKdump))
    monkeypatch.setattr(slableak, "offer", say)
    slableak.register()
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "slableak: slabdup: one\nslableak: slabobjs: two\n")
