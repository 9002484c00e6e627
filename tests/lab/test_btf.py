# SPDX-License-Identifier: GPL-3.0-or-later
"""BTF in real dumps tells what crash and gdb tell of the debug information, in less time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Dict, List, Set, Tuple

import pytest

from tests import lab
from tests.lab.often import kernels
from tests.lab.probe import run_probe
from tests.lab.session import DRGN, records, run_lines, unwrapped

STRUCTS = (
    "dentry inode task_struct kmem_cache file vm_area_struct sock super_block module btf"
    " list_head timer_list work_struct bio net_device sk_buff signal_struct cred"
).split()
MODULES_WITH_BTF = {"6.12": {"slabtest_obj"}, "7.3": {"slabtest_obj"}}
"""Kernel -> structures of 84 to 88 bytes of a module that crash has no file of.

Headers before 6.12's have no BTF that pahole could build upon.
"""
MEMBERS = ("d_sb", "d_parent", "d_inode", "d_op")
each_kernel = pytest.mark.parametrize("kernel", kernels(["6.1", "7.3"]))
# The search by crash, that is compared with, takes 7.3's debug information most of a minute.
each_searched = pytest.mark.parametrize("kernel", kernels(["6.1"]))


@lru_cache(maxsize=None)
def probed(kernel: str) -> List[Dict[str, Any]]:
    """What btfprobe.py finds in a dump of a kernel."""
    version = lab.crashes_for(kernel)[-1]
    return run_probe(kernel, version, "btfprobe", f"84 88 {' '.join(STRUCTS)}")


@each_searched
def test_btf_names_the_structures_of_a_size_that_crash_does_in_a_tenth_of_the_time(
    kernel: str,
) -> None:
    row = probed(kernel)[0]
    ours, theirs = set(row["btf"]), set(row["host"])
    assert ours == theirs | MODULES_WITH_BTF.get(kernel, set())
    assert len(theirs) > 50
    btf_seconds, host_seconds = row["seconds"]
    assert btf_seconds * 10 < host_seconds


@each_searched
def test_btf_has_every_member_that_gdb_shows(kernel: str) -> None:
    compared = 0
    for row in probed(kernel)[1:]:
        size, *theirs = row["host"]
        (ours,) = [members for ours_size, *members in row["btf"] if ours_size == size]
        sizes: Dict[Tuple[str, int, str], Set[int]] = {}
        for name, offset, length, kind in ours:
            sizes.setdefault((name, offset, kind), set()).add(length)
        for name, offset, length, written in theirs:
            # gdb names the enumerators of an unnamed enum.
            kind = written.split(" {")[0]
            found = sizes.get((name, offset, kind))
            assert found, f"{row['struct']} has no {kind} {name} at {offset}"
            # gdb gives a bit field the size of its type, BTF the bytes of its bits.
            assert length in found or min(found) < length <= 8
        compared += len(theirs)
    # (gdb shows nothing of some structures in some kernels.)
    assert compared > 500


@lru_cache(maxsize=None)
def asked(kernel: str) -> Tuple[str, str, str]:
    """slabwhy on the leftover, slabobjs on a dentry, and what crash says of the same dentry.

    Which dentry drgn tells, so that crash starts once.
    """
    dump, version = lab.dump(kernel, "leak"), lab.crashes_for(kernel)[-1]
    cache = dump.truth["caches"]["slab_test"]["leftover"]["kmem_cache"]
    dentry = run_lines(dump, DRGN, ["slabobjs -q dentry"])[0].split()[0]
    members = ",".join(MEMBERS)
    lines = [f"slabwhy -F {cache}", f"slabobjs -e -j {dentry}", f"struct dentry.{members} {dentry}"]
    why, objects, theirs = run_lines(dump, version, lines)
    return why, objects, theirs


@each_kernel
def test_slabwhy_proposes_the_module_s_type_or_says_what_is_missing(kernel: str) -> None:
    text = asked(kernel)[0]
    lines = [line[32:] for line in unwrapped(text).splitlines() if line.startswith("  type ")]
    if kernel in MODULES_WITH_BTF:
        assert [line.split(":")[0] for line in lines] == ["maybe struct slabtest_obj [slabtest]"]
        assert "; but " not in lines[0]
    else:
        assert lines == ["debug information of slabtest isn't loaded: mod -s slabtest FILE"]


@each_kernel
def test_slabobjs_names_the_words_of_a_dentry_as_crash_does(kernel: str) -> None:
    _, objects, crash_says = asked(kernel)
    (row,) = [row for row in records(objects) if row["type"] == "object"]
    assert row["members_of"] == {"struct": "dentry", "module": None, "sure": True}
    ours = {word["member"]: int(word["value"], 16) for word in row["words"] if "member" in word}
    theirs = dict(re.findall(r"(d_\w+) = 0x([0-9a-f]+)", crash_says))
    # A pointer that is NULL has no note.
    assert {name: int(value, 16) for name, value in theirs.items() if int(value, 16)} == {
        name: ours[name] for name in MEMBERS if name in ours
    }
    assert ours["d_sb"]
