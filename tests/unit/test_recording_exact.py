# SPDX-License-Identifier: GPL-3.0-or-later
"""On every recorded kernel, each object is told as the module that made it tells."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from functools import lru_cache
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

from crash_ext.host.target import Target
from crash_ext.leak.duplicates import all_caches
from crash_ext.slub.model import ALLOCATED as IN_USE
from crash_ext.slub.model import Cache
from crash_ext.slub.objects import for_each_decoded_slab
from crash_ext.slub.session import Session
from mocks.crash_module import FakeCrash
from mocks.recording import DIRECTORIES
from tests.record import ALL, name_of
from tests.replay import addresses, recorded, run_line

EL7 = "el7-3.10.0-514"
LAB = [name_of(kernel, scenario) for kernel, scenario, _ in ALL]
# Vendors' and variants' kernels, with names that the lab's own kernels have, too.
EL8_MEMCG = "el8-4.18.0-147-memcg"
OTHERS = [
    EL8_MEMCG,
    "el8-4.18.0-147-small",
    "el8-4.18.0-147-debug",
    "l54-5.4.273-small",
    "l54-5.4.273-debug",
    "612-map-small",
    "612-map-memcg",
    "612-map-unload",
    "612-soft-small",
    "ubu-6.8.0-32-memcg",
]
NAMES = [EL7, *LAB, *OTHERS]

Row = Dict[str, Any]


def _caches(name: str) -> Dict[str, Row]:
    """kmem_cache address -> what the module says of it, with `name` and `role`."""
    return {
        cache["kmem_cache"]: {**cache, "name": label, "role": role}
        for label, roles in recorded(name).truth["caches"].items()
        for role, cache in roles.items()
    }


def _allocated(name: str) -> Dict[str, Dict[int, Row]]:
    """kmem_cache address -> object's address -> its row, of all that are allocated.

    Where a merge gave two roles one cache, both roles' objects are its.
    """
    truth = recorded(name).truth
    found: Dict[str, Dict[int, Row]] = {}
    for label, roles in truth["objects"].items():
        for role, states in roles.items():
            own = found.setdefault(truth["caches"][label][role]["kmem_cache"], {})
            for state in ("leaked", "live"):
                own.update({int(row["addr"], 16): row for row in states.get(state, [])})
    return found


def _records(fake: FakeCrash, line: str, kind: str = "") -> List[Row]:
    """The JSON records of a kind that a command line prints; a problem is a failure."""
    rows = [json.loads(text) for text in run_line(fake, line).splitlines()]
    assert rows[-1]["type"] == "end"
    assert not [row for row in rows if row["type"] == "problem"]
    return [row for row in rows if not kind or row["type"] == kind]


EVERY_CACHE = [(name, cache) for name in NAMES for cache in sorted(_allocated(name))]


def _leftovers(name: str) -> Set[str]:
    """The addresses of the caches that were left behind and that nobody took over."""
    return {
        address
        for address, cache in _caches(name).items()
        if _left_behind(cache) and cache.get("refcount", 0) == 0
    } - {address for address, cache in _caches(name).items() if not _left_behind(cache)}


def _left_behind(cache: Row) -> bool:
    """A memcg child is left behind with its root: role child-leftover-ADDRESS."""
    role: str = cache["role"]
    return role == "leftover" or role.startswith("child-leftover-")


@lru_cache(maxsize=None)
def _replay(name: str) -> FakeCrash:
    """One session of crash for all tests of a recording."""
    return FakeCrash(recorded(name).image)


@pytest.fixture
def fake(name: str) -> FakeCrash:
    return _replay(name)


def test_every_recording_is_tested() -> None:
    files = {path.name for path in DIRECTORIES[0].glob("*.json.gz")}
    assert files == {f"{name}.json.gz" for name in NAMES}


@pytest.mark.parametrize(("name", "cache"), EVERY_CACHE)
def test_every_allocated_object_and_no_other_is_listed(
    fake: FakeCrash, name: str, cache: str
) -> None:
    listed = addresses(fake, cache)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(_allocated(name)[cache])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_lists_the_objects_of_all_its_caches(fake: FakeCrash, name: str) -> None:
    wanted: Dict[str, Set[int]] = {}
    for cache, own in _allocated(name).items():
        wanted.setdefault(_caches(name)[cache]["name"], set()).update(own)
    assert wanted
    assert {label: set(addresses(fake, label)) for label in wanted} == wanted


@pytest.mark.parametrize(("name", "cache"), [row for row in EVERY_CACHE if row[0] in LAB])
def test_contents_are_what_the_module_wrote(fake: FakeCrash, name: str, cache: str) -> None:
    found = {
        int(row["address"], 16): zlib.crc32(bytes.fromhex(row["data"]))
        for row in _records(fake, f"slabobjs -j {cache}", "object")
    }
    assert found == {a: int(row["crc32"], 16) for a, row in _allocated(name)[cache].items()}


@pytest.mark.parametrize("name", NAMES)
def test_each_cache_is_in_the_state_that_the_module_left_it_in(fake: FakeCrash, name: str) -> None:
    wanted = {
        address: (cache["name"], "leftover" if address in _leftovers(name) else "live")
        for address, cache in _caches(name).items()
    }
    told = _records(fake, f"slabdup -j {' '.join(wanted)}", "cache")
    # A child's name has its cgroup's behind it.
    assert {row["address"]: (row["name"].partition("(")[0], row["state"]) for row in told} == wanted
    children = {row["address"]: row["root"] for row in told if row["root"]}
    assert children == {
        address: cache["root"] for address, cache in _caches(name).items() if "root" in cache
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_leftovers_are_found_and_no_other_cache_is_called_one(
    fake: FakeCrash, name: str
) -> None:
    told = _records(fake, "slabdup -j", "cache")
    assert {row["address"] for row in told if row["state"] != "live"} == _leftovers(name)
    for row in told:
        if row["address"] in _leftovers(name):
            assert row["allocated"] == len(_allocated(name)[row["address"]])


@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_list_holds_leftovers_up_to_6_11_only(name: str) -> None:
    """The premise of the test above: these are found although nothing lists them."""
    listed = {f"{address:016x}" for address, _ in recorded(name).caches}
    unlinks = name.startswith(("lab-6.12", "612-", "lab-7.3"))
    assert _leftovers(name) & listed == (set() if unlinks else _leftovers(name))
    assert _leftovers(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_or_an_object_is_its_own_cache_s(fake: FakeCrash, name: str) -> None:
    """crash itself answers with the first cache of the name."""
    target = Target(fake)
    owner: Dict[int, str] = {}
    holds: Dict[int, Set[int]] = {}
    for cache, own in _allocated(name).items():
        for address in own:
            page = target.virt_to_page(address)
            assert page
            owner[page] = cache
            holds.setdefault(page, set()).add(address)
    rows = _records(fake, "slabobjs -j -b 0 " + " ".join(f"{page:x}" for page in owner))
    # What stands for a page: a cache, the slab, its objects.
    told: List[List[Row]] = []
    for row in rows[1:-1]:
        if row["type"] == "cache":
            told.append([])
        told[-1].append(row)
    assert len(told) == len(owner)
    for page, (summary, slab, *objects) in zip(owner, told):
        assert summary["address"] == owner[page]
        assert {row["cache"] for row in (slab, *objects)} == {owner[page]}
        # A slab of several pages is listed whole, whichever of its pages is asked for.
        listed = {int(row["address"], 16) for row in objects}
        assert holds[page] <= listed <= set(_allocated(name)[owner[page]])


@pytest.mark.parametrize("name", NAMES)
def test_an_address_inside_an_object_is_that_object(fake: FakeCrash, name: str) -> None:
    # Each looks its slab up on the cache's lists: some of each cache will do.
    some = [address for own in _allocated(name).values() for address in sorted(own)[::9]]
    assert addresses(fake, *(f"{address + 2:x}" for address in some)) == some


@pytest.mark.parametrize("name", NAMES)
def test_what_was_freed_is_shown_as_free(fake: FakeCrash, name: str) -> None:
    freed = {
        row["addr"].zfill(16)
        for roles in recorded(name).truth["objects"].values()
        for states in roles.values()
        for row in states.get("freed", [])
    }
    rows = _records(fake, f"slabobjs -f -j -b 0 {' '.join(_allocated(name))}", "object")
    states = Counter(row["state"] for row in rows if row["address"].zfill(16) in freed)
    assert states["free"] > 0
    assert set(states) <= {"free", "freed, RCU pending"}


@pytest.mark.parametrize("name", LAB)
def test_the_list_is_walked_as_crash_walks_it(fake: FakeCrash, name: str) -> None:
    caches = all_caches(Session(Target(fake, fake.image.byteorder)), [])
    listed = [(c.address, (c.name or b"").decode()) for c in caches if c.listed]
    assert listed == recorded(name).caches


def test_a_leftover_counts_what_its_memcg_children_hold() -> None:
    """The roots of slab_acct and slab_acctc hold 2 and 0 objects themselves, 13 and 11 in all."""
    fake = _replay(EL8_MEMCG)
    assert _records(fake, "slabdup -j", "end")[0]["objects"] == 24
    assert _records(fake, "slabdup -j", "end")[0]["leftovers"] == 2
    told = run_line(fake, "slabdup").splitlines()
    for root, total in (("ffff950b8a9b3800", "13"), ("ffff950b8a9b2c00", "11")):
        row = next(line.split() for line in told if line.startswith(root))
        assert (row[2], row[7]) == (total, "leftover")
    shown = run_line(fake, "slabobjs -b 0 ffff950b8a9b2c00")
    assert "memcg child ffff950b8a9e6400 slab_acctc(5:job2): 5 allocated in 5 slabs" in shown
    assert "memcg child ffff950b8a9e6a00 slab_acctc(3:job1): 6 allocated in 6 slabs" in shown


def test_a_living_root_tells_what_its_memcg_children_hold() -> None:
    fake = _replay(EL8_MEMCG)
    shown = " ".join(run_line(fake, "slabdup slab_acctl").split())
    assert "320 allocated objects in 15 slabs (268 of them in 2 memcg children)" in shown
    assert "134 allocated in" in run_line(fake, "slabobjs -b 0 -l 1 ffff950b8a9b3a00")


def test_the_recordings_show_every_place_of_a_slab_and_of_a_free_object() -> None:
    places: Set[str] = set()
    holders: Set[str] = set()
    for name in LAB:
        fake = _replay(name)
        for row in _records(fake, f"slabobjs -f -j -b 0 {' '.join(_allocated(name))}"):
            places.add(row.get("list") or "")
            holders.add(row.get("held_by") or "")
    assert places >= {"-", "partial", "full", "cpu 0", "cpu 1", "cpu 0 partial", "cpu 1 partial"}
    # No barn of theirs has a full sheaf: that is tested on built heaps.
    assert holders >= {"cpu 0 cache", "cpu 1 cache", "cpu 0 sheaf", "cpu 1 sheaf"}


# The oldest recording also says which list each slab is on ----------------------------


def _slabs(session: Session, caches: Tuple[Cache, ...]) -> Iterator[Tuple[int, str, int, int, int]]:
    for cache in caches:
        for decoded in for_each_decoded_slab(session, cache, []):
            slab = decoded.slab
            yield slab.address, slab.place, slab.objects, slab.node or 0, decoded.count(IN_USE)


@pytest.mark.parametrize("name", [EL7])
def test_every_slab_is_found_on_the_list_that_it_is_on(fake: FakeCrash, name: str) -> None:
    session = Session(Target(fake))
    caches = tuple(c for c in all_caches(session, []) if f"{c.address:x}" in _allocated(name))
    found = {row[0]: row[1:] for row in _slabs(session, caches)}
    expected = {}
    for slab in recorded(name).truth["slabs"]:
        place = {"cpu": "cpu {cpu}", "cpu_partial": "cpu {cpu} partial", "none": "-"}.get(
            slab["list"], slab["list"]
        )
        expected[int(slab["page"], 16)] = (
            place.format(cpu=slab.get("cpu")),
            slab["objects"],
            slab["node"],
            len(slab["allocated"]),
        )
    assert found == expected


@pytest.mark.parametrize("name", [EL7])
def test_all_caches_of_the_list_are_counted(fake: FakeCrash, name: str) -> None:
    # Not _records(): what other caches hold isn't in the recording, as a line tells.
    records = [json.loads(line) for line in run_line(fake, "slabdup -a -j").splitlines()]
    listed = [(int(r["address"], 16), r["name"]) for r in records if r["type"] == "cache"]
    assert sorted(listed) == sorted(recorded(name).caches)
