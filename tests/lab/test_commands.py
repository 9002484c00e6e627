# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in real crash, on a real dump, against the module's own account."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from crash_ext.command import help_page
from tests import lab
from tests.lab.dumps import Dump
from tests.lab.indexed import indexed
from tests.lab.judge import judge
from tests.lab.session import DRGN, SLABLEAK, run_lines
from tests.replay import COMMANDS

VERSION = "8.0.2"

REFUSED = "crash: pipe operation failed\n"
"""crash looks for a pipe's process for a short while only: too short on a busy machine."""
PIPED = {
    **{f"head{attempt}": "slabdup | head -3" for attempt in range(4)},
    **{f"one{attempt}": "slabobjs slab_test | head -1" for attempt in range(4)},
}


@pytest.fixture(scope="module")
def leak() -> Dump:
    return lab.dump("6.1", "leak")


def _address(leak: Dump, role: str) -> str:
    address: str = leak.truth["caches"]["slab_test"][role]["kmem_cache"]
    return address


@pytest.mark.parametrize("scenario", ["leak", "all", "numa", "debug"])
def test_every_cache_and_object_is_told_as_the_module_tells(scenario: str) -> None:
    dump = lab.dump("6.1", scenario)
    verdict = judge(dump, VERSION, indexed(dump, VERSION))
    assert verdict.right, verdict
    assert verdict.objects > 100


def test_the_two_caches_are_never_mixed_up_where_crash_mixes_them(leak: Dump) -> None:
    """crash shows the leftover's page under the live cache, and decodes it with its key."""
    leaked = leak.truth["objects"]["slab_test"]["leftover"]["leaked"][0]["addr"]
    (listed,) = run_lines(leak, DRGN, [f"slabobjs -b 0 {leaked}"])
    page = listed.splitlines()[3].split()[0]
    crash_says, we_say = run_lines(leak, VERSION, [f"kmem {page}", f"slabobjs {page}"])
    live, leftover = _address(leak, "live"), _address(leak, "leftover")
    head, row = crash_says.splitlines()[:2]
    assert (head.split()[0], row.split()[0]) == ("CACHE", live), "this crash has learned it"
    assert we_say.splitlines()[1].split()[0] == leftover
    assert live not in we_say
    assert f"[{leaked}]" in we_say


def test_an_address_inside_an_object_is_that_object_alone(leak: Dump) -> None:
    row = leak.truth["objects"]["slab_test"]["leftover"]["leaked"][0]
    inside = f"{int(row['addr'], 16) + 0x20:x}"
    quiet, shown, rd = run_lines(
        leak, VERSION, [f"slabobjs -q {inside}", f"slabobjs {inside}", f"rd {row['addr']} 10"]
    )
    assert quiet.split() == [row["addr"]]
    assert rd in shown, "contents stand as rd shows them"


@pytest.mark.parametrize("version", lab.crashes_for("6.1"))
def test_help_prints_each_page_whole(leak: Dump, version: str) -> None:
    """A per cent sign, too, which crash takes for a format in some places."""
    pages = run_lines(leak, version, [f"help {name}" for name in COMMANDS])
    assert any("%" in page for page in pages)
    # crash ends a page with an empty line.
    assert pages == [help_page(command) + "\n" for command in COMMANDS.values()]


def test_a_batch_file_does_in_each_line_what_a_user_expects(leak: Dump, tmp_path: Path) -> None:
    names = ["table", "out", "zero", "nosuch", *PIPED, "help"]
    file = {name: tmp_path / name for name in names}
    lines = [
        f"extend {lab.build_loader(VERSION)}",
        f"extend {SLABLEAK}",
        f"slabdup > {file['table']}",
        f"slabobjs slab_test > {file['out']}",
        f"slabobjs 0 > {file['zero']}",
        f"slabobjs nosuch > {file['nosuch']}",
        *(f"{line} > {file[name]}" for name, line in PIPED.items()),
        f"extend -u {SLABLEAK.name}",
        "slabdup",
        f"extend {SLABLEAK}",
        f"help slabobjs > {file['help']}",
    ]
    said = lab.crash(VERSION).run(indexed(leak, VERSION), leak.vmcore, lines)
    text: Dict[str, str] = {name: path.read_text() for name, path in file.items()}
    assert said.count(f"{SLABLEAK}: script loaded") == 2
    rows = [line.split() for line in text["table"].splitlines()]
    assert [row[-2:] for row in rows[1:3]] == [["live", "slab_test"], ["leftover", "slab_test"]]
    assert text["out"].count("\n  [") == 548
    assert text["zero"] == "slabobjs: 0: not the address of a cache, a slab or an object\n"
    assert text["nosuch"] == "slabobjs: nosuch: no cache has this name\n"
    heads = [text[name] for name in PIPED if name[:4] == "head" and text[name] != REFUSED]
    ones = [text[name] for name in PIPED if name[:3] == "one" and text[name] != REFUSED]
    assert heads
    assert all(head.splitlines() == text["table"].splitlines()[:3] for head in heads)
    assert ones
    assert all(one.startswith("CACHE ") and one.count("\n") == 1 for one in ones)
    assert "command not found: slabdup" in said
    assert "slabobjs - allocated objects of slab caches, with their contents" in text["help"]
