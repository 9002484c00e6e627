# SPDX-License-Identifier: GPL-3.0-or-later
"""Proposed types in real crash: the true one comes first, and a missing one is not made up."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from tests import lab
from tests.lab.kernels import KERNELS, fetch
from tests.lab.module import build_module
from tests.lab.probe import run_probe
from tests.lab.session import run_lines


def propose(kernel: str, version: str, words: str, before: List[str]) -> Dict[str, Any]:
    """The proposals of each cache. before: crash commands to run first."""
    rows = run_probe(kernel, version, "typeprobe", words, before)
    return {row["cache"]: row["proposals"] for row in rows}


def names(proposals: List[Dict[str, Any]]) -> List[str]:
    return [proposal["struct"] for proposal in proposals]


def test_kernel_caches_get_their_own_types_and_a_module_without_debug_information_none() -> None:
    types = {
        "dentry": "dentry",
        "vm_area_struct": "vm_area_struct",
        "task_struct": "task_struct",
        "inode_cache": "inode",
        "shmem_inode_cache": "shmem_inode_info",
        "sock_inode_cache": "socket_alloc",
    }
    found = propose("6.1", "8.0.2", f"slab_test {' '.join(types)}", [])
    assert {cache: names(found[cache])[:1] for cache in types} == {
        cache: [struct] for cache, struct in types.items()
    }
    assert found["slab_test"] == []


@pytest.mark.parametrize(
    "kernel", ["6.1", *(pytest.param(each, marks=pytest.mark.long) for each in ("5.10", "6.12"))]
)
def test_a_modules_type_is_found_once_its_debug_information_is_loaded(kernel: str) -> None:
    """(crash opens 7.3 without modules only.)"""
    module = build_module(KERNELS[kernel], fetch(KERNELS[kernel]))
    version = lab.crashes_for(kernel)[-1]
    found = propose(kernel, version, "slab_test", [f"mod -s slabtest {module}"])
    assert names(found["slab_test"])[:1] == ["slabtest_obj"]
    assert found["slab_test"][0]["against"] == []


@pytest.mark.parametrize(("kernel", "version"), [("6.1", "8.0.2"), ("7.3", "9.0.2")])
def test_slabobjs_shows_a_structure_as_crash_does(kernel: str, version: str) -> None:
    dump = lab.dump(kernel, "leak")
    address = dump.truth["objects"]["slab_test"]["leftover"]["leaked"][0]["addr"]
    kinds = ["struct list_head", "struct list_head.next,prev", "union sigval"]
    lines = [f"{kind} {address}" for kind in kinds]
    lines += [f'slabobjs -t "{kind}" {address}' for kind in kinds]
    *told, _, hexadecimal, in_hex, single = run_lines(
        dump,
        version,
        [
            *lines,
            "set radix 16",
            f"union sigval {address}",
            f"slabobjs -t sigval {address}",
            f"slabobjs -t 'struct list_head' {address}",
        ],
    )
    for crash_says, we_say in zip(told[:3], told[3:]):
        assert f"  [{address}]\n{crash_says.rstrip()}\n" in we_say
    assert hexadecimal.rstrip() in in_hex
    assert hexadecimal != told[2]
    assert told[0].rstrip() in single
