# SPDX-License-Identifier: GPL-3.0-or-later
"""merge.py: the table, and that what isn't complete is never called clean."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.batch import BATCH, FROM, offences

Record = Dict[str, Any]


def cache(name: str, allocated: int, state: str = "leftover", **more: Any) -> Record:
    address = more.pop("address", f"ffff{zlib.crc32(name.encode()):012x}")
    return {
        "type": "cache",
        "address": address,
        "name": name,
        "state": state,
        "reason": "why",
        "object_size": 84,
        "size": 128,
        "order": 0,
        "refcount": 0,
        "slabs": 5,
        "objects": 160,
        "allocated": allocated,
        "free": 3,
        "pending": 0,
        "unknown": 0,
        "bytes": 4096,
        "kfence": 0,
        "reclaimable": False,
        "accounted": False,
        "root": None,
        **more,
    }


def session(*records: Record, kernel: str = "6.1.0", commands: int = 1) -> List[Record]:
    """A dump at whose end each of its commands came, if the records are but one's."""
    end = {"type": "end", "complete": True, "reason": None, "caches": 9, "groups": 1}
    return [
        {"type": "dump", "vmlinux": "k", "vmcore": "c", "commands": ["slabdup -j"] * commands},
        {"type": "begin", "command": "slabdup", "version": 1, "tool": "0.1.0", **FROM},
        *records,
        {**end, "leftovers": 1, "objects": 5, "slabs": 5, "bytes": 20480},
        {"type": "run", "kernel": kernel, "status": 0, "reason": None},
    ]


def write(path: Path, records: List[Record], cut: int = 0) -> str:
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(text[: len(text) - cut])
    return path.name


def merge(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(BATCH / "merge.py"), *names],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_the_examples_here_are_records() -> None:
    assert [text for record in session(cache("a", 1)) for text in offences(record)] == []


def test_leftovers_are_counted_by_kernel_and_name(tmp_path: Path) -> None:
    names = [
        write(tmp_path / "a", session(cache("one", 5), cache("two", 7), cache("x", 9, "live"))),
        write(tmp_path / "b", session(cache("one", 6))),
        write(tmp_path / "c", session(cache("one", 1), kernel="5.10.0")),
        write(tmp_path / "d", session()),
    ]
    done = merge(tmp_path, *names)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["KERNEL", "MODULE", "STATE", "DUMPS", "CACHES", "OBJECTS", "BYTES", "NAME"],
        ["6.1.0", "-", "leftover", "2", "2", "11", "8192", "one"],
        ["5.10.0", "-", "leftover", "1", "1", "1", "4096", "one"],
        ["6.1.0", "-", "leftover", "1", "1", "7", "4096", "two"],
        "dumps: 4; complete: 3 with leftovers or unknown caches, 1 clean; incomplete: 0".split(),
    ]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    name = write(tmp_path / "a", session(*(cache(f"name{n}", 1) for n in range(3000))))
    words = [sys.executable, "-I", str(BATCH / "merge.py"), name]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as merging:
        assert merging.stdout is not None
        assert merging.stderr is not None
        assert merging.stdout.readline().startswith("KERNEL")
        merging.stdout.close()
        assert merging.stderr.read() == ""
        assert merging.wait() == 1


def test_a_module_is_what_a_record_says(tmp_path: Path) -> None:
    leaked = cache("one", 5)
    named = {"type": "conclusion", "cache": leaked["address"], "module": "slabtest"}
    done = merge(tmp_path, write(tmp_path / "a", session(leaked, named, named)))
    assert done.stdout.splitlines()[1].split()[:3] == ["6.1.0", "slabtest", "leftover"]


def test_unknown_caches_and_objects_are_not_lost(tmp_path: Path) -> None:
    records = session(cache("odd", 2, "unknown"), cache("hurt", 3, unknown=4))
    done = merge(tmp_path, write(tmp_path / "a", records))
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["6.1.0", "-", "unknown", "1", "1", "2", "4096", "odd"] in rows
    assert ["6.1.0", "-", "leftover", "1", "1+", "3+", "4096", "hurt"] in rows


@pytest.mark.parametrize(
    ("records", "cut", "reason"),
    [
        ([], 0, "no record says what was to be run"),
        (session()[:1], 0, "0 of 1 commands came to their end"),
        (session()[:2], 0, "slabdup: cut off; 0 of 1 commands came to their end"),
        (session()[:3], 5, "a record is cut off; slabdup: cut off; 0 of 1 commands came to"),
        (session(commands=2), 0, "1 of 2 commands came to their end"),
        (session()[1:], 0, "no record says what was to be run"),
        (
            [*session()[:2], {"type": "end", "complete": False, "reason": "2 problems"}],
            0,
            "slabdup: 2 problems",
        ),
        (
            [session()[0], {"type": "run", "kernel": None, "status": 1, "reason": "no\x1bdump"}],
            0,
            "no\\x1bdump; 0 of 1 commands came to their end",
        ),
    ],
)
def test_what_is_not_complete_is_never_clean(
    tmp_path: Path, records: List[Record], cut: int, reason: str
) -> None:
    done = merge(tmp_path, write(tmp_path / "a", records, cut))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(f"a: incomplete: {reason}")
    assert done.stdout.endswith("dumps: 1; complete: 0 with leftovers or unknown caches,"
                                " 0 clean; incomplete: 1\n")  # fmt: skip


def test_leftovers_of_an_incomplete_dump_are_at_least_so_many(tmp_path: Path) -> None:
    done = merge(tmp_path, write(tmp_path / "a", session(cache("one", 5))[:3]))
    assert done.stdout.splitlines()[1].split()[3:6] == ["1", "1+", "5+"]


@pytest.mark.parametrize(
    "text", [b"crash: no such file\n", b"\xff\xfe{", b"{}\n[1]\n", b"[" * 9999]
)
def test_any_file_is_taken_as_it_is(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a").write_bytes(text)
    done = merge(tmp_path, "a", "nosuch")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "nosuch: incomplete: No such file or directory\n" in done.stdout
    assert done.stdout.endswith("0 clean; incomplete: 2\n")


USAGE = "Usage: merge.py OUT...\n       merge.py -g OLD NEW\n"


@pytest.mark.parametrize("words", [[], ["-x"], ["--help"], ["-g"], ["-g", "a"], ["-g", "a", "-x"]])
def test_usage(tmp_path: Path, words: List[str]) -> None:
    done = merge(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", USAGE)
