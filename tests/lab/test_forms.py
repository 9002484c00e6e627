# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers are the same in every form of a dump, and a cut one is never believed.

A few forms for each commit; `make test-forms` goes through all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import lab
from tests.lab.forms import FORMS, form
from tests.lab.judge import judge
from tests.lab.session import records, run_lines
from tests.lab.truth import allocated_rows

VERSION = "9.0.2"
"""It reads every form, and starts in the shortest time."""

ALL = os.environ.get("FORMS") == "all"


@pytest.mark.parametrize("name", FORMS if ALL else ["split", "zstd"])
def test_every_form_is_told_as_the_module_tells(name: str) -> None:
    verdict = judge(form(name), VERSION)
    assert verdict.right, verdict
    assert verdict.objects == 548


def test_slab_pages_that_makedumpfile_has_excluded_are_never_made_up() -> None:
    dump = form("lossy")
    said = run_lines(
        dump,
        VERSION,
        ["slabobjs -j -f -b 0 slab_test", "slabobjs -q slab_test", "slabobjs slab_test", "slabdup"],
    )
    rows = records(said[0])
    told = {row["address"]: row["state"] for row in rows if row["type"] == "object"}
    account = {row["addr"] for row in allocated_rows(dump.truth, "slab_test")}
    lost = {address for address in account if told.get(address) != "allocated"}
    assert 0 < len(lost) < len(account), "this makedumpfile has learned it"
    assert {told.get(address, "unknown") for address in lost} == {"unknown"}
    assert {address for address, state in told.items() if state == "allocated"} <= account
    assert rows[-1]["complete"] is False
    for text in said[1:]:
        assert "not in the dump: " in text
        wrong = [line for line in text.splitlines() if line.startswith("slab")]
        assert len(wrong) < 40, wrong


@pytest.mark.parametrize("name", ["plain", "zlib", "elf", "flattened"] if ALL else ["zlib"])
def test_crash_itself_refuses_a_dump_that_was_cut_in_half(name: str, tmp_path: Path) -> None:
    """A half dump lacks what crash needs to start; so the commands are never asked."""
    whole = form(name)
    data = whole.vmcore.read_bytes()
    (tmp_path / "vmcore").write_bytes(data[: len(data) // 2])
    marked = tmp_path / "marked"
    said = lab.crash(VERSION).run(whole.vmlinux, tmp_path / "vmcore", [f"!touch {marked}"])
    assert not marked.exists(), f"this crash opens it; what do the commands say?\n{said}"


def test_pages_that_read_as_zeroes_are_warned_of() -> None:
    plain, zeroed = run_lines(form("zlib"), VERSION, ["slabdup", "slabobjs slab_test"])
    assert "zero_excluded" not in plain + zeroed
    _, warned = run_lines(form("zlib"), VERSION, ["set zero_excluded on", "slabdup"])
    assert warned.startswith("slabdup: zero_excluded is on: ")
