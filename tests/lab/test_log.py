# SPDX-License-Identifier: GPL-3.0-or-later
"""What real kernels log of failed destroys, matched with their memory.

The module's own account says which objects each destroy left behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from crash_ext.why.log.match import ADDRESSES, NOT_LISTED_FULL, NOT_LISTED_NODE, OFFSETS
from tests import lab
from tests.lab.dumps import Dump
from tests.lab.often import quick_host
from tests.lab.session import Record, records, run_lines

PROBE = Path(__file__).with_name("logprobe.py")


def ask(dump: Dump) -> Tuple[Record, Dict[str, Record]]:
    """What was found in the log, and for each cache by address what the log says of it."""
    _, said = run_lines(dump, quick_host(dump.kernel), [f"extend {PROBE}", "logprobe all"])
    head, *rows = records(said)
    return head, {row["address"]: row for row in rows}


def leftovers(dump: Dump) -> Iterator[Tuple[str, str, Set[str]]]:
    """Name, address and leaked objects of each cache that the module has left behind."""
    for name, roles in dump.truth["caches"].items():
        if "leftover" in roles:
            leaked = dump.truth["objects"][name]["leftover"]["leaked"]
            yield name, roles["leftover"]["kmem_cache"], {row["addr"] for row in leaked}


def lines_of_objects(dump: Dump) -> int:
    return len(re.findall(r"(?m)Object 0x\S+ @offset=\d+$", dump.log))


def check(dump: Dump, how: str) -> Dict[str, Record]:
    """The log's objects are exactly the leaked ones of partial slabs; the records by name."""
    head, rows = ask(dump)
    by_name: Dict[str, Record] = {}
    listed = 0
    for name, address, leaked in leftovers(dump):
        row = by_name[name] = rows[address]
        told = set(row["allocated"])
        why: Dict[str, List[str]] = row["unlisted"]
        listed += len(told)
        if name == "slab_full_only":
            # No slab of it was on a list.
            assert (row["how"], told) == (["name"], set())
            continue
        assert (name, row["how"]) == (name, [how])
        assert len(told) == len(row["allocated"]) > 0
        assert (row["freed"], row["gone"], row["others"]) == ([], 0, 0)
        if row["refcount"] == 0:
            assert set(why) <= {NOT_LISTED_FULL, NOT_LISTED_NODE}
            rest = {object_ for objects in why.values() for object_ in objects}
            assert told | rest == leaked
            assert not told & rest
        else:
            # Taken over by the next creation: the log alone tells leaked from live.
            assert told == leaked
        (caller,), (task,) = row["callers"], row["tasks"]
        assert re.fullmatch(r"(build_\w+|slabtest_init)\+0x\w+/0x\w+ \[slabtest\]", caller)
        assert task == "insmod"
    assert sorted(head["reports"]) == sorted(by_name)
    assert listed == lines_of_objects(dump)
    for name, roles in dump.truth["caches"].items():
        live = roles.get("live")
        if live and live["kmem_cache"] not in {a for _, a, _ in leftovers(dump)}:
            # Of the same name as the report, and not its cache.
            assert rows[live["kmem_cache"]]["allocated"] == [], name
    return by_name


@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_hashed_addresses_are_resolved_to_the_leaked_objects(kernel: str) -> None:
    dump = lab.dump(kernel, "hashed")
    assert re.search(r"Slab 0x00000000[0-9a-f]{8} ", dump.log), "no hash in the log"
    found = check(dump, ADDRESSES)
    assert len(found) > 20
    assert found["slab_full"]["unlisted"][NOT_LISTED_FULL]
    assert found["slab_numa"]["unlisted"][NOT_LISTED_NODE]
    # Linux kernel commit 4ec10268ed98 ("mm, slab: unlink slabinfo, sysfs and debugfs
    # immediately") (in v6.12): from then on no leftover is merged into.
    assert found["slab_merge"]["refcount"] == (kernel in ("5.10", "6.1"))


@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_who_allocated_a_leaked_object_is_in_the_log_of_debug_caches(kernel: str) -> None:
    dump = lab.dump(kernel, "debug")
    raw = re.search(r"Slab 0xffff", dump.log)
    for row in check(dump, ADDRESSES if raw else OFFSETS).values():
        assert len(row["stacks"]) == len(row["allocated"])
        for stack in row["stacks"]:
            assert any(frame.startswith("alloc+") for frame in stack)
            assert any(frame.startswith("slabtest_init+") for frame in stack)


def test_a_log_from_before_the_key_was_filled_is_matched_by_offsets() -> None:
    found = check(lab.dump("6.1", "leak"), OFFSETS)
    assert list(found) == ["slab_test"]
