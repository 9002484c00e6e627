# SPDX-License-Identifier: GPL-3.0-or-later
"""In real crash the commands do what crash's own do: settings, aliases, input files, lists."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from tests import lab
from tests.lab.dumps import Dump
from tests.lab.session import run_lines

VERSION = "8.0.2"


@pytest.fixture(name="leak", scope="module")
def fixture_leak() -> Dump:
    return lab.dump("6.1", "leak")


def leaked(dump: Dump, name: str) -> List[str]:
    return [row["addr"] for row in dump.truth["objects"][name]["leftover"]["leaked"]]


def test_settings_aliases_and_input_files(leak: Dump, tmp_path: Path) -> None:
    addresses = leaked(leak, "slab_test")
    (tmp_path / "addresses").write_text("".join(f"{one}\n" for one in addresses))
    (tmp_path / "pairs").write_text(" ".join(addresses[:2]) + "\n-b 16 " + addresses[2] + "\n")
    (tmp_path / "commands").write_text(f"slabobjs -q {addresses[0]}\nslabobjs -q {addresses[1]}\n")
    shown = [
        "slabobjs slab_test",
        "slabdup slab_test",
        f"slabobjs -q < {tmp_path}/addresses",
        f"slabobjs -q < {tmp_path}/pairs",
        f"slabobjs -q {' '.join(addresses)}",
        f"lost {addresses[0]}",
        f"lost < {tmp_path}/addresses",
        f"< {tmp_path}/commands",
        f"rd < {tmp_path}/addresses",
        "slabobjs -q slab_test < /nonexistent",
        "rd < /nonexistent",
    ]
    changed = ["set radix 16", "set scroll off", "alias lost slabobjs -q"]
    again = ["slabobjs slab_test", "slabdup slab_test", "set radix 10", "slabobjs slab_test"]
    texts = run_lines(leak, VERSION, [*changed, *shown, *again])[len(changed) :]
    said = dict(zip(shown, texts))
    lines = "".join(f"{one}\n" for one in addresses)
    assert said[f"slabobjs -q < {tmp_path}/addresses"] == lines
    assert said[f"slabobjs -q < {tmp_path}/pairs"] == "".join(lines.splitlines(True)[:3])
    assert said[f"slabobjs -q {' '.join(addresses)}"] == lines
    assert said[f"lost {addresses[0]}"] == f"{addresses[0]}\n"
    assert said[f"lost < {tmp_path}/addresses"] == lines
    # Output of such a file's lines is theirs: the redirection is of no command.
    assert said[f"rd < {tmp_path}/addresses"].count("\n") == len(addresses)
    # A file that isn't there: the words are arguments then, to us as to rd.
    assert "/nonexistent: no cache has this name\n" in said["slabobjs -q slab_test < /nonexistent"]
    assert said["rd < /nonexistent"].startswith("symbol not found: <\n")
    assert texts[len(shown)] == said["slabobjs slab_test"] == texts[-1]
    assert texts[len(shown) + 1] == said["slabdup slab_test"]


def test_a_red_zone_s_address_is_shown_while_crash_s_own_setting_is_on() -> None:
    dump = lab.dump("6.1", "debug")
    name = next(name for name, roles in dump.truth["objects"].items() if roles.get("leftover"))
    address = leaked(dump, name)[0]
    lines = [f"slabobjs -b 0 {address}", f"kmem {address}"]
    on, _, off, _, _ = run_lines(
        dump, VERSION, [lines[0], "set redzone off", lines[0], "set redzone on", lines[1]]
    )
    (with_zone,) = [line for line in on.splitlines() if f"[{address}]" in line]
    zone = with_zone.partition("  red zone from ")[2]
    assert int(zone, 16) < int(address, 16)
    assert with_zone.replace(f"  red zone from {zone}", "") in off
    assert "red zone" not in off


def test_tables_fit_80_columns_where_crash_s_do(leak: Dump) -> None:
    text, crash = run_lines(leak, VERSION, ["slabobjs slab_test", "kmem -s slab_test"])
    widest = max(len(line) for line in crash.splitlines())
    assert widest <= 80
    # crash has no column LIST: where a slab is on a CPU's own list it may stick out.
    rows = [line.partition(" cpu ")[0] for line in text.splitlines()]
    assert [row for row in rows if len(row) > 80] == []
