# SPDX-License-Identifier: GPL-3.0-or-later
"""PYKDUMP_SO= makes the lab's tests run on a real PyKdump: the lines made for it.

No PyKdump is to be had here. Its side of these lines: `extend` loads the .so, `epython` looks
for the program in the current directory and in PYKDUMPPATH, and so does each command. A
stand-in for `epython` in real crash shows that the lines arrive there as they are meant.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import lab
from tests.lab.indexed import indexed
from tests.lab.session import SLABLEAK, host_environment, host_lines, run_lines
from tests.loader.builds import compile_command


def test_with_pykdump_its_so_is_loaded_and_ours_is_not(tmp_path: Path) -> None:
    environment = {"PYKDUMP_SO": str(tmp_path / "mpykdump64.so")}
    assert host_lines("8.0.2", environment) == [
        f"extend {tmp_path}/mpykdump64.so",
        "epython slableak.py",
    ]
    path = Path(host_environment(environment)["PYKDUMPPATH"])
    for name in ("slableak.py", "slabdup.py", "slabobjs.py"):
        assert (path / name).is_file()
    more = host_environment({**environment, "PYKDUMPPATH": "/a:/b"})
    assert more == {"PYKDUMPPATH": f"{path}:/a:/b"}


def test_without_it_our_loader_is_and_pykdump_s_path_is_not_set() -> None:
    for environment in ({}, {"PYKDUMP_SO": ""}):
        assert host_lines("8.0.2", environment) == [
            f"extend {lab.build_loader('8.0.2')}",
            f"extend {SLABLEAK}",
        ]
        assert host_environment(environment) == {}


def test_the_lines_reach_epython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epython = compile_command(tmp_path / "mpykdump64.so", "epython")
    monkeypatch.setenv("PYKDUMP_SO", str(epython))
    said = lab.crash("8.0.2").run(
        indexed(dump := lab.dump("6.1", "leak"), "8.0.2"),
        dump.vmcore,
        [*host_lines("8.0.2"), "!echo path $PYKDUMPPATH"],
        env=host_environment(),
    )
    assert f"{epython}: shared object loaded\nepython: <slableak.py>\n" in said
    assert f"path {SLABLEAK.parent}\n" in said
    # What is typed then is a command of PyKdump's.
    assert run_lines(dump, "8.0.2", ["epython slabdup.py -p"]) == ["epython: <slabdup.py> <-p>\n"]
