# SPDX-License-Identifier: GPL-3.0-or-later
"""What make install puts where, that it needs no network, and that uninstall takes it away."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Dict, List, Set

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
EXTENSIONS = pathlib.Path("usr/lib/crash/extensions")


def base_python() -> str:
    """The interpreter that pytest's environment was made from: one that can be embedded."""
    return str(pathlib.Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")


def environment() -> Dict[str, str]:
    """Ours, but for make's own: these tests are run by a make, too. Any use of pip fails."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return {**own, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


def without_network() -> List[str]:
    """A command prefix that cuts the network off, as far as this machine lets us."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if (
            subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode
            == 0
        ):
            return prefix
    return []


class Machine:
    """A copy of the sources, and a root directory to install in."""

    def __init__(self, where: pathlib.Path) -> None:
        self.source = where / "source"
        self.root = where / "root"
        self.root.mkdir(parents=True)
        shutil.copytree(
            TOP,
            self.source,
            ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".*cache"),
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*without_network(), "make", f"PYTHON={base_python()}", *arguments]
        return subprocess.run(
            command,
            cwd=str(self.source),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def install(self, *arguments: str) -> str:
        done = self.make("install", f"DESTDIR={self.root}", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def uninstall(self, *arguments: str) -> None:
        done = self.make("uninstall", f"DESTDIR={self.root}", *arguments)
        assert done.returncode == 0, done.stdout

    def files(self) -> Set[pathlib.Path]:
        found = (path for path in self.root.rglob("*") if not path.is_dir())
        return {path.relative_to(self.root) for path in found}


@pytest.fixture(name="machine")
def fixture_machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def expected(extensions: pathlib.Path) -> Set[pathlib.Path]:
    scripts = (TOP / "crash_ext").rglob("*.py")
    return {extensions / "pyextend.so", *(extensions / path.relative_to(TOP) for path in scripts)}


def test_installs_loader_and_package_and_nothing_else(machine: Machine) -> None:
    machine.install()
    assert machine.files() == expected(EXTENSIONS)


def test_prefix_moves_everything(machine: Machine) -> None:
    machine.install("PREFIX=/opt/crash")
    assert machine.files() == expected(pathlib.Path("opt/crash/lib/crash/extensions"))


def test_uninstall_leaves_what_was_there(machine: Machine) -> None:
    others = machine.root / EXTENSIONS
    others.mkdir(parents=True)
    for name in ("echo.so", "slabdup.py.orig", "pyextend.so.bak"):
        (others / name).write_text("somebody else's")
    before = machine.files()
    machine.install()
    assert machine.files() > before
    # As crash leaves it behind once the commands were used by root.
    cache = others / "crash_ext" / "__pycache__"
    cache.mkdir()
    (cache / "reader.cpython-311.pyc").write_bytes(b"")
    machine.uninstall()
    assert machine.files() == before


def test_uninstall_needs_no_install(machine: Machine) -> None:
    machine.uninstall()
    assert machine.files() == set()


def test_installed_twice_is_installed_once(machine: Machine) -> None:
    machine.install()
    first = machine.files()
    machine.install()
    assert machine.files() == first


def test_says_what_to_put_into_crashrc(machine: Machine) -> None:
    lines = [line.strip() for line in machine.install().splitlines()]
    assert lines[-2:] == ["extend pyextend.so", "extend slableak.py"]


def test_installed_loader_does_not_lean_on_the_sources(machine: Machine) -> None:
    machine.install()
    loader = (machine.root / EXTENSIONS / "pyextend.so").read_bytes()
    assert os.fsencode(machine.source / "build" / "venv") not in loader


def test_python_that_is_not_there_is_one_line(machine: Machine) -> None:
    done = machine.make("install", f"DESTDIR={machine.root}", "PYTHON=/no/such/python3")
    assert done.returncode != 0
    ours = [line for line in done.stdout.splitlines() if not line.startswith("make")]
    assert ours == ["python: /no/such/python3: not found"]
    assert machine.files() == set()


def test_missing_crash_headers_are_named(machine: Machine) -> None:
    done = machine.make("install", f"DESTDIR={machine.root}", "CRASH_INCLUDE=/no/such/dir")
    assert done.returncode != 0
    assert "no defs.h in /no/such/dir" in done.stdout
    assert machine.files() == set()
