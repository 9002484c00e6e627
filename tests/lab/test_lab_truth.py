# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: is what the module says of a dump what crash reads in it?

crash's `rd` only: its slab commands are what the project is about to correct.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, Dict, List

import pytest

from tests import lab
from tests.lab.indexed import indexed
from tests.lab.often import kernels
from tests.lab.truth import parse

MAGIC = b"KCAJ"


@pytest.fixture(scope="module")
def dump() -> lab.Dump:
    return lab.dump("6.1", "leak")


def _objects(dump: lab.Dump, role: str, state: str) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = dump.truth["objects"]["slab_test"][role][state]
    return found


def _read(dump: lab.Dump, sizes: Dict[str, int]) -> Dict[str, bytes]:
    """What crash reads at each address: so many bytes, a multiple of 4 (84 is none of 8)."""
    version = lab.crashes_for(dump.kernel)[0]
    said = lab.crash(version).run(
        indexed(dump, version),
        dump.vmcore,
        [f"rd -32 {address} {size // 4}" for address, size in sizes.items()],
        args=lab.options_for(dump.kernel, version),
    )
    lines = re.findall(r"(?m)^([0-9a-f]{16}):  ((?:[0-9a-f]{8} )+)", said)
    memory = {
        int(start, 16) + 4 * n: int(word, 16).to_bytes(4, "little")
        for start, words in lines
        for n, word in enumerate(words.split())
    }
    return {
        address: b"".join(memory.get(int(address, 16) + n, b"") for n in range(0, size, 4))
        for address, size in sizes.items()
    }


def test_every_state_has_objects(dump: lab.Dump) -> None:
    caches = dump.truth["caches"]["slab_test"]
    assert caches["leftover"]["kmem_cache"] != caches["live"]["kmem_cache"]
    assert len({row["addr"][:-3] for row in _objects(dump, "leftover", "leaked")}) > 1
    assert len(_objects(dump, "leftover", "freed")) > 100
    assert len(_objects(dump, "live", "live")) == dump.truth["live_list"]["n"] > 500


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
def test_crash_reads_what_the_module_wrote(kernel: str) -> None:
    """On the others, slabobjs' contents against the same account: test_matrix.py."""
    dump = lab.dump(kernel, "all")
    rows = [
        (row, cache["objsize"])
        for name, roles in dump.truth["caches"].items()
        for role, cache in roles.items()
        for state, objects in dump.truth["objects"][name][role].items()
        for row in objects
        if state != "freed"
    ]
    read = _read(dump, {row["addr"]: size for row, size in rows})
    assert len(read) == len(rows) > 2000
    for row, _ in rows:
        contents = read[row["addr"]]
        assert contents[:4] == MAGIC
        assert contents[:128].hex() == row["hex"]
        assert zlib.crc32(contents) == int(row["crc32"], 16)


def test_the_leaked_were_never_linked(dump: lab.Dump) -> None:
    for row in _objects(dump, "leftover", "leaked"):
        own = (int(row["addr"], 16) + 0x20).to_bytes(8, "little")
        assert bytes.fromhex(row["hex"])[0x20:0x30] == own * 2


def test_what_is_said_to_refer_to_an_object_does() -> None:
    dump = lab.dump("6.1", "refs")
    leaked = {row["addr"] for row in dump.truth["objects"]["slab_refs"]["leftover"]["leaked"]}
    refs = {ref["holder"]: ref["addr"] for ref in dump.truth["refs"]}
    assert set(refs.values()) < leaked
    read = _read(dump, dict.fromkeys(refs, 8))
    assert {h: int.from_bytes(read[h], "little") for h in refs} == {
        holder: int(address, 16) for holder, address in refs.items()
    }


def test_a_module_loaded_twice_gives_one_account() -> None:
    caches = lab.dump("6.1", "reload").truth["caches"]["slab_test"]
    assert caches["leftover"]["counts"]["leaked"] == 5
    assert caches["live"]["refcount"] - caches["leftover"]["refcount"] == 1


def test_the_log_reports_the_leftover(dump: lab.Dump) -> None:
    assert "Objects remaining in slab_test on __kmem_cache_shutdown()" in dump.log
    assert "kmem_cache_destroy slab_test: Slab cache still has objects" in dump.log


def test_a_cut_account_is_refused(dump: lab.Dump) -> None:
    text = (dump.folder / "truth").read_text()
    with pytest.raises(ValueError, match="not whole"):
        parse(text[: len(text) // 2])
    with pytest.raises(ValueError, match="not whole"):
        parse(text.replace("T obj slab_test leftover leaked", "? obj", 1))
