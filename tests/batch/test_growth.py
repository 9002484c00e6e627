# SPDX-License-Identifier: GPL-3.0-or-later
"""merge.py -g: what grew between two dumps of a machine, largest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests import lab
from tests.batch import FROM, offences
from tests.batch.test_merge import Record, cache, merge, write
from tests.lab.often import quick_host
from tests.lab.session import run_lines

NO_SUM = {"bytes": 0, "large_kmalloc": None, "counter": None, "counted": None, "missing": None}
USAGE = {"type": "usage", "memory": None, "bytes": 0, "kfence": 0,
         "reclaimable": NO_SUM, "unreclaimable": NO_SUM}  # fmt: skip


def command(name: str, *records: Record, complete: bool = True) -> List[Record]:
    sums = {"caches": 9, "objects": 0, "bytes": 0}
    more: Dict[str, Any] = {"groups": 0, "leftovers": 0, "slabs": 0} if name == "slabdup" else {}
    if name == "slablost":
        sums = {"caches": 9, "bytes": 0, "lost": 0, "allocated": 0}
    end = {"type": "end", "complete": complete, "reason": None if complete else "1 problem"}
    return [
        {"type": "begin", "command": name, "version": 1, "tool": "0.1.0", **FROM},
        *records,
        {**end, **sums, **more},
    ]


def lost(name: str, objects: int, address: str = "ffff000000000001") -> Record:
    return {
        "type": "lost", "cache": address, "name": name, "object_size": 64, "size": 64,
        "allocated": objects, "bytes": 64 * objects, "indirectly": [], "possibly": [],
        "possibly_why": [], "known": [],
        "definitely": [f"ffff{number:08x}" for number in range(objects)],
    }  # fmt: skip


def group(objects: int, target: str, address: str = "ffff000000000001") -> Record:
    pattern = [{"offset": 16, "kind": "pointer", "target": target}]
    return {"type": "group", "cache": address, "objects": objects, "of": objects, "example": "ab",
            "data": "", "pattern": pattern}  # fmt: skip


def dump(path: Path, caches: List[Record], found: List[Record]) -> str:
    """A file as the two commands write it, one behind the other."""
    records = command("slabdup", *caches, USAGE) + command("slablost", *found)
    assert [text for record in records for text in offences(record)] == []
    return write(path, records)


def rows(text: str) -> List[List[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_grew_most_comes_first_and_what_shrank_not_at_all(tmp_path: Path) -> None:
    old = [
        cache("kmalloc-64", 100, "live", bytes=8192),
        cache("dentry", 50, "live", bytes=40960),
        cache("small", 5, "live"),
        cache("same", 5, "live"),
    ]
    new = [
        cache("kmalloc-64", 900, "live", bytes=65536, address="ffff000000000099"),
        cache("dentry", 10, "live", bytes=8192),
        cache("small", 9, "live"),
        cache("same", 5, "live"),
        cache("fresh", 3, "live", bytes=4096),
    ]
    names = [dump(tmp_path / "a", old, []), dump(tmp_path / "b", new, [lost("kmalloc-64", 7)])]
    done = merge(tmp_path, "-g", *names)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout) == [
        ["BYTES", "NOW", "ALLOCATED", "NOW", "LOST", "NOW", "NAME"],
        ["+57344", "65536", "+800", "900", "+7", "7", "kmalloc-64"],
        ["+4096", "4096", "+3", "3", "+0", "0", "fresh"],
        ["+0", "4096", "+4", "9", "+0", "0", "small"],
        "3 of 5 cache names grew; all slabs: +28672 bytes".split(),
    ]


def test_random_copies_of_a_kmalloc_cache_and_caches_of_one_name_count_as_one(
    tmp_path: Path,
) -> None:
    old = [cache("kmalloc-rnd-03-64", 10, "live"), cache("twin", 1), cache("other", 1, "live")]
    new = [
        cache("kmalloc-rnd-11-64", 12, "live"),
        cache("twin", 1, address="a1"),
        cache("twin", 4, address="a2"),
        cache("other", 1, "live"),
    ]
    done = merge(tmp_path, "-g", dump(tmp_path / "a", old, []), dump(tmp_path / "b", new, []))
    assert rows(done.stdout)[1:3] == [
        ["+4096", "8192", "+4", "5", "+0", "0", "twin"],
        ["+0", "4096", "+2", "12", "+0", "0", "kmalloc-rnd-*-64"],
    ]


def test_groups_of_lost_objects_go_by_what_is_alike(tmp_path: Path) -> None:
    caches = [cache("kmalloc-64", 100, "live")]
    old = [lost("kmalloc-64", 30), group(10, "foo_ops [foo]"), group(20, "bar_ops [bar]")]
    other = "ffff000000000002"
    new = [
        lost("kmalloc-64", 130, other),
        group(100, "foo_ops [foo]", other),
        group(20, "bar_ops [bar]", other),
        group(10, "\x1bnew", other),
    ]
    names = [dump(tmp_path / "a", caches, old), dump(tmp_path / "b", caches, new)]
    done = merge(tmp_path, "-g", *names)
    assert rows(done.stdout)[2:-1] == [
        ["LOST", "NOW", "EXAMPLE", "NAME", "ALIKE"],
        ["+90", "100", "ab", "kmalloc-64", "+0x10", "pointer", "foo_ops", "[foo]"],
        ["+10", "10", "ab", "kmalloc-64", "+0x10", "pointer", "\\x1bnew"],
    ]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "no slabdup and no slablost"),
        (command("slabdup", USAGE), "no slablost"),
        (command("slabdup") + command("slablost"), "slabdup ran without -a"),
        (command("slabdup", USAGE) + command("slablost", complete=False), "slablost: 1 problem"),
        (command("slabdup", USAGE) + command("slablost")[:1], "slablost: cut off; no slablost"),
    ],
)
def test_a_dump_that_lacks_something_is_said_first(
    tmp_path: Path, records: List[Record], reason: str
) -> None:
    names = [write(tmp_path / "a", records), dump(tmp_path / "b", [], [])]
    done = merge(tmp_path, "-g", *names)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"a: incomplete: {reason}"


def test_blank_lines_between_two_outputs_are_no_damage(tmp_path: Path) -> None:
    """Who has put them together by hand may have left some."""
    name = dump(tmp_path / "a", [cache("dentry", 50, "live", bytes=4096)], [])
    file = tmp_path / name
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("\n", "\n\n"), encoding="utf-8")
    done = merge(tmp_path, "-g", name, name)
    assert (done.returncode, "incomplete" in done.stdout) == (0, False)


def test_two_dumps_of_real_kernels(tmp_path: Path) -> None:
    """The second has another leak than the first: that comes out, and it alone as a group."""
    for name, scenario in (("a", "leak"), ("b", "full")):
        lines = ["slabdup -a -j", "slablost -j"]
        texts = run_lines(lab.dump("6.12", scenario), quick_host("6.12"), lines)
        (tmp_path / name).write_text("".join(texts))
    done = merge(tmp_path, "-g", "a", "b")
    assert done.returncode == 0, done.stdout
    named = {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("+")}
    assert "slab_full" in named
    same = merge(tmp_path, "-g", "a", "a")
    assert len(same.stdout.splitlines()) == 1
    assert same.stdout.startswith("0 of ")
