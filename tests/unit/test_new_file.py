# SPDX-License-Identifier: GPL-3.0-or-later
"""-o FILE with -q or -j: the file has what would have been shown, and the terminal has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import pytest

from crash_ext.slub.objects import Decoder
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import text


def _heap() -> Heap:
    heap = Heap(LAYOUTS["6.12"], seed=3)
    cache = heap.cache("slab_test", 84)
    heap.slab(cache, {1, 2})
    heap.leave_behind(cache)
    return heap


BOTH = pytest.mark.parametrize(
    "line",
    [
        ["slabdup", "-j"],
        ["slabdup", "-j", "slab_test"],
        ["slabobjs", "-q", "slab_test"],
        ["slabobjs", "-j", "slab_test"],
        ["slabwhy", "-jF", "slab_test"],
        ["slablost", "-q"],
        ["slablost", "-j"],
    ],
    ids=" ".join,
)


@BOTH
def test_the_file_has_what_would_have_been_shown(line: List[str], tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("what was in it\n")
    shown = [one for one in text(_heap(), *line).splitlines() if not _is_error(one)]
    said = text(_heap(), *line, "-o", str(file)).splitlines()
    assert file.read_text().splitlines() == shown
    assert [one for one in said if not _is_error(one)] == [f"written: {file}"]


def _is_error(line: str) -> bool:
    return line.startswith(("slablost: ", "slabobjs: "))


def test_an_answer_without_a_line_is_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("of yesterday\n")
    assert text(_heap(), "slabobjs", "-q", "-l", "0", "slab_test", "-o", str(file)).endswith(
        f"written: {file}\n"
    )
    assert file.read_text() == ""


@pytest.mark.parametrize("line", [["slabobjs", "slab_test"], ["slabdup"], ["slabdup", "slab_test"]])
def test_text_is_redirected_by_the_host(line: List[str], tmp_path: Path) -> None:
    said = text(_heap(), *line, "-o", str(tmp_path / "out"))
    assert said.startswith(f"{line[0]}: -o goes with ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "line",
    [["slabobjs", "-q"], ["slabobjs", "-j", "-t", "x", "-b", "8", "c"], ["slabdup", "-aj", "c"]],
)
def test_wrong_usage_leaves_the_file_alone(line: List[str], tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("of yesterday\n")
    assert "\nUsage:\n" in text(_heap(), *line, "-o", str(file))
    assert file.read_text() == "of yesterday\n"


def test_a_file_that_cannot_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    said = text(_heap(), "slabobjs", "-q", "slab_test", "-o", str(tmp_path))
    assert said.startswith(f"slabobjs: {tmp_path}: Is a directory\nUsage:\n")


def test_a_full_disk_is_one_line() -> None:
    said = text(_heap(), "slabobjs", "-j", "slab_test", "-o", "/dev/full")
    assert said == "slabobjs: /dev/full: No space left on device\n"


def test_an_interrupt_keeps_what_is_written_and_says_that_it_is_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out"

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Decoder, "decode", interrupted)
    said = text(_heap(), "slabdup", "-j", "-o", str(file))
    assert said == "slabdup: interrupted: the output is incomplete\n"
    end = json.loads(file.read_text().splitlines()[-1])
    assert (end["type"], end["complete"], end["reason"]) == ("end", False, "interrupted")
