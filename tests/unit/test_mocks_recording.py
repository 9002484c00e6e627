# SPDX-License-Identifier: GPL-3.0-or-later
"""A replayed recording answers as crash does, and its truth agrees with its own bytes.

The counting here is done by hand arithmetic on 3.10's documented offsets: it shares no code
with the decoder under crash_ext/slub.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest

from mocks.crash_module import FakeCrash
from mocks.image import Image
from mocks.recording import Recording, load, save

EL7 = "el7-3.10.0-514.json.gz"


@pytest.fixture(scope="module")
def el7() -> Recording:
    return load(EL7)


def word(image: Image, address: int) -> int:
    value: int = struct.unpack("<Q", image.read(address, 8))[0]
    return value


def chain(image: Image, first: int, link: int) -> List[int]:
    """Plain freelist pointers: 3.10 has no hardening."""
    found: List[int] = []
    while first and len(found) < 512:
        found.append(first)
        first = word(image, first + link)
    return found


def recount(image: Image, slab: Dict[str, Any]) -> Set[int]:
    """The allocated objects of a slab, from its bytes and the per-CPU structures."""
    page, cache = int(slab["page"], 16), int(slab["cache"], 16)
    counters = struct.unpack("<I", image.read(page + 24, 4))[0]
    objects = counters >> 16 & 0x7FFF
    size, _, link = struct.unpack("<3i", image.read(cache + 24, 12))
    free = set(chain(image, word(image, page + 16), link))
    for offset in (0xFFFF880007A00000, 0xFFFF88000FA00000):
        cpu_slab = word(image, cache) + offset
        if word(image, cpu_slab + 16) == page:
            free.update(chain(image, word(image, cpu_slab), link))
    pfn = (page - 0xFFFFEA0000000000) // 64
    base = 0xFFFF880000000000 + pfn * 4096
    return {base + index * size for index in range(objects)} - free


@pytest.mark.parametrize("where", ["partial", "full", "none", "cpu", "cpu_partial"])
def test_the_truth_is_what_the_bytes_say(el7: Recording, where: str) -> None:
    slabs = [slab for slab in el7.truth["slabs"] if slab["list"] == where]
    assert slabs
    for slab in slabs:
        assert recount(el7.image, slab) == {int(one, 16) for one in slab["allocated"]}


def test_caches_are_the_list(el7: Recording) -> None:
    head = el7.image.symbols["slab_caches"]
    walked = []
    link = word(el7.image, head)
    while link != head:
        cache = link - 104
        name = el7.image.read(word(el7.image, cache + 96), 40).split(b"\0")[0].decode()
        walked.append((cache, name))
        link = word(el7.image, link)
    assert walked == el7.caches


def test_what_crash_knows_by_itself(el7: Recording) -> None:
    crash = FakeCrash(el7.image)
    page = 0xFFFFEA000000E840
    physical = (page - 0xFFFFEA0000000000) // 64 * 4096
    assert crash.phys_to_page(physical) == page
    assert crash.phys_to_page(65536 * 4096) is None
    assert crash.exec_crash_command(f"ptov {physical:x}") == (
        f"VIRTUAL           PHYSICAL\nffff8800003a1000  {physical:x}\n"
    )
    assert crash.readInt(crash.sym2addr("nr_cpu_ids"), 4) == 2
    assert crash.readInt(crash.sym2addr("nr_node_ids"), 4) == 2
    assert crash.readPtr(crash.sym2addr("max_pfn")) == 65536
    offsets = crash.sym2addr("__per_cpu_offset")
    assert crash.readPtr(offsets) == 0xFFFF880007A00000
    assert crash.readPtr(offsets + 8) == 0xFFFF88000FA00000
    assert crash.enumerator_value("PG_slab") == 7
    assert "Objects remaining in slab_test" in crash.exec_crash_command("log")


def test_members(el7: Recording) -> None:
    crash = FakeCrash(el7.image)
    assert crash.struct_size("kmem_cache") == 8392
    assert crash.member_offset("page", "inuse") == 24
    assert crash.member_offset("page", "objects") == 26
    assert crash.member_offset("page", "frozen") == 27
    assert crash.member_offset("page", "slab_cache") == 48
    assert crash.member_offset("kmem_cache", "red_left_pad") == -1


def test_heads_and_tails_have_their_bits(el7: Recording) -> None:
    high = [slab for slab in el7.truth["slabs"] if slab["order"] == 1]
    assert high
    for slab in high:
        page = int(slab["page"], 16)
        head, tail = el7.image.enums["PG_head"], el7.image.enums["PG_tail"]
        assert word(el7.image, page) >> head & 1
        assert word(el7.image, page + 64) >> tail & 1
        assert word(el7.image, page + 64 + 48) == page


def test_nodes_are_in_the_flags(el7: Recording) -> None:
    for slab in el7.truth["slabs"]:
        flags = word(el7.image, int(slab["page"], 16))
        assert flags >> el7.image.node_shift == slab["node"]


def test_saving_loses_nothing(el7: Recording, tmp_path: Path) -> None:
    save(el7, tmp_path / "copy.json.gz")
    again = load(tmp_path / "copy.json.gz")
    assert vars(again.image) == vars(el7.image)
    assert (again.kernel, again.note) == (el7.kernel, el7.note)
    assert (again.caches, again.truth) == (el7.caches, el7.truth)
    save(again, tmp_path / "again.json.gz")
    assert (tmp_path / "again.json.gz").read_bytes() == (tmp_path / "copy.json.gz").read_bytes()


def test_a_missing_recording_names_where_it_was_sought() -> None:
    with pytest.raises(FileNotFoundError, match="recordings"):
        load("no-such-recording.json.gz")
