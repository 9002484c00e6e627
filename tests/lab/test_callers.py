# SPDX-License-Identifier: GPL-3.0-or-later
"""File and line of callers on real kernels: the module's own source says what stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest

from tests import lab
from tests.lab.drgnsession import run_lines_on_drgn
from tests.lab.dumps import Dump
from tests.lab.kernels import KERNELS, fetch
from tests.lab.module import build_module
from tests.lab.often import kernels
from tests.lab.session import run_lines, unwrapped

_LINE = re.compile(r"\(slabtest\.c:(\d+)\)")


def module_of(kernel: str) -> Path:
    return build_module(KERNELS[kernel], fetch(KERNELS[kernel]))


def with_its_file(kernel: str) -> str:
    """slabwhy on drgn, the module's file loaded."""
    (text,) = run_lines_on_drgn(lab.dump(kernel, "debug"), ["slabwhy"], files=[module_of(kernel)])
    return unwrapped(text)


def lines_of(text: str, what: str) -> List[str]:
    """The source at each line of slabtest.c that is told behind `what`."""
    source = (Path(__file__).parent / "module/slabtest.c").read_text().splitlines()
    numbers = re.findall(rf"{what}\+\S+ \[slabtest\] \(slabtest\.c:(\d+)\)", text)
    return [source[int(number) - 1] for number in numbers]


@pytest.mark.parametrize("kernel", kernels(["6.1", "7.3"]))
def test_the_line_of_a_caller_is_the_one_with_the_call(kernel: str) -> None:
    text = with_its_file(kernel)
    allocations = lines_of(text, "allocated by alloc")
    assert len(allocations) == 3
    assert all("kmem_cache_alloc" in line for line in allocations)
    destroys = lines_of(text, r"kmem_cache_destroy\(\) was called from \w+")
    assert len(destroys) >= 2
    assert all("kmem_cache_destroy(" in line for line in destroys)
    assert re.search(r" < do_one_initcall\+\S+ \(init/main\.c:\d+\) < ", text)


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
def test_crash_and_drgn_tell_the_same_callers(kernel: str) -> None:
    """7.3 opens in crash without modules only: there both are asked without the module's file."""
    dump: Dump = lab.dump(kernel, "debug")
    lines, files = ["slabwhy", "slabwhy -j", "slablost"], []
    if kernel != "7.3":
        files = [module_of(kernel)]
    before = [f"mod -s slabtest {file}" for file in files]
    in_crash = run_lines(dump, lab.crashes_for(kernel)[-1], [*before, *lines], timeout=900)
    on_drgn = run_lines_on_drgn(dump, lines, files=files)
    ours = [text.replace("mod -s slabtest FILE", "-s FILE") for text in in_crash[len(before) :]]
    assert ours == on_drgn
    assert bool(_LINE.search(on_drgn[0])) == bool(files)
    assert "(init/main.c:" in on_drgn[0]


def test_without_the_modules_file_the_kernels_callers_have_theirs() -> None:
    (text,) = run_lines_on_drgn(lab.dump("6.1", "debug"), ["slabwhy"])
    assert not _LINE.search(text)
    assert "(init/main.c:" in text
